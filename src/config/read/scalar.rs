//! Durations, networks, host names and the like: text to values, with the reason where it is none.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

/// Units, longest spelling first so that "ms" is not read as "m".
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// "500ms", "5s", "1m30s": numbers with their units, each unit smaller than the one before.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    let mut rest = text;
    let mut total_ms = 0u64;
    let mut last_unit_ms = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        if number.is_empty() {
            return Err("a number is missing");
        }
        let Some((unit, unit_ms)) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit)) else {
            return Err(if tail.is_empty() { "the unit is missing" } else { "the unit is not known" });
        };
        if *unit_ms >= last_unit_ms {
            return Err("units must get smaller");
        }
        let length_ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*unit_ms));
        total_ms = length_ms.and_then(|ms| total_ms.checked_add(ms)).ok_or("it is too long")?;
        last_unit_ms = *unit_ms;
        rest = tail.get(unit.len()..).unwrap_or_default();
    }
    match last_unit_ms {
        u64::MAX => Err("it is empty"),
        _ => Ok(Duration::from_millis(total_ms)),
    }
}

/// A duration in the largest unit that leaves no fraction.
pub fn spell_duration(length: Duration) -> String {
    let length_ms = length.as_millis() as u64;
    let unit = UNITS.iter().rev().find(|(_, unit_ms)| length_ms.is_multiple_of(*unit_ms) && length_ms > 0);
    match unit {
        Some((unit, unit_ms)) => format!("{}{unit}", length_ms / unit_ms),
        None => "0s".to_owned(),
    }
}

/// A network in CIDR form; why not, and what to write instead.
pub fn network(text: &str) -> Result<IpNet, (String, String)> {
    let Ok(net) = text.parse::<IpNet>() else {
        let hint = match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => format!("write {address}/32 for the one address"),
            Ok(IpAddr::V6(address)) => format!("write {address}/128 for the one address"),
            Err(_) => "write a network such as 203.0.113.0/24 or 2001:db8::/32".to_owned(),
        };
        return Err(("it is not a network".to_owned(), hint));
    };
    if net != net.trunc() {
        return Err((
            format!("it has bits set past its length of {}", net.prefix_len()),
            format!("write {}, or /{} for the one address", net.trunc(), net.max_prefix_len()),
        ));
    }
    Ok(net)
}

/// An address with its port; why not, and what to write instead.
pub fn socket(text: &str) -> Result<SocketAddr, (String, String)> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Ok(socket);
    }
    let hint = match text.parse::<IpAddr>() {
        Ok(address) => format!("add the port: \"{}\"", SocketAddr::new(address, 53)),
        Err(_) => match text.strip_prefix(':').or_else(|| text.strip_prefix("*:")) {
            Some(port) => format!("name the address: \"0.0.0.0:{port}\" or \"[::]:{port}\""),
            None => "write ADDRESS:PORT, such as \"192.0.2.1:53\" or \"[2001:db8::1]:53\"".to_owned(),
        },
    };
    Err(("it is not an address with its port".to_owned(), hint))
}

/// An endpoint's address: unicast, and no one that a probe or a client must never be sent to.
pub fn endpoint_address(text: &str) -> Result<IpAddr, (String, String)> {
    let refuse = |what: &str, hint: String| Err((format!("it {what}"), hint));
    let Ok(address) = text.parse::<IpAddr>() else {
        if text.parse::<SocketAddr>().is_ok() {
            return refuse("has a port", "the port belongs to the monitor; DNS answers name no ports".into());
        }
        if text.parse::<IpNet>().is_ok() {
            return refuse("is a network", "write single addresses".into());
        }
        let hint = match host_name(text) {
            Ok(name) => format!("for a host name write host = \"{name}\""),
            Err(_) => "write an IPv4 or IPv6 address".to_owned(),
        };
        return refuse("is not an IP address", hint);
    };
    if let IpAddr::V6(v6) = address
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return refuse("is an IPv4 address inside IPv6", format!("write \"{v4}\""));
    }
    if address.is_unspecified() {
        return refuse("is the unspecified address", "write the load balancer's own address".into());
    }
    let broadcast = matches!(address, IpAddr::V4(v4) if v4 == Ipv4Addr::BROADCAST);
    if address.is_multicast() || broadcast {
        return refuse("is not the address of one host", "write a unicast address".into());
    }
    if is_link_local(address) {
        return refuse("is link-local", "such addresses are never probed nor answered".into());
    }
    if METADATA.iter().any(|metadata| metadata.parse() == Ok(address)) {
        return refuse("is a cloud's metadata service", "such addresses are never probed".into());
    }
    Ok(address)
}

