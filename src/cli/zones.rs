//! `meridian zones` and `meridian refresh`

use std::fmt::Write;

use clap::Args;

use super::client::{self, Answer};
use super::status::write_table;
use super::{Exit, ServerArgs, fail, print_json, print_text};
use crate::daemon::{Refreshed, SecondaryStatus, ZoneStatus};

/// The arguments of `refresh`.
#[derive(Args, Debug)]
pub(super) struct RefreshArgs {
    /// The zone; of a zone of a class of clients CLASS@ZONE
    zone: String,
    /// Fetch all of it, also where the primary's serial is not newer: after a primary has begun anew
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn list(args: &ServerArgs) -> Exit {
    let address = client::address(args.control.control, &args.config.path());
    match client::get::<Vec<ZoneStatus>>(address, "/v1/zones", &[]) {
        Answer::Given(zones) if args.json => print_json(&zones),
        Answer::Given(zones) => print_text(&text(&zones)),
        Answer::Refused(why) | Answer::Nobody(why) => fail(&why),
    }
}

pub(super) fn refresh(args: &RefreshArgs) -> Exit {
    let server = &args.server;
    let address = client::address(server.control.control, &server.config.path());
    let path = format!("/v1/zones/{}/refresh{}", args.zone, if args.force { "?force=true" } else { "" });
    let change = client::Change::default();
    let refreshed = match client::send_change::<Refreshed>(address, reqwest::Method::POST, &path, &change) {
        Answer::Given(refreshed) => refreshed,
        Answer::Refused(why) | Answer::Nobody(why) => return fail(&why),
    };
    if server.json {
        print_json(&refreshed);
    }
    let said = |text: String| if server.json { Exit::Done } else { print_text(&text) };
    let zone = &args.zone;
    match refreshed {
        Refreshed::Same { serial } => said(format!("{zone}: serial {} is the newest\n", number(serial))),
        Refreshed::Newer { text, .. } => said(format!("{zone}: {text}\n")),
        Refreshed::Unknown { why } | Refreshed::Failed { why } => fail(&why),
    }
}

/// The zones for people: a line each, and below it what is wrong.
fn text(zones: &[ZoneStatus]) -> String {
    let mut rows = vec![
        ["ZONE", "KIND", "STATE", "SERIAL", "CONFIRMED", "NEXT CHECK", "EXPIRES", "PRIMARIES"]
            .map(String::from),
    ];
    for zone in zones {
        let of =
            |cell: fn(&SecondaryStatus) -> String| zone.secondary.as_ref().map_or_else(String::new, cell);
        rows.push([
            zone.name.clone(),
            zone.kind.clone(),
            zone.state.clone(),
            number(zone.serial),
            of(|own| own.confirmed_s.map_or_else(|| "never".to_owned(), |s| format!("{} ago", length(s)))),
            of(|own| {
                own.refresh_in_s.map_or_else(|| "under way".to_owned(), |s| format!("in {}", length(s)))
            }),
            of(|own| own.expires_in_s.map_or_else(String::new, |s| format!("in {}", length(s)))),
            of(|own| own.primaries.join(" ")),
        ]);
    }
    let mut out = String::new();
    write_table(&mut out, &rows);
    for zone in zones {
        let Some(own) = &zone.secondary else { continue };
        // Writing to a String cannot fail.
        if let Some(error) = &own.last_error {
            let _ = writeln!(out, "{}: {error}", zone.name);
        }
        for conflict in &own.conflicts {
            let _ = writeln!(out, "{}: {conflict}", zone.name);
        }
    }
    out
}

fn number(serial: Option<u32>) -> String {
    serial.map_or_else(|| "-".to_owned(), |serial| serial.to_string())
}

/// Seconds as people read them: the two largest units.
fn length(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_shown_with_what_is_wrong() {
        let secondary = SecondaryStatus {
            primaries: vec!["192.0.2.1:53".to_owned()],
            refresh_in_s: Some(90.0),
            expires_in_s: Some(600_000.0),
            confirmed_s: Some(3700.5),
            transfers: 1,
            failures: 2,
            last_error: Some("the primary 192.0.2.1:53: it cannot be reached".to_owned()),
            conflicts: Vec::new(),
        };
        let zone = |name: &str, secondary: Option<SecondaryStatus>| ZoneStatus {
            name: name.to_owned(),
            kind: if secondary.is_some() { "secondary" } else { "file" }.to_owned(),
            state: "current".to_owned(),
            serial: Some(7),
            names: 3,
            secondary,
        };
        let shown = text(&[zone("a.example", None), zone("b.example", Some(secondary))]);
        let expected = "\
ZONE       KIND       STATE    SERIAL  CONFIRMED  NEXT CHECK  EXPIRES   PRIMARIES
a.example  file       current  7
b.example  secondary  current  7       1h1m ago   in 1m30s    in 6d22h  192.0.2.1:53
b.example: the primary 192.0.2.1:53: it cannot be reached
";
        assert_eq!(shown, expected);
    }
}
