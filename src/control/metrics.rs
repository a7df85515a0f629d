//! The supervisor's figures, beside those that telemetry counts.

use crate::daemon::{LoadFigures, Phase, SecondaryStatus, Status, ZoneStatus};
use crate::state::Counts;
use crate::telemetry::{Exposition, Kind};

/// The kinds of overrides.
const OVERRIDES: [&str; 3] = ["drain", "force-up", "force-down"];
/// The states that an address can be in.
const STATES: [&str; 4] = ["up", "down", "unknown", "unmonitored"];

/// Writes them.
pub fn expose(status: &Status, to: &mut Exposition) {
    life(status, to);
    health(status, to);
    loads(status, to);
    probes(status, to);
    operators(status, to);
    super::keys::expose(status, to);
}

/// The states that a zone from primaries can be in.
const ZONE_STATES: [&str; 3] = ["current", "expired", "missing"];

/// Writes how the zones are that come from primaries.
pub fn zones(zones: &[ZoneStatus], to: &mut Exposition) {
    let own: Vec<(&ZoneStatus, &SecondaryStatus)> =
        zones.iter().filter_map(|zone| Some((zone, zone.secondary.as_ref()?))).collect();
    if own.is_empty() {
        return;
    }
    to.family(
        "meridian_secondary_state",
        Kind::Gauge,
        "1 for the state that a zone from primaries is in, 0 for the others.",
    );
    for (zone, _) in &own {
        for state in ZONE_STATES {
            let labels = [("zone", zone.name.as_str()), ("state", state)];
            to.sample(&labels, f64::from(u8::from(zone.state == state)));
        }
    }
    let mut family = |name, kind, help, value: fn(&ZoneStatus, &SecondaryStatus) -> Option<f64>| {
        to.family(name, kind, help);
        for (zone, own) in &own {
            if let Some(value) = value(zone, own) {
                to.sample(&[("zone", &zone.name)], value);
            }
        }
    };
    family("meridian_secondary_serial", Kind::Gauge, "The serial of what was transferred.", |zone, _| {
        zone.serial.map(f64::from)
    });
    family(
        "meridian_secondary_confirmed_age_seconds",
        Kind::Gauge,
        "Time since a primary has confirmed what is here.",
        |_, own| own.confirmed_s,
    );
    family(
        "meridian_secondary_expires_seconds",
        Kind::Gauge,
        "Time until it is not answered any more.",
        |_, own| own.expires_in_s,
    );
    family(
        "meridian_secondary_transfers_total",
        Kind::Counter,
        "Transfers that were put in force.",
        |_, own| Some(own.transfers as f64),
    );
    family(
        "meridian_secondary_failures_total",
        Kind::Counter,
        "Primaries that were asked and were of no use.",
        |_, own| Some(own.failures as f64),
    );
}

/// Writes what was kept for the next process.
pub fn kept(counts: &Counts, to: &mut Exposition) {
    to.family("meridian_state_writes_total", Kind::Counter, "State files written.");
    to.sample(&[], counts.states as f64);
    to.family("meridian_state_failures_total", Kind::Counter, "State files that could not be written.");
    to.sample(&[], counts.state_failures as f64);
    to.family("meridian_journal_lines_total", Kind::Counter, "Lines written to the journal.");
    to.sample(&[], counts.lines as f64);
    to.family(
        "meridian_journal_failures_total",
        Kind::Counter,
        "Lines of the journal that could not be written.",
    );
    to.sample(&[], counts.line_failures as f64);
}

fn life(status: &Status, to: &mut Exposition) {
    to.family("meridian_build_info", Kind::Gauge, "1, with the version of the program.");
    to.sample(&[("version", &status.version)], 1.0);
    to.family("meridian_ready", Kind::Gauge, "1 while queries are answered and no stop is under way.");
    to.sample(&[], f64::from(u8::from(status.phase == Phase::Serving)));
    to.family("meridian_generation", Kind::Gauge, "The generation of the configuration in force.");
    to.sample(&[], status.generation as f64);
    to.family(
        "meridian_view_published_timestamp_seconds",
        Kind::Gauge,
        "When the view in force was published, in seconds since 1970.",
    );
    to.sample(&[], status.published_s);
    to.family("meridian_reloads_total", Kind::Counter, "Reloads, by outcome.");
    to.sample(&[("outcome", "done")], status.reloads.done as f64);
    to.sample(&[("outcome", "refused")], status.reloads.refused as f64);
}

