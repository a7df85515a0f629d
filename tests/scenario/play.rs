//! A scenario played, step by step, on a server: the one of this process or the real program.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use meridian::health::{Command, Forced, Verdict};

use crate::expect::Expected;
use crate::files::Files;
use crate::question::{Draws, Question};
use crate::reply::Reply;
use crate::script::{Action, Load, Script, Sight, Step, Whose};
use crate::world::Probes;

/// How many other clients are asked for inside each announced scope (E1), besides its two ends.
const CLIENTS_INSIDE: u32 = 14;

/// Of a series of clients only every so manieth has its scope tried: the rest is alike.
const SERIES_STEP: usize = 64;

/// Who asked, and what came back.
type Replies = Vec<(Question, Option<Reply>)>;

/// What steps act on.
pub trait Server: Sized {
    /// How long an expectation may take to come true. None where time is the scenario's own.
    const PATIENCE: Duration;

    /// Reads the files and completes the first round of probes. Problems come back instead.
    fn start(files: &Files, probes: Probes) -> Result<Self, Vec<String>>;
    /// Reads the files again; all problems, and nothing changes.
    fn reload(&mut self, files: &Files) -> Result<(), Vec<String>>;
    /// What the files last read were warned of.
    fn warnings(&self) -> &[String];
    /// From now on probes see this.
    fn probe(&mut self, whose: Whose, sights: Vec<Sight>) -> Result<(), String>;
    /// From now on feeds read this; `None`: their page is missing.
    fn load(&mut self, whose: Whose, load: Option<Load>) -> Result<(), String>;
    /// From now on a host name has these addresses; none: it is not found.
    fn resolve(&mut self, host: &str, addresses: &[IpAddr]) -> Result<(), String>;
    /// Time passes.
    fn pass(&mut self, time: Duration) -> Result<(), String>;
    /// Time passes until so long after the start.
    fn at(&mut self, time: Duration) -> Result<(), String>;
    /// Time passes until a verdict is this.
    fn wait(&mut self, whose: &Whose, verdict: Verdict, within: Duration) -> Result<(), String>;
    /// An operator's word.
    fn force(&mut self, whose: &Whose, forced: Forced) -> Result<(), String>;
    /// An operator's command; a refusal comes back.
    fn command(&mut self, command: &Command) -> Result<(), String>;
    /// What was told besides changes of verdicts since time last passed.
    fn told(&mut self) -> Result<Vec<String>, String>;
    /// Sets the wall clock.
    fn set_wall(&mut self, forward: bool, by: Duration) -> Result<(), String>;
    /// The wall clock is set.
    fn clock(&mut self, wall: Duration) -> Result<(), String>;
    /// The account of an answer, as lines.
    fn explain(&self, parameters: &[(String, String)]) -> Result<String, String>;
    /// The next change of verdict that has not been looked at.
    fn transition(&mut self) -> Result<Option<Change>, String>;
    /// Whether a change is one of theirs.
    fn concerns(&self, change: &Change, whose: &Whose) -> bool;
    /// Asks, and holds the reply against what every reply must be.
    fn ask(&self, question: &Question, draw: u64) -> Result<Option<Reply>, String>;
}

/// A change of verdict as it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The target's label.
    pub label: String,
    /// Before.
    pub from: Verdict,
    /// After.
    pub to: Verdict,
    /// Why.
    pub cause: String,
}

/// Plays all steps. An error says which step fails, what was expected and what was found.
pub fn play<S: Server>(script: &Script) -> Result<(), String> {
    let mut stage = Stage::<S>::new();
    for step in &script.steps {
        stage.step(step).map_err(|why| format!("{}: {why}", step.place))?;
    }
    stage.end().map_err(|why| format!("{}: {why}", stage.place))
}

/// What is there between two steps.
struct Stage<S> {
    files: Files,
    /// Until the start.
    probes: Probes,
    world: Option<S>,
    /// All problems of the last start or reload, if it was refused.
    refused: Option<Refusal>,
    /// Why the last command was refused.
    denied: Option<String>,
    /// The last account of an answer.
    account: String,
    /// The last question, and the replies to it.
    asked: Option<Asked>,
    /// What each question found when it was last asked, by the question as text.
    before: HashMap<String, Replies>,
    place: String,
}

struct Refusal {
    problems: Vec<String>,
    expected: bool,
}

struct Asked {
    question: Question,
    replies: Replies,
    before: Option<Replies>,
    expected: bool,
}

