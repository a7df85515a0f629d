//! A JSON document, octet by octet: the numbers at the places selected, and whether it is one document.

use super::{FeedProblem, Gathered, Pointer, Reading, Selection, select};

/// Deeper documents are refused: a depth takes some octets of memory.
const DEPTH_MAX: usize = 128;

/// A longer key, as written, is none that a pointer names: each octet may be an escape of six.
const TOKEN_OCTETS_MAX: usize = 6 * select::POINTER_STEP_OCTETS_MAX + 2;

/// Reads a document.
#[derive(Debug)]
pub struct JsonReader<'f> {
    selection: &'f Selection<Pointer>,
    gathered: Gathered,
    expecting: Expecting,
    stack: Vec<Frame>,
    /// The key, number or word under way, its first [`TOKEN_OCTETS_MAX`] octets.
    token: Vec<u8>,
    overlong: bool,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expecting {
    Value,
    /// The first of an array, or its end.
    ValueOrEnd,
    Key,
    /// The first of an object, or its end.
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    /// More of a string, or its end.
    InString(Role),
    /// What a backslash in it makes special.
    Escaped(Role),
    /// More of a number or of `true`, `false`, `null`.
    InWord,
    /// Nothing more.
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Key,
    Value,
}

/// An array or object under way.
#[derive(Debug)]
struct Frame {
    kind: Kind,
    /// By value: whether the way to the current member is the beginning of its pointer.
    on_way: [bool; 3],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Object,
    /// With the number of the current element.
    Array(u64),
}

impl<'f> JsonReader<'f> {
    /// Before the first octet.
    pub fn new(selection: &'f Selection<Pointer>) -> JsonReader<'f> {
        JsonReader {
            selection,
            gathered: Gathered::default(),
            expecting: Expecting::Value,
            stack: Vec::new(),
            token: Vec::new(),
            overlong: false,
        }
    }

    /// The next part of the page.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), FeedProblem> {
        chunk.iter().try_for_each(|octet| self.take(*octet))
    }

    /// The page has ended.
    pub fn finish(mut self) -> Result<Reading, FeedProblem> {
        // A number alone has no end of its own.
        if self.expecting == Expecting::InWord && self.stack.is_empty() {
            self.end_word()?;
        }
        match self.expecting {
            Expecting::Nothing => self.gathered.reading(self.selection),
            _ => Err(FeedProblem::Cut),
        }
    }

