//! Selectors: which values of a page are meant, as written and as read.
//!
//! `haproxy_frontend_current_sessions{proxy="web"}`, `max(up_load{zone=~"a|b"})` for Prometheus;
//! `web/FRONTEND scur`, `max(web/* scur)` for HAProxy's CSV; `/connections/active` for JSON.

/// What is made of several values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fold {
    /// They are added.
    Sum,
    /// The greatest counts.
    Max,
}

impl Fold {
    /// Two values together.
    pub fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Fold::Sum => one + other,
            Fold::Max => one.max(other),
        }
    }
}

/// Time series of a Prometheus exposition.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Series {
    /// The metric's name.
    pub name: String,
    /// All must match.
    pub labels: Vec<LabelMatch>,
    /// What is made of several.
    pub fold: Fold,
}

/// A condition on one label; a label that is not there is empty.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LabelMatch {
    /// The label's name.
    pub label: String,
    /// The condition.
    pub matcher: Matcher,
}

/// A condition on a text.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Matcher {
    /// `="text"`
    Is(String),
    /// `!="text"`
    IsNot(String),
    /// `=~"5..|429"`
    Like(Pattern),
    /// `!~"5.."`
    Unlike(Pattern),
}

impl Matcher {
    /// Whether a text meets it.
    pub fn meets(&self, text: &[u8]) -> bool {
        match self {
            Matcher::Is(wanted) => wanted.as_bytes() == text,
            Matcher::IsNot(unwanted) => unwanted.as_bytes() != text,
            Matcher::Like(pattern) => pattern.meets(text),
            Matcher::Unlike(pattern) => !pattern.meets(text),
        }
    }
}

/// The part of regular expressions that label matchers use: `|` between alternatives, `.` for any octet,
/// `.*` and `.+` for any run of them. It matches whole texts, in time that no page can stretch.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pattern(Vec<Vec<Piece>>);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Piece {
    Octet(u8),
    Any,
    Run,
}

/// Characters that mean something else in regular expressions: refused, not misread.
const NOT_IN_PATTERNS: &[u8] = br"*+?()[]{}^$\";

impl Pattern {
    /// Reads a pattern; `None` where it asks for more than this.
    pub fn parse(text: &str) -> Option<Pattern> {
        text.split('|').map(alternative).collect::<Option<_>>().map(Pattern)
    }

    fn meets(&self, text: &[u8]) -> bool {
        self.0.iter().any(|pieces| matches(pieces, text))
    }
}

fn alternative(text: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let (new, used): (&[Piece], usize) = match (first, tail.first()) {
            (b'.', Some(b'*')) => (&[Piece::Run], 1),
            (b'.', Some(b'+')) => (&[Piece::Any, Piece::Run], 1),
            (b'.', _) => (&[Piece::Any], 0),
            (octet, _) if NOT_IN_PATTERNS.contains(octet) => return None,
            (octet, _) => (&[Piece::Octet(*octet)], 0),
        };
        pieces.extend_from_slice(new);
        rest = tail.get(used..).unwrap_or_default();
    }
    Some(pieces)
}

/// Greedy with one way back, as for file names: a later run makes an earlier one's choice irrelevant.
fn matches(pieces: &[Piece], text: &[u8]) -> bool {
    let (mut piece, mut at) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        let fits = match (pieces.get(piece), text.get(at)) {
            (None, None) => return true,
            (Some(Piece::Run), _) => {
                back = Some((piece + 1, at));
                piece += 1;
                continue;
            }
            (Some(Piece::Any), Some(_)) => true,
            (Some(Piece::Octet(wanted)), Some(octet)) => wanted == octet,
            _ => false,
        };
        if fits {
            (piece, at) = (piece + 1, at + 1);
        } else if let Some((after, from)) = back.filter(|(_, from)| *from < text.len()) {
            back = Some((after, from + 1));
            (piece, at) = (after, from + 1);
        } else {
            return false;
        }
    }
}

impl Series {
    /// Reads a written selector; why not, if not.
    pub fn parse(text: &str) -> Result<Series, &'static str> {
        let (fold, text) = fold(text);
        let (name, labels) = match text.split_once('{') {
            None => (text, ""),
            Some((name, rest)) => (name, rest.strip_suffix('}').ok_or("the closing brace is missing")?),
        };
        let name = name.trim();
        let start = |c: u8| c.is_ascii_alphabetic() || c == b'_' || c == b':';
        let plain = name.bytes().all(|c| start(c) || c.is_ascii_digit());
        if !plain || !name.bytes().next().is_some_and(start) {
            return Err("it does not begin with a metric's name");
        }
        Ok(Series { name: name.to_owned(), labels: label_matches(labels)?, fold })
    }
}

