//! The table of hostile packets in docs/protocol.md: each row is sent, and what comes back is what the
//! row says. The words of a packet are told there.

use super::*;

#[test]
fn every_row_of_the_table_of_hostile_packets_holds() {
    let manual = include_str!("../../../docs/protocol.md");
    let section = manual.split("<!-- packets -->").nth(1).unwrap().split("<!-- end -->").next().unwrap();
    let (mut rows, mut wrong) = (0, Vec::new());
    for row in section.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let cells: Vec<&str> = row.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        let [what, packet, transport, answer] = cells.as_slice() else { panic!("{row}") };
        let recipe = packet.trim_matches('`');
        for transport in transport.split(", ") {
            let transport = Transport::ALL.into_iter().find(|known| known.label() == transport).unwrap();
            let got = answered(recipe, transport);
            if got != answer.trim_matches('`') {
                wrong.push(format!("{what} over {}: {got}", transport.label()));
            }
        }
        rows += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows >= 30, "{rows}");
}

/// The first line of the reply and what its OPT says; `silence` for none.
fn answered(recipe: &str, transport: Transport) -> String {
    let fixture = Fixture::new();
    let asked = Asked { transport, ..ask("www.example.com A").asked };
    match send(&fixture, &asked, &built(recipe)) {
        Err(_) => "silence".to_owned(),
        Ok(got) => {
            let lines = lines(&got.octets);
            let opt = lines.iter().find(|line| line.starts_with("opt "));
            lines.first().into_iter().chain(opt).map(String::as_str).collect::<Vec<_>>().join("; ")
        }
    }
}

/// A packet by its recipe.
fn built(recipe: &str) -> Vec<u8> {
    let mut packet = vec![0xab, 0xcd, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for word in recipe.split_whitespace() {
        let (word, argument) = word.split_once('=').unwrap_or((word, ""));
        let number = |text: &str| text.parse::<u16>().unwrap();
        match word {
            "flags" => {
                packet[2..4].copy_from_slice(&u16::from_str_radix(argument, 16).unwrap().to_be_bytes());
            }
            "counts" => {
                for (index, count) in argument.split('/').enumerate() {
                    packet[4 + index * 2..6 + index * 2].copy_from_slice(&number(count).to_be_bytes());
                }
            }
            "ask" => {
                let parts: Vec<&str> = argument.split('/').collect();
                packet.extend(parse_name(parts[0].as_bytes(), &[0]).unwrap());
                packet.extend(rtype_number(parts[1]).to_be_bytes());
                packet.extend(parts.get(2).map_or(1, |class| number(class)).to_be_bytes());
            }
            "opt" => {
                let version = if argument.is_empty() { 0 } else { argument.parse().unwrap() };
                packet.extend([0, 0, 41, 4, 0xd0, 0, version, 0, 0, 0, 0]);
            }
            "tsig" => {
                let algorithm = b"\x0bhmac-sha256\x00";
                let time_and_fudge = [0, 0, 0, 0, 0, 0, 1, 44];
                let after = [0xab, 0xcd, 0, 0, 0, 0];
                let data = [&algorithm[..], &time_and_fudge, &[0, 32], &[7; 32], &after].concat();
                packet.extend(b"\x06nobody\x00\x00\xfa\x00\xff\x00\x00\x00\x00");
                packet.extend((data.len() as u16).to_be_bytes());
                packet.extend(data);
            }
            "a" => packet.extend([0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1]),
            "hex" => packet.extend(
                (0..argument.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&argument[at..at + 2], 16).unwrap()),
            ),
            "zeros" => packet.extend(vec![0; usize::from(number(argument))]),
            "cut" => packet.truncate(usize::from(number(argument))),
            other => panic!("{other}"),
        }
    }
    packet
}
