//! `meridian status` and `meridian reload`

use std::fmt::Write;
use std::time::Duration;

use super::client::{self, Answer};
use super::{Exit, ReloadArgs, ServerArgs, fail, print_json, print_text, tell};
use crate::daemon::signing::spell;
use crate::daemon::{AddressStatus, EndpointStatus, Reloaded, Status};

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
    let change = client::Change::default();
    let reloaded = match client::send_change::<Reloaded>(address, reqwest::Method::POST, path, &change) {
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
        let _ = writeln!(
            out,
            "service {0}: frozen, some answers are down and kept; `meridian release {0}` accepts it",
            service.name
        );
    }
    for service in status.services.iter().filter(|service| service.all_down) {
        let _ = writeln!(
            out,
            "service {}: nothing healthy for some clients, the last resort answers",
            service.name
        );
    }
    write_signed(&mut out, status);
    super::operate::write_overrides(&mut out, &status.overrides);
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
                state(address, endpoint),
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
    write_loads(&mut out, status);
    write_certificates(&mut out, status);
    out
}

/// A line for each signed zone, and one for what it waits for.
fn write_signed(out: &mut String, status: &Status) {
    for own in &status.signed {
        let class = own.class.as_ref().map_or_else(String::new, |class| format!(" (class {class})"));
        let serial = own.serial.map_or_else(String::new, |serial| format!(", serial {serial}"));
        let ends = match own.expires_in_s {
            Some(left_s @ 0.0..) => format!(", the first ends in {:.1} days", left_s / 86_400.0),
            Some(_) => ", the first HAS ENDED".to_owned(),
            None => String::new(),
        };
        let _ = writeln!(
            out,
            "signed {}{class}: {}{serial}, {} signatures{ends}",
            own.zone, own.denial, own.signatures
        );
        if let Some(trouble) = &own.trouble {
            let _ = writeln!(out, "  TROUBLE: {trouble}");
        }
        for key in own.keys.iter().filter(|key| key.waits.is_some()) {
            let left = key.left_s.map(|left_s| format!("{} ", spell(Duration::from_secs(left_s))));
            let waits = key.waits.as_deref().unwrap_or_default();
            let _ = writeln!(out, "  {} {} waits {}{waits}", key.role, key.tag, left.unwrap_or_default());
        }
        if let Some(to_do) = &own.to_do {
            let _ = writeln!(out, "  to do: {to_do}");
        }
    }
}

/// A line for each endpoint whose load is known.
fn write_loads(out: &mut String, status: &Status) {
    for endpoint in &status.endpoints {
        let Some(load) = &endpoint.load else { continue };
        let current = load.current.map_or_else(|| "unknown".to_owned(), |current| format!("{current:.1}"));
        let _ = write!(out, "load of {}: {current} of {}", endpoint.name, load.target);
        if load.target_raised > load.target {
            let _ = write!(out, ", raised to {:.1} as all exceed", load.target_raised);
        }
        if load.shed > 0.0 {
            let _ = write!(out, ", sheds {:.1} %", load.shed * 100.0);
        }
        let _ = match load.age_s {
            Some(age_s) => writeln!(out, ", read {age_s:.1} s ago"),
            None => writeln!(out),
        };
    }
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

/// What counts, and behind it what is: `drained by 4 (is up)`.
fn state(address: &AddressStatus, endpoint: &EndpointStatus) -> String {
    let by = endpoint.forced_by.map_or_else(String::new, |id| format!(" by {id}"));
    let mut state = match endpoint.forced.as_deref() {
        Some("drained") => format!("drained{by} (is {})", address.state),
        Some(forced) => format!("forced {forced}{by} (is {})", address.state),
        None => address.state.clone(),
    };
    for share in [&endpoint.share, &address.share] {
        if share.permille < 1000 {
            let _ = write!(state, ", {} of clients ({})", percent(share.permille), share.why);
        }
    }
    if !address.frozen_for.is_empty() {
        let _ = write!(state, ", frozen: counts as up for {}", address.frozen_for.join(" "));
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

/// Thousandths as people read them.
pub(super) fn percent(permille: u16) -> String {
    match permille % 10 {
        0 => format!("{}%", permille / 10),
        tenths => format!("{}.{tenths}%", permille / 10),
    }
}

pub(super) fn write_table<const COLUMNS: usize>(out: &mut String, rows: &[[String; COLUMNS]]) {
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
