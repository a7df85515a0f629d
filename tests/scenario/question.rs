//! Questions: what a scenario asks, as octets. Written apart from the server's own wire code.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use hickory_proto::rr::{Name, RecordType};

/// A query, or a series of them.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name as written, with its case.
    pub name: String,
    /// The type's number.
    pub rtype: u16,
    /// Where the query comes from.
    pub from: IpAddr,
    /// The listen address that it comes in on.
    pub at: Option<SocketAddr>,
    /// The client subnet option.
    pub subnet: Option<Subnet>,
    /// Whether OPT is sent though no option needs it.
    pub edns: bool,
    /// The EDNS version.
    pub version: u8,
    /// The payload size announced.
    pub payload_octets: u16,
    /// Options as number and octets, sent as they are.
    pub options: Vec<(u16, Vec<u8>)>,
    /// Whether it comes by TCP.
    pub tcp: bool,
    /// The opcode.
    pub opcode: u8,
    /// The class.
    pub class: u16,
    /// Which draws: one that is fixed, or so many spread evenly.
    pub draws: Draws,
    /// One query for each network of this length in `subnet`.
    pub each: Option<u8>,
}

/// A client subnet as it goes into the option.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Subnet {
    /// Its first address.
    pub address: IpAddr,
    /// The source prefix length.
    pub length: u8,
}

/// What decides among equals.
#[derive(Clone, Copy, Debug)]
pub enum Draws {
    /// This.
    One(u64),
    /// So many.
    Spread(u64),
}

impl Draws {
    /// The draws: of many, each part of the range has its share.
    pub fn all(self) -> impl Iterator<Item = u64> {
        /// 2^64 divided by the golden ratio: multiples of it are spread evenly.
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let (first, number) = match self {
            Draws::One(draw) => (draw, 1),
            Draws::Spread(number) => (0, number),
        };
        (0..number).map(move |index| first.wrapping_add(index.wrapping_mul(GOLDEN)))
    }
}

impl Subnet {
    /// The bits of the address from the left, in 128.
    pub fn bits(self) -> u128 {
        match self.address {
            IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
            IpAddr::V6(v6) => u128::from(v6),
        }
    }

    /// A subnet of the same family.
    pub fn sibling(self, bits: u128, length: u8) -> Subnet {
        let mask = if length == 0 { 0 } else { u128::MAX << (128 - u32::from(length)) };
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::from((((bits & mask) >> 96) as u32).to_be_bytes()),
            IpAddr::V6(_) => IpAddr::from((bits & mask).to_be_bytes()),
        };
        Subnet { address, length }
    }

    /// How many bits an address has.
    pub fn bits_max(self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// E4: whether it ends before the IPv4 address that addresses in its block carry. Its scope then ends
    /// there too, and says nothing of those who tell more.
    pub fn ends_before_embedded(self) -> bool {
        let in_block = |first: u128, length: u8| {
            self.address.is_ipv6() && self.sibling(self.bits(), length).bits() == first
        };
        let after_96 = in_block(0xffff << 32, 96) || in_block(0x0064_ff9b << 96, 96);
        after_96 && self.length <= 96 || in_block(0x2002 << 112, 16) && self.length <= 16
    }

    fn option(self) -> Vec<u8> {
        let (family, octets) = match self.address {
            IpAddr::V4(v4) => (1u8, v4.octets().to_vec()),
            IpAddr::V6(v6) => (2, v6.octets().to_vec()),
        };
        let mut option = vec![0, family, self.length, 0];
        option.extend(octets.iter().take(usize::from(self.length).div_ceil(8)));
        option
    }
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Subnet, String> {
        let bad = || format!("`{text}` is no network: write ADDRESS/LENGTH");
        let (address, length) = text.split_once('/').ok_or_else(bad)?;
        let subnet = Subnet {
            address: address.parse().map_err(|_| bad())?,
            length: length.parse().map_err(|_| bad())?,
        };
        if subnet.length > subnet.bits_max() || subnet.sibling(subnet.bits(), subnet.length) != subnet {
            return Err(format!("`{text}` has bits past its length"));
        }
        Ok(subnet)
    }
}

impl Question {
    /// The same question for another client.
    pub fn of(&self, subnet: Subnet) -> Question {
        Question { subnet: Some(subnet), each: None, ..self.clone() }
    }

    /// The questions that a series consists of.
    pub fn series(&self) -> Vec<Question> {
        let (Some(length), Some(around)) = (self.each, self.subnet) else { return vec![self.clone()] };
        let number = 1u128 << length.saturating_sub(around.length).min(16);
        let step = |index: u128| index.checked_shl(128 - u32::from(length)).unwrap_or(0);
        (0..number).map(|index| self.of(around.sibling(around.bits() | step(index), length))).collect()
    }

