//! The schema, the reader and the manual say the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::*;
use crate::config::schema::describe;
use crate::config::shape::{self, Needed, Shape};

/// Every value of the samples blank, empty or of another kind: reading ends, and never with a
/// configuration that holds a blank text.
#[test]
fn blank_and_empty_values() {
    let (main, names, secondary) = samples();
    let parsed = DeTable::parse(&main).unwrap();
    let mut values = Vec::new();
    collect(parsed.get_ref(), &mut values);
    for (key, place) in values {
        for blank in ["\"\"", "\" \"", "[]", "{}", "-1"] {
            let broken = format!("{}{blank}{}", &main[..place.start], &main[place.end..]);
            let sources = sample_sources(&broken, &names, &secondary);
            let (config, problems) = read(&sources, &environment);
            assert_eq!(config.is_some(), !problems.has_errors());
            assert!(config.is_none() || !blank.starts_with("\"\"") && blank != "\" \"", "{key} = {blank}");
        }
    }
}

/// What of JSON Schema our schemas use, so that they can be tried without another program.
fn validate(root: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let fail = |why: &str| Err(format!("{place}: {why}"));
    for (keyword, rule) in schema.as_object().unwrap() {
        let list = || rule.as_array().unwrap().iter();
        let results = || list().map(|schema| validate(root, schema, value, place));
        match keyword.as_str() {
            "$schema" | "title" | "description" | "$defs" => {}
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                validate(root, root.pointer(pointer).unwrap(), value, place)?;
            }
            "type" => {
                let fits = match rule.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64(),
                    "number" => value.is_number(),
                    other => panic!("{other}"),
                };
                if !fits {
                    return fail(&format!("is no {rule}"));
                }
            }
            "enum" if !list().any(|word| word == value) => return fail("is none of the words"),
            "minimum" if value.as_f64().is_some_and(|number| number < rule.as_f64().unwrap()) => {
                return fail("is too small");
            }
            "maximum" if value.as_f64().is_some_and(|number| number > rule.as_f64().unwrap()) => {
                return fail("is too large");
            }
            "minItems" if value.as_array().is_some_and(Vec::is_empty) => return fail("is empty"),
            "enum"
            | "minimum"
            | "maximum"
            | "minItems"
            | "pattern"
            | "minLength"
            | "additionalProperties" => {}
            "required" => {
                if let Some(key) = list().find(|key| value.get(key.as_str().unwrap()).is_none()) {
                    return fail(&format!("has no {key}"));
                }
            }
            "properties" => {
                let other = schema.get("additionalProperties").unwrap();
                assert_eq!(other, &Value::Bool(false));
                for (key, value) in value.as_object().into_iter().flatten() {
                    match rule.get(key) {
                        Some(schema) => validate(root, schema, value, &format!("{place}.{key}"))?,
                        None => return fail(&format!("has an unknown key {key}")),
                    }
                }
            }
            "items" => value
                .as_array()
                .into_iter()
                .flatten()
                .try_for_each(|value| validate(root, rule, value, place))?,
            "allOf" => results().collect::<Result<_, _>>()?,
            "anyOf" if !results().any(|result| result.is_ok()) => {
                let why: Vec<_> = results().filter_map(Result::err).collect();
                return fail(&why.join(" and "));
            }
            "oneOf" if results().filter(Result::is_ok).count() != 1 => return fail("is not exactly one"),
            "anyOf" | "oneOf" => {}
            other => panic!("{other}"),
        }
    }
    // A table of free names.
    if let (Some(rule), None, Some(entries)) =
        (schema.get("additionalProperties"), schema.get("properties"), value.as_object())
    {
        entries.iter().try_for_each(|(key, value)| validate(root, rule, value, &format!("{place}.{key}")))?;
    }
    Ok(())
}

fn as_json(toml: &str) -> Value {
    moments_as_text(serde_json::to_value(toml.parse::<toml::Table>().unwrap()).unwrap())
}

/// Moments are text to JSON, and to editors.
fn moments_as_text(value: Value) -> Value {
    match value {
        Value::Object(table) => match table.get("$__toml_private_datetime") {
            Some(moment) => moment.clone(),
            None => table.into_iter().map(|(key, value)| (key, moments_as_text(value))).collect(),
        },
        Value::Array(list) => list.into_iter().map(moments_as_text).collect(),
        other => other,
    }
}

fn manual() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap()
}

/// The complete samples of the manual: the main file, the steered names, and a secondary zone.
fn samples() -> (String, String, String) {
    let manual = manual();
    let block = |title: &str| {
        let from = manual.find(&format!("```toml\n# {title}\n")).unwrap() + "```toml\n".len();
        manual[from..].split("```").next().unwrap().to_owned()
    };
    (block("meridian.toml, with every key"), block("zones/example.com.toml"), block("zones/example.net.toml"))
}

/// A sample main file with a zone that has a file and one that comes from its primaries.
fn sample_sources(main: &str, names: &str, secondary: &str) -> Sources {
    let zones = [
        ("example.com", Some(&b""[..]), Some(names.as_bytes())),
        ("example.net", None, Some(secondary.as_bytes())),
    ];
    sources(main.as_bytes(), &zones)
}

