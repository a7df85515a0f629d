//! Key files as BIND, ldns and many others write them: `K<name>+<algorithm>+<tag>.key` with the DNSKEY record,
//! `.private` beside it with the private half and the key's times. Text only; no file is touched here.

use std::fmt::Write;
use std::time::Duration;

use super::pair::{KeyPair, NoKey};
use crate::dnssec::Algorithm;
use crate::state::{parse_rfc3339, rfc3339};

/// The flag that marks keys that the parent may know (RFC 4034 section 2.1.1).
const FLAG_SEP: u16 = 0x0001;
/// The flag without which a key signs no zone.
const FLAG_ZONE: u16 = 0x0100;
/// The flag of a key that was revoked (RFC 5011).
const FLAG_REVOKED: u16 = 0x0080;

/// The times of a key, since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeyTimes {
    /// When it was made.
    pub created: Option<Duration>,
    /// Since when it stands in the zone.
    pub publish: Option<Duration>,
    /// Since when it signs.
    pub activate: Option<Duration>,
    /// Since when it signs no more.
    pub inactive: Option<Duration>,
    /// Since when it is gone from the zone.
    pub delete: Option<Duration>,
}

/// The DNSKEY record of a `.key` file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFile {
    /// The owner as written, with its final dot.
    pub owner: String,
    /// Whether SEP is set.
    pub sep: bool,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The public half.
    pub public: Vec<u8>,
}

/// The name of the files of a key, without their endings. The origin has no final dot.
pub fn file_stem(origin: &str, algorithm: Algorithm, tag: u16) -> String {
    let origin = origin.trim_end_matches('.').to_ascii_lowercase();
    format!("K{origin}.+{:03}+{tag:05}", algorithm.number())
}

/// The text of a `.private` file.
///
/// # Errors
/// When the private half cannot be had.
pub fn private_text(pair: &KeyPair, times: &KeyTimes) -> Result<String, NoKey> {
    let algorithm = pair.algorithm();
    let mut text = String::from("Private-key-format: v1.3\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "Algorithm: {} ({})", algorithm.number(), algorithm.mnemonic());
    let _ = writeln!(text, "PrivateKey: {}", domain::utils::base64::encode_string(&pair.private()?));
    for (name, time) in times.named() {
        if let Some(time) = time {
            let _ = writeln!(text, "{name}: {}", compact(time));
        }
    }
    Ok(text)
}

/// The text of a `.key` file. `tag` is for people.
pub fn public_text(origin: &str, sep: bool, pair: &KeyPair, tag: u16, times: &KeyTimes) -> String {
    let origin = origin.trim_end_matches('.');
    let what = if sep { "key" } else { "zone" };
    let mut text = format!("; This is a {what}-signing key, keyid {tag}, for {origin}.\n");
    for (name, time) in times.named() {
        if let Some(time) = time {
            let _ = writeln!(text, "; {name}: {} ({})", compact(time), rfc3339(time));
        }
    }
    let flags = FLAG_ZONE | if sep { FLAG_SEP } else { 0 };
    let public = domain::utils::base64::encode_string(&pair.public());
    let _ = writeln!(text, "{origin}. IN DNSKEY {flags} 3 {} {public}", pair.algorithm().number());
    text
}

/// Reads a `.private` file of format 1.2 or 1.3. The error says what is wrong with it.
pub fn read_private(text: &str) -> Result<(KeyPair, KeyTimes), String> {
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
    };
    let format = field("Private-key-format").ok_or("it is no private key file")?;
    if !matches!(format, "v1.2" | "v1.3") {
        return Err(format!("it is of format {format}; v1.2 and v1.3 can be read"));
    }
    let written = field("Algorithm").ok_or("it does not say which algorithm")?;
    let number = written.split_whitespace().next().unwrap_or_default();
    let algorithm = algorithm_of(number).ok_or_else(|| unknown_algorithm(written))?;
    let private = field("PrivateKey").ok_or("it holds no private key")?;
    let private: Vec<u8> =
        domain::utils::base64::decode(private).map_err(|_| "its private key is not in base64")?;
    let pair = KeyPair::from_private(algorithm, &private)
        .map_err(|NoKey| format!("its private key is none of {}", algorithm.mnemonic()))?;
    let time = |name: &str| field(name).and_then(moment);
    let times = KeyTimes {
        created: time("Created"),
        publish: time("Publish"),
        activate: time("Activate"),
        inactive: time("Inactive"),
        delete: time("Delete"),
    };
    Ok((pair, times))
}

