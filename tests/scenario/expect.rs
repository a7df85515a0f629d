//! Expectations: what a scenario says of replies, and whether it is so.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::question::Question;
use crate::reply::{Line, Reply};
use crate::script::words;

/// What the replies to a question must be.
#[derive(Debug)]
pub enum Expected {
    /// No reply at all.
    Nothing,
    /// Each reply is this.
    Reply(Box<Lane>),
    /// So large a share of the replies has exactly these data.
    Shares(Vec<(String, f64)>, f64),
    /// So large a share of the replies has these data among others.
    Named(Vec<(String, f64)>, f64),
    /// All replies are the same.
    Same,
    /// Compared with the last time the same was asked: exactly who had one of these data has others now.
    Moved(Vec<String>),
}

/// One reply as a scenario writes it.
#[derive(Debug, Default)]
pub struct Lane {
    rcode: String,
    no_data: bool,
    answer: Option<Answer>,
    ttl_s: Option<RangeInclusive<u32>>,
    soa_ttl_s: Option<u32>,
    scope: Option<RangeInclusive<u8>>,
    truncated: bool,
    not_authoritative: bool,
    nsid: Option<String>,
    extended_error: Option<u16>,
    sections: BTreeMap<String, Vec<String>>,
}

/// The answer section in short: records of one type at the name asked for.
#[derive(Debug)]
struct Answer {
    rtype: String,
    /// `Some(n)`: any n of the data.
    any: Option<usize>,
    data: Vec<String>,
}

/// What was found: who asked, and what the reply was.
pub type Found<'f> = [(Question, Option<Reply>)];

/// Response codes that a scenario can name.
const RCODES: [&str; 9] =
    ["NOERROR", "NXDOMAIN", "YXDOMAIN", "FORMERR", "SERVFAIL", "NOTIMP", "REFUSED", "BADVERS", "NODATA"];

/// Reads the words after `expect` and the indented lines: sections in full.
pub fn expected(rest: &[&str], block: &str) -> Result<Expected, String> {
    match rest {
        ["nothing"] => Ok(Expected::Nothing),
        ["shares", rest @ ..] => shares(rest).map(|(shares, within)| Expected::Shares(shares, within)),
        ["named", rest @ ..] => shares(rest).map(|(shares, within)| Expected::Named(shares, within)),
        ["moved", "from", data @ ..] => {
            Ok(Expected::Moved(data.iter().map(|one| (*one).to_owned()).collect()))
        }
        ["same"] => Ok(Expected::Same),
        ["nobody", "moved"] => Ok(Expected::Moved(Vec::new())),
        [rcode, rest @ ..] if RCODES.contains(rcode) => {
            let mut wanted = Lane { no_data: *rcode == "NODATA", ..Lane::default() };
            wanted.rcode = if wanted.no_data { "NOERROR" } else { rcode }.to_owned();
            wanted.words(rest)?;
            wanted.lines(block)?;
            Ok(Expected::Reply(Box::new(wanted)))
        }
        _ => Err(format!("expect what? One of {RCODES:?}, nothing, same, shares, moved from, nobody moved")),
    }
}

