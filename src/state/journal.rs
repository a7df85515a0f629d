//! The journal: who did what, when and why, and what came of it. Append-only lines of JSON.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

use serde::{Deserialize, Serialize};

use super::directory::{Directory, FILE_MODE};

/// The file's name.
const NAME: &str = "journal.jsonl";
/// A file of this size is put away and a new one begun: a year of a busy site.
const FILE_OCTETS_MAX: u64 = 8 << 20;
/// Files put away, as `journal.jsonl.1` (the youngest) and so on.
const FILES_KEPT: u32 = 4;
/// Lines kept in memory, for whoever asks over the API.
pub const RECENT_MAX: usize = 4096;

/// One line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Goes up by one with each line, over restarts too.
    pub number: u64,
    /// When, in RFC 3339.
    pub when: String,
    /// The generation of the configuration in force.
    pub generation: u64,
    /// Who: `user@host` as told, or `meridian` for what it does by itself.
    pub who: String,
    /// What was done or happened.
    pub what: What,
    /// To what: a selector, a service, a file.
    pub on: String,
    /// The reason that was given.
    pub why: String,
    /// What came of it.
    pub outcome: Outcome,
    /// That in words.
    pub detail: String,
}

/// What can be in the journal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The process has started.
    Start,
    /// The process ends as told.
    Stop,
    /// The configuration was read again.
    Reload,
    /// An operator drains.
    Drain,
    /// An operator forces up.
    ForceUp,
    /// An operator forces down.
    ForceDown,
    /// An operator takes an override back.
    Undo,
    /// An override has ended by itself.
    Expire,
    /// A gradual drain has come to its end.
    Drained,
    /// An override says nothing for now: nobody has that name any more.
    Dormant,
    /// An operator lets something back in (H10).
    Approve,
    /// An operator ends a freeze (H11).
    Release,
    /// The governor has frozen something (H11).
    Freeze,
    /// A freeze has ended by itself.
    Thaw,
    /// A service has nothing healthy left for some clients.
    AllDown,
    /// And has again.
    Recovered,
    /// An operator begins a roll-over of keys.
    Roll,
    /// An operator says that the parent has a new DS.
    DsSeen,
    /// A zone was transferred from a primary.
    Transfer,
    /// A zone that comes from primaries has expired.
    ZoneExpired,
    /// An operator wants a zone checked.
    Refresh,
    /// Anything a later version writes.
    #[serde(other)]
    Other,
}

impl What {
    /// The word for it.
    pub const fn label(self) -> &'static str {
        match self {
            What::Start => "start",
            What::Roll => "roll",
            What::DsSeen => "ds-seen",
            What::Stop => "stop",
            What::Reload => "reload",
            What::Drain => "drain",
            What::ForceUp => "force-up",
            What::ForceDown => "force-down",
            What::Undo => "undo",
            What::Expire => "expire",
            What::Drained => "drained",
            What::Dormant => "dormant",
            What::Approve => "approve",
            What::Release => "release",
            What::Freeze => "freeze",
            What::Thaw => "thaw",
            What::AllDown => "all-down",
            What::Recovered => "recovered",
            What::Transfer => "transfer",
            What::ZoneExpired => "zone-expired",
            What::Refresh => "refresh",
            What::Other => "other",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is so.
    Done,
    /// Nothing has changed.
    Refused,
}

/// Appends lines. Opened anew for each batch: whoever moves the file away is not written to.
///
/// # Errors
/// Those of the system.
pub fn append(directory: &Directory, lines: &[Line]) -> io::Result<()> {
    let mut how = OpenOptions::new();
    let mut file = how.read(true).append(true).create(true).mode(FILE_MODE).open(directory.file(NAME))?;
    let mut octets = Vec::new();
    if ends_within_a_line(&mut file)? {
        octets.push(b'\n');
    }
    for line in lines {
        serde_json::to_writer(&mut octets, line)?;
        octets.push(b'\n');
    }
    file.write_all(&octets)?;
    file.sync_data()?;
    if file.metadata()?.len() >= FILE_OCTETS_MAX { rotate(directory) } else { Ok(()) }
}

/// A process that was killed while it wrote leaves half a line: the next one gets its own.
fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn rotate(directory: &Directory) -> io::Result<()> {
    let name = |number: u32| match number {
        0 => NAME.to_owned(),
        number => format!("{NAME}.{number}"),
    };
    for number in (0..FILES_KEPT).rev() {
        match fs::rename(directory.file(&name(number)), directory.file(&name(number + 1))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    directory.sync()
}

/// The last lines that earlier processes wrote. What is no line is passed over.
pub fn recent(directory: &Directory) -> VecDeque<Line> {
    let mut lines = VecDeque::new();
    for name in [format!("{NAME}.1"), NAME.to_owned()] {
        let mut octets = Vec::new();
        // A journal that cannot be read is one without lines; writing to it will say why.
        let Ok(file) = File::open(directory.file(&name)) else { continue };
        let _ = file.take(FILE_OCTETS_MAX * 2).read_to_end(&mut octets);
        for line in octets.split(|octet| *octet == b'\n') {
            let Ok(line) = serde_json::from_slice(line) else { continue };
            lines.push_back(line);
            if lines.len() > RECENT_MAX {
                lines.pop_front();
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn line(number: u64, detail: &str) -> Line {
        Line {
            number,
            when: super::super::rfc3339(std::time::Duration::from_secs(number)),
            generation: 1,
            who: "anna@bastion".to_owned(),
            what: What::Drain,
            on: "region:eu-west".to_owned(),
            why: "a \"planned\"\nchange".to_owned(),
            outcome: Outcome::Done,
            detail: detail.to_owned(),
        }
    }

    fn numbers(directory: &Directory) -> Vec<u64> {
        recent(directory).iter().map(|line| line.number).collect()
    }

    #[test]
    fn half_a_line_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::at(folder.path().to_owned());
        append(&directory, &[line(1, ""), line(2, "")]).unwrap();
        let octets = fs::read(directory.file(NAME)).unwrap();
        for cut in 0..octets.len() {
            fs::write(directory.file(NAME), &octets[..cut]).unwrap();
            append(&directory, &[line(3, "")]).unwrap();
            let found = numbers(&directory);
            assert_eq!(found.last(), Some(&3), "cut at {cut}");
            assert!(found.len() <= 3, "cut at {cut}: {found:?}");
        }
    }

    #[test]
    fn old_lines_are_put_away_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::at(folder.path().to_owned());
        let long = "x".repeat(3 << 20);
        for number in 1..=17 {
            append(&directory, &[line(number, &long)]).unwrap();
        }
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1 + FILES_KEPT as usize);
        assert_eq!(numbers(&directory), vec![13, 14, 15, 16, 17]);
    }

    #[test]
    fn a_line_of_a_later_version_is_read() {
        let text = serde_json::to_string(&line(1, "")).unwrap().replace("\"drain\"", "\"teleport\"");
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap().what, What::Other);
    }
}
