//! Entries read one by one into records: directives, owners, TTLs, classes, types.

use std::ops::Range;

use super::entries::{Entries, Entry, Fault};
use super::{PROBLEMS_MAX, Texts, ZONE_OCTETS_MAX, generate, is_text, plain, rdata};
use crate::config::{FileId, Problems, Span};
use crate::wire::{Name, NameTextError, Rtype, name_text, parse_name};

/// RFC 2181 section 8: the upper bit is not used.
const TTL_S_MAX: u32 = i32::MAX as u32;

/// Files that lead from one to the next: more than people keep in their heads.
pub(super) const INCLUDE_DEPTH_MAX: usize = 10;

/// What a zone's files held, in their order.
#[derive(Default)]
pub(super) struct Records {
    pub(super) list: Vec<Record>,
    /// Owners in lower-case wire form, and RDATA.
    octets: Vec<u8>,
}

/// One record. Names and data are ranges of a common store: zones can have millions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    owner: (u32, u8),
    pub(super) rtype: Rtype,
    pub(super) ttl_s: u32,
    rdata: (u32, u16),
    /// Where it is written.
    pub(super) span: Span,
}

impl Record {
    /// The length of its data.
    pub(super) fn rdata_octets(&self) -> usize {
        usize::from(self.rdata.1)
    }
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

    /// Adds a record that is in no file; `None` when 4 GiB are full.
    pub(super) fn push(
        &mut self,
        owner: &[u8],
        rtype: Rtype,
        ttl_s: u32,
        rdata: &[u8],
        span: Span,
    ) -> Option<()> {
        let same = self.list.last().filter(|last| self.owner(last) == owner).map(|last| last.owner.0);
        let owner = (same.or_else(|| self.store(owner))?, u8::try_from(owner.len()).ok()?);
        let rdata = (self.store(rdata)?, u16::try_from(rdata.len()).ok()?);
        self.list.push(Record { owner, rtype, ttl_s, rdata, span });
        Some(())
    }

    /// `None` when 4 GiB are full.
    fn store(&mut self, octets: &[u8]) -> Option<u32> {
        let start = u32::try_from(self.octets.len()).ok()?;
        self.octets.extend_from_slice(octets);
        Some(start)
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

/// Reads every entry of a zone's file and of those that it includes.
pub(super) fn read_records(
    origin: &Name,
    file: FileId,
    texts: &dyn Texts,
    problems: &mut Problems,
) -> Records {
    let mut reader = Reader {
        zone: origin,
        texts,
        origin: *origin,
        origin_is_inside: true,
        wire: Vec::new(),
        default_ttl_s: None,
        last_ttl_s: None,
        last_owner: LastOwner::None,
        records: Records::default(),
        including: Vec::new(),
        octets: 0,
        generated: 0,
        problems,
    };
    reader.file(file);
    reader.records
}

/// One entry with its words, whether they stand in a file or were generated.
pub(super) struct Line<'t> {
    pub(super) words: Vec<(&'t [u8], Span)>,
    pub(super) indented: bool,
}

impl<'t> Line<'t> {
    /// Takes the words of an entry, in the room of the line before.
    fn take(&mut self, entry: &Entry, file: FileId, text: &'t [u8]) {
        self.indented = entry.indented;
        self.words.clear();
        self.words.extend(entry.tokens.iter().map(|token| {
            let octets = text.get(token.range.clone()).unwrap_or(&[]);
            (octets, Span { file, start: token.range.start as u32, end: token.range.end as u32 })
        }));
    }

    pub(super) fn word(&self, index: usize) -> &'t [u8] {
        self.words.get(index).map_or(&[], |(octets, _)| octets)
    }

    pub(super) fn word_span(&self, index: usize) -> Span {
        self.words.get(index).map_or_else(|| self.span(), |(_, span)| *span)
    }

    /// From the first word to the last.
    pub(super) fn span(&self) -> Span {
        let none = Span { file: FileId(0), start: 0, end: 0 };
        let first = self.words.first().map_or(none, |(_, span)| *span);
        Span { end: self.words.last().map_or(first.end, |(_, span)| span.end), ..first }
    }
}

pub(super) struct Reader<'t> {
    zone: &'t Name,
    texts: &'t dyn Texts,
    pub(super) origin: Name,
    /// Whether that is in the zone: then every relative name is.
    origin_is_inside: bool,
    /// Room for an owner.
    wire: Vec<u8>,
    default_ttl_s: Option<u32>,
    last_ttl_s: Option<u32>,
    last_owner: LastOwner,
    records: Records,
    /// The files that led here, and where each was included.
    including: Vec<(FileId, Option<Span>)>,
    /// Of all files read so far, each as often as it was included.
    octets: usize,
    /// Records made by $GENERATE so far.
    pub(super) generated: u64,
    pub(super) problems: &'t mut Problems,
}

