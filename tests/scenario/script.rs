//! The scenario format: text into steps. `tests/scenarios/README.md` explains it to people.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use meridian::health::{
    Command, Failure, Forced, NotRun, OverrideKind, Selector, TlsFailure, Verdict, Which,
};

use crate::expect::{Expected, expected};
use crate::question::{Question, question};

/// A scenario: what its header says, and what happens.
pub struct Script {
    /// The file, as messages call it.
    pub path: String,
    /// The comment at the top: the statements it shows, in one line each.
    pub header: Vec<String>,
    /// Whether it also runs against the real binary.
    pub real: bool,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One step and where it is written.
pub struct Step {
    /// `FILE:LINE`
    pub place: String,
    /// What is done or expected.
    pub action: Action,
}

/// What a feed's page says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Load {
    /// The load.
    pub current: f64,
    /// How much of the responses are errors, in percent.
    pub errors: f64,
}

/// What a step does.
pub enum Action {
    /// Text that the server's files are made of; from the next start or reload on.
    Block(Block),
    /// What probes see from now on.
    Probe(Whose, Vec<Sight>),
    /// What feeds read from now on.
    Load(Whose, Option<Load>),
    /// What look-ups of a host name find from now on.
    Resolve(String, Vec<IpAddr>),
    /// Start: the first round of probes, then serve. Left out, it happens before the first query.
    Start,
    /// Read the files again.
    Reload,
    /// The files are refused with a problem that contains this.
    Refused(String),
    /// The files last read were accepted with a warning that contains this.
    Warned(String),
    /// Time passes.
    Pass(Duration),
    /// Time passes until so long after the start.
    At(Duration),
    /// Time passes until an endpoint's verdict is this, at most so long.
    Await(Whose, Verdict, Duration),
    /// The next change of verdict since the last step that let time pass.
    Transition { endpoint: Whose, from: Verdict, to: Verdict, cause: Option<String> },
    /// There is no other.
    NoTransition,
    /// An operator's word, put through whatever it harms.
    Force(Whose, Forced),
    /// An operator's command.
    Command(Command),
    /// The last command was refused with a reason that contains this.
    Denied(String),
    /// Something was told, since the last step that lets time pass, that contains this.
    Told(String),
    /// Nothing was.
    NothingTold,
    /// The wall clock is set: forward or back.
    Wall { forward: bool, by: Duration },
    /// The wall clock is set.
    Clock(Duration),
    /// Why a client gets its answer: the parameters of `meridian explain`.
    Explain(Vec<(String, String)>),
    /// The account last asked for contains this.
    Says(String),
    /// A question, or many.
    Query(Question),
    /// What the answers to the last question must be.
    Expect(Expected),
}

/// A part of the server's files.
#[derive(Clone)]
pub enum Block {
    /// Appended to the main file of the world, or replacing what an earlier block appended.
    Config(String),
    /// Lines of PREFIX COUNTRY[-SUBDIVISION] [LATITUDE LONGITUDE] [asN].
    Locations(String),
    /// A zone's master file.
    Zone(String, String),
    /// A zone's steered names.
    Names(String, String),
}

/// Whose probes, whose state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whose {
    /// One address, whoever has it.
    Address(IpAddr),
    /// An endpoint: `pool/name`, or the name alone.
    Endpoint(String),
    /// All endpoints of a region.
    Region(String),
    /// Whatever a monitor checks.
    Monitor(String),
}

/// What a probe sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sight {
    /// It is well, after so long.
    Up { connect: Duration, first_byte: Duration },
    /// It is not.
    Down(Failure),
    /// The probe never ends.
    Silent,
}

/// Reads a scenario. `worlds` is the folder of what `world NAME` takes in.
pub fn read(path: &Path, worlds: &Path) -> Result<Script, String> {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut script = Script { path: name, header: Vec::new(), real: false, steps: Vec::new() };
    let text = text(path)?;
    script.header =
        text.lines().map_while(|line| line.strip_prefix('#')).map(|line| line.trim().to_owned()).collect();
    parse(&text, &script.path.clone(), worlds, &mut script)?;
    Ok(script)
}

fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse(text: &str, name: &str, worlds: &Path, script: &mut Script) -> Result<(), String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let place = format!("{name}:{at}");
        let fail = |why: String| format!("{place}: {why}\n    {line}");
        if line.starts_with(char::is_whitespace) {
            return Err(fail("this line is indented but belongs to no block".to_owned()));
        }
        // A blank line inside a block belongs to it.
        let indented = |line: &&&str| line.trim().is_empty() || line.starts_with(char::is_whitespace);
        let block: Vec<&str> = lines.iter().skip(at).take_while(indented).copied().collect();
        at += block.len();
        let words = words(line).map_err(fail)?;
        let (verb, rest) = words.split_first().ok_or_else(|| fail("an empty line".to_owned()))?;
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        match (verb.as_str(), rest.as_slice()) {
            ("real", []) => script.real = true,
            ("world", [world]) => {
                let path = worlds.join(format!("{world}.txt"));
                let inner = self::text(&path).map_err(|why| format!("{place}: {why}"))?;
                parse(&inner, &format!("worlds/{world}.txt"), worlds, script)?;
            }
            (verb, rest) => {
                let action = action(verb, rest, &dedented(&block))
                    .map_err(|why| format!("{place}: {why}\n    {line}"))?;
                script.steps.push(Step { place, action });
            }
        }
    }
    Ok(())
}

fn action(verb: &str, rest: &[&str], block: &str) -> Result<Action, String> {
    if !block.trim().is_empty() && !matches!(verb, "config" | "locations" | "zone" | "names" | "expect") {
        return Err(format!("`{verb}` takes no indented lines"));
    }
    Ok(match (verb, rest) {
        ("config", []) => Action::Block(Block::Config(block.to_owned())),
        ("locations", []) => Action::Block(Block::Locations(block.to_owned())),
        ("zone", [origin]) => Action::Block(Block::Zone((*origin).to_owned(), block.to_owned())),
        ("names", [origin]) => Action::Block(Block::Names((*origin).to_owned(), block.to_owned())),
        ("probe", ["region", region, sights @ ..]) => {
            Action::Probe(Whose::Region((*region).to_owned()), self::sights(sights)?)
        }
        ("probe", ["monitor", monitor, sights @ ..]) => {
            Action::Probe(Whose::Monitor((*monitor).to_owned()), self::sights(sights)?)
        }
        ("probe", [whose, sights @ ..]) => Action::Probe(self::whose(whose), self::sights(sights)?),
        ("load", [whose, "missing"]) => Action::Load(self::whose(whose), None),
        ("load", [whose, current, errors @ ..]) => {
            let number = |text: &str| text.parse::<f64>().map_err(|_| format!("{text} is no number"));
            let errors = match errors {
                [] => 0.0,
                ["errors", share] => number(share.trim_end_matches('%'))?,
                _ => return Err("write: load WHOSE NUMBER [errors PERCENT]".to_owned()),
            };
            Action::Load(self::whose(whose), Some(Load { current: number(current)?, errors }))
        }
        ("resolve", [host, "missing"]) => Action::Resolve((*host).to_owned(), Vec::new()),
        ("resolve", [host, addresses @ ..]) => {
            let address = |text: &&str| text.parse().map_err(|_| format!("{text} is no address"));
            Action::Resolve((*host).to_owned(), addresses.iter().map(address).collect::<Result<_, _>>()?)
        }
        ("start", []) => Action::Start,
        ("reload", []) => Action::Reload,
        ("refused", [text]) => Action::Refused((*text).to_owned()),
        ("warned", [text]) => Action::Warned((*text).to_owned()),
        ("pass", [time]) => Action::Pass(duration(time)?),
        ("at", [time]) => Action::At(duration(time)?),
        ("await", ["monitor", monitor, state, "within", time]) => {
            Action::Await(Whose::Monitor((*monitor).to_owned()), verdict(state)?, duration(time)?)
        }
        ("await", [whose, state, "within", time]) => {
            Action::Await(self::whose(whose), verdict(state)?, duration(time)?)
        }
        ("transition", [whose, from, to, cause @ ..]) => Action::Transition {
            endpoint: self::whose(whose),
            from: verdict(from)?,
            to: verdict(to)?,
            cause: match cause {
                [] => None,
                [cause] => Some((*cause).to_owned()),
                _ => return Err("write the cause in quotes".to_owned()),
            },
        },
        ("no", ["transition"]) => Action::NoTransition,
        ("force", ["region", region, forced]) => {
            Action::Force(Whose::Region((*region).to_owned()), self::forced(forced)?)
        }
        ("force", [whose, forced]) => Action::Force(self::whose(whose), self::forced(forced)?),
        ("drain" | "force-up" | "force-down" | "remove" | "approve" | "release", rest) => {
            Action::Command(command(verb, rest)?)
        }
        ("denied", [text]) => Action::Denied((*text).to_owned()),
        ("told", [text]) => Action::Told((*text).to_owned()),
        ("told", []) => Action::NothingTold,
        ("wall", [by]) => match (by.strip_prefix('+'), by.strip_prefix('-')) {
            (Some(by), _) => Action::Wall { forward: true, by: duration(by)? },
            (_, Some(by)) => Action::Wall { forward: false, by: duration(by)? },
            _ => return Err("write +1h or -1h".to_owned()),
        },
        ("clock", [moment]) => {
            let wall = meridian::steer::parse_utc(moment).ok_or(format!("`{moment}` is no moment"))?;
            Action::Clock(wall)
        }
        ("explain", [name, rest @ ..]) => Action::Explain(explain(name, rest)?),
        ("says", [text]) => Action::Says((*text).to_owned()),
        ("query", [name, rest @ ..]) => Action::Query(question(name, rest)?),
        ("expect", rest) => Action::Expect(expected(rest, block)?),
        _ => return Err("no such step".to_owned()),
    })
}

