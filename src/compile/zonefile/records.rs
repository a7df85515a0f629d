//! Entries read one by one into records: directives, owners, TTLs, classes, types.

use super::entries::{Entries, Entry, Fault};
use super::{PROBLEMS_MAX, rdata};
use crate::config::{FileId, Problems, Span};
use crate::wire::{Name, NameTextError, Rtype, name_text, parse_name};

/// RFC 2181 section 8: the upper bit is not used.
const TTL_S_MAX: u32 = i32::MAX as u32;

/// What a file held, in its order.
#[derive(Default)]
pub(super) struct Records {
    pub(super) list: Vec<Record>,
    /// Owners in lower-case wire form, and RDATA.
    octets: Vec<u8>,
}

/// One record. Names and data are ranges of a common store: zones can have millions.
#[derive(Clone, Copy)]
pub(super) struct Record {
    owner: (u32, u8),
    pub(super) rtype: Rtype,
    pub(super) ttl_s: u32,
    rdata: (u32, u16),
    start: u32,
    end: u32,
}

impl Records {
    /// Lower-case wire form.
    pub(super) fn owner(&self, record: &Record) -> &[u8] {
        self.range(record.owner.0, u16::from(record.owner.1))
    }

    /// Uncompressed wire form.
    pub(super) fn rdata(&self, record: &Record) -> &[u8] {
        self.range(record.rdata.0, record.rdata.1)
    }

    fn range(&self, start: u32, length: u16) -> &[u8] {
        let start = start as usize;
        self.octets.get(start..start + usize::from(length)).unwrap_or(&[])
    }

    /// `None` when 4 GiB are full.
    fn store(&mut self, octets: &[u8]) -> Option<u32> {
        let start = u32::try_from(self.octets.len()).ok()?;
        self.octets.extend_from_slice(octets);
        Some(start)
    }
}

impl Record {
    /// Where it is written.
    pub(super) fn span(&self, file: FileId) -> Span {
        Span { file, start: self.start, end: self.end }
    }
}

/// The owner that an indented entry takes over.
enum LastOwner {
    /// There was none yet.
    None,
    /// This one, and where it is stored.
    Known(u32, u8),
    /// One that could not be read, or is outside the zone: what follows it is passed over.
    Bad,
}

/// Reads every entry.
pub(super) fn read_records(origin: &Name, file: FileId, text: &[u8], problems: &mut Problems) -> Records {
    let mut reader = Reader {
        zone: origin,
        file,
        text,
        origin: *origin,
        default_ttl_s: None,
        last_ttl_s: None,
        last_owner: LastOwner::None,
        records: Records::default(),
        problems,
    };
    for entry in Entries::new(text) {
        reader.entry(&entry);
        if reader.problems.0.len() > PROBLEMS_MAX {
            let place = entry.tokens.last().map_or(0, |token| token.range.end) as u32;
            let span = Span { file, start: place, end: place };
            reader.problems.error(span, "too many problems: reading stopped here", "");
            break;
        }
    }
    reader.records
}

struct Reader<'t> {
    zone: &'t Name,
    file: FileId,
    text: &'t [u8],
    origin: Name,
    default_ttl_s: Option<u32>,
    last_ttl_s: Option<u32>,
    last_owner: LastOwner,
    records: Records,
    problems: &'t mut Problems,
}

/// What stands between owner and data.
struct Head {
    ttl_s: Option<u32>,
    rtype: Rtype,
    /// The tokens used up.
    tokens: usize,
}

impl<'t> Reader<'t> {
    fn entry(&mut self, entry: &Entry) {
        if let Some((fault, place)) = &entry.fault {
            let (message, hint) = match fault {
                Fault::OpenQuote => ("this quoted string does not end on its line", "close it with `\"`"),
                Fault::OpenParenthesis => ("this parenthesis is never closed", "close it with `)`"),
                Fault::StrayParenthesis => ("this parenthesis was never opened", ""),
            };
            self.problems.error(self.span(place.start, place.end), message, hint);
            return;
        }
        let first = self.token(entry, 0);
        match first {
            [b'$', ..] if !entry.indented => self.directive(entry, first),
            _ => self.record(entry),
        }
    }

