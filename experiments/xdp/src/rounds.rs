//! Alternating rounds of all ways to an answer, and what they cost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::afxdp::Server;
use crate::check::Bench;
use crate::generator::{Generator, Judged, Outcome};
use crate::hook::{CLIENT_INTERFACE, INTERFACE, Mode};
use crate::machine::{Accounts, enter, offload, pin_poller};
use crate::statistics::{estimate, median};
use crate::world::{Exchange, Kind, World};
use crate::{Place, Result};

/// Load before anything is counted.
const WARM_UP: Duration = Duration::from_millis(150);

/// What is measured.
#[derive(clap::Args)]
pub struct Plan {
    /// Rounds
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Seconds for each way and kind in a round
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Ways to an answer
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "socket,xdp,xdp-trie,xdp-bare,af-xdp,reflect"
    )]
    ways: Vec<Way>,
    /// What is asked
    #[arg(long, value_enum, value_delimiter = ',', default_value = "static,subnet")]
    kinds: Vec<Kind>,
    /// Where the receiving of each end runs
    #[arg(long, value_enum, default_value = "inline")]
    placement: Placement,
}

/// Where the receiving of each end runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Placement {
    /// In the softirq of whoever sends: what a virtual interface does
    Inline,
    /// In a kernel thread on the core of the interface's owner: as with a card whose queue interrupts that core
    Split,
}

/// A way to an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub enum Way {
    /// meridian's socket, nothing in the hook
    Socket,
    /// meridian's socket, with a program in the hook that lets everything through
    Pass,
    /// meridian's socket, with the answering program in the hook and none of its names asked
    Missed,
    /// Answered in the hook, networks in a flat table
    Xdp,
    /// The same without UDP's checksum
    XdpBare,
    /// The same with the kernel's trie
    XdpTrie,
    /// Answered in the generic hook, behind the driver
    XdpGeneric,
    /// AF_XDP and meridian's responder
    AfXdp,
    /// Sent back from the hook unread
    Reflect,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Socket => "socket",
            Way::Pass => "socket, idle program",
            Way::Missed => "socket, program misses",
            Way::Xdp => "XDP",
            Way::XdpBare => "XDP, no UDP checksum",
            Way::XdpTrie => "XDP, kernel's trie",
            Way::XdpGeneric => "XDP, generic",
            Way::AfXdp => "AF_XDP",
            Way::Reflect => "XDP reflector",
        }
    }

    fn program(self) -> Option<(&'static str, Mode)> {
        match self {
            Way::Socket => None,
            Way::Pass => Some(("pass", Mode::Native)),
            Way::Missed => Some(("answer_flat", Mode::Native)),
            Way::Xdp => Some(("answer_flat", Mode::Native)),
            Way::XdpBare => Some(("answer_bare", Mode::Native)),
            Way::XdpTrie => Some(("answer_trie", Mode::Native)),
            Way::XdpGeneric => Some(("answer_flat", Mode::Generic)),
            Way::AfXdp => Some(("redirect", Mode::Native)),
            Way::Reflect => Some(("reflect", Mode::Native)),
        }
    }

    /// Whether frames are sent back by the program.
    fn sends_back(self) -> bool {
        matches!(self, Way::Xdp | Way::XdpBare | Way::XdpTrie | Way::Reflect)
    }

    fn judged(self) -> Judged {
        if self == Way::Reflect { Judged::Number } else { Judged::Whole }
    }
}

/// One stretch of load.
struct Stretch {
    answered: u64,
    elapsed: Duration,
    spent: Accounts,
}

impl Stretch {
    fn both_us(&self) -> f64 {
        (self.spent.server_ns + self.spent.client_ns) as f64 / 1e3 / self.answered as f64
    }

    fn server_us(&self) -> f64 {
        self.spent.server_ns as f64 / 1e3 / self.answered as f64
    }

    fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    /// The share of the two cores that others had.
    fn foreign(&self) -> f64 {
        let own = self.spent.server_ns + self.spent.client_ns;
        self.spent.machine_ns.saturating_sub(own) as f64 / 2e9 / self.elapsed.as_secs_f64()
    }

    /// What softirqs had in threads of their own, in parts of what was counted.
    fn deferred(&self) -> f64 {
        self.spent.softirq_ns as f64 / (self.spent.server_ns + self.spent.client_ns) as f64
    }
}

