//! The zones folder: origins, and the steered names of each zone.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::directory::Directory;
use super::reader::span;
use super::reader::{At, Context, Name, Table, Value, shortened};
use super::scalar::{LABEL_OCTETS_MAX, NAME_TEXT_OCTETS_MAX};
use super::{dnssec, names, parse, secondary, transfer};
use crate::config::shape::ZONE;
use crate::config::{
    FileId, Secondary, Service, Sources, Span, SteeredName, Transfer, Zone, ZoneDnssec, ZoneFiles,
};
use crate::ids::ServiceId;

/// What the files of zones refer to.
pub struct Known<'k, 't> {
    /// The services.
    pub services: &'k [Service],
    /// Their names.
    pub names: &'k mut Directory<'t>,
    /// The names of TSIG keys.
    pub keys: &'k mut Directory<'t>,
    /// The folder of the main file.
    pub folder: &'k Path,
}

/// What `ORIGIN.toml` says.
#[derive(Default)]
struct Own {
    names: Vec<SteeredName>,
    dnssec: Option<ZoneDnssec>,
    secondary: Option<Secondary>,
    transfer: Transfer,
}

/// The zones of a folder, and what their own files say.
pub fn zones(cx: &mut Context, sources: &Sources, files: &[ZoneFiles], known: &mut Known) -> Vec<Zone> {
    let mut zones = Vec::new();
    let mut seen: HashMap<String, FileId> = HashMap::new();
    for (origin, file, names) in files {
        let Some(first) = file.or(*names) else { continue };
        let top = Span { file: first, start: 0, end: 0 };
        if let Err(why) = check_origin(origin) {
            cx.error(
                top,
                format!("the file's name is no zone's: {why}"),
                "a zone file is called after its zone, such as example.com.zone",
            );
        }
        if let Some(earlier) = seen.insert(origin.to_ascii_lowercase(), first) {
            cx.error(
                top,
                format!("the zone {origin} is there twice"),
                "names of zones differ by more than upper and lower case",
            );
            cx.also(Span { file: earlier, start: 0, end: 0 }, "the first one");
        }
        let own = names.map(|names| own_file(cx, (sources, names), origin, known));
        let own = own.unwrap_or_default();
        match (*file, &own.secondary) {
            (None, None) => cx.absent(
                top,
                format!("the zone {origin} has steered names but no {origin}.zone beside them"),
                format!(
                    "add {origin}.zone with at least the SOA and NS records, say where the zone comes from: \
                     [secondary], or remove this file"
                ),
            ),
            (Some(file), Some(secondary)) => {
                let message = format!("the zone {origin} is in {origin}.zone and on its primaries");
                let hint = format!("remove {origin}.zone, or `[secondary]`");
                cx.error(secondary.span, message, hint);
                cx.also(Span { file, start: 0, end: 0 }, "the zone file");
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
        let Own { names, dnssec, secondary, transfer } = own;
        zones.push(Zone { origin: origin.clone(), file: first, secondary, names, dnssec, transfer });
    }
    zones
}

fn check_origin(origin: &str) -> Result<(), &'static str> {
    if origin == "." {
        return Ok(());
    }
    if origin.is_empty() {
        return Err("it is empty");
    }
    if origin.len() > NAME_TEXT_OCTETS_MAX {
        return Err("it is longer than 253 characters");
    }
    origin.split('.').try_for_each(check_label)?;
    match origin.starts_with("*.") || origin == "*" {
        true => Err("a zone is no wildcard"),
        false => Ok(()),
    }
}

fn check_label(label: &str) -> Result<(), &'static str> {
    if label.is_empty() {
        return Err("a label is empty");
    }
    if label.len() > LABEL_OCTETS_MAX {
        return Err("a label is longer than 63 characters");
    }
    if !label.bytes().all(|c| c.is_ascii_graphic() && !br#""();@$\/"#.contains(&c)) {
        return Err("it holds characters that are not possible here");
    }
    Ok(())
}

fn own_file(cx: &mut Context, (sources, file): (&Sources, FileId), origin: &str, known: &mut Known) -> Own {
    // The parser might make something of the rest that it would not make of the whole: then it gets the whole.
    let bytes = sources.file(file).map_or(&[][..], |source| &source.bytes);
    let taken = std::str::from_utf8(bytes).ok().and_then(names::taken_out);
    let (rest, plain) = taken.unwrap_or_default();
    let (rest, errors) = DeTable::parse_recoverable(&rest);
    let is_empty =
        |value: &Spanned<DeValue<'_>>| value.get_ref().as_table().is_some_and(|table| table.is_empty());
    if !plain.is_empty() && errors.is_empty() && rest.get_ref().get("names").is_some_and(is_empty) {
        let table = Table::root(cx, file, rest.get_ref(), &ZONE);
        let mut seen = Seen::new();
        let names = plain.iter().filter_map(|own| {
            let name = Name { text: own.name, span: span(file, own.name_at.clone()) };
            check_steered(cx, name, origin, &mut seen);
            let service = At { value: own.service, span: span(file, own.service_at.clone()) };
            steered_by(cx, name, service, known)
        });
        let names = names.collect();
        return own_settings(cx, &table, names, known);
    }
    let Some(parsed) = parse::file(cx, sources, file) else { return Own::default() };
    let table = Table::root(cx, file, parsed.get_ref(), &ZONE);
    let names = steered_names(cx, &table, origin, known);
    own_settings(cx, &table, names, known)
}

