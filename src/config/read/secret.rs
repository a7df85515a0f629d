//! `${VARIABLE}`: secrets that stand in the environment and not in the file.

use super::reader::{At, Context};

/// The text with its variables replaced. Unknown and malformed ones are reported; a secret's value is
/// never part of a message.
pub fn resolve(cx: &mut Context, key: &str, text: At<&str>) -> Option<String> {
    let mut resolved = String::with_capacity(text.value.len());
    let mut rest = text.value;
    while let Some((before, after)) = rest.split_once("${") {
        resolved.push_str(before);
        let Some((variable, tail)) = after.split_once('}') else {
            cx.error(text.span, format!("`{key}` has a `${{` without its `}}`"), "write ${VARIABLE}");
            return None;
        };
        resolved.push_str(&look_up(cx, key, At { value: variable, span: text.span })?);
        rest = tail;
    }
    resolved.push_str(rest);
    Some(resolved)
}

fn look_up(cx: &mut Context, key: &str, variable: At<&str>) -> Option<String> {
    let name = variable.value;
    let plain = name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    if name.is_empty() || !plain {
        cx.error(
            variable.span,
            format!("`{key}` names no variable between `${{` and `}}`"),
            "write letters, digits and underscores: ${VARIABLE}",
        );
        return None;
    }
    match (cx.environment)(name) {
        Some(value) if !value.trim().is_empty() => Some(value),
        found => {
            let state = if found.is_some() { "is blank" } else { "is not set" };
            cx.error(
                variable.span,
                format!("the environment variable `{name}` {state}"),
                format!("`{key}` needs it: set it where the server is started"),
            );
            None
        }
    }
}
