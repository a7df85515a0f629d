//! `meridian status` and `meridian reload`

use std::fmt::Write;

use super::client::{self, Answer};
use super::{Exit, ReloadArgs, ServerArgs, fail, print_json, print_text, tell};
use crate::daemon::{AddressStatus, Reloaded, Status};

pub(super) fn run(args: &ServerArgs) -> Exit {
    let address = client::address(args.control.control, &args.config.path());
    match client::get::<Status>(address, "/v1/status", &[]) {
        Answer::Given(status) if args.json => print_json(&status),
        Answer::Given(status) => print_text(&text(&status)),
        Answer::Refused(why) | Answer::Nobody(why) => fail(&why),
    }
}

pub(super) fn reload(args: &ReloadArgs) -> Exit {
    let (force, args) = (args.force, &args.server);
    let address = client::address(args.control.control, &args.config.path());
    let path = if force { "/v1/reload?force=true" } else { "/v1/reload" };
    let reloaded = match client::send_change::<Reloaded>(address, reqwest::Method::POST, path, None) {
        Answer::Given(reloaded) => reloaded,
        Answer::Refused(why) | Answer::Nobody(why) => return fail(&why),
    };
    if args.json {
        print_json(&reloaded);
    }
    match reloaded {
        Reloaded::Done { generation, remarks } => {
            if !args.json {
                tell(&remarks);
                print_text(&format!("generation {generation} is in force\n"));
            }
            Exit::Done
        }
        Reloaded::Refused { problems } => {
            tell(&problems);
            Exit::Refused
        }
    }
}

/// The status for people: a line an address.
fn text(status: &Status) -> String {
    // Writing to a String cannot fail.
    let mut out = String::new();
    let _ = writeln!(
        out,
        "meridian {}, {}, generation {}, on {}",
        status.version,
        status.phase.label(),
        status.generation,
        status.listen.join(" ")
    );
    for service in status.services.iter().filter(|service| service.frozen) {
        let _ = writeln!(out, "service {}: frozen, some answers are down and kept", service.name);
    }
    for service in status.services.iter().filter(|service| service.all_down) {
        let _ = writeln!(
            out,
            "service {}: nothing healthy for some clients, the last resort answers",
            service.name
        );
    }
    if status.endpoints.is_empty() {
        return out;
    }
    let mut rows = vec![
        ["REGION", "ENDPOINT", "ADDRESS", "STATE", "LATENCY", "ANSWERS", "LAST FAILURE"].map(String::from),
    ];
    for endpoint in &status.endpoints {
        for address in &endpoint.addresses {
            rows.push([
                endpoint.region.clone(),
                endpoint.name.clone(),
                address.address.clone(),
                state(address, endpoint.forced.as_deref()),
                address
                    .first_byte_ms
                    .or(address.connect_ms)
                    .map_or_else(String::new, |ms| format!("{ms:.1} ms")),
                endpoint.answers.to_string(),
                address.last_failure.clone().unwrap_or_default(),
            ]);
        }
    }
    write_table(&mut out, &rows);
    write_certificates(&mut out, status);
    out
}

/// A line for each certificate that expires soon.
fn write_certificates(out: &mut String, status: &Status) {
    for endpoint in &status.endpoints {
        for address in &endpoint.addresses {
            let mut soon = address.checks.iter().filter(|check| check.certificate_expires_soon);
            if let Some(left_s) = soon.find_map(|check| check.certificate_expires_in_s) {
                let what = match left_s {
                    0.0.. => format!("expires in {:.1} days", left_s / 86_400.0),
                    _ => "has expired".to_owned(),
                };
                let _ = writeln!(out, "the certificate of {} {} {what}", endpoint.name, address.address);
            }
        }
    }
}

fn state(address: &AddressStatus, forced: Option<&str>) -> String {
    let mut state = address.state.clone();
    if let Some(forced) = forced {
        state = format!("forced {forced} (is {state})");
    }
    if address.failures > 0 {
        let _ = write!(state, ", {} failed", address.failures);
    }
    if address.successes_needed > 0 {
        let _ = write!(state, ", needs {} more", address.successes_needed);
    }
    if address.stale {
        state.push_str(", stale");
    }
    state
}

fn write_table<const COLUMNS: usize>(out: &mut String, rows: &[[String; COLUMNS]]) {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}