impl<S: Server> Stage<S> {
    fn new() -> Self {
        Stage {
            files: Files::default(),
            probes: Probes::default(),
            world: None,
            refused: None,
            denied: None,
            account: String::new(),
            asked: None,
            before: HashMap::new(),
            place: String::new(),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        if !matches!(step.action, Action::Refused(_)) {
            self.end_refusal()?;
        }
        if !matches!(step.action, Action::Denied(_)) {
            self.end_denial()?;
        }
        if !matches!(step.action, Action::Expect(_)) {
            self.end_question().map_err(|why| format!("{why} (the query is at {})", self.place))?;
        }
        self.place.clone_from(&step.place);
        match &step.action {
            Action::Block(block) => self.files.take(block, step.place.starts_with("worlds/")),
            Action::Probe(whose, sights) => match &mut self.world {
                Some(world) => world.probe(whose.clone(), sights.clone())?,
                None => self.probes.set(whose.clone(), sights.clone()),
            },
            Action::Load(whose, load) => match &mut self.world {
                Some(world) => world.load(whose.clone(), *load)?,
                None => self.probes.set_load(whose.clone(), *load),
            },
            Action::Resolve(host, addresses) => match &mut self.world {
                Some(world) => world.resolve(host, addresses)?,
                None => self.probes.set_addresses(host, addresses),
            },
            Action::Start => self.start(),
            Action::Reload => self.reload()?,
            Action::Refused(text) => self.refused(text)?,
            action => self.in_world(action)?,
        }
        Ok(())
    }

    fn start(&mut self) {
        match S::start(&self.files, self.probes.clone()) {
            Ok(world) => self.world = Some(world),
            Err(problems) => self.refused = Some(Refusal { problems, expected: false }),
        }
    }

    fn reload(&mut self) -> Result<(), String> {
        let files = self.files.clone();
        if let Err(problems) = self.world()?.reload(&files) {
            self.refused = Some(Refusal { problems, expected: false });
        }
        Ok(())
    }

    fn refused(&mut self, text: &str) -> Result<(), String> {
        if self.world.is_none() && self.refused.is_none() {
            self.start();
        }
        let refusal = self.refused.as_mut().ok_or("the files were accepted")?;
        refusal.expected = true;
        match refusal.problems.iter().any(|problem| problem.contains(text)) {
            true => Ok(()),
            false => {
                Err(format!("expected `{text}`\n    found    {}", refusal.problems.join("\n             ")))
            }
        }
    }

    /// The running server; it starts when it is first needed.
    fn world(&mut self) -> Result<&mut S, String> {
        if self.world.is_none() {
            self.start();
            self.end_refusal()?;
        }
        self.world.as_mut().ok_or_else(|| "nothing runs".to_owned())
    }

    fn in_world(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::Query(question) => self.query(question),
            Action::Expect(expected) => self.expect(expected),
            Action::Warned(text) => {
                let warnings = self.world()?.warnings();
                match warnings.iter().any(|line| line.contains(text)) {
                    true => Ok(()),
                    false => Err(format!("expected `{text}`\n    found    {warnings:?}")),
                }
            }
            Action::Pass(time) => self.world()?.pass(*time),
            Action::At(time) => self.world()?.at(*time),
            Action::Await(whose, verdict, within) => self.world()?.wait(whose, *verdict, *within),
            Action::Clock(wall) => self.world()?.clock(*wall),
            Action::Explain(parameters) => {
                self.account = self.world()?.explain(parameters)?;
                Ok(())
            }
            Action::Says(text) => match self.account.contains(text) {
                true => Ok(()),
                false => Err(format!("expected `{text}`\n    found    {}", self.account)),
            },
            Action::Force(whose, forced) => self.world()?.force(whose, *forced),
            Action::Command(command) => {
                self.denied = self.world()?.command(command).err();
                Ok(())
            }
            Action::Denied(text) => match self.denied.take() {
                Some(why) if why.contains(text) => Ok(()),
                found => Err(format!("expected the refusal `{text}`\n    found    {found:?}")),
            },
            Action::Told(text) => {
                let told = self.world()?.told()?;
                match told.iter().any(|line| line.contains(text)) {
                    true => Ok(()),
                    false => Err(format!("expected `{text}`\n    found    {told:#?}")),
                }
            }
            Action::NothingTold => match self.world()?.told()?.as_slice() {
                [] => Ok(()),
                told => Err(format!("expected nothing\n    found    {told:#?}")),
            },
            Action::Wall { forward, by } => self.world()?.set_wall(*forward, *by),
            Action::NoTransition => match self.world()?.transition()? {
                None => Ok(()),
                Some(found) => Err(format!("expected no transition\n    found    {found:?}")),
            },
            Action::Transition { endpoint, from, to, cause } => {
                let found = self.world()?.transition()?.ok_or("there is no (further) transition")?;
                let concerns = self.world()?.concerns(&found, endpoint);
                let cause = cause.as_ref().is_none_or(|cause| found.cause == *cause);
                match concerns && found.from == *from && found.to == *to && cause {
                    true => Ok(()),
                    false => Err(format!("found    {found:?}")),
                }
            }
            _ => Ok(()),
        }
    }

