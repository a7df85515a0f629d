//! The files of a server as a scenario writes them, and what becomes of them.

use std::collections::BTreeMap;

use meridian::compile::locations::{Atlas, Database};
use meridian::config::{self, FileId, Problem, Problems, Severity, SourceFile, Sources};
use meridian::ids::CounterId;
use meridian::view::Snapshot;

use crate::asn;
use crate::script::Block;

/// The file of prefix overrides, as the configuration calls it.
pub const LOCATIONS: &str = "locations.csv";

/// All texts.
#[derive(Clone)]
pub struct Files {
    /// Stands for `$PORT`: where endpoints answer probes.
    pub port: u16,
    /// What goes before everything else in the main file.
    head: &'static str,
    /// What the world says.
    world: String,
    /// What the scenario says; a later block takes the place of an earlier one.
    config: String,
    /// Lines as written.
    locations: String,
    /// By origin: the `.zone` file and the `.toml` file.
    zones: BTreeMap<String, (String, Option<String>)>,
}

/// What a configuration was made into.
pub struct Compiled {
    /// The server's configuration.
    pub config: config::Config,
    /// The snapshot.
    pub snapshot: Snapshot,
}

impl Default for Files {
    fn default() -> Files {
        let (world, config, locations) = Default::default();
        Files { port: 8080, head: "", world, config, locations, zones: BTreeMap::new() }
    }
}

impl Files {
    /// Takes in a block. `from_world`: it stands in a world's file.
    pub fn take(&mut self, block: &Block, from_world: bool) {
        match block {
            Block::Config(text) if from_world => self.world.push_str(text),
            Block::Config(text) => self.config = text.clone(),
            Block::Locations(text) if from_world => self.locations.push_str(text),
            Block::Locations(text) => self.locations = text.clone(),
            Block::Zone(origin, text) => {
                self.zones.entry(origin.clone()).or_default().0 = text.clone();
            }
            Block::Names(origin, text) => {
                self.zones.entry(origin.clone()).or_default().1 = Some(format!("[names]\n{text}"));
            }
        }
    }

    /// The same for a server of its own.
    pub fn with(&self, port: u16, head: &'static str) -> Files {
        Files { port, head, ..self.clone() }
    }

    /// The main file.
    pub fn main(&self) -> String {
        let mut main = format!("{}{}\n{}", self.head, self.world, self.config);
        main = main.replace("$PORT", &self.port.to_string());
        if !self.locations.is_empty() && !main.contains("[geoip]") {
            main.push_str(&format!("\n[geoip]\noverrides = \"{LOCATIONS}\"\n"));
        }
        main
    }

    /// Zones by origin: the master file, and the steered names if there are any. A zone of which only
    /// the names are written has a start of authority and a name server, no more.
    pub fn zones(&self) -> impl Iterator<Item = (&str, String, Option<&str>)> {
        self.zones.iter().map(|(origin, (zone, names))| {
            let own = origin.rsplit('/').next().unwrap_or(origin);
            let zone = if zone.is_empty() { bare_zone(own) } else { zone.clone() };
            (origin.as_str(), zone, names.as_deref())
        })
    }

    /// The overrides in the form of RFC 8805.
    pub fn geofeed(&self) -> Result<String, String> {
        self.places().map(|places| places.into_iter().map(|place| place.geofeed).collect())
    }

    /// The locations, apart from what was compiled from them.
    pub fn atlas(&self) -> Result<Atlas, String> {
        atlas(self.places()?, &mut Problems::default())
    }

    fn places(&self) -> Result<Vec<Place>, String> {
        let lines = self.locations.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        lines.map(|line| place(line).ok_or_else(|| format!("`{line}` is no location"))).collect()
    }

    /// Reads and compiles everything; warnings come with it, or all problems instead of it.
    pub fn compile(
        &self,
        generation: u64,
        counter: &mut dyn FnMut(&str, &str) -> CounterId,
    ) -> Result<(Compiled, Vec<String>), Vec<String>> {
        let sources = self.sources();
        let places = self.places().map_err(|problem| vec![problem])?;
        let atlas = |problems: &mut Problems| atlas(places, problems);
        let (compiled, problems) =
            crate::compile::compile(&sources, atlas, generation, counter).map_err(|problem| vec![problem])?;
        match compiled {
            Some((config, snapshot)) => Ok((Compiled { config, snapshot }, shown(&sources, &problems))),
            None => Err(shown(&sources, &problems)),
        }
    }

