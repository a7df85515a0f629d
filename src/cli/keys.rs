//! `meridian keys`: the keys of signed zones.
//!
//! A running server looks after its keys itself, and is asked; where none runs, the files are worked on.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;

use super::client::{self, Answer, Change};
use super::status::write_table;
use super::{ConfigArg, ControlArg, Exit, fail, print_json, print_text, style, tell};
use crate::config::{self, Config, FileId, Span, ZoneDnssec};
use crate::daemon::signing::{self, KeyStatus, SignedStatus, spell, to_do};
use crate::daemon::{KeysDone, Status};
use crate::dnssec::ZoneKey;
use crate::dnssec::ring::{KeptKey, KeptParentPart, KeptRing, KeptZonePart, KeyId, Role, Scheme, Times};
use crate::keys::{
    Care, Folder, KeyPair, KeyTimes, Keyring, Settings, TooEarly, read_pem, read_private, read_public,
    read_secret, read_text,
};
use crate::load;
use crate::now::Now;
use crate::wire::{Name, parse_name};

#[derive(Subcommand, Debug)]
pub(super) enum KeysVerb {
    /// Make the keys of a zone that has none; a server does so by itself when it starts
    Generate(ZoneArgs),
    /// Show the keys of signed zones, what is waited for, and what to do
    List(ListArgs),
    /// Print the DS record for the parent, and the CDS and CDNSKEY that say the same
    Ds(ZoneArgs),
    /// Take in keys that another program made: BIND's files, or PKCS#8 in PEM
    Import(ImportArgs),
    /// Begin a roll-over; a ZSK's goes by itself, the others need a new DS at the parent
    Roll(RollArgs),
    /// Say that the parent has the DS of the new key, and no other
    DsSeen(ChangeArgs),
}

#[derive(Args, Debug)]
pub(super) struct ZoneArgs {
    /// The zone
    zone: String,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// One zone [default: every zone that is signed]
    zone: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    control: ControlArg,
}

#[derive(Args, Debug)]
pub(super) struct ImportArgs {
    /// The zone
    zone: String,
    /// Folders, K*.private files, or PEM files
    #[arg(required = true)]
    from: Vec<PathBuf>,
    /// What the keys of PEM files are for
    #[arg(long, value_enum)]
    role: Option<RoleArg>,
    /// The parent has no DS of them yet
    #[arg(long)]
    no_ds: bool,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Args, Debug)]
pub(super) struct ChangeArgs {
    /// The zone
    zone: String,
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    control: ControlArg,
}

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("role").required(true).args(["ksk", "zsk", "csk"])))]
pub(super) struct RollArgs {
    /// The key that the parent knows
    #[arg(long)]
    ksk: bool,
    /// The key that signs the zone's data
    #[arg(long)]
    zsk: bool,
    /// The key that does both
    #[arg(long)]
    csk: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

/// What a key is for.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum RoleArg {
    /// The parent knows it, and it signs the keys.
    Ksk,
    /// It signs the zone's data.
    Zsk,
    /// Both.
    Csk,
}

pub(super) fn run(verb: &KeysVerb) -> Exit {
    let done = match verb {
        KeysVerb::Generate(args) => generate(args),
        KeysVerb::List(args) => list(args),
        KeysVerb::Ds(args) => ds(args),
        KeysVerb::Import(args) => import(args),
        KeysVerb::Roll(args) => {
            let role = if args.ksk {
                Role::Ksk
            } else if args.zsk {
                Role::Zsk
            } else {
                Role::Csk
            };
            let path = format!("roll?role={}", role.word());
            change(&args.change, &path, &|keyring, now| keyring.roll(role, now))
        }
        KeysVerb::DsSeen(args) => change(args, "ds-seen", &|keyring, now| keyring.ds_seen(now)),
    };
    done.unwrap_or_else(|Stopped(exit)| exit)
}

/// It was told why nothing more is done.
struct Stopped(Exit);

fn stop(why: &dyn std::fmt::Display) -> Stopped {
    Stopped(fail(why))
}

