//! `body`, `regex` and `json`: what must be true of an answer's body.

use serde_json::Value as Json;
use toml::de::DeValue;

use super::reader::{At, Context, Name, Table, Value, shortened, wrong_type};
use crate::health::BodyMatch;

/// Pointers of one check; a health page is small.
const POINTERS_MAX: usize = 32;
/// Whole numbers up to here are the same in every program that reads JSON (RFC 8259, 6).
const EXACT_MAX: i64 = 1 << 53;

/// All that must be true of the body.
pub fn matches(cx: &mut Context, table: &Table, method: &str) -> Vec<BodyMatch> {
    let mut matches = Vec::new();
    matches.extend(table.text(cx, "body").map(|text| BodyMatch::Text(text.value.to_owned())));
    matches.extend(table.text(cx, "regex").and_then(|text| regex(cx, text)));
    let pointers = table.names(cx, "json");
    if let (Some(value), true) = (table.get("json"), pointers.is_empty()) {
        let empty = value.toml.as_table().is_some();
        if empty {
            cx.error(value.span, "`json` is empty", "write { \"/status\" = \"ok\" }, or leave the key out");
        }
    }
    if let Some((name, _)) = pointers.get(POINTERS_MAX) {
        cx.error(
            name.span,
            format!("`json` has {} pointers", pointers.len()),
            format!("at most {POINTERS_MAX}"),
        );
    }
    for (name, value) in pointers.into_iter().take(POINTERS_MAX) {
        matches.extend(pointer(cx, name, value));
    }
    if method == "HEAD" {
        for key in ["body", "regex", "json"] {
            if let Some(value) = table.get(key) {
                cx.error(
                    value.span,
                    format!("`{key}` can never be found: answers to HEAD have no body"),
                    "use method = \"GET\"",
                );
            }
        }
    }
    matches
}

fn regex(cx: &mut Context, text: At<&str>) -> Option<BodyMatch> {
    match BodyMatch::compile(text.value) {
        Ok(_) => Some(BodyMatch::Regex(text.value.to_owned())),
        Err(why) => {
            // The parser's own words repeat the pattern over several lines; the caret shows it already.
            let why = why.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            cx.error(
                text.span,
                format!("`regex` is not a regular expression that can be used: {}", shortened(why)),
                "the syntax is that of the Rust crate regex; '...' in TOML keeps backslashes as they are",
            );
            None
        }
    }
}

fn pointer(cx: &mut Context, name: Name, value: Value) -> Option<BodyMatch> {
    let values: Vec<Json> = match value.elements() {
        Some(elements) => {
            if elements.is_empty() {
                cx.error(value.span, "there is no value to be found here", "name at least one");
            }
            elements.into_iter().filter_map(|element| json(cx, name, element)).collect()
        }
        None => json(cx, name, value).into_iter().collect(),
    };
    if let Err((why, hint)) = judge_pointer(name.text) {
        cx.error(name.span, format!("`{}` is not a JSON pointer: {why}", shortened(name.text)), hint);
        return None;
    }
    (!values.is_empty()).then(|| BodyMatch::Json { pointer: name.text.to_owned(), values })
}

/// RFC 6901, 3.
fn judge_pointer(text: &str) -> Result<(), (&'static str, String)> {
    if !text.is_empty() && !text.starts_with('/') {
        let hint = format!("write \"/{}\"", text.trim_start_matches("$.").replace('.', "/"));
        return Err(("it does not begin with a slash", hint));
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('~') {
        if !after.starts_with(['0', '1']) {
            return Err(("a `~` stands alone", "write ~0 for `~` and ~1 for `/`".to_owned()));
        }
        rest = after;
    }
    Ok(())
}

fn json(cx: &mut Context, name: Name, value: Value) -> Option<Json> {
    let key = name.text;
    match value.toml {
        DeValue::String(_) => value.text(cx, key).map(|text| Json::from(text.value)),
        DeValue::Boolean(flag) => Some(Json::from(*flag)),
        DeValue::Integer(digits) => {
            let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
            let number = number.filter(|number| (-EXACT_MAX..=EXACT_MAX).contains(number));
            if number.is_none() {
                cx.error(
                    value.span,
                    format!("`{}` is {}, out of range", shortened(key), shortened(&digits.to_string())),
                    "JSON's numbers are exact up to 2^53 only; match the text with `regex`",
                );
            }
            number.map(Json::from)
        }
        DeValue::Float(_) => {
            let number = value.number(cx, key)?;
            let json = serde_json::Number::from_f64(number.value);
            if json.is_none() {
                cx.error(
                    value.span,
                    format!("`{}` is no number of JSON", shortened(key)),
                    "write it in decimals",
                );
            }
            json.map(Json::Number)
        }
        _ => {
            wrong_type(cx, &shortened(key), value, "text, a number, true or false is needed", "");
            None
        }
    }
}