fn label_matches(text: &str) -> Result<Vec<LabelMatch>, &'static str> {
    let mut matches = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(['=', '!']).ok_or("a label has no `=`")?;
        let (label, tail) = rest.split_at(end);
        let (operator, tail) = ["=~", "!~", "!=", "="]
            .into_iter()
            .find_map(|op| Some((op, tail.strip_prefix(op)?)))
            .ok_or("a label has no `=`")?;
        let (value, tail) = quoted(tail.trim_start())?;
        let pattern =
            |value: &str| Pattern::parse(value).ok_or("its pattern holds more than `.`, `.*`, `.+` and `|`");
        let matcher = match operator {
            "=~" => Matcher::Like(pattern(&value)?),
            "!~" => Matcher::Unlike(pattern(&value)?),
            "!=" => Matcher::IsNot(value),
            _ => Matcher::Is(value),
        };
        matches.push(LabelMatch { label: label.trim().to_owned(), matcher });
        let tail = tail.trim_start();
        rest = match tail.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if tail.is_empty() => tail,
            None => return Err("a comma is missing between labels"),
        };
    }
    Ok(matches)
}

/// A text in double quotes, with `\\`, `\"` and `\n` in it, and what follows.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let text = text.strip_prefix('"').ok_or("a label's value is not in double quotes")?;
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                _ => return Err("a backslash stands before something other than `\\`, `\"` or `n`"),
            },
            _ => value.push(c),
        }
    }
    Err("a label's value does not end")
}

/// Cells of a column of HAProxy's CSV.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cell {
    /// `pxname`; `None`: any.
    pub proxy: Option<String>,
    /// `svname`: `FRONTEND`, `BACKEND` or a server; `None`: any server.
    pub server: Option<String>,
    /// The column's name.
    pub column: String,
    /// What is made of several.
    pub fold: Fold,
}

impl Cell {
    /// Reads a written selector, `PROXY/SERVER COLUMN`; why not, if not.
    pub fn parse(text: &str) -> Result<Cell, &'static str> {
        let (fold, text) = fold(text);
        let mut words = text.split_whitespace();
        let (Some(row), Some(column), None) = (words.next(), words.next(), words.next()) else {
            return Err("it is not a row and a column");
        };
        let (proxy, server) = row.split_once('/').ok_or("its row is not PROXY/SERVER")?;
        if proxy.is_empty() || server.is_empty() {
            return Err("its row is not PROXY/SERVER");
        }
        let named = |name: &str| (name != "*").then(|| name.to_owned());
        Ok(Cell { proxy: named(proxy), server: named(server), column: column.to_owned(), fold })
    }
}

/// `sum(...)` or `max(...)` around a selector.
fn fold(text: &str) -> (Fold, &str) {
    let text = text.trim();
    for (word, fold) in [("sum(", Fold::Sum), ("max(", Fold::Max)] {
        if let Some(inner) = text.strip_prefix(word).and_then(|rest| rest.strip_suffix(')')) {
            return (fold, inner.trim());
        }
    }
    (Fold::Sum, text)
}

/// A place in a JSON document (RFC 6901).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pointer(pub Vec<String>);

/// A pointer of more steps than this is a mistake.
pub const POINTER_STEPS_MAX: usize = 32;

/// A longer step is a mistake.
pub const POINTER_STEP_OCTETS_MAX: usize = 256;

impl Pointer {
    /// Reads a written pointer; why not, if not.
    pub fn parse(text: &str) -> Result<Pointer, &'static str> {
        if text.is_empty() {
            return Ok(Pointer(Vec::new()));
        }
        let text = text.strip_prefix('/').ok_or("a pointer begins with a slash")?;
        let steps: Vec<String> = text.split('/').map(step).collect::<Result<_, _>>()?;
        if steps.len() > POINTER_STEPS_MAX {
            return Err("it has more than 32 steps");
        }
        if steps.iter().any(|step| step.len() > POINTER_STEP_OCTETS_MAX) {
            return Err("a step of it is longer than 256 octets");
        }
        Ok(Pointer(steps))
    }
}

fn step(text: &str) -> Result<String, &'static str> {
    let mut parts = text.split('~');
    let mut step = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match part.as_bytes().first() {
            Some(b'0') => ('~', part.get(1..)),
            Some(b'1') => ('/', part.get(1..)),
            _ => return Err("`~` stands for itself as `~0`, `/` as `~1`"),
        };
        step.push(escaped);
        step.push_str(rest.unwrap_or_default());
    }
    Ok(step)
}
