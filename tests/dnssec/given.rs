//! Zones that come signed are served as they are: these were signed by `ldns-signzone`, one with NSEC, one
//! with NSEC3 and opt-out.

use std::sync::Arc;

use meridian::compile::zonefile::read_zone;
use meridian::config::{FileId, Problems};
use meridian::dnssec::{Denial, GivenFault, separate};
use meridian::ids::ServiceId;
use meridian::respond::Transport;
use meridian::wire::{Name as WireName, Rtype};
use meridian::zone::{NodeId, ZoneBuilder};

use crate::validator::{Name, Proven};
use crate::world::{Wish, World, view_of_given};

const NSEC: &str = include_str!("../data/dnssec/nsec.zone");
const NSEC3: &str = include_str!("../data/dnssec/nsec3.zone");

fn world(text: &str, denial: Denial) -> World {
    let mut problems = Problems::default();
    let zone = read_zone("example", FileId(0), text.as_bytes(), &[], &mut problems);
    let zone = zone.unwrap_or_else(|| panic!("{problems:?}"));
    assert_eq!(problems, Problems::default());
    let separated = separate(&Arc::new(zone)).unwrap();
    let signed = separated.signed.unwrap();
    assert_eq!(signed.denial(), denial);
    // 2036-01-01, as the file says.
    assert_eq!(signed.expires_first_s(1_800_000_000), Some(2_082_758_400));
    assert_eq!(signed.came().and_then(|came| came.ends_first_s), Some(2_082_758_400));
    let keys = separated.zone.rrset_at(NodeId::ORIGIN, Rtype::DNSKEY).unwrap();
    let keys: Vec<Vec<u8>> = keys.rdata().map(<[u8]>::to_vec).collect();
    let mut world = World::new(view_of_given(Arc::clone(&separated.zone), Some(signed)), &[], "example");
    world.keys = keys;
    world
}

#[test]
fn zones_that_come_signed_are_believed_as_they_are() {
    for (text, denial) in [(NSEC, Denial::Nsec), (NSEC3, Denial::Nsec3)] {
        let mut world = world(text, denial);
        let mut check = |name: &str, rtype: u16, expected: Proven| {
            let name = Name::text(&format!("{name}.example"));
            assert_eq!(world.check(&name, rtype), expected, "{name:?} {rtype} by {denial:?}");
        };
        check("", 6, Proven::Answer);
        check("", 48, Proven::Answer);
        check("", 1, Proven::NoData);
        check("www", 1, Proven::Answer);
        check("www", 28, Proven::NoData);
        check("alias", 1, Proven::Answer);
        check("ent", 1, Proven::NoData);
        check("none", 1, Proven::NxDomain);
        check("y.ent", 1, Proven::NxDomain);
        check("any.wild", 1, Proven::Answer);
        check("q.any.wild", 28, Proven::NoData);
        check("deep.wild", 1, Proven::NoData);
        check("y.walias", 1, Proven::Answer);
        check("x.old", 1, Proven::Answer);
        check("unsigned", 1, Proven::Referral { signed: false });
        check("x.unsigned", 1, Proven::Referral { signed: false });
        check("unsigned", 43, Proven::NoData);
        check("x.signed", 1, Proven::Referral { signed: true });
        check("signed", 43, Proven::Answer);
        if denial == Denial::Nsec3 {
            // The owner of an NSEC3 is no name of the zone (RFC 5155 section 7.2.8).
            let owner = NSEC3.lines().find(|line| line.contains("IN\tNSEC3\t")).unwrap();
            let owner = Name::text(owner.split_whitespace().next().unwrap());
            assert_eq!(world.ask(&owner, 50, Wish::Plain, Transport::Tcp).rcode, 3);
        }
    }
}

#[test]
fn what_cannot_be_served_signed_is_refused() {
    let origin = WireName::from_wire(b"\x07example\x00").unwrap();
    let soa = [b"\x00\x00".as_slice(), &[0; 20]].concat();
    let rrsig = |covered: u8| [&[0, covered, 13, 1][..], &[0; 14], b"\x07example\x00", &[0; 64]].concat();
    let check = |nsec3: Option<&[u8]>, steered: bool, expected: Option<GivenFault>| {
        let mut builder = ZoneBuilder::new(&origin);
        builder.rrset(&origin, Rtype::SOA, 60, std::iter::once(&soa[..])).unwrap();
        builder.rrset(&origin, Rtype::DNSKEY, 60, std::iter::once(&[1, 1, 3, 13][..])).unwrap();
        let signature = rrsig(6);
        builder.rrset(&origin, Rtype::RRSIG, 60, std::iter::once(&signature[..])).unwrap();
        let hashed = WireName::from_wire(b"\x203msev9usmd4br9s97v51r2tdvmr9iqo1\x07example\x00").unwrap();
        if let Some(nsec3) = nsec3 {
            builder.rrset(&hashed, Rtype::NSEC3, 60, std::iter::once(nsec3)).unwrap();
        }
        if steered {
            builder.steer(&origin, ServiceId(0)).unwrap();
        }
        assert_eq!(separate(&Arc::new(builder.build())).err(), expected);
    };
    let nsec3 = |algorithm: u8, iterations: u8| {
        [&[algorithm, 0, 0, iterations, 0, 20][..], &[7; 20], &[0, 1, 0x40]].concat()
    };
    check(None, false, Some(GivenFault::NoChain));
    check(Some(&nsec3(1, 0)), false, None);
    check(Some(&nsec3(1, 100)), false, None);
    check(Some(&nsec3(1, 101)), false, Some(GivenFault::Nsec3Parameters));
    check(Some(&nsec3(2, 0)), false, Some(GivenFault::Nsec3Parameters));
    check(Some(&nsec3(1, 0)), true, Some(GivenFault::Steered));
}