fn own_settings(cx: &mut Context, table: &Table, names: Vec<SteeredName>, known: &mut Known) -> Own {
    let dnssec = dnssec::zone_dnssec(cx, table, !names.is_empty());
    let secondary =
        table.get("secondary").and_then(|value| secondary::secondary(cx, value, known.keys, known.folder));
    Own { names, dnssec, secondary, transfer: transfer::transfer(cx, table, known.keys) }
}

fn steered_names(cx: &mut Context, table: &Table, origin: &str, known: &mut Known) -> Vec<SteeredName> {
    let mut seen = Seen::new();
    let mut names = Vec::new();
    for (name, value) in table.names(cx, "names") {
        check_steered(cx, name, origin, &mut seen);
        names.extend(steered(cx, name, value, known));
    }
    names
}

/// Names in lower case, and where each is written.
type Seen<'t> = HashMap<Cow<'t, str>, Span>;

/// What can be said of a name before anybody knows who answers for it.
fn check_steered<'t>(cx: &mut Context, name: Name<'t>, origin: &str, seen: &mut Seen<'t>) {
    if let Err((why, hint)) = check_name(name.text, origin) {
        cx.error(name.span, format!("`{}` cannot be a name of {origin}: {why}", shortened(name.text)), hint);
    }
    let lower = match name.text.bytes().any(|octet| octet.is_ascii_uppercase()) {
        true => Cow::Owned(name.text.to_ascii_lowercase()),
        false => Cow::Borrowed(name.text),
    };
    if let Some(first) = seen.insert(lower, name.span) {
        cx.error(
            name.span,
            format!("the name `{}` is there twice", shortened(name.text)),
            "remove one of them: DNS knows no upper and lower case",
        );
        cx.also(first, "the first one");
    }
}

fn steered(cx: &mut Context, name: Name, value: Value, known: &mut Known) -> Option<SteeredName> {
    if value.toml.is_table() {
        cx.error(
            name.span,
            format!("`{}` is a table; the name of a service is needed", shortened(name.text)),
            "put names with dots in quotes: \"a.b\" = \"service\"",
        );
        return None;
    }
    // A line that was added at the end of the file belongs to the table before it.
    if name.text == "dnssec" && value.toml.as_bool().is_some() {
        cx.error(name.span, "`dnssec` stands among the names", "put the line above [names]");
        return None;
    }
    let text: At<&str> = value.text(cx, &shortened(name.text))?;
    steered_by(cx, name, text, known)
}

fn steered_by(cx: &mut Context, name: Name, text: At<&str>, known: &mut Known) -> Option<SteeredName> {
    let number = known.names.refer(cx, text)?;
    let apex_alias = name.text == "@" && known.services.get(number).is_some_and(|service| service.alias);
    if apex_alias {
        cx.error(
            name.span,
            format!("the zone's own name cannot be steered by `{}`: it answers CNAME", shortened(text.value)),
            "the SOA and NS records stand there too: set flatten = true in the service, or use one whose endpoints have addresses",
        );
    }
    Some(SteeredName { name: name.text.to_owned(), span: name.span, service: ServiceId(number as u32) })
}

fn check_name(name: &str, origin: &str) -> Result<(), (String, String)> {
    if name == "@" {
        return Ok(());
    }
    let relative = || "names are relative to the zone: \"www\", \"*.apps\", \"@\"".to_owned();
    if let Some(absolute) = name.strip_suffix('.') {
        return Err(match inside(absolute, origin) {
            Some("") => ("it is written in full".to_owned(), "write \"@\"".to_owned()),
            Some(rest) => ("it is written in full".to_owned(), format!("write \"{rest}\"")),
            None => ("it lies outside the zone".to_owned(), relative()),
        });
    }
    for (number, label) in name.split('.').enumerate() {
        check_label(label).map_err(|why| (why.to_owned(), relative()))?;
        if label == "*" && number > 0 {
            return Err(("a wildcard stands first".to_owned(), "write \"*.apps\"".to_owned()));
        }
    }
    if name.len() + 1 + origin.len() > NAME_TEXT_OCTETS_MAX {
        return Err(("with the zone it is longer than 253 characters".to_owned(), relative()));
    }
    Ok(())
}

/// What is left of an absolute name without its zone.
fn inside<'n>(name: &'n str, origin: &str) -> Option<&'n str> {
    let cut = name.len().checked_sub(origin.len())?;
    let (rest, tail) = (name.get(..cut)?, name.get(cut..)?);
    if !tail.eq_ignore_ascii_case(origin) {
        return None;
    }
    if rest.is_empty() { Some(rest) } else { rest.strip_suffix('.') }
}
