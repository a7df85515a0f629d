//! From text to [`Config`]: every section by a file of its own, then what concerns them together.

mod binding;
mod body;
mod checks;
mod classes;
mod composition;
mod directory;
mod dnssec;
mod feeds;
mod geokey;
mod monitors;
mod names;
mod parse;
mod places;
mod policies;
mod pools;
mod protection;
mod reader;
mod scalar;
mod schedules;
mod secondary;
mod secret;
mod server;
mod services;
mod shield;
mod transfer;
mod transports;
mod tree;
mod zones;

pub use scalar::{duration, spell_duration};

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use directory::Directory;
use policies::Forest;
use reader::{Context, Environment, Table};
use server::CONTROL_LISTEN;
use tree::Facts;

use super::shape::MAIN;
use super::{ClientSubnetUse, Config, FileId, Problems, Service, Sources};
use crate::health::GovernorSpec;
use crate::ids::NodeId;

/// Regions: the order of each pair is kept, so that tables grow with the square.
const REGIONS_MAX: usize = 256;
/// Monitors; more are a mistake of a program that writes configurations.
/// Each is looked at whenever one of them switches.
const SCHEDULES_MAX: usize = 10_000;
const MONITORS_MAX: usize = 10_000;
/// Pools, policies and services of each kind, likewise.
const NAMES_MAX: usize = 100_000;
/// TSIG keys: one for each pair of servers.
const TSIG_KEYS_MAX: usize = 10_000;
/// Classes of clients: each keeps a table of all origins.
const CLASSES_MAX: usize = 100;

/// Reads a configuration: `Some` exactly where no problem is an error. `environment` looks up the
/// variables of secrets.
pub fn read(sources: &Sources, environment: Environment) -> (Option<Config>, Problems) {
    let mut cx = Context::new(environment);
    let config = main_file(&mut cx, sources);
    let mut problems = cx.problems;
    if problems.0.is_empty() && config.is_none() {
        problems.error(None, "there is no configuration file", "name one with --config");
    }
    (config.filter(|_| !problems.has_errors()), problems)
}

/// The zones folder that the main file names, so that `load` knows where to look. Problems in the
/// file are none here: [`read`] reports them.
pub fn zones_folder(main: &[u8]) -> PathBuf {
    setting(main, "server", "zones").map_or_else(|| PathBuf::from("zones"), PathBuf::from)
}

/// The classes of clients that the main file names, each with its zones folder, likewise.
pub fn class_folders(main: &[u8]) -> Vec<(String, PathBuf)> {
    let folder = |root: &toml::de::DeTable<'_>| {
        let classes = root.get("classes")?.get_ref().as_table()?;
        let folder_of =
            |class: &toml::de::DeValue<'_>| Some(PathBuf::from(class.get("zones")?.get_ref().as_str()?));
        let all = classes
            .iter()
            .filter_map(|(name, class)| Some((name.get_ref().to_string(), folder_of(class.get_ref())?)));
        Some(all.collect())
    };
    lenient(main, folder).unwrap_or_default()
}

/// The control listener that a main file names, whatever else is wrong with it: a server may well be running on
/// what was there before. `None`: it is off.
pub fn control_listen(main: &[u8]) -> Option<SocketAddr> {
    match setting(main, "control", "listen").as_deref() {
        Some("off") => None,
        Some(written) => Some(written.parse().unwrap_or(CONTROL_LISTEN)),
        None => Some(CONTROL_LISTEN),
    }
}

/// One text setting of a main file that may be full of mistakes.
fn setting(main: &[u8], table: &str, key: &str) -> Option<String> {
    lenient(main, |root| root.get(table)?.get_ref().get(key)?.get_ref().as_str().map(str::to_owned))
}