/// What stands between owner and data.
pub(super) struct Head {
    ttl_s: Option<u32>,
    rtype: Rtype,
    /// The words used up.
    pub(super) words: usize,
}

impl Reader<'_> {
    /// Reads a file's entries; the state of the reader goes through it.
    fn file(&mut self, file: FileId) {
        let Some(text) = self.texts.text(file) else { return };
        self.octets = self.octets.saturating_add(text.len());
        let (mut entries, mut entry) = (Entries::new(text), Entry::default());
        let mut line = Line { words: Vec::new(), indented: false };
        while entries.read(&mut entry) {
            match &entry.fault {
                Some((fault, place)) => self.fault(*fault, place, file),
                None => {
                    line.take(&entry, file, text);
                    self.line(&line);
                }
            }
            if self.is_too_much() {
                let place = entry.tokens.last().map_or(0, |token| token.range.end) as u32;
                let span = Span { file, start: place, end: place };
                self.problems.error(span, "too many problems: reading stopped here", "");
                break;
            }
        }
    }

    pub(super) fn is_too_much(&self) -> bool {
        self.problems.0.len() > PROBLEMS_MAX
    }

    fn fault(&mut self, fault: Fault, place: &Range<usize>, file: FileId) {
        let (message, hint) = match fault {
            Fault::OpenQuote => ("this quoted string does not end on its line", "close it with `\"`"),
            Fault::OpenParenthesis => ("this parenthesis is never closed", "close it with `)`"),
            Fault::StrayParenthesis => ("this parenthesis was never opened", ""),
        };
        let span = Span { file, start: place.start as u32, end: place.end as u32 };
        self.problems.error(span, message, hint);
    }

    fn line(&mut self, line: &Line<'_>) {
        match line.word(0) {
            [b'$', ..] if !line.indented => self.directive(line, line.word(0)),
            _ => self.record(line),
        }
    }

    fn directive(&mut self, line: &Line<'_>, name: &[u8]) {
        let argument = line.word(1);
        let span = line.word_span(1);
        match name.to_ascii_uppercase().as_slice() {
            b"$ORIGIN" if !argument.is_empty() => match self.name(argument) {
                Ok(origin) => self.set_origin(origin),
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
            b"$GENERATE" => return generate::generate(self, line),
            b"$INCLUDE" if !argument.is_empty() => return self.include(line),
            b"$ORIGIN" | b"$TTL" | b"$INCLUDE" => {
                let message = format!("{} needs a value", shown(name));
                self.problems.error(line.word_span(0), message, "");
                return;
            }
            _ => {
                let message = format!("`{}` is no directive", shown(name));
                let hint = "directives are $ORIGIN, $TTL, $INCLUDE and $GENERATE";
                self.problems.error(line.word_span(0), message, hint);
                return;
            }
        }
        if line.words.len() > 2 {
            self.problems.error(line.word_span(2), format!("{} takes one value", shown(name)), "");
        }
    }

    fn set_origin(&mut self, origin: Name) {
        self.origin = origin;
        self.origin_is_inside = origin.is_at_or_below(self.zone);
    }

    /// `$INCLUDE file [origin]` (RFC 1035 section 5.1). Origin and owner are the including file's again
    /// behind it; a $TTL inside goes on to hold, as BIND has it.
    fn include(&mut self, line: &Line<'_>) {
        let origin = match line.word(2) {
            [] => Ok(self.origin),
            word => self.name(word),
        };
        let origin = match origin {
            Ok(origin) => origin,
            Err(error) => return self.bad_name(line.word_span(2), line.word(2), error),
        };
        if line.words.len() > 3 {
            self.problems.error(line.word_span(3), "$INCLUDE takes a file and an origin", "");
            return;
        }
        let by = line.span().file;
        let Some(file) = self.texts.included(by, line.word(1)) else {
            self.problems.error(line.word_span(1), "this file was not read", "");
            return;
        };
        if !self.may_include(file, by, line) {
            return;
        }
        let owner = std::mem::replace(&mut self.last_owner, LastOwner::None);
        let outer = self.origin;
        self.set_origin(origin);
        let known = self.problems.0.len();
        self.including.push((by, Some(line.span())));
        self.file(file);
        self.including.pop();
        self.last_owner = owner;
        self.set_origin(outer);
        for problem in self.problems.0.iter_mut().skip(known) {
            problem.also.get_or_insert_with(|| (line.span(), "included here".to_owned()));
        }
    }

    /// Whether one more file can be read: no circle, not too deep, not too much.
    fn may_include(&mut self, file: FileId, by: FileId, line: &Line<'_>) -> bool {
        let open = || self.including.iter().map(|(open, _)| *open).chain([by]);
        if let Some(first) = open().position(|open| open == file) {
            let circle: Vec<_> = open().skip(first).chain([file]).map(|file| self.texts.path(file)).collect();
            let message = format!("this file includes itself: {}", circle.join(" -> "));
            self.problems.error(line.word_span(1), message, "");
            return false;
        }
        if self.including.len() >= INCLUDE_DEPTH_MAX {
            let message = format!("files include each other more than {INCLUDE_DEPTH_MAX} deep");
            self.problems.error(line.word_span(1), message, "include them from the zone's own file");
            return false;
        }
        let text = self.texts.text(file).unwrap_or(&[]);
        if !is_text(file, text, self.problems) {
            self.problems.also(line.span(), "included here");
            return false;
        }
        let octets = text.len();
        if self.octets.saturating_add(octets) > ZONE_OCTETS_MAX {
            let message = "the zone with all that it includes is larger than 1 GiB";
            self.problems.error(line.word_span(1), message, "split the zone by delegation");
            return false;
        }
        true
    }

    pub(super) fn record(&mut self, line: &Line<'_>) {
        let owned = self.owner(line);
        let Some(head) = self.head(line) else { return };
        let Some((start, length)) = self.data(line, &head) else { return };
        let ttl_s = self.ttl(line, &head);
        let Some(owner) = owned else { return };
        let rdata = (start, length);
        self.records.list.push(Record { owner, rtype: head.rtype, ttl_s, rdata, span: line.span() });
    }

    /// Reads the data into the store; `None`, reported, where they cannot be read.
    fn data(&mut self, line: &Line<'_>, head: &Head) -> Option<(u32, u16)> {
        let start = self.records.octets.len();
        let words = line.words.get(head.words..).unwrap_or(&[]);
        if !plain::read(head.rtype, words, self.origin.octets(), &mut self.records.octets) {
            let words: Vec<&[u8]> = words.iter().map(|(octets, _)| *octets).collect();
            match rdata::read(head.rtype, &words, &self.origin) {
                Ok(data) => self.records.octets.extend_from_slice(&data),
                Err(objection) => {
                    let what = format!("this {} record cannot be read: {}", head.rtype, objection.what);
                    let span = match head.words + objection.token {
                        word if word < line.words.len() => line.word_span(word),
                        _ => line.span(),
                    };
                    self.problems.error(span, what, "");
                    return None;
                }
            }
        }
        let length = u16::try_from(self.records.octets.len() - start).ok();
        let Some(place) = u32::try_from(start).ok().zip(length) else {
            self.problems.error(line.span(), "the zone has more than 4 GiB of data", "");
            return None;
        };
        Some(place)
    }

    /// The owner of an entry; `None` if its record is not to be kept. All problems of it are reported.
    fn owner(&mut self, line: &Line<'_>) -> Option<(u32, u8)> {
        if line.indented {
            return match self.last_owner {
                LastOwner::Known(start, length) => Some((start, length)),
                LastOwner::Bad => None,
                LastOwner::None => {
                    let hint = "a line that begins with white space takes the owner of the one before";
                    self.problems.error(line.word_span(0), "there is no owner before this record", hint);
                    self.last_owner = LastOwner::Bad;
                    None
                }
            };
        }
        self.last_owner = LastOwner::Bad;
        let token = line.word(0);
        let mut wire = std::mem::take(&mut self.wire);
        wire.clear();
        if !(plain::name(token, self.origin.octets(), &mut wire) && self.is_inside(token, &wire)) {
            let name = self.owner_name(token, line.word_span(0))?;
            wire.clear();
            wire.extend_from_slice(name.octets());
        }
        // The lengths of labels are below all letters.
        wire.make_ascii_lowercase();
        let length = u8::try_from(wire.len()).ok()?;
        let same = self.records.list.last().filter(|last| self.records.owner(last) == wire);
        let start = match same {
            Some(last) => last.owner.0,
            None => self.records.store(&wire)?,
        };
        self.wire = wire;
        self.last_owner = LastOwner::Known(start, length);
        Some((start, length))
    }

    /// Whether a name, as written and in wire form, is at or below the zone's.
    fn is_inside(&self, token: &[u8], wire: &[u8]) -> bool {
        match token.ends_with(b".") {
            true => Name::from_wire(wire).is_some_and(|name| name.is_at_or_below(self.zone)),
            false => self.origin_is_inside,
        }
    }

    /// An owner that is not plainly in the zone; `None`, reported, where it is not at all.
    fn owner_name(&mut self, token: &[u8], span: Span) -> Option<Name> {
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
        Some(name)
    }

    /// TTL and class in either order, then the type.
    pub(super) fn head(&mut self, line: &Line<'_>) -> Option<Head> {
        let (mut ttl_s, mut class_seen) = (None, false);
        let mut index = usize::from(!line.indented);
        loop {
            let token = line.word(index);
            let span = line.word_span(index);
            if token.is_empty() {
                self.problems.error(line.span(), "this record has no type", "");
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
                return Some(Head { ttl_s, rtype, words: index + 1 });
            }
            index += 1;
        }
    }

    fn rtype(&mut self, token: &[u8], span: Span) -> Option<Rtype> {
        if let Some(rtype) = plain::rtype(token) {
            return Some(rtype);
        }
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
    fn ttl(&mut self, line: &Line<'_>, head: &Head) -> u32 {
        if head.ttl_s.is_some() {
            self.last_ttl_s = head.ttl_s;
        }
        let ttl_s = head.ttl_s.or(self.default_ttl_s).or(self.last_ttl_s);
        if ttl_s.is_none() {
            let hint = "put `$TTL 3600` at the head of the file, or a TTL before the type";
            self.problems.error(line.span(), "this record has no TTL", hint);
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
    let is = |class: &[u8]| text.eq_ignore_ascii_case(class);
    let numbered = || {
        let (word, number) = text.split_at_checked(5)?;
        Some(
            word.eq_ignore_ascii_case(b"CLASS")
                && !number.is_empty()
                && number.iter().all(u8::is_ascii_digit),
        )
    };
    is(b"IN") || is(b"CH") || is(b"HS") || is(b"CS") || numbered().unwrap_or(false)
}

/// A token in a message: never long, never anything a terminal obeys.
pub(super) fn shown(token: &[u8]) -> String {
    const SHOWN_OCTETS_MAX: usize = 60;
    let cut = token.get(..SHOWN_OCTETS_MAX).unwrap_or(token);
    let text: String = String::from_utf8_lossy(cut).chars().flat_map(char::escape_debug).collect();
    if cut.len() < token.len() { format!("{text}...") } else { text }
}
