//! Location databases: whatever the octets, opening, looking up and scanning end within bounds.

use std::net::IpAddr;

use meridian::compile::locations::{Atlas, Database, Overrides};

/// Opens octets as a database, asks it and walks over it.
pub fn check(octets: &[u8]) {
    let Ok(database) = Database::open(octets.to_vec(), "fuzzed") else { return };
    database.attribution();
    database.built_s();
    let is_asn = database.is_system_numbers();
    let (places, asn) = if is_asn { (vec![], vec![database]) } else { (vec![database], vec![]) };
    let atlas = Atlas::new(places, asn, Overrides::default());
    for address in
        ["0.0.0.0", "81.2.69.7", "255.255.255.255", "::", "2001:218::1", "2002:5102:4507::", "ffff::"]
    {
        let address: IpAddr = address.parse().unwrap();
        let _ = atlas.locate(address);
    }
    let mut next = [0u128, 0];
    let mut progress = 0;
    let scanned = atlas.scan(&mut |done, _| progress = done, &mut |locations, stretch| {
        let next = &mut next[stretch.family.index()];
        assert_eq!(stretch.first, *next, "stretches follow each other");
        assert!(stretch.first <= stretch.last);
        assert!(stretch.location.is_none_or(|number| (number as usize) < locations.len()));
        *next = stretch.last.wrapping_add(1);
    });
    if scanned.is_ok() {
        assert_eq!(next, [0, 0], "a scan covers both families");
    }
}