    fn query(&mut self, question: &Question) -> Result<(), String> {
        let replies = replies(self.world()?, question)?;
        let before = self.before.insert(format!("{question:?}"), replies.clone());
        self.asked = Some(Asked { question: question.clone(), replies, before, expected: false });
        Ok(())
    }

    fn expect(&mut self, expected: &Expected) -> Result<(), String> {
        let asked = self.asked.as_mut().ok_or("nothing has been asked")?;
        asked.expected = true;
        let begun = Instant::now();
        loop {
            match expected.check(&asked.replies, asked.before.as_deref()) {
                Err(_) if begun.elapsed() < S::PATIENCE => {
                    let world = self.world.as_mut().ok_or("nothing runs")?;
                    asked.replies = replies(world, &asked.question)?;
                }
                outcome => return outcome,
            }
        }
    }

    fn end(&mut self) -> Result<(), String> {
        self.end_refusal()?;
        self.end_denial()?;
        self.end_question()
    }

    fn end_denial(&mut self) -> Result<(), String> {
        match self.denied.take() {
            Some(why) => Err(format!("the command is refused: {why} (it is at {})", self.place)),
            None => Ok(()),
        }
    }

    fn end_refusal(&mut self) -> Result<(), String> {
        match self.refused.take() {
            Some(refusal) if !refusal.expected => {
                Err(format!("the files are refused:\n    {}", refusal.problems.join("\n    ")))
            }
            _ => Ok(()),
        }
    }

    fn end_question(&mut self) -> Result<(), String> {
        match self.asked.take() {
            Some(asked) if !asked.expected => Err("nothing is expected of this query".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Asks for every client and every draw.
fn replies<S: Server>(world: &S, question: &Question) -> Result<Replies, String> {
    let mut replies = Replies::new();
    for (member, one) in question.series().into_iter().enumerate() {
        for (number, draw) in question.draws.all().enumerate() {
            let reply = world.ask(&one, draw)?;
            // Where time is not the scenario's own, nor are draws and the moment.
            if let (0, 0, true, Some(reply)) = (number, member % SERIES_STEP, S::PATIENCE.is_zero(), &reply) {
                sound(world, &one, draw, reply)?;
            }
            replies.push((one.clone(), reply));
        }
    }
    Ok(replies)
}

/// E1: whoever is inside the announced scope, the ends included, has the same answer and the same scope.
fn sound<S: Server>(world: &S, question: &Question, draw: u64, reply: &Reply) -> Result<(), String> {
    let subnet = question.subnet.filter(|subnet| subnet.length > 0 && !subnet.ends_before_embedded());
    let (Some(subnet), Some(scope)) = (subnet, reply.scope) else { return Ok(()) };
    let rest = u128::MAX.checked_shr(u32::from(scope)).unwrap_or(0);
    let around = subnet.sibling(subnet.bits(), scope).bits();
    let mut bits =
        Draws::Spread(u64::from(CLIENTS_INSIDE)).all().map(|draw| u128::from(draw) << 64 | u128::from(draw));
    let inside = [0, u128::MAX].into_iter().chain(&mut bits);
    for bits in inside {
        let other = question.of(subnet.sibling(around | bits & rest, subnet.bits_max()));
        let answer = world.ask(&other, draw)?;
        if answer.as_ref() != Some(reply) {
            let address = other.subnet.map(|subnet| subnet.address);
            let found = answer.map_or("nothing".to_owned(), |answer| answer.to_string());
            return Err(format!(
                "the scope {scope} holds a client with another answer: {address:?}\n    expected {reply}\n    found    {found}"
            ));
        }
    }
    Ok(())
}
