//! What must be true of every answer, whatever happens in the world.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use meridian::dnssec::{OnlineLimits, OnlineSignatures};
use meridian::geo::ClientPrefix;
use meridian::health::Forced;
use meridian::ids::{EndpointId, Family, ServiceId};
use meridian::now::Now;
use meridian::respond::{self, Asked, Outcome, Transport};
use meridian::steer::{Answer, Client, Lane, Mode, Plan, Selection};
use meridian::view::{ExplainedAnswer, View, explain};
use meridian::zone::ClientClass;

use crate::design::Design;
use crate::dice::Dice;
use crate::ledger::{self, Ledger};
use crate::node::{Node, PUBLISH_INTERVAL};
use crate::operators::Operators;
use crate::question::{Draws, Question, Subnet};
use crate::reply;
use crate::truth::Truth;

/// Who finds something wrong. Mutations name the one that must catch them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Checker {
    /// An answer names somebody who has been dead for too long.
    Dead,
    /// A user moved though nothing happened to where it was, or to where it went.
    Moved,
    /// Verdicts change more often than H2 allows.
    Oscillation,
    /// An empty answer or REFUSED that the configuration does not ask for.
    Empty,
    /// One family's health moved the other's answers.
    Families,
    /// The same seed gave another trace.
    Trace,
    /// `explain` does not say what the answer says.
    Explain,
    /// Somebody inside the scope gets something else.
    Scope,
    /// A TTL outside its bounds.
    Ttl,
    /// A generation went back, or something grows.
    Bounds,
    /// Not the healthy answer though all has been well for long enough.
    Converged,
    /// More went by itself than the governor allows.
    Governor,
    /// A verdict that the outcomes do not allow.
    Verdict,
    /// What an operator said is not what is done.
    Operator,
    /// The octets do not say what the decision says.
    Wire,
    /// A reload changed what it must not, or was refused, or was not.
    Reload,
    /// The wall clock changed health.
    Wall,
    /// A panic.
    Panic,
}

impl Checker {
    /// All of them.
    pub const ALL: [Checker; 18] = [
        Checker::Dead,
        Checker::Moved,
        Checker::Oscillation,
        Checker::Empty,
        Checker::Families,
        Checker::Trace,
        Checker::Explain,
        Checker::Scope,
        Checker::Ttl,
        Checker::Bounds,
        Checker::Converged,
        Checker::Governor,
        Checker::Verdict,
        Checker::Operator,
        Checker::Wire,
        Checker::Reload,
        Checker::Wall,
        Checker::Panic,
    ];
}

/// Something is wrong.
#[derive(Clone, Debug)]
pub struct Violation {
    pub checker: Checker,
    pub text: String,
}

impl Violation {
    /// Found by a checker.
    pub fn new(checker: Checker, text: String) -> Violation {
        Violation { checker, text }
    }
}

/// Of so many answers one is held against `explain`, the wire, and others inside its scope.
const SAMPLED: usize = 12;

/// The most different decisions of one lane of one service that these worlds can need.
const DECISIONS_MAX: usize = 2048;

/// What a check needs to know.
pub struct Context<'c> {
    pub node: &'c Node,
    pub truth: &'c Truth,
    pub ledger: &'c Ledger,
    pub design: &'c Design,
    pub operators: &'c Operators,
    /// The same snapshot with everything well.
    pub healed: &'c View,
}

/// One answer.
#[derive(Clone, Copy)]
pub struct Given<'c> {
    pub service: usize,
    pub family: Family,
    pub client: &'c Client,
    pub now: Now,
    pub draw: u64,
}

impl Given<'_> {
    pub fn id(&self) -> ServiceId {
        ServiceId(self.service as u32)
    }

    pub fn lane(&self) -> Lane {
        Lane::Addresses(self.family)
    }

    /// What a view answers.
    pub fn of<'v>(&self, view: &'v View) -> Selection<'v> {
        view.steer(self.id(), self.lane(), self.client, self.now, self.draw)
    }

    /// How the decision came about.
    pub fn mode(&self, view: &View) -> Mode {
        let own = explain(view, self.id(), self.lane(), self.client, self.now, self.draw);
        own.map_or(Mode::Normal, |own| own.mode)
    }
}