fn health(status: &Status, to: &mut Exposition) {
    to.family(
        "meridian_endpoint_state",
        Kind::Gauge,
        "1 for the state that an address of an endpoint is in, 0 for the others.",
    );
    each_address(status, |labels, address| {
        for state in STATES {
            let [endpoint, region, own] = labels;
            let labels = [endpoint, region, own, ("state", state)];
            to.sample(&labels, f64::from(u8::from(address.state == state)));
        }
    });
    to.family("meridian_endpoint_connect_seconds", Kind::Gauge, "The smoothed TCP handshake of the probes.");
    each_address(status, |labels, address| {
        if let Some(milliseconds) = address.connect_ms {
            to.sample(&labels, milliseconds / 1000.0);
        }
    });
    to.family(
        "meridian_endpoint_first_byte_seconds",
        Kind::Gauge,
        "The smoothed time from a probe's request to the head of its answer.",
    );
    each_address(status, |labels, address| {
        if let Some(milliseconds) = address.first_byte_ms {
            to.sample(&labels, milliseconds / 1000.0);
        }
    });
    checks(status, to);
    to.family(
        "meridian_region_eligible_endpoints",
        Kind::Gauge,
        "Endpoints of a region that may be answered with.",
    );
    for region in &status.regions {
        to.sample(&[("region", &region.name)], region.eligible as f64);
    }
    to.family(
        "meridian_service_all_down",
        Kind::Gauge,
        "1 while, for some clients, nothing is healthy and the last resort answers.",
    );
    for service in &status.services {
        to.sample(&[("service", &service.name)], f64::from(u8::from(service.all_down)));
    }
    to.family(
        "meridian_service_frozen",
        Kind::Gauge,
        "1 while, for some clients, the governor keeps an answer that is down.",
    );
    for service in &status.services {
        to.sample(&[("service", &service.name)], f64::from(u8::from(service.frozen)));
    }
    to.family("meridian_transitions_total", Kind::Counter, "Changes of health.");
    to.sample(&[], status.transitions as f64);
}

/// What each check of an address says, and how long its probes take.
fn checks(status: &Status, to: &mut Exposition) {
    to.family(
        "meridian_check_up",
        Kind::Gauge,
        "1 while a check of an address says that it is up, 0 while not.",
    );
    each_check(status, |labels, check| {
        if check.state != "unknown" {
            to.sample(&labels, f64::from(u8::from(check.state == "up")));
        }
    });
    to.family(
        "meridian_probe_phase_seconds",
        Kind::Gauge,
        "The smoothed phases of the probes; total is all of one, name resolution included.",
    );
    each_check(status, |[endpoint, region, address, monitor], check| {
        let phases = [
            ("connect", check.connect_ms),
            ("tls", check.tls_ms),
            ("first_byte", check.first_byte_ms),
            ("total", check.total_ms),
        ];
        for (phase, milliseconds) in phases {
            if let Some(milliseconds) = milliseconds {
                to.sample(&[endpoint, region, address, monitor, ("phase", phase)], milliseconds / 1000.0);
            }
        }
    });
    to.family(
        "meridian_certificate_expiry_seconds",
        Kind::Gauge,
        "Time until the certificate expires that the last probe saw; below zero when it has.",
    );
    each_check(status, |labels, check| {
        if let Some(seconds) = check.certificate_expires_in_s {
            to.sample(&labels, seconds);
        }
    });
}