#[test]
fn the_manual_is_accepted_without_a_warning_and_fits_the_schema() {
    let (main, names, secondary) = samples();
    let sources = sample_sources(&main, &names, &secondary);
    let (_, problems) = read(&sources, &environment);
    assert_eq!(text(&sources, &problems, Style::Plain), "");
    for (schema, toml) in [(main_schema(), &main), (zone_schema(), &names), (zone_schema(), &secondary)] {
        validate(&schema, &schema, &as_json(toml), "").unwrap();
    }
    let sample = accepted::SAMPLE;
    validate(&main_schema(), &main_schema(), &as_json(sample), "").unwrap();
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    for main in [
        "servr = {}",
        "server = { listn = \"127.0.0.1:53\" }",
        "server = { workers = 0 }",
        "control = { listen = 1 }",
        "monitors.a = { http = {}, tcp = { port = 80 } }",
        "monitors.a = {}",
        "pools.a = {}",
        "pools.a = { endpoints = [{ name = \"a\", region = \"r\" }] }",
        "policies.a = { nearest = \"web\" }",
        "policies.a = { failover = [{ nearest = [\"a\"], failover = [\"b\"] }] }",
        "services.a = { policy = \"a\", client_subnet = \"trusted\" }",
    ] {
        let schema = main_schema();
        assert!(validate(&schema, &schema, &as_json(main), "").is_err(), "{main}");
        let sources = sources(main.as_bytes(), &[]);
        assert!(read(&sources, &environment).1.has_errors(), "{main}");
    }
}

/// Every value of the samples is replaced by one that no key takes: the reader must say so, so it
/// looks at every key; and the samples hold every key of every shape.
#[test]
fn the_reader_looks_at_every_key() {
    let (main, names, secondary) = samples();
    let mut seen = BTreeSet::new();
    for (number, text) in [&main, &names, &secondary].into_iter().enumerate() {
        let parsed = DeTable::parse(text).unwrap();
        let mut values = Vec::new();
        collect(parsed.get_ref(), &mut values);
        for (key, place) in values {
            seen.insert(key.clone());
            // Tables under headers, and those of which a header names a part only, have no text of
            // their own to replace.
            if text[..place.start].trim_end_matches(['[', '.']).is_empty()
                || text[..place.start].rsplit('\n').next().unwrap().trim_start().starts_with('[')
                || text[..place.start].ends_with('\n')
            {
                continue;
            }
            let broken = format!("{}1979-05-27{}", &text[..place.start], &text[place.end..]);
            let mut samples = [&main, &names, &secondary];
            samples[number] = &broken;
            let sources = sample_sources(samples[0], samples[1], samples[2]);
            let (_, problems) = read(&sources, &environment);
            let told = problems.0.iter().any(|problem| {
                problem
                    .span
                    .is_some_and(|span| sample_of(span.file) == number && span.start as usize == place.start)
            });
            assert!(told, "{key} at {place:?}:\n{}", super::text(&sources, &problems, Style::Plain));
        }
    }
    let known = shape::all().iter().flat_map(|shape| shape.keys);
    // `city` is another word for `database`, which cannot stand beside it.
    let unseen: Vec<_> =
        known.map(|key| key.name).filter(|key| !seen.contains(*key) && *key != "city").collect();
    assert!(unseen.is_empty(), "the manual's sample lacks {unseen:?}");
}

/// Which of the samples a file of [`sample_sources`] is.
fn sample_of(file: FileId) -> usize {
    match file.0 {
        0 => 0,
        1 | 2 => 1,
        _ => 2,
    }
}

fn collect(table: &DeTable, values: &mut Vec<(String, std::ops::Range<usize>)>) {
    for (key, value) in table {
        values.push((key.get_ref().to_string(), value.span()));
        below(value.get_ref(), values);
    }
}

fn below(value: &DeValue, values: &mut Vec<(String, std::ops::Range<usize>)>) {
    match value {
        DeValue::Table(table) => collect(table, values),
        DeValue::Array(array) => array.iter().for_each(|item| below(item.get_ref(), values)),
        _ => {}
    }
}

/// The tables of keys in the manual are made from the shapes: `BLESS=1` writes them.
#[test]
fn the_tables_of_the_manual_are_those_of_the_shapes() {
    let manual = manual();
    let mut written = manual.clone();
    for shape in shape::all() {
        if ["meridian.toml", "zones/NAME.toml"].contains(&shape.name) {
            continue;
        }
        let open = format!("<!-- keys of {} -->\n", shape.name);
        let from = written.find(&open).unwrap_or_else(|| panic!("the manual has no {open}")) + open.len();
        let to = from + written[from..].find("<!-- end -->").unwrap();
        written.replace_range(from..to, &keys(shape));
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md"), &written).unwrap();
    } else {
        assert!(manual == written, "BLESS=1 rewrites docs/configuration.md");
    }
}

fn keys(shape: &Shape) -> String {
    let mut table = String::from("| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for key in shape.keys {
        let default = match key.needed {
            Needed::Required => "needed".to_owned(),
            Needed::Default(default) => default.to_owned(),
        };
        let cell = |text: &str| text.replace('|', "\\|");
        table.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            key.name,
            cell(&describe(&key.kind)),
            cell(&default),
            cell(key.doc)
        ));
    }
    table
}

#[test]
fn the_shipped_configuration_is_accepted_without_a_warning_and_fits_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let loaded = crate::load::configuration(&root.join("meridian.toml"));
    assert_eq!(text(&loaded.sources, &loaded.problems, Style::Plain), "");
    for (number, file) in loaded.sources.files.iter().enumerate() {
        let schema = if number == 0 { main_schema() } else { zone_schema() };
        if file.path.ends_with(".toml") {
            let toml = std::str::from_utf8(&file.bytes).unwrap();
            validate(&schema, &schema, &as_json(toml), &file.path).unwrap();
        }
    }
}
