//! Zones that come from primaries: where they stand in the catalog, and what stands there before anything
//! was transferred.

use crate::config::{self, Config, Secondary};
use crate::ids::ZoneId;

/// What a zone is compiled from that has no file: enough for its steered names to be judged. Nobody is ever
/// answered with it.
pub const STAND_IN: &[u8] = b"@ 0 SOA . . 0 0 0 0 0\n@ 0 NS .\n";

/// A zone that comes from primaries.
#[derive(Clone, Copy)]
pub struct Place<'c> {
    /// Its number in the snapshot that is compiled from this configuration.
    pub id: ZoneId,
    /// The class of clients who see it; `None`: everybody.
    pub class: Option<&'c str>,
    /// The zone as configured.
    pub zone: &'c config::Zone,
    /// Where it comes from.
    pub secondary: &'c Secondary,
}

/// Every zone that comes from primaries. The catalog numbers zones as they are configured: everybody's,
/// then those of each class.
pub fn places(config: &Config) -> impl Iterator<Item = Place<'_>> {
    let own = config
        .classes
        .iter()
        .flat_map(|class| class.zones.iter().map(|zone| (Some(class.name.as_str()), zone)));
    let all = config.zones.iter().map(|zone| (None, zone)).chain(own);
    all.enumerate().filter_map(|(index, (class, zone))| {
        let secondary = zone.secondary.as_ref()?;
        Some(Place { id: ZoneId(index as u32), class, zone, secondary })
    })
}