/// `DATA SHARE% ... within SHARE%`
fn shares(mut rest: &[&str]) -> Result<(Vec<(String, f64)>, f64), String> {
    let mut shares = Vec::new();
    loop {
        rest = match rest {
            ["within", tolerance] => return Ok((shares, percent(tolerance)?)),
            [data, share, rest @ ..] => {
                shares.push(((*data).to_owned(), percent(share)?));
                rest
            }
            _ => return Err("write: DATA SHARE% ... within SHARE%".to_owned()),
        };
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    number.ok_or_else(|| format!("`{text}` is no share: write 12.5%"))
}

impl Lane {
    fn words(&mut self, mut rest: &[&str]) -> Result<(), String> {
        while !rest.is_empty() {
            rest = match rest {
                ["ttl", ttl, rest @ ..] => {
                    self.ttl_s = Some(range(ttl)?);
                    rest
                }
                ["soa-ttl", ttl, rest @ ..] => {
                    self.soa_ttl_s = Some(number(ttl)?);
                    rest
                }
                ["scope", scope, rest @ ..] => {
                    let range = range(scope)?;
                    let short = |number: u32| u8::try_from(number).map_err(|_| "no such scope".to_owned());
                    self.scope = Some(short(*range.start())?..=short(*range.end())?);
                    rest
                }
                ["nsid", nsid, rest @ ..] => {
                    self.nsid = Some((*nsid).to_owned());
                    rest
                }
                ["extended-error", code, rest @ ..] => {
                    self.extended_error = Some(number(code)? as u16);
                    rest
                }
                ["tc", rest @ ..] => {
                    self.truncated = true;
                    rest
                }
                ["noaa", rest @ ..] => {
                    self.not_authoritative = true;
                    rest
                }
                [rtype, rest @ ..] if rtype.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                    let (any, data) = match rest {
                        ["any", count, "of", rest @ ..] => (Some(number(count)? as usize), rest),
                        rest => (None, rest),
                    };
                    let own = data.iter().take_while(|word| !is_key(word)).count();
                    let (own, rest) = data.split_at(own);
                    let own = own.iter().map(|one| (*one).to_owned()).collect();
                    self.answer = Some(Answer { rtype: (*rtype).to_owned(), any, data: own });
                    rest
                }
                [word, ..] => return Err(format!("`{word}` cannot be expected")),
                [] => rest,
            };
        }
        Ok(())
    }

    fn lines(&mut self, block: &str) -> Result<(), String> {
        for line in block.lines().filter(|line| !line.trim().is_empty()) {
            let words = words(line)?;
            let (section, record) = words.split_first().ok_or("an empty line")?;
            if !["answer", "authority", "additional"].contains(&section.as_str()) {
                return Err(format!("`{section}` is no section: answer, authority or additional"));
            }
            let records = self.sections.entry(section.clone()).or_default();
            if record.first().is_none_or(|word| word != "nothing") {
                records.push(record.join(" "));
            }
        }
        Ok(())
    }

    /// What is not as written; empty where all is.
    fn differences(&self, question: &Question, reply: &Reply) -> Vec<String> {
        let mut differences = Vec::new();
        let mut hold = |holds: bool, what: String| {
            if !holds {
                differences.push(what);
            }
        };
        hold(reply.rcode == self.rcode, self.rcode.clone());
        hold(reply.truncated == self.truncated, format!("tc {}", self.truncated));
        let authoritative =
            !self.not_authoritative && matches!(self.rcode.as_str(), "NOERROR" | "NXDOMAIN" | "YXDOMAIN");
        hold(reply.authoritative == authoritative, format!("aa {authoritative}"));
        let found = reply.answers.iter().map(|line| line.ttl_s);
        if let Some(ttl_s) = &self.ttl_s {
            hold(found.clone().all(|found| ttl_s.contains(&found)), format!("ttl {ttl_s:?}"));
            hold(found.count() > 0, "a ttl".to_owned());
        }
        if let Some(scope) = &self.scope {
            hold(reply.scope.is_some_and(|found| scope.contains(&found)), format!("scope {scope:?}"));
        }
        hold(reply.nsid == self.nsid, format!("nsid {:?}", self.nsid));
        if let Some(code) = self.extended_error {
            hold(reply.extended_error == Some(code), format!("extended-error {code}"));
        }
        self.hold_negative(reply, &mut hold);
        for (section, lines) in &self.sections {
            let found = match section.as_str() {
                "answer" => &reply.answers,
                "authority" => &reply.authorities,
                _ => &reply.additionals,
            };
            let found: Vec<String> = found.iter().map(Line::to_string).collect();
            hold(found == *lines, format!("{section} {lines:#?}"));
        }
        match &self.answer {
            Some(answer) => answer.hold(question, &reply.answers, &mut hold),
            None => hold(
                self.sections.contains_key("answer") || reply.answers.is_empty(),
                "an empty answer section".to_owned(),
            ),
        }
        differences
    }

    /// NODATA and NXDOMAIN come with the SOA alone.
    fn hold_negative(&self, reply: &Reply, hold: &mut impl FnMut(bool, String)) {
        if self.no_data || self.rcode == "NXDOMAIN" {
            let soa = matches!(reply.authorities.as_slice(), [line] if line.rtype == "SOA");
            hold(soa, "the SOA alone in the authority section".to_owned());
        }
        if let Some(ttl_s) = self.soa_ttl_s {
            let found = reply.authorities.first().map(|line| line.ttl_s);
            hold(found == Some(ttl_s), format!("soa-ttl {ttl_s}"));
        }
    }
}

impl Answer {
    fn hold(&self, question: &Question, found: &[Line], hold: &mut impl FnMut(bool, String)) {
        let owner = format!("{}.", question.name.trim_end_matches('.'));
        let own = found.iter().all(|line| line.rtype == self.rtype && line.owner == owner);
        hold(own, format!("only {} at {owner}", self.rtype));
        let mut data: Vec<&str> = found.iter().map(|line| line.data.as_str()).collect();
        let mut wanted: Vec<&str> = self.data.iter().map(String::as_str).collect();
        data.sort_unstable();
        wanted.sort_unstable();
        let mut distinct = data.clone();
        distinct.dedup();
        hold(distinct.len() == data.len(), "no record twice".to_owned());
        let holds = match self.any {
            None => data == wanted,
            Some(count) => data.len() == count && data.iter().all(|one| wanted.contains(one)),
        };
        let count = self.any.map_or(String::new(), |count| format!("any {count} of "));
        hold(holds, format!("{} {count}{}", self.rtype, wanted.join(" ")));
    }
}