/// `drain SELECTOR [over TIME] [for TIME] [anyway]` and its like.
fn command(verb: &str, words: &[&str]) -> Result<Command, String> {
    let actor = "scenario".to_owned();
    if let ("release", service) = (verb, words) {
        let service = service.first().map(|name| (*name).to_owned());
        return Ok(Command::Release { service, actor });
    }
    let (selected, rest) = match words {
        [scope @ ("region" | "pool" | "endpoint"), name, rest @ ..] => (format!("{scope}:{name}"), rest),
        [pattern, rest @ ..] => ((*pattern).to_owned(), rest),
        [] => return Err("nobody is selected".to_owned()),
    };
    let selector: Selector = selected.parse().map_err(|error| format!("{error}"))?;
    let (mut over, mut expires_in, mut force) = (None, None, false);
    let mut rest = rest;
    loop {
        rest = match rest {
            [] => break,
            ["over", time, rest @ ..] => {
                over = Some(duration(time)?);
                rest
            }
            ["for", time, rest @ ..] => {
                expires_in = Some(duration(time)?);
                rest
            }
            ["anyway", rest @ ..] => {
                force = true;
                rest
            }
            _ => return Err(format!("`{}` is not understood", rest.join(" "))),
        };
    }
    let reason = "shown".to_owned();
    let kind = match verb {
        "drain" => OverrideKind::Drain { over },
        "force-up" => OverrideKind::ForceUp,
        "force-down" => OverrideKind::ForceDown,
        "remove" => {
            return Ok(Command::Remove { which: Which::Selector(selector), reason, actor, force });
        }
        _ => return Ok(Command::Approve { selector, actor }),
    };
    Ok(Command::Override { kind, selector, reason, actor, expires_in, force })
}