/// Looks at a main file that may be full of mistakes.
fn lenient<T>(main: &[u8], look: impl FnOnce(&toml::de::DeTable<'_>) -> Option<T>) -> Option<T> {
    let text = std::str::from_utf8(main).unwrap_or_default();
    let file = super::SourceFile { path: String::new(), bytes: text.as_bytes().to_vec() };
    let sources = Sources { files: vec![file], ..Sources::default() };
    let mut cx = Context::new(&|_| None);
    let parsed = parse::file(&mut cx, &sources, FileId(0));
    look(parsed.as_ref()?.get_ref())
}

fn main_file(cx: &mut Context, sources: &Sources) -> Option<Config> {
    let source = sources.file(FileId(0))?;
    let folder = Path::new(&source.path).parent().unwrap_or(Path::new(""));
    let empty = Default::default();
    let parsed = parse::file(cx, sources, FileId(0));
    let root = parsed.as_ref().map_or(&empty, |root| root.get_ref());
    let main = Table::root(cx, FileId(0), root, &MAIN);

    let server = server::server(cx, &main);
    let transports = transports::transports(cx, &main, &server);
    let entrances = transports.entrances(&server);
    let control = server::control(cx, &main);
    let geoip = server::geoip(cx, &main);
    let dnssec = dnssec::dnssec(cx, &main);
    let rate_limit = shield::rate_limit(cx, &main);
    let cookies = shield::cookies(cx, &main);
    let probes = server::probes(cx, &main);
    let governor = protection::governor(cx, &main, GovernorSpec::USUAL);

    let mut regions = section(cx, &main, "regions", "region", REGIONS_MAX);
    let regions_read = places::regions(cx, &regions);
    let mut monitor_names = section(cx, &main, "monitors", "monitor", MONITORS_MAX);
    let mut monitors = monitors::monitors(cx, &monitor_names, folder);
    let mut feed_names = section(cx, &main, "feeds", "feed", MONITORS_MAX);
    monitors.extend(feeds::feeds(cx, &feed_names, folder));
    let pool_names = section(cx, &main, "pools", "pool", NAMES_MAX);
    let known = pools::Known {
        regions: &mut regions,
        monitors: &mut monitor_names,
        feeds: &mut feed_names,
        probes: &probes,
    };
    let pools_read = pools::pools(cx, &pool_names, known);
    let schedule_names = section(cx, &main, "schedules", "schedule", SCHEDULES_MAX);
    let schedules = schedules::schedules(cx, &schedule_names);
    let policy_names = section(cx, &main, "policies", "policy", NAMES_MAX);
    let mut forest = Forest::read(cx, policy_names, pool_names, pools_read, schedule_names, &mut regions);
    let mut service_names = section(cx, &main, "services", "service", NAMES_MAX);
    let services_read = services::services(cx, &service_names, &mut forest, &mut regions, governor);
    let Forest {
        mut nodes,
        pools_read,
        pools: pool_names,
        policies: policy_names,
        schedules: schedule_names,
        ..
    } = forest;
    let facts = tree::judge(cx, &mut nodes, &pools_read, &regions);
    let roots: Vec<_> = services_read.iter().filter_map(|(_, root)| *root).collect();
    tree::lint_switched_off(cx, &nodes, facts.as_deref().unwrap_or(&[]), &roots);
    tree::lint_unheeded(cx, &nodes, &roots, &pools_read);
    let has_places = !geoip.database.is_empty() || geoip.overrides.is_some();
    tree::lint_without_places(cx, &nodes, has_places, geoip.asn.is_some());
    let services = judge_services(cx, services_read, &nodes, facts.as_deref());

    let mut tsig_names = section(cx, &main, "tsig", "tsig key", TSIG_KEYS_MAX);
    let tsig = transfer::keys(cx, &tsig_names);
    let mut known =
        zones::Known { services: &services, names: &mut service_names, keys: &mut tsig_names, folder };
    let zones = zones::zones(cx, sources, &sources.zones, &mut known);
    let class_names = section(cx, &main, "classes", "class", CLASSES_MAX);
    let mut classes = classes::classes(cx, &class_names, &server, &entrances);
    for class in &mut classes {
        let own = sources.class_zones.iter().find(|(name, _)| *name == class.name);
        let own = own.map_or(&[][..], |(_, zones)| zones);
        class.zones = zones::zones(cx, sources, own, &mut known);
    }
    // A misspelt reference makes two problems of one: its own is enough.
    if !cx.problems.has_errors() {
        regions.lint_unused(cx, "remove it, or put an endpoint there");
        monitor_names.lint_unused(cx, "name it in a pool: monitor = \"...\"");
        feed_names.lint_unused(cx, "name it in a pool: feed = \"...\"");
        pool_names.lint_unused(cx, "name it in a policy, or remove it");
        schedule_names.lint_unused(cx, "name it in a policy: schedule = \"...\"");
        policy_names.lint_unused(cx, "name it in a service or another policy, or remove it");
        tsig_names.lint_unused(cx, "name it in zones/NAME.toml: [transfer] to = [{ key = \"...\" }]");
        service_names.lint_unused(cx, "give it a name in zones/NAME.toml: \"www\" = \"...\"");
    }

    Some(Config {
        server,
        tls: transports.tls,
        https: transports.https,
        quic: transports.quic,
        control,
        geoip,
        dnssec,
        rate_limit,
        cookies,
        probes,
        governor,
        regions: regions_read,
        monitors,
        pools: pools_read.into_iter().map(|read| read.pool).collect(),
        policies: nodes.into_iter().map(|node| node.policy).collect(),
        services,
        schedules,
        zones,
        classes,
        tsig: tsig.into_iter().flatten().collect(),
    })
}

fn section<'t>(
    cx: &mut Context,
    main: &Table<'t>,
    key: &str,
    what: &'static str,
    limit: usize,
) -> Directory<'t> {
    let entries = main.names(cx, key);
    Directory::new(cx, what, entries, limit)
}

/// What needs a service's whole tree.
fn judge_services(
    cx: &mut Context,
    services: Vec<(Service, Option<NodeId>)>,
    nodes: &[policies::Node],
    facts: Option<&[Facts]>,
) -> Vec<Service> {
    let mut reported = BTreeSet::new();
    let judged = services.into_iter().map(|(mut service, root)| {
        let (Some(root), Some(facts)) = (root, facts) else { return service };
        if let Some(below) = facts.get(root.index()) {
            service.alias = services::alias(cx, &service, below).unwrap_or(false);
        }
        tree::report_below_floor(cx, nodes, &service);
        if service.client_subnet != ClientSubnetUse::Ignore {
            tree::report_negative_by_place(cx, nodes, facts, root, &mut reported);
        }
        service
    });
    judged.collect()
}