    fn directive(&mut self, entry: &Entry, name: &[u8]) {
        let argument = self.token(entry, 1);
        let span = self.token_span(entry, 1);
        match name.to_ascii_uppercase().as_slice() {
            b"$ORIGIN" if !argument.is_empty() => match self.name(argument) {
                Ok(origin) => self.origin = origin,
                Err(error) => self.bad_name(span, argument, error),
            },
            b"$TTL" if !argument.is_empty() => match ttl(argument) {
                Some(ttl_s) => self.default_ttl_s = Some(self.ttl_in_range(ttl_s, span)),
                None => self.problems.error(
                    span,
                    format!("`{}` is no TTL", shown(argument)),
                    "write seconds, or a number with s, m, h, d or w: `3600`, `1h`",
                ),
            },
            b"$ORIGIN" | b"$TTL" => {
                let message = format!("{} needs a value", shown(name));
                self.problems.error(self.token_span(entry, 0), message, "");
                return;
            }
            b"$INCLUDE" => {
                let hint = "put the records into this file";
                self.problems.error(self.entry_span(entry), "$INCLUDE is not supported yet", hint);
                return;
            }
            _ => {
                let message = format!("`{}` is no directive", shown(name));
                let hint = "directives are $ORIGIN and $TTL";
                self.problems.error(self.token_span(entry, 0), message, hint);
                return;
            }
        }
        if entry.tokens.len() > 2 {
            let span = self.token_span(entry, 2);
            self.problems.error(span, format!("{} takes one value", shown(name)), "");
        }
    }

    fn record(&mut self, entry: &Entry) {
        let owned = self.owner(entry);
        let first = usize::from(!entry.indented);
        let Some(head) = self.head(entry, first) else { return };
        let tokens: Vec<&[u8]> = (head.tokens..entry.tokens.len()).map(|i| self.token(entry, i)).collect();
        let data = match rdata::read(head.rtype, &tokens, &self.origin) {
            Ok(data) => data,
            Err(objection) => {
                let what = format!("this {} record cannot be read: {}", head.rtype, objection.what);
                let span = match head.tokens + objection.token {
                    token if token < entry.tokens.len() => self.token_span(entry, token),
                    _ => self.entry_span(entry),
                };
                self.problems.error(span, what, "");
                return;
            }
        };
        let ttl_s = self.ttl(entry, &head);
        let Some(owner) = owned else { return };
        let Some(start) = self.records.store(&data) else {
            self.problems.error(self.entry_span(entry), "the zone has more than 4 GiB of data", "");
            return;
        };
        let span = self.entry_span(entry);
        self.records.list.push(Record {
            owner,
            rtype: head.rtype,
            ttl_s,
            rdata: (start, data.len() as u16),
            start: span.start,
            end: span.end,
        });
    }

    /// The owner of an entry; `None` if its record is not to be kept. All problems of it are reported.
    fn owner(&mut self, entry: &Entry) -> Option<(u32, u8)> {
        if entry.indented {
            return match self.last_owner {
                LastOwner::Known(start, length) => Some((start, length)),
                LastOwner::Bad => None,
                LastOwner::None => {
                    let hint = "a line that begins with white space takes the owner of the one before";
                    self.problems.error(
                        self.token_span(entry, 0),
                        "there is no owner before this record",
                        hint,
                    );
                    self.last_owner = LastOwner::Bad;
                    None
                }
            };
        }
        self.last_owner = LastOwner::Bad;
        let token = self.token(entry, 0);
        let span = self.token_span(entry, 0);
        let name = match self.name(token) {
            Ok(name) => name,
            Err(error) => {
                self.bad_name(span, token, error);
                return None;
            }
        };
        if !name.is_at_or_below(self.zone) {
            let zone = name_text(self.zone.octets());
            self.problems.error(
                span,
                format!("`{}` is outside the zone {zone}", name_text(name.octets())),
                format!("names without a final dot are below {}", name_text(self.origin.octets())),
            );
            return None;
        }
        let length = name.octets().len() as u8;
        let same = self.records.list.last().filter(|last| self.records.owner(last) == name.octets());
        let start = match same {
            Some(last) => last.owner.0,
            None => self.records.store(name.octets())?,
        };
        self.last_owner = LastOwner::Known(start, length);
        Some((start, length))
    }

    /// TTL and class in either order, then the type.
    fn head(&mut self, entry: &Entry, first: usize) -> Option<Head> {
        let (mut ttl_s, mut class_seen) = (None, false);
        let mut index = first;
        loop {
            let token = self.token(entry, index);
            let span = self.token_span(entry, index);
            if token.is_empty() {
                self.problems.error(self.entry_span(entry), "this record has no type", "");
                return None;
            }
            if ttl_s.is_none()
                && let Some(seconds) = ttl(token)
            {
                ttl_s = Some(self.ttl_in_range(seconds, span));
            } else if !class_seen && is_class(token) {
                class_seen = true;
                if !token.eq_ignore_ascii_case(b"IN") && !token.eq_ignore_ascii_case(b"CLASS1") {
                    let message = format!("the class {} is not served", shown(token));
                    self.problems.error(span, message, "zones are of class IN");
                    return None;
                }
            } else {
                let rtype = self.rtype(token, span)?;
                return Some(Head { ttl_s, rtype, tokens: index + 1 });
            }
            index += 1;
        }
    }