    fn sources(&self) -> Sources {
        let file = |path: String, text: &str| SourceFile { path, bytes: text.as_bytes().to_vec() };
        let mut sources =
            Sources { files: vec![file("meridian.toml".to_owned(), &self.main())], ..Sources::default() };
        for (origin, zone, names) in self.zones() {
            let mut add = |path: String, text: &str| {
                sources.files.push(file(path, text));
                FileId(sources.files.len() as u32 - 1)
            };
            let zone = add(format!("zones/{origin}.zone"), &zone);
            let names = names.map(|names| add(format!("zones/{origin}.toml"), names));
            match origin.split_once('/') {
                None => sources.zones.push((origin.to_owned(), Some(zone), names)),
                Some((class, origin)) => {
                    let files = (origin.to_owned(), Some(zone), names);
                    sources.class_zones.push((class.to_owned(), vec![files]));
                }
            }
        }
        sources
    }
}

fn bare_zone(origin: &str) -> String {
    format!(
        "$ORIGIN {origin}.\n$TTL 3600\n@ SOA ns hostmaster 1 7200 900 1209600 300\n@ NS ns\nns A 192.0.2.53\n"
    )
}

/// A line of the `locations` block.
struct Place {
    geofeed: String,
    asn: Option<(ipnet::IpNet, u32)>,
}

/// `PREFIX [COUNTRY[-SUBDIVISION]] [LATITUDE LONGITUDE] [asN]`
fn place(line: &str) -> Option<Place> {
    let line = line.split('#').next()?;
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let prefix = words.first()?.to_string();
    let asn = match words.last()?.strip_prefix("as") {
        Some(number) => {
            words.pop();
            Some((prefix.parse().ok()?, number.parse().ok()?))
        }
        None => None,
    };
    let (country, rest) = match words.get(1..)? {
        [country, rest @ ..] if country.starts_with(|c: char| c.is_ascii_uppercase()) => (*country, rest),
        rest => ("", rest),
    };
    let region = if country.contains('-') { country } else { "" };
    let country = country.split('-').next()?;
    let coordinates = match rest {
        [] => String::new(),
        [latitude, longitude] => format!("{latitude},{longitude}"),
        _ => return None,
    };
    let known = !country.is_empty() || !coordinates.is_empty();
    let geofeed = if coordinates.is_empty() {
        format!("{prefix},{country},{region},,\n")
    } else {
        format!("{prefix},{country},{region},,,{coordinates}\n")
    };
    Some(Place { geofeed: if known { geofeed } else { String::new() }, asn })
}

fn atlas(places: Vec<Place>, problems: &mut Problems) -> Result<Atlas, String> {
    let geofeed: String = places.iter().map(|place| place.geofeed.as_str()).collect();
    let overrides = crate::compile::overrides(LOCATIONS, geofeed, problems)?;
    let systems: Vec<_> = places.into_iter().filter_map(|place| place.asn).collect();
    let asn = match systems.is_empty() {
        true => Vec::new(),
        false => vec![Database::open(asn::database(systems), "asn.mmdb").map_err(|error| error.to_string())?],
    };
    Ok(Atlas::new(Vec::new(), asn, overrides))
}

/// Problems as scenarios expect them: `error zones/example.com.zone:3: message`.
fn shown(sources: &Sources, problems: &Problems) -> Vec<String> {
    problems.0.iter().map(|problem| shown_one(sources, problem)).collect()
}

fn shown_one(sources: &Sources, problem: &Problem) -> String {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = problem.span.and_then(|span| {
        let file = sources.file(span.file)?;
        let before = file.bytes.get(..span.start as usize)?;
        let line = before.iter().filter(|byte| **byte == b'\n').count();
        let text = String::from_utf8_lossy(&file.bytes);
        let quoted = text.lines().nth(line).unwrap_or_default().trim().to_owned();
        Some(format!(" ({}: {quoted})", file.path))
    });
    format!("{severity}: {}{}", problem.message, place.unwrap_or_default())
}