/// Holds an answer against everything that is known.
pub fn answer(
    context: &Context<'_>,
    given: Given<'_>,
    selection: &Selection<'_>,
    dice: &mut Dice,
) -> Result<(), Violation> {
    let view = &context.node.view;
    let Some(plan) = view.snapshot.plan(given.id()) else {
        return Err(Violation::new(Checker::Wire, format!("there is no service s{}", given.service)));
    };
    match selection.answer {
        Answer::Addresses(addresses) => {
            for address in addresses {
                one_address(context, given, plan, *address)?;
            }
        }
        Answer::Alias(_) => {}
        Answer::NoData | Answer::Refused => empty(context, given, plan)?,
    }
    ttl(context, given, plan, selection)?;
    if dice.one_in(SAMPLED) {
        explained(view, given, selection)?;
        scope(view, given, selection, dice)?;
        wire(context.node, given, selection)?;
    }
    Ok(())
}

/// The members of a plan with an address.
fn holders<'c>(view: &'c View, plan: &'c Plan, address: IpAddr) -> impl Iterator<Item = EndpointId> + 'c {
    plan.members.iter().copied().filter(move |id| {
        let endpoint = view.snapshot.fleet.endpoint(*id);
        endpoint.is_some_and(|own| own.addresses.iter().any(|own| own.address == address))
    })
}

fn one_address(
    context: &Context<'_>,
    given: Given<'_>,
    plan: &Plan,
    address: IpAddr,
) -> Result<(), Violation> {
    let view = &context.node.view;
    if Family::of(address) != given.family {
        return Err(Violation::new(Checker::Wire, format!("{address} is of the other family")));
    }
    let forced = |id| view.health.forced(id);
    if holders(view, plan, address).all(|id| forced(id) == Forced::Down) {
        return Err(Violation::new(Checker::Operator, format!("{address} is forced down or nobody's")));
    }
    let away = |id| matches!(forced(id), Forced::Down | Forced::Drained);
    if holders(view, plan, address).all(away) && given.mode(view) == Mode::Normal {
        return Err(Violation::new(Checker::Operator, format!("{address} is drained, and others are not")));
    }
    let now = context.node.now.monotonic;
    if let Some(region) = context.design.region_of(address)
        && context.operators.is_out(region, now)
        && given.mode(view) == Mode::Normal
    {
        let text = format!("{address} is drained by now, and others are not");
        return Err(Violation::new(Checker::Operator, text));
    }
    let Some(since) = context.truth.dead_since(address, now) else { return Ok(()) };
    if holders(view, plan, address).any(|id| forced(id) == Forced::Up) {
        return Ok(());
    }
    let Some(bound) =
        holders(view, plan, address).filter_map(|id| gone_by(context, id, address, since)).max()
    else {
        return Ok(());
    };
    if now <= bound || given.mode(view) != Mode::Normal {
        return Ok(());
    }
    let text = format!(
        "s{} names {address}, dead since {:.3}; it had to be gone by {:.3}",
        given.service,
        since.as_secs_f64(),
        bound.as_secs_f64()
    );
    Err(Violation::new(Checker::Dead, text))
}

/// By when nobody is sent to an endpoint's address that died at `since`: interval x fall + timeout +
/// jitter + the publish interval, and what kept outcomes from the board. `None`: nothing probes it.
fn gone_by(context: &Context<'_>, id: EndpointId, address: IpAddr, since: Duration) -> Option<Duration> {
    let spec = &context.node.view.snapshot.board;
    let text = address.to_string();
    let own = spec.endpoints.get(id.index())?.addresses.iter();
    let own = own.filter_map(|id| spec.addresses.get(id.index())).find(|own| *own.address == *text)?;
    let accounts = own
        .checks
        .targets()
        .filter_map(|target| context.ledger.0.get(&ledger::key(spec.targets.get(target.index())?)?));
    accounts
        .map(|account| {
            let since = since.max(account.known_since);
            let before = since.saturating_sub(account.cadence.interval * 2 + account.cadence.timeout);
            let delays = account.delays.iter().filter(|(until, _)| *until >= before);
            since + leaves_within(&account.cadence) + delays.map(|(_, by)| *by).sum::<Duration>()
        })
        .max()
}

/// The bound of the first checker for a monitor.
pub fn leaves_within(cadence: &meridian::health::Cadence) -> Duration {
    // A start is moved by a tenth of the interval at most, either way.
    let jitter = cadence.interval.mul_f64(0.2);
    cadence.interval * u32::from(cadence.fall) + cadence.timeout + jitter + PUBLISH_INTERVAL
}

fn empty(context: &Context<'_>, given: Given<'_>, plan: &Plan) -> Result<(), Violation> {
    let view = &context.node.view;
    let may = |id: &EndpointId| view.health.forced(*id) != Forced::Down && has(view, *id, given.family);
    let service = &context.design.services[given.service];
    // What only a fallback has, the service does not have.
    let written = context.design.has_family(&service.tree, given.family);
    let exempt = service.may_be_empty() && given.mode(view) != Mode::Normal;
    // What an operator forces down is never served, also where a fence leaves nobody else (R8, R9).
    let forced = plan.members.iter().any(|id| view.health.forced(*id) == Forced::Down);
    let fenced = service.tree.has_fence() && forced && given.mode(view) != Mode::Normal;
    if !written || exempt || fenced || !plan.members.iter().any(may) {
        return Ok(());
    }
    let text = format!("s{} has no {:?} for {:?}", given.service, given.family, given.client);
    Err(Violation::new(Checker::Empty, text))
}