fn generate(args: &ZoneArgs) -> Result<Exit, Stopped> {
    let (config, path) = read(&args.config)?;
    let settings = settings(&config, &path, &args.zone)?;
    become_owner(&config, &settings)?;
    let origin = settings.origin.clone();
    let mut keyring = Keyring::open(settings, now()).map_err(|problem| stop(&problem))?;
    if !keyring.is_empty() {
        return Err(stop(&format!("{origin} has keys already: meridian keys list {origin}")));
    }
    keyring.found(now()).map_err(|problem| stop(&problem))?;
    let mut said = String::new();
    write_keys(&mut said, &origin, &statuses(&keyring), None);
    let _ = writeln!(said, "keep a copy of {}", keyring.settings().folder.display());
    Ok(print_text(&said))
}

fn list(args: &ListArgs) -> Result<Exit, Stopped> {
    let (config, path) = read(&args.config)?;
    let wanted = args.zone.as_deref().map(spelt);
    let is_wanted = |zone: &str| wanted.as_ref().is_none_or(|wanted| wanted == zone);
    let address = client::address(args.control.control, &args.config.path());
    // A server knows best for how long something is still waited for.
    let running = match client::get::<Status>(address, "/v1/status", &[]) {
        Answer::Given(status) => status.signed,
        Answer::Refused(_) | Answer::Nobody(_) => Vec::new(),
    };
    let mut all: Vec<(String, Vec<KeyStatus>, Option<String>)> = Vec::new();
    for place in signing::places(&config, &path).filter(|place| is_wanted(&place.settings.origin)) {
        let origin = place.settings.origin.clone();
        if all.iter().any(|(known, ..)| *known == origin) {
            continue;
        }
        if let Some(SignedStatus { keys, to_do, .. }) = running.iter().find(|own| own.zone == origin) {
            all.push((origin, keys.clone(), to_do.clone()));
            continue;
        }
        let settings = Settings { care: Care::None, ..place.settings };
        let keyring = Keyring::open(settings, now()).map_err(|problem| stop(&problem))?;
        let to_do = to_do(&origin, &keyring.report(NO_TIMES, now()));
        all.push((origin, statuses(&keyring), to_do));
    }
    if let Some(wanted) = wanted.filter(|_| all.is_empty()) {
        return Err(stop(&format!("{wanted} is not signed: write dnssec = true in its NAME.toml")));
    }
    if args.json {
        let zones: serde_json::Map<_, _> =
            all.into_iter().map(|(zone, keys, _)| (zone, serde_json::json!(keys))).collect();
        return Ok(print_json(&zones));
    }
    let mut said = String::new();
    for (origin, keys, to_do) in &all {
        write_keys(&mut said, origin, keys, to_do.as_deref());
    }
    Ok(print_text(&said))
}

fn ds(args: &ZoneArgs) -> Result<Exit, Stopped> {
    let (config, path) = read(&args.config)?;
    let settings = Settings { care: Care::None, ..settings(&config, &path, &args.zone)? };
    let origin = settings.origin.clone();
    let keyring = Keyring::open(settings, now()).map_err(|problem| stop(&problem))?;
    let Some((key, early)) = keyring.for_parent() else {
        return Err(stop(&format!(
            "{origin} has no keys: start the server, or meridian keys generate {origin}"
        )));
    };
    let wire = parse_name(origin.as_bytes(), &[0]).ok();
    let Some(owner) = wire.as_deref().and_then(Name::from_wire) else {
        return Err(stop(&format!("{origin} is no name")));
    };
    let mut said = String::new();
    if early == TooEarly::Yes {
        said.push_str(
            "; not yet: caches may hold the zone without this key; `meridian keys list` says for how long\n",
        );
    }
    said.push_str(&records(&origin, &owner, &key));
    Ok(print_text(&said))
}

