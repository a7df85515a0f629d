//! The short way against the long one, over random zones and random queries: what the one says, octets and counts, the other
//! says with all the room that there is.

use super::*;
use crate::cookie::{Secret, Secrets};
use crate::limit::Admission;
use crate::wire::Cookie;
use crate::zone::{ClientClasses, Validity, ZoneBuilder};

/// How many catalogs, and queries to each.
const CATALOGS: u64 = 600;
const QUERIES: usize = 400;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    fn octets(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.roll() as u8).collect()
    }
}

type Labels = Vec<Vec<u8>>;

fn label(dice: &mut Dice) -> Vec<u8> {
    match dice.below(24) {
        0 if dice.one_in(2) => vec![b'l'; 63],
        1 => vec![b'm'; 1 + dice.below(62)],
        2 if dice.one_in(2) => b"*".to_vec(),
        3 if dice.one_in(2) => b"_why".to_vec(),
        4 if dice.one_in(2) => b"_x".to_vec(),
        5 => dice.octets(1),
        6..10 => dice.pick(&["ns", "NS", "nS"]).into(),
        _ => dice.pick(&["a", "A", "b", "c", "d"]).into(),
    }
}

/// Some labels above others.
fn above(dice: &mut Dice, most: usize, labels: &[Vec<u8>]) -> Labels {
    let own = dice.below(most + 1);
    (0..own).map(|_| label(dice)).chain(labels.iter().cloned()).collect()
}

fn wire(labels: &[Vec<u8>]) -> Vec<u8> {
    labels.iter().flat_map(|label| [&[label.len() as u8], &label[..]].concat()).chain([0]).collect()
}

fn name(labels: &[Vec<u8>]) -> Option<Name> {
    Name::from_wire(&wire(labels))
}