fn has(view: &View, id: EndpointId, family: Family) -> bool {
    let endpoint = view.snapshot.fleet.endpoint(id);
    endpoint.is_some_and(|own| own.addresses.iter().any(|own| Family::of(own.address) == family))
}

fn ttl(
    context: &Context<'_>,
    given: Given<'_>,
    plan: &Plan,
    selection: &Selection<'_>,
) -> Result<(), Violation> {
    let (least, most) = (*plan.ttl_s.start(), *plan.ttl_s.end());
    let view = &context.node.view;
    let wrong = |text: String| Err(Violation::new(Checker::Ttl, format!("s{}: {text}", given.service)));
    if !(least..=most).contains(&selection.ttl_s) {
        return wrong(format!("{} s is not in {least}..={most}", selection.ttl_s));
    }
    let Answer::Addresses(addresses) = selection.answer else { return Ok(()) };
    // H7: what is answered was consulted, and so was where the client goes when all is well.
    let well = given.of(context.healed);
    let home = match well.answer {
        Answer::Addresses(home) if context.design.services[given.service].tree.is_exact(context.design) => {
            home
        }
        _ => &[],
    };
    for address in addresses.iter().chain(home) {
        for id in holders(view, plan, *address) {
            let Some(bound) = ttl_bound(context, id, *address) else { continue };
            if selection.ttl_s > bound.clamp(least, most) && given.mode(view) == Mode::Normal {
                let text =
                    format!("{} s though the health of {address} may change in {bound} s", selection.ttl_s);
                return wrong(text);
            }
            // An address of two pools is consulted through one of them.
            break;
        }
    }
    Ok(())
}

/// What bounds the TTL of an answer that depends on an address, by the ledger and by the table.
fn ttl_bound(context: &Context<'_>, id: EndpointId, address: IpAddr) -> Option<u32> {
    let view = &context.node.view;
    let spec = &view.snapshot.board;
    if view.health.forced(id) != Forced::Not {
        return None;
    }
    let text = address.to_string();
    let mut own = spec.endpoints.get(id.index())?.addresses.iter();
    let own = own.find(|id| spec.addresses.get(id.index()).is_some_and(|own| *own.address == *text))?;
    let by_table = view.health.address(*own).ttl_bound_s;
    let target = spec.addresses.get(own.index())?.checks.targets().next()?;
    let account = context.ledger.0.get(&ledger::key(spec.targets.get(target.index())?)?)?;
    let missing = u32::from(account.cadence.fall).saturating_sub(account.published_failures);
    let by_ledger = (account.published_failures > 0)
        .then(|| (account.cadence.interval * missing).as_secs_f64().ceil() as u32);
    [by_table, by_ledger].into_iter().flatten().min()
}

/// X1: what `explain` says of an answer is the answer, and the walk itself arrives there.
fn explained(view: &View, given: Given<'_>, selection: &Selection<'_>) -> Result<(), Violation> {
    let wrong = |text: String| Err(Violation::new(Checker::Explain, format!("s{}: {text}", given.service)));
    let Some(own) = explain(view, given.id(), given.lane(), given.client, given.now, given.draw) else {
        return wrong("nothing is explained".into());
    };
    if (own.ttl_s, own.scope) != (selection.ttl_s, selection.scope) {
        return wrong(format!("ttl {} scope {} explained, {selection:?} answered", own.ttl_s, own.scope));
    }
    let same = match (&own.answer, selection.answer) {
        (ExplainedAnswer::Addresses(explained), Answer::Addresses(given)) => explained == given,
        (ExplainedAnswer::NoData, Answer::NoData) | (ExplainedAnswer::Refused, Answer::Refused) => true,
        _ => false,
    };
    if !same {
        return wrong(format!("{:?} explained, {selection:?} answered", own.answer));
    }
    if let Answer::Addresses(addresses) = selection.answer
        && !own.candidates.iter().any(|candidate| candidate.addresses == addresses)
    {
        return wrong(format!("{addresses:?} answered, the candidates are {:?}", own.candidates));
    }
    Ok(())
}