/// The records for the parent, one a line.
fn records(origin: &str, owner: &Name, key: &ZoneKey) -> String {
    let at = if origin == "." { ".".to_owned() } else { format!("{origin}.") };
    let hex: String = key.ds(owner).iter().skip(4).map(|octet| format!("{octet:02X}")).collect();
    let ds = format!("{} {} 2 {hex}", key.tag(), key.algorithm().number());
    let flags = key.dnskey().first_chunk::<2>().map_or(0, |flags| u16::from_be_bytes(*flags));
    let public = domain::utils::base64::encode_string(key.dnskey().get(4..).unwrap_or_default());
    let dnskey = format!("{flags} 3 {} {public}", key.algorithm().number());
    format!("{at} IN DS {ds}\n{at} IN CDS {ds}\n{at} IN CDNSKEY {dnskey}\n{at} IN DNSKEY {dnskey}\n")
}

/// Asks the server, or works on the files where none runs.
fn change(
    args: &ChangeArgs,
    path: &str,
    offline: &dyn Fn(&mut Keyring, Now) -> Result<KeyId, crate::keys::NotDone>,
) -> Result<Exit, Stopped> {
    let zone = spelt(&args.zone);
    let address = client::address(args.control.control, &args.config.path());
    let asked = format!("/v1/keys/{zone}/{path}");
    match client::send_change::<KeysDone>(address, Method::POST, &asked, &Change::default()) {
        Answer::Given(done) => {
            return Ok(print_text(&format!(
                "key {} of {}; meridian keys list {} shows what is waited for\n",
                done.tag, done.zone, done.zone
            )));
        }
        Answer::Refused(why) => {
            fail(&why);
            return Ok(Exit::Refused);
        }
        Answer::Nobody(_) => {}
    }
    let (config, path) = read(&args.config)?;
    let settings = settings(&config, &path, &args.zone)?;
    become_owner(&config, &settings)?;
    let mut keyring = Keyring::open(settings, now()).map_err(|problem| stop(&problem))?;
    match offline(&mut keyring, now()) {
        Ok(key) => Ok(print_text(&format!(
            "key {} of {zone}; no server runs: it goes on from there when one starts\n",
            key.tag
        ))),
        Err(why) => {
            fail(&why);
            Ok(Exit::Refused)
        }
    }
}

/// A key that is to be taken in.
struct Found {
    pair: KeyPair,
    times: KeyTimes,
    sep: bool,
    role: Option<Role>,
}

fn import(args: &ImportArgs) -> Result<Exit, Stopped> {
    let (config, path) = read(&args.config)?;
    let settings = settings(&config, &path, &args.zone)?;
    become_owner(&config, &settings)?;
    let origin = settings.origin.clone();
    let mut found = Vec::new();
    for from in &args.from {
        find(from, &origin, args.role, &mut found).map_err(|why| stop(&why))?;
    }
    let now = now();
    found.retain(|key| key.times.delete.is_none_or(|at| at > now.wall));
    if found.is_empty() {
        return Err(stop(&format!("there are no keys of {origin} in what was named")));
    }
    if let Some(other) = found.iter().find(|key| key.pair.algorithm() != settings.algorithm) {
        let word = other.pair.algorithm().mnemonic().to_ascii_lowercase();
        return Err(stop(&format!(
            "the keys are of another algorithm: write algorithm = \"{word}\" in [dnssec] of {origin}.toml first"
        )));
    }
    let split = found.iter().any(|key| !key.sep && key.role.is_none_or(|role| role == Role::Zsk));
    let scheme = if split { Scheme::KskZsk } else { Scheme::Csk };
    if scheme != settings.scheme {
        let word = if split { "ksk-zsk" } else { "csk" };
        return Err(stop(&format!(
            "the keys go together as \"{word}\": write keys = \"{word}\" in [dnssec] of {origin}.toml first, or a roll-over would begin at once"
        )));
    }
    let kept = KeptRing {
        keys: found.iter().map(|key| adopted(key, split, args.no_ds, now)).collect(),
        times: None,
    };
    let mut keyring = Keyring::vacant(settings, now).map_err(|problem| stop(&problem))?;
    let pairs = found.into_iter().map(|key| (key.pair, key.times)).collect();
    keyring.adopt(pairs, &kept, now).map_err(|problem| stop(&problem))?;
    let mut said = String::new();
    write_keys(&mut said, &origin, &statuses(&keyring), None);
    if !args.no_ds {
        said.push_str("the parent is taken to have their DS; if it has not: import them with --no-ds\n");
    }
    Ok(print_text(&said))
}