/// A zone and the names that it speaks of.
fn random_zone(dice: &mut Dice, origin: &[Vec<u8>]) -> Option<(crate::zone::Zone, Vec<Labels>)> {
    let mut builder = ZoneBuilder::new(&name(origin)?);
    let mut names = vec![origin.to_vec()];
    let other = |dice: &mut Dice, names: &[Labels]| {
        let base = if dice.one_in(4) { Labels::new() } else { dice.pick(names) };
        let labels = above(dice, 2, &base);
        if name(&labels).is_some() { wire(&labels) } else { vec![0] }
    };
    if !dice.one_in(8) {
        let mut soa = other(dice, &names);
        soa.extend(other(dice, &names));
        soa.extend(dice.octets(20));
        builder.rrset(&name(origin)?, Rtype::SOA, dice.below(9000) as u32, [&soa[..]].into_iter()).unwrap();
    }
    let mut taken: Vec<Name> = Vec::new();
    for round in 0..1 + dice.below(14) {
        let base = dice.pick(&names);
        let labels = if round == 0 && dice.one_in(2) { origin.to_vec() } else { above(dice, 3, &base) };
        let Some(owner) = name(&labels).filter(|owner| !taken.contains(owner)) else { continue };
        taken.push(owner);
        let is_origin = owner.octets() == name(origin)?.octets();
        let kind = match is_origin {
            true => dice.pick(&[0, 1, 6, 7]),
            false => dice.pick(&[0, 1, 2, 3, 4, 5, 6, 7, 6, 7, 6, 7, 0, 1, 2, 0, 1, 2]),
        };
        match kind {
            3 => {
                let target = other(dice, &names);
                let rtype = if dice.one_in(3) { Rtype::DNAME } else { Rtype::CNAME };
                builder.rrset(&owner, rtype, 60, [&target[..]].into_iter()).unwrap();
            }
            4 => {
                let server = other(dice, &names);
                builder.rrset(&owner, Rtype::NS, 60, [&server[..]].into_iter()).unwrap();
            }
            // Empty.
            5 => {
                builder.place(&owner).unwrap();
            }
            kind => {
                if kind >= 6 {
                    let service = dice.pick(&[0, 0, 0, 4, 3, 1, 2, 5]);
                    builder.steer(&owner, ServiceId(service)).unwrap();
                }
                let types = [
                    Rtype::A,
                    Rtype::AAAA,
                    Rtype::TXT,
                    Rtype::MX,
                    Rtype::NS,
                    Rtype::SRV,
                    Rtype::HTTPS,
                    Rtype(65_400),
                ];
                for rtype in types {
                    let is_steered = kind >= 6 && (rtype == Rtype::A || rtype == Rtype::AAAA);
                    let is_cut = rtype == Rtype::NS && !is_origin;
                    if is_steered || is_cut || !dice.one_in(3) {
                        continue;
                    }
                    let count = dice.pick(&[1, 1, 1, 2, 3, 13, 26, 27, 28, 29, 30, 31, 32, 300]);
                    let rdata: Vec<Vec<u8>> = (0..count)
                        .map(|_| match rtype {
                            Rtype::A => dice.octets(4),
                            Rtype::AAAA => dice.octets(16),
                            Rtype::TXT => {
                                let strings = 1 + dice.below(3);
                                let string = |dice: &mut Dice| {
                                    let octets = dice.pick(&[0, 1, 3, 11, 200, 255]);
                                    [vec![octets as u8], dice.octets(octets)].concat()
                                };
                                (0..strings).flat_map(|_| string(dice)).collect()
                            }
                            Rtype::MX => [vec![0, 1], other(dice, &names)].concat(),
                            Rtype::NS => other(dice, &names),
                            Rtype::SRV => [vec![0; 6], other(dice, &names)].concat(),
                            Rtype::HTTPS => [vec![0, 1], other(dice, &names)].concat(),
                            _ => dice.octets(dice.0 as usize % 5),
                        })
                        .collect();
                    let ttl_s = dice.pick(&[0, 1, 300, u32::MAX >> 1]);
                    builder.rrset(&owner, rtype, ttl_s, rdata.iter().map(Vec::as_slice)).unwrap();
                }
            }
        }
        if kind != 3 && kind != 4 || dice.one_in(3) {
            names.push(labels);
        }
    }
    Some((builder.build(), names))
}