    fn rtype(&mut self, token: &[u8], span: Span) -> Option<Rtype> {
        let rtype = std::str::from_utf8(token).ok().and_then(rdata::rtype);
        match rtype {
            Some(rtype) if rtype.is_meta() => {
                let message = format!("{rtype} records cannot be in a zone");
                self.problems.error(span, message, "");
                None
            }
            Some(rtype) => Some(rtype),
            None => {
                let hint = "a record is: owner, TTL, class, type, data; unknown types are written TYPE123";
                self.problems.error(span, format!("`{}` is no record type", shown(token)), hint);
                None
            }
        }
    }

    /// The record's own TTL, or $TTL, or the one stated last (RFC 1035 section 5.1, RFC 2308 section 4).
    fn ttl(&mut self, entry: &Entry, head: &Head) -> u32 {
        if head.ttl_s.is_some() {
            self.last_ttl_s = head.ttl_s;
        }
        let ttl_s = head.ttl_s.or(self.default_ttl_s).or(self.last_ttl_s);
        if ttl_s.is_none() {
            let hint = "put `$TTL 3600` at the head of the file, or a TTL before the type";
            self.problems.error(self.entry_span(entry), "this record has no TTL", hint);
            // Once is enough.
            self.last_ttl_s = Some(0);
        }
        ttl_s.unwrap_or(0)
    }

    fn ttl_in_range(&mut self, ttl_s: u64, span: Span) -> u32 {
        match u32::try_from(ttl_s) {
            Ok(ttl_s) if ttl_s <= TTL_S_MAX => ttl_s,
            _ => {
                let hint = format!("the longest is {TTL_S_MAX} seconds (RFC 2181)");
                self.problems.error(span, "this TTL is too long", hint);
                0
            }
        }
    }

    fn name(&self, text: &[u8]) -> Result<Name, NameTextError> {
        let wire = parse_name(text, self.origin.octets())?;
        Name::from_wire(&wire).ok_or(NameTextError::LongName)
    }

    fn bad_name(&mut self, span: Span, text: &[u8], error: NameTextError) {
        self.problems.error(span, format!("`{}` is {error}", shown(text)), "");
    }

    fn token(&self, entry: &Entry, index: usize) -> &'t [u8] {
        entry.tokens.get(index).and_then(|token| self.text.get(token.range.clone())).unwrap_or(&[])
    }

    fn token_span(&self, entry: &Entry, index: usize) -> Span {
        match entry.tokens.get(index) {
            Some(token) => self.span(token.range.start, token.range.end),
            None => self.entry_span(entry),
        }
    }

    /// From the first token to the last.
    fn entry_span(&self, entry: &Entry) -> Span {
        let start = entry.tokens.first().map_or(0, |token| token.range.start);
        self.span(start, entry.tokens.last().map_or(start, |token| token.range.end))
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { file: self.file, start: start as u32, end: end as u32 }
    }
}

/// Seconds, or numbers with units: `90`, `1h30m`.
pub(super) fn ttl(text: &[u8]) -> Option<u64> {
    let (mut total, mut number, mut digits) = (0u64, 0u64, false);
    let mut units = false;
    for octet in text {
        let unit_s = match octet.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                number = number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
                digits = true;
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        if !digits {
            return None;
        }
        total = total.saturating_add(number.saturating_mul(unit_s));
        (number, digits, units) = (0, false, true);
    }
    match (digits, units) {
        (true, false) => Some(number),
        (false, true) => Some(total),
        // `1h30` leaves open what 30 is.
        _ => None,
    }
}

fn is_class(text: &[u8]) -> bool {
    let upper = text.to_ascii_uppercase();
    matches!(upper.as_slice(), b"IN" | b"CH" | b"HS" | b"CS")
        || upper
            .strip_prefix(b"CLASS")
            .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// A token in a message: never long, never anything a terminal obeys.
fn shown(token: &[u8]) -> String {
    const SHOWN_OCTETS_MAX: usize = 60;
    let cut = token.get(..SHOWN_OCTETS_MAX).unwrap_or(token);
    let text: String = String::from_utf8_lossy(cut).chars().flat_map(char::escape_debug).collect();
    if cut.len() < token.len() { format!("{text}...") } else { text }
}