/// Where a key that comes from elsewhere is in its life, by the times in its file.
fn adopted(key: &Found, split: bool, no_ds: bool, now: Now) -> KeptKey {
    let role = key.role.unwrap_or(match (split, key.sep) {
        (false, _) => Role::Csk,
        (true, true) => Role::Ksk,
        (true, false) => Role::Zsk,
    });
    let owner = ZoneKey::new(
        key.pair.algorithm(),
        &key.pair.public(),
        role.sep(),
        crate::dnssec::KeyUse::Published,
        std::sync::Arc::new(NoSigner),
    );
    let is_past = |at: Option<Duration>| at.is_some_and(|at| at <= now.wall);
    let inactive = is_past(key.times.inactive);
    let waits = key.times.activate.is_some_and(|at| at > now.wall);
    KeptKey {
        id: KeyId { algorithm: key.pair.algorithm(), tag: owner.tag() },
        role,
        made: key.times.created.unwrap_or(now.wall),
        shown: Duration::ZERO,
        zone: match role {
            Role::Ksk => KeptZonePart::Never,
            _ if inactive => KeptZonePart::Retired(Duration::ZERO),
            _ if waits => KeptZonePart::Waits,
            _ => KeptZonePart::Signs(key.times.activate.or(key.times.created).unwrap_or(now.wall)),
        },
        parent: match role {
            Role::Zsk => KeptParentPart::Never,
            _ if no_ds || waits => KeptParentPart::Waits,
            _ => KeptParentPart::Known,
        },
    }
}

/// Signs nothing: only a tag is wanted.
struct NoSigner;

impl crate::dnssec::Signer for NoSigner {
    fn sign(&self, _: &[u8]) -> Result<crate::dnssec::Signature, crate::dnssec::SigningFailed> {
        Err(crate::dnssec::SigningFailed)
    }
}

/// The keys of a zone in a folder or a file.
fn find(from: &Path, origin: &str, role: Option<RoleArg>, found: &mut Vec<Found>) -> Result<(), String> {
    if from.is_dir() {
        let prefix = format!("K{}.+", origin.trim_end_matches('.'));
        let names = Folder::at(from).names().map_err(|problem| problem.to_string())?;
        let own = |name: &&String| name.to_ascii_lowercase().starts_with(&prefix.to_ascii_lowercase());
        for name in names.iter().filter(own).filter(|name| name.ends_with(".private")) {
            found.push(bind_key(&from.join(name), origin)?);
        }
        return Ok(());
    }
    let ending = from.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if matches!(ending, "private" | "key") {
        found.push(bind_key(&from.with_extension("private"), origin)?);
        return Ok(());
    }
    let role = match role {
        Some(RoleArg::Ksk) => Role::Ksk,
        Some(RoleArg::Zsk) => Role::Zsk,
        Some(RoleArg::Csk) => Role::Csk,
        None => {
            return Err(format!(
                "{}: a PEM file does not say what its key is for; add --role",
                from.display()
            ));
        }
    };
    let text = read_secret(from).map_err(|problem| problem.to_string())?;
    let pair = read_pem(&text).map_err(|why| format!("{}: {why}", from.display()))?;
    found.push(Found { pair, times: KeyTimes::default(), sep: role.sep(), role: Some(role) });
    Ok(())
}

