//! The JSON Schema of both files, made from the shapes that the reader goes by.

use serde_json::{Map, Value, json};

use super::read::spell_duration;
use super::shape::{self, Kind, Needed, Shape};
use super::suggest;

/// The dialect; editors know it.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Durations as the reader takes them: numbers with units that get smaller.
const DURATION_PATTERN: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";

/// Moments as RFC 3339 writes them; dates of TOML count as text for editors.
const MOMENT_PATTERN: &str =
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$";

/// The schema of `meridian.toml`.
pub fn main_schema() -> Value {
    document(&shape::MAIN, "The configuration of meridian")
}

/// The schema of `zones/NAME.toml`.
pub fn zone_schema() -> Value {
    document(&shape::ZONE, "The steered names of a zone of meridian")
}

fn document(root: &'static Shape, title: &str) -> Value {
    let mut schema = table(root);
    schema.insert("$schema".to_owned(), json!(DIALECT));
    schema.insert("title".to_owned(), json!(title));
    let used = reachable(root);
    let definitions: Map<_, _> =
        used.iter().map(|shape| (definition(shape), Value::Object(table(shape)))).collect();
    if !definitions.is_empty() {
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    Value::Object(schema)
}

/// The tables that a root leads to, itself left out.
fn reachable(root: &'static Shape) -> Vec<&'static Shape> {
    let mut found: Vec<&'static Shape> = Vec::new();
    let mut open = vec![root];
    while let Some(shape) = open.pop() {
        let mut below = Vec::new();
        shape.keys.iter().for_each(|key| tables(&key.kind, &mut below));
        for shape in below {
            if !found.iter().any(|known| std::ptr::eq(*known, shape)) {
                found.push(shape);
                open.push(shape);
            }
        }
    }
    found
}

/// The tables that a kind names.
fn tables(kind: &'static Kind, found: &mut Vec<&'static Shape>) {
    match kind {
        Kind::Table(shape) => found.push(shape),
        Kind::List(inner) | Kind::Names(_, inner) => tables(inner, found),
        Kind::Either(kinds) => kinds.iter().for_each(|kind| tables(kind, found)),
        Kind::Text(_)
        | Kind::Word(_)
        | Kind::Integer(..)
        | Kind::Number(..)
        | Kind::Span(..)
        | Kind::Moment
        | Kind::Flag => {}
    }
}

fn definition(shape: &Shape) -> String {
    // Blanks are not possible in a reference.
    // A section and a table below another may have one name: `[https]`, and a monitor's `https`.
    let kind = if shape.name.starts_with('[') { "-section" } else { "" };
    format!("{}{kind}", shape.name.trim_matches(['[', ']']).replace(' ', "-"))
}

fn table(shape: &'static Shape) -> Map<String, Value> {
    let properties: Map<_, _> = shape.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<_> =
        shape.keys.iter().filter(|key| key.needed == Needed::Required).map(|key| key.name).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("description".to_owned(), json!(shape.doc));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("additionalProperties".to_owned(), json!(false));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    let alternatives = shape.exactly_one.iter().map(|set| {
        let each: Vec<_> = set.iter().map(|key| json!({ "required": [key] })).collect();
        json!({ "oneOf": each })
    });
    let alternatives: Vec<_> = alternatives.collect();
    if !alternatives.is_empty() {
        schema.insert("allOf".to_owned(), json!(alternatives));
    }
    schema
}

fn property(key: &'static shape::Key) -> Value {
    let mut schema = value(&key.kind);
    let description = match key.needed {
        Needed::Required => key.doc.to_owned(),
        Needed::Default(default) => format!("{} Default: {default}.", key.doc),
    };
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), json!(description));
    }
    schema
}

fn value(kind: &'static Kind) -> Value {
    match kind {
        Kind::Text(_) => json!({ "type": "string", "pattern": "\\S" }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::Integer(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Number(min, max) => json!({ "type": "number", "minimum": min, "maximum": max }),
        Kind::Span(..) => json!({ "type": "string", "minLength": 2, "pattern": DURATION_PATTERN }),
        Kind::Moment => json!({ "type": "string", "pattern": MOMENT_PATTERN }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::List(inner) => json!({ "type": "array", "items": value(inner), "minItems": 1 }),
        Kind::Table(shape) => json!({ "$ref": format!("#/$defs/{}", definition(shape)) }),
        Kind::Names(_, inner) => json!({ "type": "object", "additionalProperties": value(inner) }),
        Kind::Either(kinds) => {
            let each: Vec<_> = kinds.iter().map(value).collect();
            json!({ "anyOf": each })
        }
    }
}

/// What a kind of value is, in words: for hints and for the manual.
pub fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Text(what) => (*what).to_owned(),
        Kind::Word(words) => suggest::any(words),
        Kind::Integer(min, max) => format!("a whole number from {min} to {max}"),
        Kind::Number(min, max) => format!("a number from {min} to {max}"),
        Kind::Span(min, max) => {
            format!("a duration from \"{}\" to \"{}\"", spell_duration(*min), spell_duration(*max))
        }
        Kind::Moment => "a moment such as 2026-12-24T00:00:00Z".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::List(inner) => format!("an array, each {}", describe(inner)),
        Kind::Table(shape) => match shape.name.starts_with('[') {
            true => "a table".to_owned(),
            false => format!("a table ({})", shape.name),
        },
        Kind::Names(what, inner) => format!("a table of {what}s by name, each {}", describe(inner)),
        Kind::Either(kinds) => kinds.iter().map(describe).collect::<Vec<_>>().join("; or "),
    }
}
