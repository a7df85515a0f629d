//! What stands in `Host` and `:authority`.

use std::net::IpAddr;

use crate::health::TargetAddress;

/// The host as configured, exactly as written; without one the target itself, with its port where that
/// is not the usual one.
pub fn of(host: Option<&str>, target: &TargetAddress, port: u16, usual_port: u16) -> String {
    if let Some(host) = host {
        return host.to_owned();
    }
    let name = match target {
        TargetAddress::Address(IpAddr::V6(address)) => format!("[{address}]"),
        TargetAddress::Address(address) => address.to_string(),
        TargetAddress::Host(host) => host.clone(),
    };
    if port == usual_port { name } else { format!("{name}:{port}") }
}

/// The name or address in an authority, without brackets and port.
pub fn name(authority: &str) -> &str {
    if let Some(literal) = authority.strip_prefix('[') {
        return literal.split(']').next().unwrap_or_default();
    }
    match authority.rsplit_once(':') {
        Some((name, _)) if !name.contains(':') => name,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn names_of_authorities() {
        for (authority, expected) in [
            ("www.example.com", "www.example.com"),
            ("www.example.com:8443", "www.example.com"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
        ] {
            assert_eq!(name(authority), expected);
        }
    }
}
