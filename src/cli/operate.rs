//! `meridian drain`, `force-up`, `force-down`, `undo`, `overrides`, `approve`, `release`

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::client::{self, Answer, Change};
use super::status::{percent, write_table};
use super::{Exit, ServerArgs, fail, print_json, print_text, tell};
use crate::control::Accepted;
use crate::daemon::{Done, OverrideStatus, Status};

/// How often `--wait` looks.
const WAIT_PAUSE: Duration = Duration::from_secs(1);
/// Where nobody watches, a line is written every so many looks.
const LOOKS_PER_LINE: u64 = 10;

#[derive(Args, Debug)]
pub(super) struct DrainArgs {
    /// Step by step within this time (10m), not at once
    #[arg(long, value_name = "DURATION")]
    over: Option<String>,
    /// Wait until every cache that obeys TTLs has dropped them
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    force: ForceArgs,
}

#[derive(Args, Debug)]
pub(super) struct ForceArgs {
    /// Whom: region:NAME, pool:NAME, endpoint:POOL/NAME, or a pattern such as web/eu-*
    selector: String,
    /// Why, for whoever is on call next
    #[arg(long, short, value_name = "TEXT")]
    reason: String,
    /// For how long (2h) [default: until it is taken back]
    #[arg(long = "for", value_name = "DURATION")]
    lasts: Option<String>,
    /// Also if a service is left with nothing or with less than its min_capacity
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
pub(super) struct UndoArgs {
    /// The number of the override, or its selector as written
    which: String,
    /// Why
    #[arg(long, short, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Also if a service is left with nothing or with less than its min_capacity
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
pub(super) struct ApproveArgs {
    /// Whom: region:NAME, pool:NAME, endpoint:POOL/NAME, or a pattern such as web/eu-*
    selector: String,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
pub(super) struct ReleaseArgs {
    /// Whose [default: every service's]
    service: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
pub(super) struct PushArgs {
    /// Whose: endpoint:POOL/NAME, pool:NAME, region:NAME, or a pattern such as web/eu-*
    selector: String,
    /// What they are; unknown takes back what was posted
    #[arg(value_parser = ["up", "down", "unknown"])]
    verdict: String,
    /// For how long it holds (5m) [default and at most: the monitor's ttl]
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn drain(args: &DrainArgs) -> Exit {
    let server = &args.force.server;
    let address = address(server);
    let done = match set("drain", args.over.as_deref(), &args.force) {
        Ok(done) => done,
        Err(exit) => return exit,
    };
    let exit = show("drain", &done, server);
    match done.id {
        Some(id) if args.wait && exit == Exit::Done => wait(address, id),
        _ => exit,
    }
}

pub(super) fn force(kind: &str, args: &ForceArgs) -> Exit {
    match set(kind, None, args) {
        Ok(done) => show(kind, &done, &args.server),
        Err(exit) => exit,
    }
}

pub(super) fn undo(args: &UndoArgs) -> Exit {
    let parameters =
        [("reason".to_owned(), args.reason.clone()), ("force".to_owned(), args.force.to_string())];
    let change = Change { last: Some(&args.which), parameters: &parameters, body: None };
    match send(Method::DELETE, "/v1/overrides", &change, &args.server) {
        Ok(done) => show("undo", &done, &args.server),
        Err(exit) => exit,
    }
}

pub(super) fn approve(args: &ApproveArgs) -> Exit {
    let change = Change { body: Some(json!({ "selector": args.selector })), ..Change::default() };
    match send(Method::POST, "/v1/failback/approve", &change, &args.server) {
        Ok(done) => show("approve", &done, &args.server),
        Err(exit) => exit,
    }
}

pub(super) fn release(args: &ReleaseArgs) -> Exit {
    let change = Change { body: Some(json!({ "service": args.service })), ..Change::default() };
    match send(Method::POST, "/v1/governor/release", &change, &args.server) {
        Ok(done) => show("release", &done, &args.server),
        Err(exit) => exit,
    }
}

pub(super) fn overrides(args: &ServerArgs) -> Exit {
    match client::get::<Vec<OverrideStatus>>(address(args), "/v1/overrides", &[]) {
        Answer::Given(overrides) if args.json => print_json(&overrides),
        Answer::Given(overrides) if overrides.is_empty() => print_text("no overrides\n"),
        Answer::Given(overrides) => {
            let mut out = String::new();
            write_overrides(&mut out, &overrides);
            print_text(&out)
        }
        Answer::Refused(why) | Answer::Nobody(why) => fail(&why),
    }
}

pub(super) fn push(args: &PushArgs) -> Exit {
    let body = Some(json!({ "verdict": args.verdict, "ttl": args.ttl }));
    let change = Change { last: Some(&args.selector), body, ..Change::default() };
    match client::send_change::<Accepted>(address(&args.server), Method::POST, "/v1/push", &change) {
        Answer::Given(accepted) if args.server.json => print_json(&accepted),
        Answer::Given(accepted) => print_text(&format!("taken by {} checks\n", accepted.checks)),
        Answer::Refused(why) => {
            tell(&format!("meridian: refused: {why}\n"));
            Exit::Refused
        }
        Answer::Nobody(why) => fail(&why),
    }
}

fn address(args: &ServerArgs) -> Option<SocketAddr> {
    client::address(args.control.control, &args.config.path())
}

fn set(kind: &str, over: Option<&str>, args: &ForceArgs) -> Result<Done, Exit> {
    let body = json!({
        "kind": kind,
        "selector": args.selector,
        "reason": args.reason,
        "over": over,
        "for": args.lasts,
        "force": args.force,
    });
    send(Method::POST, "/v1/overrides", &Change { body: Some(body), ..Change::default() }, &args.server)
}

/// Asks for a change; what is refused is told, and is the exit code.
fn send(method: Method, path: &str, change: &Change<'_>, server: &ServerArgs) -> Result<Done, Exit> {
    match client::send_change(address(server), method, path, change) {
        Answer::Given(done) => Ok(done),
        Answer::Refused(why) => {
            tell(&format!("meridian: refused: {why}\n"));
            Err(Exit::Refused)
        }
        Answer::Nobody(why) => Err(fail(&why)),
    }
}

/// What was done, for whoever has to answer for it.
fn show(verb: &str, done: &Done, server: &ServerArgs) -> Exit {
    if done.durable == "failed" {
        tell(
            "warning: it is in force, and a restart would forget it: the state folder cannot be written to\n",
        );
    }
    if server.json {
        return print_json(done);
    }
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = match (done.id, done.ended.as_slice()) {
        (Some(id), []) => writeln!(out, "{verb} {id} is in force"),
        (Some(id), ended) => writeln!(out, "{verb} {id} is in force in place of {}", numbers(ended)),
        (None, []) => writeln!(out, "{verb}: done"),
        (None, ended) => writeln!(out, "{} is taken back", numbers(ended)),
    };
    if !done.endpoints.is_empty() {
        let _ = writeln!(out, "  endpoints  {}", done.endpoints.join(" "));
    }
    if !done.services.is_empty() {
        let _ = writeln!(out, "  services   {}", done.services.join(" "));
    }
    for (endpoint, by) in &done.outranked {
        let _ = writeln!(out, "  but        for {endpoint} the stricter override {by} stands");
    }
    for shortfall in &done.shortfalls {
        let _ = writeln!(out, "  in spite   {shortfall}");
    }
    if let Some(out_at) = &done.out_at {
        let _ = writeln!(out, "  answers    name none of them from {out_at}");
    }
    if let Some(gone_by) = &done.gone_by {
        let _ = writeln!(out, "  caches     have dropped them by {gone_by} (TTL {} s)", done.ttl_max_s);
    }
    if let Some(id) = done.id {
        let _ = writeln!(out, "  back       meridian undo {id}");
    }
    print_text(&out)
}

fn numbers(ids: &[u64]) -> String {
    ids.iter().map(|id| format!("override {id}")).collect::<Vec<_>>().join(", ")
}

/// Waits until every cache that obeys TTLs has dropped what a drain takes out (H9).
fn wait(address: Option<SocketAddr>, id: u64) -> Exit {
    let watched = std::io::stderr().is_terminal();
    let mut before: Option<BTreeMap<String, u64>> = None;
    for look in 0u64.. {
        let status = match client::get::<Status>(address, "/v1/status", &[]) {
            Answer::Given(status) => status,
            Answer::Refused(why) | Answer::Nobody(why) => return fail(&why),
        };
        let Some(own) = status.overrides.iter().find(|own| own.id == id) else {
            return fail(&format!("override {id} is gone: it was taken back, replaced, or has expired"));
        };
        let before = before.get_or_insert_with(|| answers(&status, own));
        let left_s = own.gone_in_s.unwrap_or(0.0);
        let line = progress(own, left_s, before, &answers(&status, own));
        if watched {
            // To the start of the line, and the rest of it cleared.
            tell(&format!("\r{line}\x1b[K"));
        } else if look % LOOKS_PER_LINE == 0 || left_s <= 0.0 {
            tell(&format!("{line}\n"));
        }
        if left_s <= 0.0 {
            tell(if watched { "\n" } else { "" });
            return Exit::Done;
        }
        std::thread::sleep(WAIT_PAUSE.min(Duration::from_secs_f64(left_s)));
    }
    Exit::Done
}

/// Answers that named the endpoints of an override, since the start of the server.
fn answers(status: &Status, own: &OverrideStatus) -> BTreeMap<String, u64> {
    let all = status.endpoints.iter().filter(|endpoint| own.endpoints.contains(&endpoint.name));
    all.map(|endpoint| (endpoint.name.clone(), endpoint.answers)).collect()
}

fn progress(
    own: &OverrideStatus,
    left_s: f64,
    before: &BTreeMap<String, u64>,
    now: &BTreeMap<String, u64>,
) -> String {
    let mut line = match (own.draining_permille, left_s) {
        (_, left_s) if left_s <= 0.0 => "every cache that obeys TTLs has dropped them".to_owned(),
        (Some(permille), _) if permille > 0 => {
            format!("{} of clients still get them, {left_s:.0} s until no cache has them", percent(permille))
        }
        _ => format!("out of the answers, {left_s:.0} s until no cache has them"),
    };
    line.push_str("; answers since:");
    for (name, answers) in now {
        let since = answers.saturating_sub(before.get(name).copied().unwrap_or(0));
        let _ = write!(line, " {name} {since}");
    }
    line
}

/// A line each.
pub(super) fn write_overrides(out: &mut String, overrides: &[OverrideStatus]) {
    if overrides.is_empty() {
        return;
    }
    let mut rows = vec![["ID", "OVERRIDE", "OF", "STATE", "UNTIL", "BY", "REASON"].map(String::from)];
    for own in overrides {
        rows.push([
            own.id.to_string(),
            own.kind.clone(),
            own.selector.clone(),
            override_state(own),
            own.until.clone().unwrap_or_else(|| "taken back".to_owned()),
            own.actor.clone(),
            own.reason.clone(),
        ]);
    }
    write_table(out, &rows);
    out.push('\n');
}

fn override_state(own: &OverrideStatus) -> String {
    match (own.endpoints.len(), own.draining_permille, own.gone_in_s) {
        (0, ..) => "dormant: nobody has that name".to_owned(),
        (_, Some(permille), _) if permille > 0 => format!("draining, {} of clients left", percent(permille)),
        (_, _, Some(left_s)) if left_s > 0.0 => format!("out of the answers, in caches for {left_s:.0} s"),
        (_, _, Some(_)) => "out of answers and caches".to_owned(),
        (count, ..) => format!("in force for {count}"),
    }
}