impl Expected {
    /// Whether it is so. `before` is what the same question found the last time.
    pub fn check(&self, found: &Found<'_>, before: Option<&Found<'_>>) -> Result<(), String> {
        match self {
            Expected::Nothing => match found.iter().find_map(|(_, reply)| reply.as_ref()) {
                None => Ok(()),
                Some(reply) => Err(format!("expected nothing\n    found    {reply}")),
            },
            Expected::Reply(wanted) => found.iter().try_for_each(|(question, reply)| {
                let Some(reply) = reply else { return Err("found no reply".to_owned()) };
                let differences = wanted.differences(question, reply);
                if differences.is_empty() {
                    return Ok(());
                }
                let client = question.subnet.map_or(String::new(), |subnet| {
                    format!(" (client {}/{})", subnet.address, subnet.length)
                });
                Err(format!("expected {}\n    found    {reply}{client}", differences.join(" and ")))
            }),
            Expected::Shares(shares, tolerance) => {
                let counted: Vec<_> = found.iter().map(|(_, reply)| vec![data(reply.as_ref())]).collect();
                check_shares(&counted, shares, *tolerance)
            }
            Expected::Named(shares, tolerance) => {
                let records = |reply: &Reply| reply.answers.iter().map(|line| line.data.clone()).collect();
                let counted: Vec<_> =
                    found.iter().map(|(_, reply)| reply.as_ref().map_or_else(Vec::new, records)).collect();
                check_shares(&counted, shares, *tolerance)
            }
            Expected::Same => {
                let first = found.first().and_then(|(_, reply)| reply.as_ref());
                match found.iter().find(|(_, reply)| reply.as_ref() != first) {
                    None => Ok(()),
                    Some((_, other)) => Err(format!(
                        "expected the same\n    found    {} and {}",
                        data(first),
                        data(other.as_ref())
                    )),
                }
            }
            Expected::Moved(from) => {
                check_moved(from, found, before.ok_or("this has not been asked before")?)
            }
        }
    }
}

/// The data of a reply as one word: `192.0.2.1`, or several joined by `+`.
fn data(reply: Option<&Reply>) -> String {
    let Some(reply) = reply else { return "nothing".to_owned() };
    if reply.answers.is_empty() {
        return reply.rcode.clone();
    }
    let mut data: Vec<&str> = reply.answers.iter().map(|line| line.data.as_str()).collect();
    data.sort_unstable();
    data.join("+")
}

/// Each reply's data counts once, or each of its records.
fn check_shares(counted: &[Vec<String>], shares: &[(String, f64)], tolerance: f64) -> Result<(), String> {
    let mut counts: BTreeMap<&str, usize> = shares.iter().map(|(data, _)| (data.as_str(), 0)).collect();
    for data in counted.iter().flatten() {
        *counts.entry(data).or_default() += 1;
    }
    let share = |count: usize| count as f64 * 100.0 / counted.len() as f64;
    let wrong = counts.iter().any(|(data, count)| match shares.iter().find(|(own, _)| own == data) {
        Some((_, wanted)) => (share(*count) - wanted).abs() > tolerance,
        None => true,
    });
    let found: Vec<String> =
        counts.iter().map(|(data, count)| format!("{data} {:.2}%", share(*count))).collect();
    if wrong {
        return Err(format!("expected {shares:?} within {tolerance}%\n    found    {}", found.join(" ")));
    }
    Ok(())
}

fn check_moved(from: &[String], found: &Found<'_>, before: &Found<'_>) -> Result<(), String> {
    if found.len() != before.len() {
        return Err("other clients were asked for before".to_owned());
    }
    for ((question, now), (_, then)) in found.iter().zip(before) {
        let (now, then) = (data(now.as_ref()), data(then.as_ref()));
        if from.contains(&then) != (now != then) {
            let client = question.subnet.map(|subnet| format!("{}/{}", subnet.address, subnet.length));
            let client = client.unwrap_or_default();
            return Err(format!(
                "expected only who was at {from:?} to move\n    found    {client} {then} -> {now}"
            ));
        }
    }
    Ok(())
}

fn is_key(word: &str) -> bool {
    ["ttl", "soa-ttl", "scope", "nsid", "extended-error", "tc", "noaa"].contains(&word)
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

/// `60`, or `20..60` with both ends.
fn range(text: &str) -> Result<RangeInclusive<u32>, String> {
    match text.split_once("..") {
        Some((least, most)) => Ok(number(least)?..=number(most)?),
        None => number(text).map(|number| number..=number),
    }
}