    fn take(&mut self, octet: u8) -> Result<(), FeedProblem> {
        use Expecting as E;
        match self.expecting {
            E::InString(role) => return self.take_in_string(octet, role),
            E::Escaped(role) => {
                self.keep(octet);
                self.expecting = E::InString(role);
                return Ok(());
            }
            E::InWord if octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.') => {
                self.keep(octet);
                return Ok(());
            }
            E::InWord => self.end_word()?,
            _ => {}
        }
        if matches!(octet, b' ' | b'\t' | b'\r' | b'\n') {
            return Ok(());
        }
        match (self.expecting, octet) {
            (E::Key | E::KeyOrEnd, b'"') => self.begin(octet, E::InString(Role::Key)),
            (E::KeyOrEnd, b'}') | (E::ValueOrEnd, b']') => return self.close(octet),
            (E::CommaOrEnd, b'}' | b']') => return self.close(octet),
            (E::CommaOrEnd, b',') => return self.next_member(),
            (E::Colon, b':') => self.expecting = E::Value,
            (E::Value | E::ValueOrEnd, _) => return self.begin_value(octet),
            _ => return Err(FeedProblem::NotTheFormat),
        }
        Ok(())
    }

    fn begin(&mut self, octet: u8, expecting: Expecting) {
        self.token.clear();
        self.overlong = false;
        self.keep(octet);
        self.expecting = expecting;
    }

    fn keep(&mut self, octet: u8) {
        match self.token.len() < TOKEN_OCTETS_MAX {
            true => self.token.push(octet),
            false => self.overlong = true,
        }
    }

    fn begin_value(&mut self, octet: u8) -> Result<(), FeedProblem> {
        if self.expecting == Expecting::ValueOrEnd {
            self.element(0);
        }
        match octet {
            b'{' => self.open(Kind::Object, Expecting::KeyOrEnd)?,
            b'[' => self.open(Kind::Array(0), Expecting::ValueOrEnd)?,
            b'"' => self.begin(octet, Expecting::InString(Role::Value)),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => self.begin(octet, Expecting::InWord),
            _ => return Err(FeedProblem::NotTheFormat),
        }
        Ok(())
    }

    fn open(&mut self, kind: Kind, expecting: Expecting) -> Result<(), FeedProblem> {
        self.is_no_number()?;
        if self.stack.len() >= DEPTH_MAX {
            return Err(FeedProblem::NotTheFormat);
        }
        self.stack.push(Frame { kind, on_way: [false; 3] });
        self.expecting = expecting;
        Ok(())
    }

    fn close(&mut self, octet: u8) -> Result<(), FeedProblem> {
        let frame = self.stack.pop().ok_or(FeedProblem::NotTheFormat)?;
        if (frame.kind == Kind::Object) != (octet == b'}') {
            return Err(FeedProblem::NotTheFormat);
        }
        self.end_value();
        Ok(())
    }

    fn end_value(&mut self) {
        self.expecting = if self.stack.is_empty() { Expecting::Nothing } else { Expecting::CommaOrEnd };
    }

    fn next_member(&mut self) -> Result<(), FeedProblem> {
        match self.stack.last().map(|frame| frame.kind) {
            Some(Kind::Object) => self.expecting = Expecting::Key,
            Some(Kind::Array(number)) => {
                self.element(number.saturating_add(1));
                self.expecting = Expecting::Value;
            }
            None => return Err(FeedProblem::NotTheFormat),
        }
        Ok(())
    }

    fn element(&mut self, number: u64) {
        if let Some(frame) = self.stack.last_mut() {
            frame.kind = Kind::Array(number);
        }
        self.step(&number.to_string());
    }

    /// The current member of the innermost array or object has this name.
    fn step(&mut self, name: &str) {
        let Some((last, outer)) = self.stack.split_last_mut() else { return };
        for (value, pointer) in self.selection.parts() {
            let so_far = outer.last().is_none_or(|frame| frame.on_way.get(value as usize) == Some(&true));
            if let Some(on_way) = last.on_way.get_mut(value as usize) {
                *on_way = so_far && pointer.0.get(outer.len()).is_some_and(|step| step == name);
            }
        }
    }

    fn take_in_string(&mut self, octet: u8, role: Role) -> Result<(), FeedProblem> {
        if octet < b' ' {
            return Err(FeedProblem::NotTheFormat);
        }
        // Of a value nothing is needed but its end.
        if role == Role::Key {
            self.keep(octet);
        }
        match (octet, role) {
            (b'\\', _) => self.expecting = Expecting::Escaped(role),
            (b'"', Role::Key) => {
                self.end_key()?;
                self.expecting = Expecting::Colon;
            }
            (b'"', Role::Value) => {
                self.is_no_number()?;
                self.end_value();
            }
            _ => {}
        }
        Ok(())
    }

    fn end_key(&mut self) -> Result<(), FeedProblem> {
        let token = std::mem::take(&mut self.token);
        match self.overlong {
            // No pointer has a step of that length; an empty name would be one.
            true => self.leave_way(),
            false => {
                let name: String = serde_json::from_slice(&token).map_err(|_| FeedProblem::NotTheFormat)?;
                self.step(&name);
            }
        }
        self.token = token;
        Ok(())
    }

    fn leave_way(&mut self) {
        if let Some(frame) = self.stack.last_mut() {
            frame.on_way = [false; 3];
        }
    }

    /// Whether the value under way is the one that a pointer names.
    fn is_selected(&self, value: usize, pointer: &Pointer) -> bool {
        let on_way = self.stack.last().is_none_or(|frame| frame.on_way.get(value) == Some(&true));
        on_way && pointer.0.len() == self.stack.len()
    }

    fn is_no_number(&self) -> Result<(), FeedProblem> {
        let mut selected =
            self.selection.parts().filter(|(value, pointer)| self.is_selected(*value as usize, pointer));
        selected.next().map_or(Ok(()), |(value, _)| Err(FeedProblem::NotANumber(value)))
    }

    fn end_word(&mut self) -> Result<(), FeedProblem> {
        let word = std::str::from_utf8(&self.token).map_err(|_| FeedProblem::NotTheFormat)?;
        let number = match word {
            "true" | "false" | "null" => None,
            // No number that anybody means is so long.
            _ if self.overlong => None,
            _ => Some(serde_json::from_str::<f64>(word).map_err(|_| FeedProblem::NotTheFormat)?),
        };
        match number {
            None => self.is_no_number()?,
            Some(number) => {
                for (value, pointer) in self.selection.parts() {
                    if self.is_selected(value as usize, pointer) {
                        self.gathered.set(value, number)?;
                    }
                }
            }
        }
        self.end_value();
        Ok(())
    }
}