fn fixture(dice: &mut Dice) -> (Fixture, Vec<Labels>) {
    let mut origins: Vec<Labels> = Vec::new();
    for _ in 0..dice.pick(&[1, 1, 1, 2, 3, 6]) {
        let base = match dice.below(3) {
            0 if !origins.is_empty() => dice.pick(&origins),
            _ => Labels::new(),
        };
        let origin = above(dice, dice.0 as usize % 4, &base);
        if name(&origin).is_some() && !origins.iter().any(|own| name(own) == name(&origin)) {
            origins.push(origin);
        }
    }
    let (mut own, mut others, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let is_classed = dice.one_in(4);
    for origin in &origins {
        let (zone, spoken) = random_zone(dice, origin).unwrap();
        names.extend(spoken);
        if is_classed && dice.one_in(2) {
            let (zone, spoken) = random_zone(dice, origin).unwrap();
            names.extend(spoken);
            others.push(zone);
        }
        own.push(zone);
    }
    names.push(Labels::new());
    let of_class = if is_classed { vec![others] } else { Vec::new() };
    let catalog = Catalog::with_classes(own, ClientClasses::default(), of_class);
    let validities: Vec<(ZoneId, Validity)> = (0..catalog.zones().len() as u32)
        .map(|id| {
            let validity = match dice.below(24) {
                0 => Validity::Expired,
                1 => Validity::Missing,
                _ => Validity::Current,
            };
            (ZoneId(id), validity)
        })
        .collect();
    let catalog = catalog.with_validity(validities.into_iter());
    let mut fixture = Fixture { catalog, ..Fixture::new() };
    let settings = &mut fixture.settings;
    settings.udp_payload_max = dice.pick(&[512, 1232, 4096]);
    settings.protection.udp_payload_unproven_max = dice.pick(&[512, 1232, 4096]);
    settings.protection.cookies =
        (!dice.one_in(4)).then(|| Secrets::new(Secret([7; 16]), &[Secret([8; 16])]));
    settings.nsid = Some((*b"node-1").into()).filter(|_| dice.one_in(2));
    if dice.one_in(2) {
        settings.why = Box::new(["0.0.0.0/0".parse().unwrap()]);
    }
    (fixture, names)
}

fn subnet(dice: &mut Dice) -> Vec<u8> {
    let (family, bits) = dice.pick(&[(1, 32), (1, 32), (1, 32), (2, 128), (0, 0)]);
    let mut source = match dice.below(8) {
        0 => dice.pick(&[0, 1, 7, 8, 9, 24, 31, 32, 33, 56, 127, 128, 129, 255]),
        _ => dice.below(bits + 1),
    };
    if !dice.one_in(8) {
        source = source.min(bits);
    }
    let mut octets = dice.octets(source.div_ceil(8));
    if let (Some(last), rest @ 1..) = (octets.last_mut(), source % 8)
        && !dice.one_in(8)
    {
        *last &= 0xff << (8 - rest);
    }
    if dice.one_in(16) {
        octets.push(0);
    }
    if dice.one_in(16) {
        octets.pop();
    }
    let scope = if dice.one_in(16) { 1 } else { 0 };
    [&[0, family, source as u8, scope], &octets[..]].concat()
}

fn cookie(dice: &mut Dice, source: IpAddr) -> Vec<u8> {
    let client = *b"oneeight";
    let sent = Cookie { client, server: &[] };
    let now_s = dice.pick(&[0u64, 100, 2_000, 4_000]);
    let secret = dice.pick(&[7, 7, 8, 9]);
    match dice.below(5) {
        0 => client.to_vec(),
        1 => {
            let octets = dice.below(48);
            dice.octets(octets)
        }
        2 => [&client[..], &dice.octets(16)].concat(),
        _ => Secrets::new(Secret([secret; 16]), &[]).judge(&sent, source, now_s).1.to_vec(),
    }
}

fn packet(dice: &mut Dice, names: &[Labels], source: IpAddr) -> Vec<u8> {
    let mut labels = dice.pick(names);
    match dice.below(9) {
        0 => labels = above(dice, 3, &labels),
        1 if !labels.is_empty() => drop(labels.remove(0)),
        2 if !labels.is_empty() => labels[0] = label(dice),
        _ => {}
    }
    let mut qname = wire(&labels);
    if dice.one_in(3) {
        qname.iter_mut().for_each(|octet| {
            if octet.is_ascii_alphabetic() && dice.one_in(2) {
                *octet ^= 0x20;
            }
        });
    }
    let odd = dice.one_in(20);
    let flags = if odd { dice.octets(2) } else { vec![dice.below(2) as u8, 0] };
    let has_opt = !dice.one_in(3);
    let mut packet = [&dice.octets(2), &flags, &[0, 1, 0, 0, 0, 0, 0, u8::from(has_opt)][..]].concat();
    packet.extend(qname);
    let usual = dice.pick(&[1, 1, 28, 28, 16]);
    let rtype =
        dice.pick(&[usual, usual, usual, usual, 15, 2, 33, 12, 65, 257, 5, 6, 39, 43, 47, 64, 255, 65_400]);
    packet.extend(u16::to_be_bytes(rtype));
    packet.extend([0, if dice.one_in(30) { dice.pick(&[3, 0, 255]) } else { 1 }]);
    if has_opt {
        let (extended, version) = (dice.pick(&[0, 0, 0, 1]), u8::from(dice.one_in(20)));
        let (bits, more) = (dice.pick(&[0, 0x80, 0, 0x40, 0xc0]), dice.pick(&[0, 0, 0, 0xff]));
        packet.extend([0, 0, 41]);
        packet.extend(u16::to_be_bytes(dice.pick(&[0, 511, 512, 513, 1232, 4096, 65_535])));
        packet.extend([extended, version, bits, more]);
        let mut options = Vec::new();
        for _ in 0..dice.pick(&[0, 0, 1, 1, 1, 1, 1, 2]) {
            match dice.below(20) {
                0..11 => options.extend(option(8, &subnet(dice))),
                11..19 => options.extend(option(10, &cookie(dice, source))),
                _ => {
                    let data = dice.octets(dice.0 as usize % 4);
                    options.extend(option(dice.pick(&[3, 11, 12, 15, 26_946]), &data));
                }
            }
        }
        packet.extend((options.len() as u16).to_be_bytes());
        packet.extend(options);
    }
    match dice.below(40) {
        0 => packet.truncate(dice.below(packet.len() + 1)),
        1 => packet.push(0),
        2 => {
            let place = dice.below(packet.len());
            packet[place] = dice.roll() as u8;
        }
        _ => {}
    }
    packet
}

#[test]
fn what_the_short_way_says_the_long_way_says() {
    let (mut plain, mut by_rcode, mut steered, mut full) = (0u32, [0u32; 2], 0u32, 0u32);
    let (mut cookies, mut subnets, mut proven) = (0u32, 0u32, 0u32);
    for seed in 0..CATALOGS {
        let mut dice = Dice(seed);
        let (fixture, names) = fixture(&mut dice);
        for number in 0..QUERIES {
            let source: IpAddr = dice
                .pick(&["203.0.113.53", "2001:db8::53", "::ffff:203.0.113.9", "10.0.0.1"])
                .parse()
                .unwrap();
            let asked = Asked {
                source,
                transport: dice.pick(&[
                    Transport::Udp,
                    Transport::Udp,
                    Transport::Tcp,
                    Transport::Tls,
                    Transport::Https,
                    Transport::Quic,
                ]),
                class: ClientClass(dice.pick(&[0, 0, 0, 1, 2])),
                idle_timeout: dice.pick(&[None, Some(Duration::from_secs(10))]),
                admission: match dice.below(12) {
                    0 => Admission::Slip,
                    1 => Admission::Drop,
                    _ => Admission::Within,
                },
            };
            let packet = packet(&mut dice, &names, source);
            let moment = (&Now { monotonic: Duration::ZERO, wall: Duration::from_secs(100) }, dice.roll());
            let mut buffer = vec![0xee; dice.pick(&[4096, 4096, 4096, 512, 511, 100, 65_535])];
            let short = crate::respond::short::respond(&fixture, &asked, moment, &packet, &mut buffer);
            let Some((length, note)) = short else { continue };
            let mut own = vec![0xdd; 65_535];
            let long = at_length(&fixture, &asked, moment, &packet, &mut own, &mut unsigned());
            let Outcome::Reply { length: long, note: noted } = long else {
                panic!("{seed} {number}: {long:?}")
            };
            assert_eq!(buffer[..length], own[..long], "{seed} {number}: {packet:02x?}");
            assert_eq!(note, noted, "{seed} {number}: {packet:02x?}");
            plain += 1;
            by_rcode[usize::from(note.rcode == Rcode::NxDomain)] += 1;
            steered += u32::from(note.steered.is_some());
            cookies += u32::from(note.cookie.is_some());
            subnets += u32::from(note.edns == EdnsSeen::ClientSubnet);
            proven += u32::from(note.limited.is_some());
            full += u32::from(length > 490);
        }
    }
    println!(
        "{plain} plain, {by_rcode:?} NOERROR and NXDOMAIN, {steered} steered, {full} nearly full, {cookies} cookies, {subnets} subnets, {proven} proven"
    );
    assert!(plain > 15_000 && by_rcode[1] > 4000 && steered > 1000 && full > 20);
    assert!(cookies > 2000 && subnets > 3000 && proven > 50);
}