fn each_check<'s>(
    status: &'s Status,
    mut visit: impl FnMut([(&'static str, &'s str); 4], &'s crate::daemon::CheckStatus),
) {
    each_address(status, |[endpoint, region, own], address| {
        for check in &address.checks {
            visit([endpoint, region, own, ("monitor", &check.monitor)], check);
        }
    });
}

fn operators(status: &Status, to: &mut Exposition) {
    to.family("meridian_overrides", Kind::Gauge, "Overrides in force, by kind.");
    for kind in OVERRIDES {
        let number = status.overrides.iter().filter(|own| own.kind == kind).count();
        to.sample(&[("kind", kind)], number as f64);
    }
    to.family(
        "meridian_override_gone_seconds",
        Kind::Gauge,
        "Seconds until every cache that obeys TTLs has dropped what an override takes out; 0 once it has.",
    );
    for own in &status.overrides {
        if let Some(seconds) = own.gone_in_s {
            to.sample(&[("id", &own.id.to_string()), ("selector", &own.selector)], seconds);
        }
    }
    to.family(
        "meridian_endpoint_share",
        Kind::Gauge,
        "The share of clients that an address gets: 1 unless held, ramped, drained or shed.",
    );
    for endpoint in &status.endpoints {
        for address in &endpoint.addresses {
            let out = matches!(endpoint.forced.as_deref(), Some("down" | "drained"));
            let least = if out { 0 } else { endpoint.share.permille.min(address.share.permille) };
            let labels = [
                ("endpoint", endpoint.name.as_str()),
                ("region", &endpoint.region),
                ("address", &address.address),
            ];
            to.sample(&labels, f64::from(least) / 1000.0);
        }
    }
}

fn loads(status: &Status, to: &mut Exposition) {
    let mut family = |name, help, value: fn(&LoadFigures) -> Option<f64>| {
        to.family(name, Kind::Gauge, help);
        for endpoint in &status.endpoints {
            if let Some(value) = endpoint.load.as_ref().and_then(value) {
                to.sample(&[("endpoint", &endpoint.name), ("region", &endpoint.region)], value);
            }
        }
    };
    family("meridian_endpoint_load", "The load as its feed tells it, smoothed.", |load| load.current);
    family(
        "meridian_endpoint_load_target",
        "The load above which it sheds, raised where all exceed theirs.",
        |load| Some(load.target_raised),
    );
    family("meridian_endpoint_shed_ratio", "The share of its clients that go to others.", |load| {
        Some(load.shed)
    });
    family("meridian_endpoint_load_weight", "What it weighs under least-loaded; 1000 is neutral.", |load| {
        Some(f64::from(load.load_weight))
    });
    family("meridian_endpoint_load_age_seconds", "Time since its load was read.", |load| load.age_s);
}

fn probes(status: &Status, to: &mut Exposition) {
    let probes = &status.probes;
    to.family("meridian_probes_total", Kind::Counter, "Probes by outcome: success, or the kind of failure.");
    to.sample(&[("outcome", "success")], probes.succeeded as f64);
    for (kind, count) in &probes.failed {
        to.sample(&[("outcome", kind)], *count as f64);
    }
    to.family("meridian_probes_started_total", Kind::Counter, "Probes started.");
    to.sample(&[], probes.started as f64);
    to.family(
        "meridian_probes_skipped_total",
        Kind::Counter,
        "Probes left out because the one before was late.",
    );
    to.sample(&[], probes.late_skipped as f64);
    to.family("meridian_probes_lost_total", Kind::Counter, "Probes that were never heard of again.");
    to.sample(&[], probes.lost as f64);
    to.family("meridian_probes_under_way", Kind::Gauge, "Probes under way.");
    to.sample(&[], probes.under_way as f64);
}

fn each_address<'s>(
    status: &'s Status,
    mut visit: impl FnMut([(&'static str, &'s str); 3], &'s crate::daemon::AddressStatus),
) {
    for endpoint in &status.endpoints {
        for address in &endpoint.addresses {
            let own = ("address", address.address.as_str());
            visit([("endpoint", &endpoint.name), ("region", &endpoint.region), own], address);
        }
    }
}