/// Services that answer secrets to whoever asks from inside a cloud, outside the link-local ranges:
/// AWS over IPv6, Azure's platform address, Alibaba Cloud.
const METADATA: [&str; 3] = ["fd00:ec2::254", "168.63.129.16", "100.100.100.200"];

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// A host name in lower case without the final dot; why not.
pub fn host_name(text: &str) -> Result<String, &'static str> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err("it is empty");
    }
    if name.len() > NAME_TEXT_OCTETS_MAX {
        return Err("it is longer than 253 characters");
    }
    for label in name.split('.') {
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if label.is_empty() {
            return Err("a label is empty");
        }
        if label.len() > LABEL_OCTETS_MAX {
            return Err("a label is longer than 63 characters");
        }
        if !label.bytes().all(plain) {
            return Err("it holds other characters than letters, digits, hyphens and dots");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a label begins or ends with a hyphen");
        }
    }
    if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|c| c.is_ascii_digit())) {
        return Err("its last label is a number");
    }
    Ok(name.to_ascii_lowercase())
}

/// RFC 1035, 2.3.4.
pub const LABEL_OCTETS_MAX: usize = 63;
/// 255 octets on the wire are 253 characters without the final dot.
pub const NAME_TEXT_OCTETS_MAX: usize = 253;

/// "200" or "200-299".
pub fn status_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|c| c.is_ascii_digit());
        text.parse::<u16>().ok().filter(|code| digits && (100..=599).contains(code))
    };
    let (first, last) = (status(first.trim())?, status(last.trim())?);
    (first <= last).then_some(first..=last)
}

/// A share of clients such as `5%` or `0.5%`, in thousandths: 1..=1000.
pub fn permille(text: &str) -> Option<u16> {
    let (whole, tenths) = match text.strip_suffix('%')?.split_once('.') {
        None => (text.strip_suffix('%')?, 0),
        Some((whole, tenths)) if tenths.len() == 1 => (whole, tenths.parse().ok()?),
        Some(_) => return None,
    };
    let digits = !whole.is_empty() && whole.len() <= 3 && whole.bytes().all(|octet| octet.is_ascii_digit());
    let permille: u16 = whole.parse::<u16>().ok().filter(|_| digits)? * 10 + tenths;
    (1..=1000).contains(&permille).then_some(permille)
}

/// "50%": 1 to 100.
pub fn percent(text: &str) -> Option<u8> {
    let share = text.strip_suffix('%')?.parse::<u8>().ok()?;
    (1..=100).contains(&share).then_some(share)
}

/// Thirty-two hexadecimal digits.
pub fn key_128(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("5s", Ok(5_000)),
            ("500ms", Ok(500)),
            ("2m", Ok(120_000)),
            ("1m30s", Ok(90_000)),
            ("1d", Ok(86_400_000)),
            ("0s", Ok(0)),
            ("", Err("it is empty")),
            ("5", Err("the unit is missing")),
            ("s", Err("a number is missing")),
            ("-5s", Err("a number is missing")),
            ("5 s", Err("the unit is not known")),
            ("1.5s", Err("the unit is not known")),
            ("5S", Err("the unit is not known")),
            ("30s1m", Err("units must get smaller")),
            ("99999999999999999999s", Err("it is too long")),
            ("9999999999999999999d", Err("it is too long")),
        ] {
            assert_eq!(duration(text).map(|d| d.as_millis()), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_spelt_as_they_are_read() {
        for text in ["500ms", "5s", "10m", "90s", "1d", "0s"] {
            assert_eq!(spell_duration(duration(text).unwrap()), text);
        }
    }

    #[test]
    fn networks() {
        for (text, hint) in [
            ("203.0.113.5/24", "write 203.0.113.0/24, or /32 for the one address"),
            ("203.0.113.5", "write 203.0.113.5/32 for the one address"),
            ("2001:db8::1", "write 2001:db8::1/128 for the one address"),
            ("203.0.113.0/33", "write a network such as 203.0.113.0/24 or 2001:db8::/32"),
        ] {
            assert_eq!(network(text).unwrap_err().1, hint);
        }
        assert!(network("203.0.113.0/24").is_ok() && network("::/0").is_ok());
    }

    #[test]
    fn endpoint_addresses() {
        for (text, why) in [
            ("192.0.2.1:80", "it has a port"),
            ("192.0.2.0/24", "it is a network"),
            ("lb.example.net", "it is not an IP address"),
            ("::ffff:192.0.2.1", "it is an IPv4 address inside IPv6"),
            ("0.0.0.0", "it is the unspecified address"),
            ("224.0.0.1", "it is not the address of one host"),
            ("255.255.255.255", "it is not the address of one host"),
            ("169.254.169.254", "it is link-local"),
            ("fe80::1", "it is link-local"),
            ("fd00:ec2::254", "it is a cloud's metadata service"),
        ] {
            assert_eq!(endpoint_address(text).unwrap_err().0, why, "{text}");
        }
        assert!(endpoint_address("127.0.0.1").is_ok());
    }

    #[test]
    fn host_names() {
        assert_eq!(host_name("LB.Example.net.").as_deref(), Ok("lb.example.net"));
        for text in ["", ".", "a..b", "-a.b", "a b.c", "192.0.2.1", "https://a.b", "ä.example"] {
            assert!(host_name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn status_codes() {
        assert_eq!(status_range("200-299"), Some(200..=299));
        assert_eq!(status_range("204"), Some(204..=204));
        for text in ["299-200", "2xx", "99", "600", "", "+200", "200-"] {
            assert_eq!(status_range(text), None, "{text}");
        }
    }
}