    /// The query's octets.
    pub fn octets(&self, id: u16) -> Vec<u8> {
        let mut options = self.options.clone();
        options.extend(self.subnet.map(|subnet| (8, subnet.option())));
        let opt = self.edns || self.version > 0 || !options.is_empty();
        let mut octets = Vec::new();
        let mut put = |number: u16| octets.extend(number.to_be_bytes());
        for number in [id, u16::from(self.opcode) << 11, 1, 0, 0, u16::from(opt)] {
            put(number);
        }
        for label in self.name.split('.').filter(|label| !label.is_empty()) {
            octets.push(label.len() as u8);
            octets.extend(label.bytes());
        }
        octets.push(0);
        octets.extend(self.rtype.to_be_bytes());
        octets.extend(self.class.to_be_bytes());
        if opt {
            let mut rdata = Vec::new();
            for (code, data) in options {
                rdata.extend(code.to_be_bytes());
                rdata.extend((data.len() as u16).to_be_bytes());
                rdata.extend(data);
            }
            octets.push(0);
            octets.extend(41u16.to_be_bytes());
            octets.extend(self.payload_octets.to_be_bytes());
            octets.extend([0, self.version, 0, 0]);
            octets.extend((rdata.len() as u16).to_be_bytes());
            octets.extend(rdata);
        }
        octets
    }
}

/// `NAME TYPE [from ADDRESS] [at LISTENER] [subnet NETWORK] [each /LENGTH] [tcp] [draw N | draws N] [edns] [payload N]
/// [version N] [option CODE HEX] [opcode N] [class N]`
pub fn question(name: &str, rest: &[&str]) -> Result<Question, String> {
    Name::from_ascii(name).map_err(|error| format!("`{name}` is no name: {error}"))?;
    let (rtype, mut rest) = rest.split_first().ok_or("a type is missing")?;
    let mut question = Question {
        name: name.to_owned(),
        rtype: rtype_number(rtype)?,
        from: IpAddr::from([192, 0, 2, 53]),
        at: None,
        subnet: None,
        edns: false,
        version: 0,
        payload_octets: 1232,
        options: Vec::new(),
        tcp: false,
        opcode: 0,
        class: 1,
        draws: Draws::One(0),
        each: None,
    };
    while !rest.is_empty() {
        rest = match rest {
            ["from", address, rest @ ..] => {
                question.from = number(address)?;
                rest
            }
            ["at", address, rest @ ..] => {
                question.at = Some(number(address)?);
                rest
            }
            ["subnet", subnet, rest @ ..] => {
                question.subnet = Some(subnet.parse()?);
                rest
            }
            ["each", length, rest @ ..] => {
                question.each = Some(number(length.trim_start_matches('/'))?);
                rest
            }
            ["draw", draw, rest @ ..] => {
                question.draws = Draws::One(number(draw)?);
                rest
            }
            ["draws", draws, rest @ ..] => {
                question.draws = Draws::Spread(number(draws)?);
                rest
            }
            ["payload", octets, rest @ ..] => {
                (question.edns, question.payload_octets) = (true, number(octets)?);
                rest
            }
            ["version", version, rest @ ..] => {
                question.version = number(version)?;
                rest
            }
            ["option", code, data, rest @ ..] => {
                question.options.push((number(code)?, hex(data)?));
                rest
            }
            ["opcode", opcode, rest @ ..] => {
                question.opcode = number(opcode)?;
                rest
            }
            ["class", class, rest @ ..] => {
                question.class = number(class)?;
                rest
            }
            ["tcp", rest @ ..] => {
                question.tcp = true;
                rest
            }
            ["edns", rest @ ..] => {
                question.edns = true;
                rest
            }
            [word, ..] => return Err(format!("`{word}` cannot be asked")),
            [] => rest,
        };
    }
    if question.each.is_some() && question.subnet.is_none() {
        return Err("`each` needs `subnet`".to_owned());
    }
    Ok(question)
}

fn rtype_number(text: &str) -> Result<u16, String> {
    if let Some(number) = text.strip_prefix("TYPE").and_then(|number| number.parse().ok()) {
        return Ok(number);
    }
    RecordType::from_str(text).map(u16::from).map_err(|_| format!("`{text}` is no type"))
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` cannot be here"))
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    // `-` is no octets; `_` parts groups.
    let text = text.replace(['-', '_'], "");
    (0..text.len())
        .step_by(2)
        .map(|at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect::<Option<_>>()
        .ok_or_else(|| format!("`{text}` is not hexadecimal"))
}
