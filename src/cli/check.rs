//! `meridian check`

use super::{CheckArgs, Exit, print_json, print_text, style, tell};
use crate::compile::floors::FloorShare;
use crate::config;
use crate::daemon::{EarlierMaps, Reading, Source};
use crate::ids::{CounterId, Family};

pub(super) fn run(args: &CheckArgs) -> Exit {
    let path = args.config.path();
    let reading = read(&path).strict();
    let exit = if reading.prepared.is_some() { Exit::Done } else { Exit::Refused };
    if args.json {
        print_json(&config::json(&reading.sources, &reading.problems));
        return exit;
    }
    tell(&config::text(&reading.sources, &reading.problems, style()));
    if let Some(prepared) = &reading.prepared {
        let snapshot = &prepared.snapshot;
        let classes = match snapshot.catalog.classes().names().len() {
            0 => String::new(),
            1 => " (some for 1 class of clients)".to_owned(),
            count => format!(" (some for {count} classes of clients)"),
        };
        print_text(&format!(
            "{}: ok; zones: {}{classes}, services: {}, endpoints: {}, regions: {}, probed addresses: {}\n",
            path.display(),
            snapshot.catalog.zones().len(),
            snapshot.plans.len(),
            snapshot.fleet.endpoints.len(),
            snapshot.fleet.regions.len(),
            snapshot.board.targets.len(),
        ));
        for FloorShare { service, family, length, moved } in (Source { path }).floor_shares(&reading) {
            print_text(&format!(
                "service {service}: the scope floor /{length} changes the region of {:.2} % of the known {} addresses\n",
                moved * 100.0,
                if family == Family::V4 { "IPv4" } else { "IPv6" },
            ));
        }
    }
    exit
}

/// Reads and compiles a configuration that will not be put in force: nothing is counted.
pub(super) fn read(path: &std::path::Path) -> Reading {
    let source = Source { path: path.to_owned() };
    source.read(1, &EarlierMaps::default(), &mut |_, _| CounterId(0))
}
