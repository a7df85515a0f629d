//! Real files in a folder of their own.
#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;

fn names(list: &[&str]) -> Vec<(String, bool, bool)> {
    let zones = pair(list.iter().map(|name| (*name).to_owned()).collect());
    zones.into_iter().map(|zone| (zone.origin, zone.zone, zone.names)).collect()
}

#[test]
fn files_of_zones() {
    let found = names(&[
        "example.com.zone",
        "example.com.toml",
        "a.zone",
        "b.toml",
        ".a.zone.swp",
        ".hidden.zone",
        "a.zone~",
        "#a.zone#",
        "README",
        "a.zone.bak",
        "..zone",
        ".zone",
    ]);
    let expected = [(".", true, false), ("a", true, false), ("b", false, true), ("example.com", true, true)];
    assert_eq!(found, expected.map(|(origin, zone, names)| (origin.to_owned(), zone, names)));
}

/// A folder with these files, and the messages of loading `meridian.toml` in it.
fn messages(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let main = folder.path().join("meridian.toml");
    let loaded = configuration(&main);
    assert_eq!(loaded.config.is_some(), !loaded.problems.has_errors());
    let prefix = format!("{}/", folder.path().display());
    loaded.problems.0.iter().map(|problem| problem.message.replace(&prefix, "")).collect()
}

#[test]
fn what_can_be_missing() {
    for (files, expected) in [
        (&[][..], &["meridian.toml cannot be read: it is not there"][..]),
        (&[("meridian.toml", "")], &["the zones folder zones cannot be read: it is not there"]),
        (
            &[("meridian.toml", ""), ("zones/README", "")],
            &["there is no zone to serve: zones holds no file NAME.zone"],
        ),
        (&[("meridian.toml", ""), ("zones/a.zone", "")], &[]),
        (&[("meridian.toml", "[server]\nzones = \"z\""), ("z/a.zone", "")], &[]),
        (
            &[("meridian.toml", ""), ("zones/a.toml", "")],
            &["the zone a has steered names but no a.zone beside them"],
        ),
        (
            &[("meridian.toml", ""), ("zones/a.zone/b", "")],
            &["zones/a.zone cannot be read: it is a folder, not a file"],
        ),
        (&[("meridian.toml/a", "")], &["meridian.toml cannot be read: it is a folder, not a file"]),
    ] {
        assert_eq!(messages(files), expected, "{files:?}");
    }
}

#[test]
fn files_that_are_too_large_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    fs::File::create(&path).unwrap().set_len(CONFIG_OCTETS_MAX + 1).unwrap();
    assert_eq!(read_bytes(&path, CONFIG_OCTETS_MAX), Err("it is larger than the 16 MiB possible".to_owned()));
    assert_eq!(read_bytes(&path, DATABASE_OCTETS_MAX).unwrap().len() as u64, CONFIG_OCTETS_MAX + 1);
}

#[test]
fn pipes_and_devices_are_not_read() {
    assert_eq!(
        read_bytes(Path::new("/dev/zero"), 100),
        Err("it is a pipe or a device, not a file".to_owned())
    );
}

/// A zone that includes `name`, with these files beside it.
fn including(name: &str, files: &[(&str, &str)]) -> Vec<String> {
    let zone = format!("$TTL 60\n@ SOA ns.example.net. h 1 2 3 4 5\n@ NS ns.example.net.\n$INCLUDE {name}\n");
    let mut all = vec![("meridian.toml", ""), ("zones/a.zone", zone.as_str())];
    all.extend(files);
    messages(&all)
}

#[test]
fn what_zones_include_lies_in_their_folder() {
    let none: [&str; 0] = [];
    assert_eq!(including("common.inc", &[("zones/common.inc", "x TXT y\n")]), none);
    assert_eq!(
        including("sub/b.zone", &[("zones/sub/b.zone", "$INCLUDE sub/c\n"), ("zones/sub/c", "")]),
        none
    );
    assert_eq!(including("gone", &[]), ["`gone` cannot be read: it is not there"]);
    assert_eq!(
        including("sub", &[("zones/sub/x", "")]),
        ["`sub` cannot be read: it is a folder, not a file"]
    );
    for outside in ["../meridian.toml", "/etc/passwd", "sub/../../x", "./../x", "\"\""] {
        let said = including(outside, &[("x", "")]);
        let name = outside.trim_matches('"');
        assert_eq!(said, [format!("`{name}` leads out of the zones folder")], "{outside}");
    }
    assert_eq!(including("b.zone", &[("zones/b.zone", "")])[0], "`b.zone` is a zone of its own");
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let zones = folder.path().join("zones");
    fs::create_dir_all(zones.join("..data")).unwrap();
    fs::write(folder.path().join("secret"), "x TXT secret\n").unwrap();
    fs::write(zones.join("..data/inside"), "y TXT inside\n").unwrap();
    std::os::unix::fs::symlink("../secret", zones.join("out")).unwrap();
    std::os::unix::fs::symlink("..data/inside", zones.join("in")).unwrap();
    fs::write(zones.join("a.zone"), "$INCLUDE in\n$INCLUDE out\n").unwrap();
    fs::write(folder.path().join("meridian.toml"), "").unwrap();
    let (sources, problems) = sources(&folder.path().join("meridian.toml"));
    let said: Vec<_> = problems.0.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(said, ["`out` leads out of the zones folder by a symbolic link"]);
    assert_eq!(sources.included.len(), 1);
    assert!(sources.files.iter().all(|file| !file.bytes.ends_with(b"secret\n")));
}
