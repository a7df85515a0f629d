//! What can be wrong with a location file.

use std::fmt;

/// A location file that cannot be used: which, why, and the mend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocationError {
    /// The file as the operator names it.
    pub file: String,
    /// What is wrong, in one line without a full stop.
    pub problem: String,
    /// How to mend it, in one line.
    pub mend: String,
}

impl LocationError {
    /// All three parts.
    pub fn new(file: &str, problem: impl Into<String>, mend: impl Into<String>) -> LocationError {
        LocationError { file: file.to_owned(), problem: problem.into(), mend: mend.into() }
    }
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.file, self.problem, self.mend)
    }
}

impl std::error::Error for LocationError {}

/// What else people point `geoip.database` at, by how it begins; `None`: it may be a database.
pub(super) fn foreign(bytes: &[u8], name: &str) -> Option<LocationError> {
    let error = |problem: &str, mend: &str| Some(LocationError::new(name, problem, mend));
    let begins = |text: &str| {
        let start = bytes.get(..64.min(bytes.len())).unwrap_or(bytes);
        String::from_utf8_lossy(start).trim_start().to_ascii_lowercase().starts_with(text)
    };
    match bytes {
        [] => error("is empty", "download it again"),
        [0x1f, 0x8b, ..] => error("is compressed with gzip", "unpack it: gunzip, or tar -xzf for a .tar.gz"),
        [b'P', b'K', 3, 4, ..] => error("is a ZIP archive", "unpack it and name the .mmdb file inside"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => error("is compressed with zstd", "unpack it: zstd -d"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => error("is compressed with xz", "unpack it: xz -d"),
        [b'M', b'G', b'E', b'O', ..] | [0x8f, b'M', b'G', b'E', b'O', ..] => {
            error("is a packed location file that was changed on its way", "copy it again in binary mode")
        }
        _ if begins("<!doctype") || begins("<html") || begins("<?xml") => error(
            "is a web page, not a database",
            "the download failed: look into the file, then download again",
        ),
        _ if begins("version https://git-lfs") => {
            error("is a Git LFS pointer, not the file itself", "fetch it: git lfs pull")
        }
        _ if begins("network,") || begins("start_ip") || begins("ip_start") => {
            error("is a CSV file, not a database", "use the same database in MMDB format")
        }
        _ => None,
    }
}
