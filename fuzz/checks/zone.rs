//! Master files: whatever the text, reading ends, and a zone that comes out can be asked everything.

use meridian::compile::zonefile::read_zone;
use meridian::config::{FileId, Problems, Style, text};
use meridian::wire::{Name, Rtype};
use meridian::zone::{Held, Lookup};

use super::world;

/// Reads a text as the zone `example.com`.
pub fn check(octets: &[u8]) {
    let mut problems = Problems::default();
    let zone = read_zone("example.com", FileId(1), octets, &[], &mut problems);
    assert_eq!(zone.is_some(), !problems.has_errors());
    for problem in &problems.0 {
        assert!(!problem.message.is_empty() && !problem.message.contains('\n'), "{:?}", problem.message);
        let span = problem.span.expect("every problem of a zone has its place");
        assert!(span.start <= span.end && span.end as usize <= octets.len().max(1), "{span:?}");
    }
    text(&world::sources(b"", octets, b""), &problems, Style::Plain);
    let Some(zone) = zone else { return };
    assert!(zone.soa().is_some());
    zone.walk(&mut |name: &Name, held: Held| {
        let Held::Rrset(rtype) = held else { panic!("nobody steered it") };
        assert!(zone.contains(name));
        match zone.lookup(name, rtype) {
            Lookup::Answer(rrset) => {
                assert_eq!(rrset.rtype, rtype);
                assert!(rrset.rdata().next().is_some(), "an RRset without records");
            }
            // Below cuts, and at them.
            Lookup::Referral { .. } => {}
            other => panic!("{:?} {rtype}: {other:?}", name.octets()),
        }
        for rtype in [Rtype::A, Rtype::ANY, Rtype::DS, Rtype(65_400)] {
            let below = Name::joined(b"\x07missing", name.octets());
            for name in below.iter().chain([name]) {
                zone.lookup(name, rtype);
            }
        }
    });
}
