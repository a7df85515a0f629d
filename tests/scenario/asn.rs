//! A MaxMind database of autonomous systems, small and written by hand: what `asN` in a location needs.

use std::net::IpAddr;

use ipnet::IpNet;

/// Pointers are 32 bits: the simplest of the three record sizes.
const RECORD_BITS: u16 = 32;

/// One bit of an address leads to one of two.
#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(u32),
    Data(u32),
}

/// The file's octets for networks and their numbers. Longer prefixes come after shorter ones.
pub fn database(mut networks: Vec<(IpNet, u32)>) -> Vec<u8> {
    networks.sort_by_key(|(network, _)| network.prefix_len());
    let mut nodes = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (network, number) in networks {
        let offset = data.len() as u32;
        map(&mut data, 1);
        text(&mut data, "autonomous_system_number");
        number32(&mut data, number);
        insert(&mut nodes, network, offset);
    }
    let count = nodes.len() as u32;
    let mut file = Vec::new();
    for record in nodes.into_iter().flatten() {
        let pointer = match record {
            Record::Nothing => count,
            Record::Node(node) => node,
            Record::Data(offset) => count + 16 + offset,
        };
        file.extend(pointer.to_be_bytes());
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    metadata(&mut file, count);
    file
}

fn insert(nodes: &mut Vec<[Record; 2]>, network: IpNet, offset: u32) {
    // IPv4 lives in ::/96 of a tree of 128 bits.
    let (bits, length) = match network.addr() {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), network.prefix_len() + 96),
        IpAddr::V6(v6) => (u128::from(v6), network.prefix_len()),
    };
    let mut at = 0;
    for depth in 0..length {
        let side = usize::from(bits >> (127 - depth) & 1 == 1);
        if depth + 1 == length {
            nodes[at][side] = Record::Data(offset);
            return;
        }
        at = match nodes[at][side] {
            Record::Node(node) => node as usize,
            shorter => {
                nodes.push([shorter; 2]);
                nodes[at][side] = Record::Node(nodes.len() as u32 - 1);
                nodes.len() - 1
            }
        };
    }
}

fn metadata(file: &mut Vec<u8>, count: u32) {
    map(file, 9);
    text(file, "binary_format_major_version");
    number16(file, 2);
    text(file, "binary_format_minor_version");
    number16(file, 0);
    text(file, "build_epoch");
    file.extend([0x01, 0x02, 1]);
    text(file, "database_type");
    text(file, "Scenario-ASN");
    text(file, "description");
    map(file, 0);
    text(file, "ip_version");
    number16(file, 6);
    text(file, "languages");
    file.extend([0x00, 0x04]);
    text(file, "node_count");
    number32(file, count);
    text(file, "record_size");
    number16(file, RECORD_BITS);
}

fn map(out: &mut Vec<u8>, entries: u8) {
    out.push(7 << 5 | entries);
}

fn text(out: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).expect("short text");
    match length {
        0..29 => out.push(2 << 5 | length),
        _ => out.extend([2 << 5 | 29, length - 29]),
    }
    out.extend(text.bytes());
}

fn number16(out: &mut Vec<u8>, number: u16) {
    out.push(5 << 5 | 2);
    out.extend(number.to_be_bytes());
}

fn number32(out: &mut Vec<u8>, number: u32) {
    out.push(6 << 5 | 4);
    out.extend(number.to_be_bytes());
}