/// Measures and prints tables.
pub fn measure(world: &World, place: &Place, plan: &Plan) -> Result<()> {
    let mut bench = Bench::start(world, place)?;
    let af_xdp = match plan.ways.contains(&Way::AfXdp) {
        true => Some(Server::start(&mut bench.hook, world.view.clone(), &place.server_namespace, 0)?),
        false => None,
    };
    enter(&place.client_namespace)?;
    let mut kinds = Vec::new();
    for kind in &plan.kinds {
        kinds.push((*kind, world.queries(*kind)?));
    }
    let mut results: BTreeMap<(&str, Way), Vec<Stretch>> = BTreeMap::new();
    let mut total = Outcome::default();
    for round in 0..plan.rounds {
        for (kind, exchanges) in &kinds {
            for turn in 0..plan.ways.len() {
                let way = plan.ways[(turn + round) % plan.ways.len()];
                let (stretch, outcome) = stretch(&mut bench, place, plan, way, exchanges)?;
                total.answered += outcome.answered;
                total.wrong += outcome.wrong;
                total.lost += outcome.lost;
                results.entry((kind.name(), way)).or_default().push(stretch);
            }
        }
    }
    drop(af_xdp);
    bench.detach()?;
    println!(
        "{:?}, {} rounds of {} s; {} answered, {} wrong, {} lost\n",
        plan.placement, plan.rounds, plan.seconds, total.answered, total.wrong, total.lost
    );
    print!("{}", table(plan, &results));
    if total.wrong + total.lost > 0 { Err("replies that were wrong or lost".into()) } else { Ok(()) }
}

fn stretch(
    bench: &mut Bench,
    place: &Place,
    plan: &Plan,
    way: Way,
    exchanges: &[Exchange],
) -> Result<(Stretch, Outcome)> {
    let is_split = plan.placement == Placement::Split;
    offload(CLIENT_INTERFACE, is_split)?;
    bench.take_frames(place, way.sends_back())?;
    enter(&place.server_namespace)?;
    offload(INTERFACE, is_split)?;
    bench.detach()?;
    if let Some((program, mode)) = way.program() {
        let hook = if way == Way::Missed { &mut bench.empty } else { &mut bench.hook };
        hook.attach(program, INTERFACE, mode)?;
    }
    enter(&place.client_namespace)?;
    if is_split {
        pin_poller(INTERFACE, 0)?;
        pin_poller(CLIENT_INTERFACE, 1)?;
    }
    let mut generator = Generator::new(exchanges)?;
    generator.run(WARM_UP, way.judged())?;
    let (before, start) = (Accounts::read(&bench.server)?, Instant::now());
    let outcome = generator.run(Duration::from_secs_f64(plan.seconds), way.judged())?;
    let (elapsed, spent) = (start.elapsed(), before.spent(&bench.server)?);
    Ok((Stretch { answered: outcome.answered, elapsed, spent }, outcome))
}

fn table(plan: &Plan, results: &BTreeMap<(&str, Way), Vec<Stretch>>) -> String {
    let mut text = String::from(
        "| asked | way | both sides, µs | server, µs | queries/s | both, ratio to the socket | server, ratio | foreign |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for kind in &plan.kinds {
        let socket = results.get(&(kind.name(), Way::Socket));
        for way in &plan.ways {
            let Some(stretches) = results.get(&(kind.name(), *way)) else { continue };
            let of = |value: fn(&Stretch) -> f64| median(&stretches.iter().map(value).collect::<Vec<_>>());
            let ratio = |value: fn(&Stretch) -> f64| {
                let pairs = stretches.iter().zip(socket?);
                let [median, low, high] =
                    estimate(&pairs.map(|(own, other)| value(own) / value(other)).collect::<Vec<_>>());
                Some(format!("{median:.3} [{low:.3}-{high:.3}]"))
            };
            text += &format!(
                "| {} | {} | {:.3} | {:.3} | {:.0} | {} | {} | {:.0} % |\n",
                kind.name(),
                way.name(),
                of(Stretch::both_us),
                of(Stretch::server_us),
                of(Stretch::rate),
                ratio(Stretch::both_us).unwrap_or_default(),
                ratio(Stretch::server_us).unwrap_or_default(),
                of(Stretch::foreign) * 100.0,
            );
        }
    }
    let all: Vec<f64> = results.values().flatten().map(Stretch::deferred).collect();
    text += &format!(
        "\nIn threads of the kernel for softirqs, whosesoever: {:.1} % of both sides (median)\n",
        median(&all) * 100.0
    );
    text
}