/// Reads a `.key` file. The error says what is wrong with it.
pub fn read_public(text: &str) -> Result<KeyFile, String> {
    let mut lines = text.lines().map(|line| line.split(';').next().unwrap_or_default());
    let line = lines.find(|line| !line.trim().is_empty()).ok_or("it holds no record")?;
    let mut words = line.split_whitespace();
    let owner = words.next().ok_or("it holds no record")?.to_owned();
    // A TTL and the class may stand between, in either order.
    let mut words = words.skip_while(|word| !word.eq_ignore_ascii_case("DNSKEY")).skip(1);
    let mut number = || words.next().and_then(|word| word.parse::<u16>().ok());
    let (flags, protocol) = (number(), number());
    let algorithm = words.next().ok_or("it holds no DNSKEY record")?;
    let flags = flags.filter(|_| protocol == Some(3)).ok_or("it holds no DNSKEY record")?;
    if flags & FLAG_ZONE == 0 || flags & FLAG_REVOKED != 0 {
        return Err(format!("the flags {flags} are those of a key that signs no zone"));
    }
    let algorithm = algorithm_of(algorithm).ok_or_else(|| unknown_algorithm(algorithm))?;
    let public: String = words.collect();
    let public = domain::utils::base64::decode(&public).map_err(|_| "its public key is not in base64")?;
    Ok(KeyFile { owner, sep: flags & FLAG_SEP != 0, algorithm, public })
}

fn algorithm_of(written: &str) -> Option<Algorithm> {
    Algorithm::ALL
        .into_iter()
        .find(|own| own.number().to_string() == written || own.mnemonic().eq_ignore_ascii_case(written))
}

fn unknown_algorithm(written: &str) -> String {
    format!("its algorithm is {written}; ECDSAP256SHA256 (13) and ED25519 (15) can be used")
}

impl KeyTimes {
    fn named(&self) -> [(&'static str, Option<Duration>); 5] {
        [
            ("Created", self.created),
            ("Publish", self.publish),
            ("Activate", self.activate),
            ("Inactive", self.inactive),
            ("Delete", self.delete),
        ]
    }
}

/// `20261121150301`
fn compact(wall: Duration) -> String {
    rfc3339(wall).chars().filter(char::is_ascii_digit).take(14).collect()
}

fn moment(text: &str) -> Option<Duration> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let part = |from: usize, to: usize| digits.get(from..to);
    if digits.len() != 14 {
        return None;
    }
    let (date, time) =
        ([part(0, 4)?, part(4, 6)?, part(6, 8)?], [part(8, 10)?, part(10, 12)?, part(12, 14)?]);
    parse_rfc3339(&format!("{}T{}Z", date.join("-"), time.join(":")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As the dnssec-keygen of BIND 9.20 wrote it.
    const PRIVATE: &str = "Private-key-format: v1.3
Algorithm: 13 (ECDSAP256SHA256)
PrivateKey: GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=
Created: 20261121150301
Publish: 20261121150301
Activate: 20261121150301
SyncPublish: 20261122150301
";
    const PUBLIC: &str = "; This is a key-signing key, keyid 55648, for example.net.
; Created: 20261121150301 (Sat Nov 21 15:03:01 2026)
example.net. 3600 IN DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYb cB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==
";

    #[test]
    fn files_of_others_are_read() {
        let (pair, times) = read_private(PRIVATE).unwrap();
        let file = read_public(PUBLIC).unwrap();
        assert_eq!((file.owner.as_str(), file.sep, file.algorithm), ("example.net.", true, pair.algorithm()));
        assert_eq!(file.public, pair.public());
        assert_eq!(times.created.map(rfc3339).unwrap(), "2026-11-21T15:03:01.000Z");
        assert_eq!((times.activate, times.inactive), (times.created, None));
        let old = PRIVATE.replace("v1.3", "v1.2").split_inclusive('\n').take(3).collect::<String>();
        assert_eq!(read_private(&old).unwrap().1, KeyTimes::default());
        assert_eq!(file_stem("Example.NET", file.algorithm, 55648), "Kexample.net.+013+55648");
        assert_eq!(file_stem(".", Algorithm::Ed25519, 1), "K.+015+00001");
    }

    #[test]
    fn what_is_written_is_read() {
        for algorithm in Algorithm::ALL {
            let pair = KeyPair::generate(algorithm).unwrap();
            let created = Some(Duration::from_secs(1_795_273_381));
            let times = KeyTimes { created, inactive: created, ..KeyTimes::default() };
            let (again, found) = read_private(&private_text(&pair, &times).unwrap()).unwrap();
            assert_eq!((again.public(), found), (pair.public(), times));
            let file = read_public(&public_text("example.net", false, &pair, 7, &times)).unwrap();
            assert_eq!((file.sep, file.public), (false, pair.public()));
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let private = |from: &str, to: &str| read_private(&PRIVATE.replacen(from, to, 1)).unwrap_err();
        assert!(private("Private-key", "Key").contains("no private key file"));
        assert!(private("v1.3", "v2.0").contains("format v2.0"));
        assert!(private("13 (ECDSAP256SHA256)", "8 (RSASHA256)").contains("8 (RSASHA256)"));
        assert!(private("GU6S", "!!!!").contains("base64"));
        assert!(private("GU6SnQ/O", "").contains("none of ECDSAP256SHA256"));
        assert!(private("PrivateKey", "Modulus").contains("holds no private key"));
        let public = |from: &str, to: &str| read_public(&PUBLIC.replacen(from, to, 1)).unwrap_err();
        assert!(public("257 3 13", "385 3 13").contains("385"));
        assert!(public("257 3 13", "257 3 8").contains("algorithm is 8"));
        assert!(public("DNSKEY", "DS").contains("no DNSKEY"));
        assert!(read_public("; nothing\n").unwrap_err().contains("no record"));
    }
}