/// `NAME TYPE KEY VALUE ...`
fn explain(name: &str, rest: &[&str]) -> Result<Vec<(String, String)>, String> {
    let (rtype, rest) = rest.split_first().ok_or("a type is missing")?;
    let pairs = [["name", name], ["type", rtype]].into_iter().map(|[key, value]| (key, value));
    let more = rest.chunks(2).map(|pair| match pair {
        [key, value] => Ok((*key, *value)),
        _ => Err(format!("`{}` has no value", pair.join(" "))),
    });
    let all = pairs.map(Ok).chain(more).collect::<Result<Vec<_>, _>>()?;
    Ok(all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

fn whose(text: &str) -> Whose {
    text.parse().map_or_else(|_| Whose::Endpoint(text.to_owned()), Whose::Address)
}

/// One sight for good, or several separated by commas, which repeat.
fn sights(words: &[&str]) -> Result<Vec<Sight>, String> {
    let text = words.join(" ");
    text.split(',').map(|part| sight(&part.split_whitespace().collect::<Vec<_>>())).collect()
}

fn sight(words: &[&str]) -> Result<Sight, String> {
    match words {
        ["up", timings @ ..] => {
            let (mut connect, mut first_byte) = (Duration::from_millis(10), None);
            for pair in timings.chunks(2) {
                match pair {
                    ["connect", time] => connect = duration(time)?,
                    ["first-byte", time] => first_byte = Some(duration(time)?),
                    _ => return Err(format!("`{}` is no timing", pair.join(" "))),
                }
            }
            Ok(Sight::Up { connect, first_byte: first_byte.unwrap_or(connect) })
        }
        ["silent"] => Ok(Sight::Silent),
        ["not-run"] => Ok(Sight::Down(Failure::NotRun(NotRun::Exhausted))),
        ["down", reason] => failure(reason).map(Sight::Down),
        _ => Err(format!("a probe cannot see `{}`: up, down REASON, not-run or silent", words.join(" "))),
    }
}

fn failure(reason: &str) -> Result<Failure, String> {
    Ok(match reason {
        "refused" => Failure::ConnectRefused,
        "connect-timeout" => Failure::ConnectTimeout,
        "unreachable" => Failure::Unreachable,
        "timeout" => Failure::AnswerTimeout,
        "closed" => Failure::Closed,
        "name-not-found" => Failure::NameNotFound,
        "tls-expired" => Failure::Tls(TlsFailure::Expired),
        "body" => Failure::BodyLacksText,
        _ => match reason.strip_prefix("status-").and_then(|status| status.parse().ok()) {
            Some(status) => Failure::Status(status),
            None => return Err(format!("`{reason}` is no failure")),
        },
    })
}

fn verdict(text: &str) -> Result<Verdict, String> {
    match text {
        "UP" => Ok(Verdict::Up),
        "DOWN" => Ok(Verdict::Down),
        "UNKNOWN" => Ok(Verdict::Unknown),
        _ => Err(format!("`{text}` is no state: UP, DOWN or UNKNOWN")),
    }
}

fn forced(text: &str) -> Result<Forced, String> {
    match text {
        "up" => Ok(Forced::Up),
        "down" => Ok(Forced::Down),
        "drained" => Ok(Forced::Drained),
        "not" => Ok(Forced::Not),
        _ => Err(format!("an endpoint cannot be forced `{text}`: up, down, drained or not")),
    }
}

/// `20ms`, `1.5s`, `10m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{text}` is no time: write 20ms, 1.5s, 10m")),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is no time"))?;
    Ok(Duration::from_secs_f64(number * seconds))
}

/// Words; what is in double quotes is one word. A `#` after a space begins a comment.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a quote is not closed")?,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

/// The lines of a block without the indentation that all of them have.
fn dedented(lines: &[&str]) -> String {
    let indents = lines.iter().filter(|line| !line.trim().is_empty());
    let least = indents.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let mut text: String =
        lines.iter().map(|line| format!("{}\n", line.get(least..).unwrap_or(""))).collect();
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