fn bind_key(private: &Path, origin: &str) -> Result<Found, String> {
    let public = private.with_extension("key");
    let named = |path: &Path, why: String| format!("{}: {why}", path.display());
    let text = read_secret(private).map_err(|problem| problem.to_string())?;
    let (pair, times) = read_private(&text).map_err(|why| named(private, why))?;
    let text = read_text(&public).map_err(|problem| problem.to_string())?;
    let file = read_public(&text).map_err(|why| named(&public, why))?;
    if spelt(&file.owner) != origin {
        return Err(named(&public, format!("it is a key of {}", file.owner)));
    }
    if file.public != pair.public() {
        return Err(named(private, format!("it does not belong to {}", public.display())));
    }
    Ok(Found { pair, times, sep: file.sep, role: None })
}

fn statuses(keyring: &Keyring) -> Vec<KeyStatus> {
    keyring.report(NO_TIMES, now()).iter().map(KeyStatus::new).collect()
}

fn write_keys(out: &mut String, origin: &str, keys: &[KeyStatus], to_do: Option<&str>) {
    let mut rows = vec![["ZONE", "KEY", "ROLE", "ALGORITHM", "SIGNS", "STATE", "WAITS"].map(String::from)];
    for key in keys {
        let left = key.left_s.map(|left_s| format!("{} ", spell(Duration::from_secs(left_s))));
        rows.push([
            origin.to_owned(),
            key.tag.to_string(),
            key.role.clone(),
            key.algorithm.clone(),
            key.signs.clone(),
            key.state.clone(),
            key.waits
                .as_ref()
                .map_or_else(String::new, |waits| format!("{}{waits}", left.unwrap_or_default())),
        ]);
    }
    write_table(out, &rows);
    if let Some(to_do) = to_do {
        let _ = writeln!(out, "to do: {to_do}");
    }
}

/// The configuration; its problems have been told.
fn read(arg: &ConfigArg) -> Result<(Config, PathBuf), Stopped> {
    let path = arg.path();
    let loaded = load::configuration(&path);
    match loaded.config {
        Some(config) => Ok((config, path)),
        None => {
            tell(&config::text(&loaded.sources, &loaded.problems, style()));
            Err(Stopped(Exit::Refused))
        }
    }
}

/// What the keyring of a zone goes by. A zone that is not signed yet gets what `dnssec = true` would give it.
fn settings(config: &Config, path: &Path, zone: &str) -> Result<Settings, Stopped> {
    let origin = spelt(zone);
    let own = config.classes.iter().flat_map(|class| &class.zones);
    let zone = config.zones.iter().chain(own).find(|zone| zone.origin.eq_ignore_ascii_case(&origin));
    let zone = zone.ok_or_else(|| stop(&format!("there is no zone {origin} in the configuration")))?;
    let usual = || ZoneDnssec::usual(Span { file: FileId(0), start: 0, end: 0 }, !zone.names.is_empty());
    let written = zone.dnssec.clone().unwrap_or_else(usual);
    let settings = signing::settings_of(config, path, zone, &written);
    if settings.care == Care::Others {
        let why = "another node looks after the keys ([dnssec] managed = \"elsewhere\")";
        tell(&format!("meridian: {why}\n"));
    }
    Ok(settings)
}

/// As the user of the server, which is to read what is written here.
fn become_owner(config: &Config, settings: &Settings) -> Result<(), Stopped> {
    if settings.care == Care::Others {
        return Err(Stopped(Exit::Refused));
    }
    crate::daemon::become_user(config, &settings.folder).map_err(|why| stop(&why))
}

/// In lower case without the final dot.
fn spelt(zone: &str) -> String {
    match zone.trim_end_matches('.') {
        "" => ".".to_owned(),
        zone => zone.to_ascii_lowercase(),
    }
}

fn now() -> Now {
    static BEGUN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { monotonic: BEGUN.get_or_init(Instant::now).elapsed(), wall }
}

/// Files say what has to be waited for.
const NO_TIMES: Times = Times {
    dnskey_ttl: Duration::ZERO,
    zone_ttl_max: Duration::ZERO,
    propagation: Duration::ZERO,
    parent_ds: Duration::ZERO,
};
