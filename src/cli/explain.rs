//! `meridian explain`

use std::fmt::Write;

use super::client::{self, Answer};
use super::{Exit, ExplainArgs, check, fail, print_json, print_text, style, tell};
use crate::config;
use crate::control::{Candidate, Place, Question, Report, Steered, report};
use crate::health::HealthTable;
use crate::server::Clock;
use crate::view::View;

/// Shares are shown with this many digits after the point.
const SHARE_DIGITS: usize = 1;

pub(super) fn run(args: &ExplainArgs) -> Exit {
    let parameters = parameters(args);
    let question = match Question::from_parameters(&parameters) {
        Ok(question) => question,
        Err(why) => {
            tell(&format!("meridian: {why}\n"));
            return Exit::Usage;
        }
    };
    let path = args.config.path();
    if !args.offline {
        let address = client::address(args.control.control, &path);
        match client::get::<Report>(address, "/v1/explain", &parameters) {
            Answer::Given(report) => return show(&report, "live", args.json),
            Answer::Refused(why) => return fail(&why),
            // Told where to ask, silence is an answer.
            Answer::Nobody(why) if args.control.control.is_some() => return fail(&why),
            Answer::Nobody(_) => {}
        }
    }
    let reading = check::read(&path);
    let Some(prepared) = &reading.prepared else {
        tell(&config::text(&reading.sources, &reading.problems, style()));
        return Exit::Refused;
    };
    let snapshot = prepared.snapshot.clone();
    let health = HealthTable::unknown(snapshot.board.addresses.len(), snapshot.fleet.endpoints.len());
    let now = Clock::start().now();
    let calendar = snapshot.calendar(now);
    let files = prepared.location_files();
    let view = View::new(snapshot, health, calendar, None);
    match report(&view, &question, now, &|client| files.row(client)) {
        Ok(report) => show(&report, "offline: every endpoint is taken to be eligible", args.json),
        Err(why) => fail(&why),
    }
}

fn parameters(args: &ExplainArgs) -> Vec<(String, String)> {
    let mut parameters = vec![
        ("name".to_owned(), args.name.clone()),
        ("type".to_owned(), args.rtype.clone()),
        ("client".to_owned(), args.client.clone()),
        ("draw".to_owned(), args.draw.to_string()),
    ];
    parameters.extend(args.resolver.map(|resolver| ("resolver".to_owned(), resolver.to_string())));
    parameters.extend(args.at.iter().map(|at| ("at".to_owned(), at.clone())));
    parameters.extend(args.class.iter().map(|class| ("class".to_owned(), class.clone())));
    parameters.extend(args.assume.iter().map(|assumed| ("assume".to_owned(), assumed.clone())));
    parameters
}

fn show(report: &Report, health: &str, json: bool) -> Exit {
    let printed = if json { print_json(report) } else { print_text(&text(report, health)) };
    match (&report.steered, printed) {
        (Some(_), printed) => printed,
        (None, Exit::Done) => Exit::Failed,
        (None, other) => other,
    }
}

/// The report for people.
fn text(report: &Report, health: &str) -> String {
    // Writing to a String cannot fail.
    let mut out = String::new();
    let _ = writeln!(out, "{} {}", report.name, report.rtype);
    let _ = writeln!(out, "health      {health}");
    if let Some(at) = &report.at {
        let _ = writeln!(out, "at          {at}");
    }
    if let Some(class) = &report.class {
        let _ = writeln!(out, "class       {class}");
    }
    if !report.assumed.is_empty() {
        let _ = writeln!(out, "assumed     {}", report.assumed.join(", "));
    }
    for step in &report.path {
        let _ = writeln!(out, "path        {step}");
    }
    if let Some(steered) = &report.steered {
        write_steered(&mut out, steered);
    }
    for attribution in &report.attributions {
        let _ = writeln!(out, "\n{attribution}");
    }
    out
}

fn write_steered(out: &mut String, steered: &Steered) {
    let _ = writeln!(out, "service     {}", steered.service);
    let _ = writeln!(out, "client      {} (decided by the {})", steered.client, steered.decided_by);
    match (&steered.location, &steered.location_missing) {
        (Some(place), _) => {
            let _ = writeln!(out, "location    {}", place_text(place));
        }
        (None, Some(why)) => {
            let _ = writeln!(out, "location    not known here: {why}");
        }
        // From a server that does not tell.
        (None, None) => {}
    }
    if !steered.preference.is_empty() {
        let _ = writeln!(out, "prefers     {}", steered.preference.join(", "));
    }
    let _ = writeln!(out, "policy");
    for step in &steered.steps {
        let indent = "  ".repeat(usize::from(step.depth) + 1);
        let _ = writeln!(out, "{indent}{}: {}", step.node, step.what);
    }
    if steered.last_resort {
        let _ = writeln!(out, "last resort nothing healthy was left");
    }
    if steered.mode == "frozen" {
        let _ = writeln!(out, "frozen      some candidates are down: the governor keeps them");
    }
    let _ = writeln!(out, "candidates");
    for candidate in &steered.candidates {
        let _ = writeln!(out, "  {}", candidate_text(candidate));
    }
    let answer = match steered.answer.is_empty() {
        true => "no data".to_owned(),
        false => format!("{} {}", steered.answer_type, steered.answer.join(" ")),
    };
    let _ = writeln!(out, "answer      {} {answer}", steered.rcode);
    let _ = writeln!(out, "ttl         {} s: {}", steered.ttl_s, steered.ttl_why);
    let _ = writeln!(out, "scope       /{}: {}", steered.scope, steered.scope_why);
}

fn place_text(place: &Place) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(place.subdivision.clone().or(place.country.clone()));
    parts.extend(place.at.map(|(latitude, longitude)| format!("at {latitude:.2} {longitude:.2}")));
    parts.extend(place.asn.map(|asn| format!("AS{asn}")));
    match parts.is_empty() {
        true => format!("{}: no place, source {}", place.network, place.source),
        false => format!("{}: {}, source {}", place.network, parts.join(", "), place.source),
    }
}

fn candidate_text(candidate: &Candidate) -> String {
    let addresses = candidate.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    format!(
        "{:>5.*} %  {}  {}  ({})",
        SHARE_DIGITS,
        candidate.share * 100.0,
        candidate.endpoints.join(" "),
        addresses,
        candidate.regions.join(" ")
    )
}
