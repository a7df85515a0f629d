//! "Did you mean": near misses among known names.

/// "did you mean `x`?" where one is near, otherwise all of them after `lead`.
pub fn or_list(written: &str, known: &[&str], lead: &str) -> String {
    match near(written, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("{lead} {}", list(known)),
    }
}

/// "did you mean `x`?" where one is near, otherwise "it can be `a` or `b`".
pub fn or_any(written: &str, known: &[&str]) -> String {
    match near(written, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("it can be {}", any(known)),
    }
}

/// "did you mean `x`?" where one is near; the known names where they are few; otherwise `otherwise`.
pub fn or_else(written: &str, known: &[&str], otherwise: &str) -> String {
    match near(written, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() || known.len() > LISTED_MAX => otherwise.to_owned(),
        None if known.len() == 1 => format!("there is only {}", list(known)),
        None => format!("there are {}", list(known)),
    }
}

/// More names than this are not listed in a hint.
const LISTED_MAX: usize = 8;

/// The known name that is nearest, if it is near enough to be a slip.
pub fn near<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    if written.is_empty() || written.len() > COMPARED_OCTETS_MAX {
        return None;
    }
    let written = written.to_lowercase();
    let written_length = written.chars().count();
    let nearness = |name: &&'k str| {
        let length = name.chars().count();
        let slips_max = (length / CHARS_PER_SLIP).max(1).min(length.saturating_sub(1));
        // Comparing takes the product of the lengths: most names are ruled out by theirs.
        if written_length.abs_diff(length) > slips_max {
            return None;
        }
        let lower = name.to_lowercase();
        let slips = strsim::damerau_levenshtein(&written, &lower);
        (slips <= slips_max).then(|| (slips, strsim::jaro_winkler(&written, &lower), *name))
    };
    let nearest = known.iter().filter_map(nearness).min_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    nearest.map(|(.., name)| name)
}

/// Longer names are no slips of the pen, and comparing takes the square of the length.
const COMPARED_OCTETS_MAX: usize = 128;
/// One slip in so many characters still looks like the name that was meant.
const CHARS_PER_SLIP: usize = 3;

/// "`a`, `b` and `c`".
pub fn list(names: &[&str]) -> String {
    joined(names, "and")
}

/// "`a`, `b` or `c`".
pub fn any(names: &[&str]) -> String {
    joined(names, "or")
}

fn joined(names: &[&str], conjunction: &str) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => "none".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} {conjunction} {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses() {
        let keys = ["interval", "timeout", "fall", "rise", "region", "web", "web-eu"];
        for (written, expected) in [
            ("intervall", Some("interval")),
            ("Timeout", Some("timeout")),
            ("regoin", Some("region")),
            ("wbe", Some("web")),
            ("web-us", Some("web-eu")),
            ("frequency", None),
            ("", None),
        ] {
            assert_eq!(near(written, &keys), expected, "{written}");
        }
    }
}