/// E1: others inside the scope get the same answer, for as long, with the same scope.
fn scope(view: &View, given: Given<'_>, selection: &Selection<'_>, dice: &mut Dice) -> Result<(), Violation> {
    let Some(subnet) = given.client.subnet else { return Ok(()) };
    if selection.scope == 0 && view.snapshot.plan(given.id()).is_some_and(|plan| plan.map.is_none()) {
        return Ok(());
    }
    let around = subnet.widened(selection.scope);
    let other = ClientPrefix::new(crate::users::host(around, dice), selection.scope.max(subnet.length()));
    let client = Client { subnet: Some(other), ..*given.client };
    let found = Given { client: &client, ..given }.of(view);
    let believes = selection.scope > 0;
    if believes
        && (found.answer, found.ttl_s, found.scope) != (selection.answer, selection.ttl_s, selection.scope)
    {
        let text = format!(
            "s{}: {subnet} gets {selection:?}, and inside its scope {other} gets {found:?}",
            given.service
        );
        return Err(Violation::new(Checker::Scope, text));
    }
    Ok(())
}

/// The octets that go out say what the decision says; read by hickory-proto.
fn wire(node: &Node, given: Given<'_>, selection: &Selection<'_>) -> Result<(), Violation> {
    let wrong = |text: String| Violation::new(Checker::Wire, format!("s{}: {text}", given.service));
    let subnet =
        given.client.subnet.map(|subnet| Subnet { address: subnet.address(), length: subnet.length() });
    let question = Question {
        name: format!("s{}.example.com", given.service),
        rtype: if given.family == Family::V4 { 1 } else { 28 },
        from: given.client.resolver,
        at: None,
        subnet,
        edns: subnet.is_some(),
        version: 0,
        payload_octets: 1232,
        options: Vec::new(),
        tcp: false,
        opcode: 0,
        class: 1,
        draws: Draws::One(given.draw),
        each: None,
    };
    let query = question.octets(given.draw as u16);
    let asked = Asked {
        source: question.from,
        transport: Transport::Udp,
        class: ClientClass::DEFAULT,
        idle_timeout: None,
        admission: meridian::limit::Admission::Within,
    };
    let mut buffer = [0; 1500];
    let mut unsigned = OnlineSignatures::new(OnlineLimits::NONE, [0; 16]);
    let outcome =
        respond::respond(&node.view, &asked, node.now, given.draw, &query, &mut buffer, &mut unsigned);
    let Outcome::Reply { length, .. } = outcome else { return Err(wrong("no reply".into())) };
    let octets = buffer.get(..length).unwrap_or_default();
    let reply = reply::read(&question, &query, octets).map_err(wrong)?;
    let mut found: Vec<String> = reply.answers.iter().map(|line| line.data.clone()).collect();
    let mut expected: Vec<String> = match selection.answer {
        Answer::Addresses(addresses) => addresses.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    found.sort();
    expected.sort();
    let rcode = if selection.answer == Answer::Refused { "REFUSED" } else { "NOERROR" };
    let ttls = reply.answers.iter().all(|line| line.ttl_s == selection.ttl_s);
    let scope = subnet.is_none() || reply.scope == Some(selection.scope) || expected.is_empty();
    match found == expected && reply.rcode == rcode && ttls && scope {
        true => Ok(()),
        false => Err(wrong(format!("{selection:?} was decided, and the reply is {reply}"))),
    }
}

/// Nothing goes back, nothing grows.
pub fn bounds(previous: &View, node: &Node) -> Result<(), Violation> {
    let wrong = |text: String| Err(Violation::new(Checker::Bounds, text));
    let view = &node.view;
    if view.snapshot.generation < previous.snapshot.generation {
        return wrong("the generation went back".into());
    }
    let targets = view.snapshot.board.targets.len();
    if node.in_flight() > 4 * targets + 16 || node.board.under_way() > targets {
        return wrong(format!("{} probes of {targets} targets are under way", node.board.under_way()));
    }
    let spec = &view.snapshot.board;
    if view.health.addresses.len() != spec.addresses.len()
        || view.health.endpoints.len() != spec.endpoints.len()
        || view.health.frozen.len() > spec.addresses.len() * spec.services.len()
        || !Arc::ptr_eq(spec, node.board.spec())
    {
        return wrong("the table is not that of the snapshot".into());
    }
    for service in 0..view.snapshot.plans.len() {
        for family in Family::ALL {
            let table = view.table(ServiceId(service as u32));
            let lane = table.and_then(|table| table.lane(Lane::Addresses(family)));
            if lane.is_some_and(|lane| lane.decisions().len() > DECISIONS_MAX) {
                return wrong(format!("s{service} has more than {DECISIONS_MAX} decisions"));
            }
        }
    }
    Ok(())
}
