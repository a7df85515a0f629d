//! From the configuration to what keyrings go by.

use std::path::Path;

use crate::config::{self, Announcement, Config, KeyScheme, KeysManaged, ZoneDnssec};
use crate::dnssec::ring::Scheme;
use crate::keys::{Announce, Care, Settings};
use crate::load;

/// A zone that is signed here.
pub struct Place {
    /// What its keyring goes by.
    pub settings: Settings,
    /// The class of clients that see it; `None`: everybody.
    pub class: Option<String>,
    /// What its file says.
    pub written: ZoneDnssec,
}

/// Every zone of a configuration in the order of `ZoneId`; `None`: not signed here.
pub fn all<'c>(config: &'c Config, path: &'c Path) -> impl Iterator<Item = Option<Place>> + 'c {
    let everybody = config.zones.iter().map(|zone| (None, zone));
    let own =
        config.classes.iter().flat_map(|class| class.zones.iter().map(|zone| (Some(&class.name), zone)));
    everybody.chain(own).map(move |(class, zone)| {
        let written = zone.dnssec.clone()?;
        let settings = settings(config, path, zone, &written);
        Some(Place { settings, class: class.cloned(), written })
    })
}

/// Those that are signed here.
pub fn places<'c>(config: &'c Config, path: &'c Path) -> impl Iterator<Item = Place> + 'c {
    all(config, path).flatten()
}

/// What the keyring of a zone goes by.
pub fn settings(config: &Config, path: &Path, zone: &config::Zone, written: &ZoneDnssec) -> Settings {
    let folder = written.key_folder.as_ref().unwrap_or(&config.dnssec.key_folder);
    Settings {
        origin: zone.origin.to_ascii_lowercase(),
        folder: load::beside(path, folder),
        algorithm: written.algorithm,
        scheme: match written.scheme {
            KeyScheme::Csk => Scheme::Csk,
            KeyScheme::KskZsk => Scheme::KskZsk,
        },
        zsk_lifetime: written.zsk_lifetime,
        announcement: match written.cds {
            Announcement::Publish => Announce::Wanted,
            Announcement::Off => Announce::Nothing,
            Announcement::Delete => Announce::Removal,
        },
        care: match config.dnssec.managed {
            KeysManaged::Here => Care::Ours,
            KeysManaged::Elsewhere => Care::Others,
        },
    }
}
