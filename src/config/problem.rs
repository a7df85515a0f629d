//! Problems with their place, and the files they are in.

use std::collections::BTreeMap;

/// A file's number in [`Sources`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId(pub u32);

/// A byte range in a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

/// One file as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFile {
    /// The path as shown to people.
    pub path: String,
    /// The bytes: not known to be UTF-8 yet.
    pub bytes: Vec<u8>,
}

/// A zone: origin as spelt by the file's name, its `.zone` file, its `.toml` file.
pub type ZoneFiles = (String, Option<FileId>, Option<FileId>);

/// All text that a configuration consists of. `files[0]` is the main file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sources {
    /// The files, by [`FileId`].
    pub files: Vec<SourceFile>,
    /// The zones: (origin as spelt by the file's name, its `.zone` file, its `.toml` file).
    pub zones: Vec<ZoneFiles>,
    /// The zones of each class of clients, by its name.
    pub class_zones: Vec<(String, Vec<ZoneFiles>)>,
    /// What zone files include: by the including file and the name that it uses.
    pub included: BTreeMap<(FileId, String), FileId>,
}

impl Sources {
    /// A file.
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Worth a look; the configuration is usable.
    Warning,
    /// The configuration is refused.
    Error,
}

/// One problem: what, where, and the mend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// Where; `None` where no text can be shown (a missing file).
    pub span: Option<Span>,
    /// A second place that matters, and why ("first written here").
    pub also: Option<(Span, String)>,
    /// How to mend it, in one line.
    pub hint: Option<String>,
}

/// Every problem found, in the order found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds an error at a place.
    pub fn error(
        &mut self,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Error, span.into(), message.into(), hint.into());
    }

    /// Adds a warning at a place.
    pub fn warning(
        &mut self,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Warning, span.into(), message.into(), hint.into());
    }

    fn add(&mut self, severity: Severity, span: Option<Span>, message: String, hint: String) {
        let hint = (!hint.is_empty()).then(|| one_line(hint));
        self.0.push(Problem { severity, message: one_line(message), span, also: None, hint });
    }

    /// Names a second place for the problem added last.
    pub fn also(&mut self, span: Span, why: impl Into<String>) {
        if let Some(last) = self.0.last_mut() {
            last.also = Some((span, why.into()));
        }
    }

    /// Whether any of them refuses the configuration.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// Text with its control characters spelt out: messages repeat what is written in files, and go to
/// terminals and logs.
fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}
