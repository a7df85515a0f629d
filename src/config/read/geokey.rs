//! The keys of geo rules.

use super::scalar;
use crate::config::{countries, suggest};
use crate::geo::{Continent, CountryCode, GeoKey};

/// What the key of a geo rule says.
pub enum Written {
    /// A rule.
    Rule(GeoKey),
    /// `default`
    Default,
    /// `unknown`
    Unknown,
}

/// The kinds of rule that have a word.
const KINDS: [&str; 4] = ["continent", "country", "subdivision", "asn"];

/// Continents by their letters and what people call them.
const CONTINENTS: [(&str, Continent, &str); 7] = [
    ("AF", Continent::Africa, "Africa"),
    ("AN", Continent::Antarctica, "Antarctica"),
    ("AS", Continent::Asia, "Asia"),
    ("EU", Continent::Europe, "Europe"),
    ("NA", Continent::NorthAmerica, "North America"),
    ("OC", Continent::Oceania, "Oceania"),
    ("SA", Continent::SouthAmerica, "South America"),
];

/// Reads a key; why it is none, and what to write instead.
pub fn read(text: &str) -> Result<Written, (String, String)> {
    match text {
        "default" => return Ok(Written::Default),
        "unknown" => return Ok(Written::Unknown),
        _ => {}
    }
    if text.contains('/') || text.parse::<std::net::IpAddr>().is_ok() {
        return scalar::network(text).map(|net| Written::Rule(GeoKey::Cidr(net)));
    }
    let Some((kind, what)) = text.split_once(':') else { return Err(no_kind(text)) };
    let key = match kind {
        "continent" => GeoKey::Continent(continent(what)?),
        "country" => GeoKey::Country(country(what)?),
        "subdivision" => subdivision(what)?,
        "asn" => GeoKey::Asn(asn(what)?),
        _ => {
            let hint = suggest::or_list(kind, &KINDS, "rules begin with");
            return Err((format!("there is no kind of rule `{kind}`"), hint));
        }
    };
    Ok(Written::Rule(key))
}

fn no_kind(text: &str) -> (String, String) {
    let upper = text.to_ascii_uppercase();
    let hint = if CONTINENTS.iter().any(|(code, ..)| *code == upper) {
        format!("say which is meant: \"continent:{upper}\" or \"country:{upper}\"")
    } else if countries::is_known(&upper) {
        format!("write \"country:{upper}\"")
    } else {
        match suggest::near(text, &["default", "unknown"]) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write continent:EU, country:SA, subdivision:US-CA, asn:64500, 203.0.113.0/24, default or unknown".into(),
        }
    };
    ("it does not say what it matches".to_owned(), hint)
}

fn continent(text: &str) -> Result<Continent, (String, String)> {
    let found = CONTINENTS.iter().find(|(code, ..)| code.eq_ignore_ascii_case(text));
    found.map(|(_, continent, _)| *continent).ok_or_else(|| {
        let named = CONTINENTS.iter().find(|(.., name)| name.eq_ignore_ascii_case(text));
        let hint = match named {
            Some((code, ..)) => format!("write continent:{code}"),
            None => "continents are AF, AN, AS, EU, NA, OC and SA".to_owned(),
        };
        (format!("there is no continent `{text}`"), hint)
    })
}

/// Letters that people take for a country's code.
const NOT_QUITE: [(&str, &str); 3] = [("UK", "GB"), ("EN", "GB"), ("EL", "GR")];

fn country(text: &str) -> Result<CountryCode, (String, String)> {
    let upper = text.to_ascii_uppercase();
    if let ([first, second], true) = (upper.as_bytes(), countries::is_known(&upper)) {
        return Ok(CountryCode([*first, *second]));
    }
    let hint = match NOT_QUITE.iter().find(|(wrong, _)| *wrong == upper) {
        Some((_, right)) => format!("did you mean `{right}`?"),
        None => "write the two letters of ISO 3166-1, such as country:SA".to_owned(),
    };
    Err((format!("there is no country `{text}`"), hint))
}

/// ISO 3166-2 codes have at most so many characters after the hyphen; longer text is a name.
const SUBDIVISION_CODE_OCTETS_MAX: usize = 3;

fn subdivision(text: &str) -> Result<GeoKey, (String, String)> {
    let hint = "write the code of ISO 3166-2, such as subdivision:US-CA";
    let Some((country_text, part)) = text.split_once('-') else {
        return Err((format!("`{text}` names no subdivision"), hint.to_owned()));
    };
    let country = country(country_text)?;
    let part = part.trim();
    if part.is_empty() {
        return Err((format!("`{text}` names no subdivision"), hint.to_owned()));
    }
    let part = match part.len() <= SUBDIVISION_CODE_OCTETS_MAX {
        true => part.to_ascii_uppercase(),
        false => part.to_owned(),
    };
    Ok(GeoKey::Subdivision(country, part.into()))
}

fn asn(text: &str) -> Result<u32, (String, String)> {
    let number = text.parse::<u32>().ok().filter(|number| *number > 0);
    number.filter(|_| text.bytes().all(|c| c.is_ascii_digit())).ok_or_else(|| {
        let bare = text.trim_start_matches(['A', 'S', 'a', 's']);
        let hint = match bare.parse::<u32>() {
            Ok(number) if number > 0 => format!("write asn:{number}"),
            _ => "write a number from 1 to 4294967295: asn:64500".to_owned(),
        };
        (format!("there is no autonomous system `{text}`"), hint)
    })
}
