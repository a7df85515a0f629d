#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::fs::PermissionsExt;

use super::*;

fn at(seconds: u64) -> Now {
    Now { monotonic: Duration::from_secs(seconds), wall: Duration::from_secs(1_795_000_000 + seconds) }
}

fn settings(folder: &Path) -> Settings {
    Settings {
        origin: "example.test".to_owned(),
        folder: folder.join("keys"),
        algorithm: Algorithm::EcdsaP256Sha256,
        scheme: Scheme::KskZsk,
        zsk_lifetime: Some(Duration::from_secs(30 * 86_400)),
        announcement: Announce::Wanted,
        care: Care::Ours,
    }
}

const TIMES: Times = Times {
    dnskey_ttl: Duration::from_secs(3600),
    zone_ttl_max: Duration::from_secs(3600),
    propagation: Duration::from_secs(0),
    parent_ds: Duration::from_secs(3600),
};

fn uses(keyring: &Keyring) -> Vec<(KeyId, Role, KeyUse)> {
    keyring.ring.uses().collect()
}

/// A zone with keys, in a folder that goes away with the test.
fn founded() -> (tempfile::TempDir, Keyring) {
    let folder = tempfile::tempdir().unwrap();
    let mut keyring = Keyring::open(settings(folder.path()), at(0)).unwrap();
    assert!(keyring.is_empty());
    keyring.found(at(0)).unwrap();
    (folder, keyring)
}

#[test]
fn what_is_made_is_there_after_a_restart() {
    let (folder, mut keyring) = founded();
    keyring.poll(TIMES, at(1)).unwrap();
    keyring.in_force(keyring.version(), at(1));
    let (before, tags) =
        (uses(&keyring), keyring.zone_keys().unwrap().iter().map(ZoneKey::tag).collect::<Vec<_>>());
    // Nobody else may have it meanwhile.
    let taken = Keyring::open(settings(folder.path()), at(2)).err().unwrap();
    assert!(taken.to_string().contains("another process holds it"), "{taken}");
    drop(keyring);
    let keyring = Keyring::open(settings(folder.path()), at(5)).unwrap();
    assert_eq!(uses(&keyring), before);
    assert_eq!(keyring.zone_keys().unwrap().iter().map(ZoneKey::tag).collect::<Vec<_>>(), tags);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&keyring.settings.folder), mode(&keyring.state_file())), (0o700, 0o600));
    for name in keyring.folder.names().unwrap() {
        let expected = if name.ends_with(".key") { 0o644 } else { 0o600 };
        assert_eq!(mode(&keyring.folder.file(&name)), expected, "{name}");
    }
}

/// Whatever is wrong with the files, an error says so, and no key is made in place of another.
#[test]
fn damage_is_told_and_makes_no_new_keys() {
    let check = |what: &str, damage: &dyn Fn(&Path, &Path)| {
        let (_folder, keyring) = founded();
        let (settings, state) = (keyring.settings.clone(), keyring.state_file());
        let private =
            keyring.folder.names().unwrap().into_iter().find(|name| name.ends_with(".private")).unwrap();
        let private = keyring.folder.file(&private);
        drop(keyring);
        damage(&state, &private);
        let names = || Folder::at(&settings.folder).names().unwrap();
        let before = names();
        let problem =
            Keyring::open(settings.clone(), at(9)).err().unwrap_or_else(|| panic!("{what}")).to_string();
        assert!(problem.contains(what), "{what}: {problem}");
        assert_eq!(names(), before);
    };
    let write = |path: &Path, text: &[u8]| std::fs::write(path, text).unwrap();
    let chmod = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    check("damaged: it is not a state file", &|state, _| write(state, b""));
    check("damaged: it is cut", &|state, _| {
        let octets = std::fs::read(state).unwrap();
        write(state, &octets[..octets.len() - 1]);
    });
    check("damaged: its content has changed", &|state, _| {
        let mut octets = std::fs::read(state).unwrap();
        *octets.last_mut().unwrap() = b' ';
        write(state, &octets);
    });
    check("meridian keys import example.test", &|state, _| std::fs::remove_file(state).unwrap());
    check("it is not there", &|_, private| std::fs::remove_file(private).unwrap());
    check("no private key file", &|_, private| write(private, b"nonsense"));
    check("others may read or change this private key (mode 0644)", &|_, private| chmod(private, 0o644));
    check("not the one that its name says", &|_, private| {
        let other = KeyPair::generate(Algorithm::EcdsaP256Sha256).unwrap();
        write(private, bind::private_text(&other, &KeyTimes::default()).unwrap().as_bytes());
    });
}

#[test]
fn a_group_may_read_keys() {
    let (_folder, keyring) = founded();
    let settings = keyring.settings.clone();
    for name in keyring.folder.names().unwrap().into_iter().filter(|name| name.ends_with(".private")) {
        std::fs::set_permissions(keyring.folder.file(&name), PermissionsExt::from_mode(0o640)).unwrap();
    }
    drop(keyring);
    Keyring::open(settings, at(1)).unwrap();
}

#[test]
fn another_algorithm_is_refused_by_name() {
    let (_folder, keyring) = founded();
    let mut settings = keyring.settings.clone();
    settings.algorithm = Algorithm::Ed25519;
    drop(keyring);
    let problem = Keyring::open(settings, at(1)).err().unwrap().to_string();
    assert!(problem.contains("algorithm = \"ecdsap256sha256\""), "{problem}");
}

/// Killed between any two writes, it goes on where it was or a step further.
#[test]
fn a_roll_over_survives_the_end_of_the_process_at_every_step() {
    let (folder, mut keyring) = founded();
    let mut seconds = 0;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 4 {
        seconds += 1800;
        assert!(seconds < 100 * 86_400, "{seen:?}");
        keyring.poll(TIMES, at(seconds)).unwrap();
        let version = keyring.version();
        keyring.in_force(version, at(seconds));
        if seconds == 7200 {
            keyring.ds_seen(at(seconds)).unwrap();
        }
        seen.extend(uses(&keyring).iter().filter(|own| own.1 == Role::Zsk).map(|own| own.0.tag));
        let before = uses(&keyring);
        drop(keyring);
        keyring = Keyring::open(settings(folder.path()), at(seconds)).unwrap();
        assert_eq!(uses(&keyring), before);
        keyring.in_force(keyring.version(), at(seconds));
    }
    // What is over is dated, and stays for people to look at.
    let gone: Vec<_> =
        keyring.folder.names().unwrap().into_iter().filter(|name| name.ends_with(".private")).collect();
    assert_eq!(gone.len(), 5);
    let dated = gone.iter().filter(|name| {
        let text = std::fs::read_to_string(keyring.folder.file(name)).unwrap();
        text.contains("Inactive:") && text.contains("Delete:")
    });
    assert!(dated.count() >= 2);
}

/// A disk that takes nothing changes nothing.
#[test]
fn what_cannot_be_written_does_not_happen() {
    let (_folder, mut keyring) = founded();
    keyring.poll(TIMES, at(0)).unwrap();
    keyring.in_force(keyring.version(), at(0));
    std::fs::remove_dir_all(&keyring.settings.folder).unwrap();
    let (before, version) = (uses(&keyring), keyring.version());
    assert!(keyring.poll(TIMES, at(3600)).is_err());
    assert!(matches!(keyring.roll(Role::Ksk, at(3600)), Err(NotDone::Refused(Refusal::UnderWay(_)))));
    assert!(keyring.raise_serial(7, at(3600)).is_err());
    assert_eq!((uses(&keyring), keyring.version(), keyring.serial()), (before, version, None));
    assert!(keyring.check_files().unwrap_err().to_string().contains("the state of the keys is gone"));
    assert_eq!(keyring.zone_keys().unwrap().len(), 2);
}

#[test]
fn rfc1982_serials_rise() {
    let check = |served, file, expected| assert_eq!(next_serial(served, file), expected, "{served:?} {file}");
    check(None, 7, 8);
    check(Some(8), 7, 9);
    check(Some(8), 2026112101, 2026112101);
    check(Some(2026112101), 2026112101, 2026112102);
    check(Some(u32::MAX), 5, 5);
    check(Some(u32::MAX), u32::MAX, 0);
    check(Some(0), u32::MAX, 1);
}

#[test]
fn rfc8078_4_cds_and_cdnskey() {
    let (_folder, mut keyring) = founded();
    let owner = Name::from_wire(b"\x07example\x04test\x00").unwrap();
    assert_eq!(keyring.key_records(&owner), KeyRecords::default());
    assert_eq!(keyring.for_parent().unwrap().1, TooEarly::Yes);
    keyring.in_force(keyring.version(), at(0));
    keyring.poll(TIMES, at(3600)).unwrap();
    let records = keyring.key_records(&owner);
    let (ksk, early) = keyring.for_parent().unwrap();
    assert_eq!((records.cds, records.cdnskey), (vec![ksk.ds(&owner)], vec![ksk.dnskey().to_vec()]));
    assert_eq!(early, TooEarly::No);
    keyring.settings.announcement = Announce::Removal;
    let removal = keyring.key_records(&owner);
    assert_eq!((&removal.cds[0][..], &removal.cdnskey[0][..]), (&[0, 0, 0, 0, 0][..], &[0, 0, 3, 0, 0][..]));
}

#[test]
fn another_node_follows() {
    let (folder, mut keyring) = founded();
    let mut theirs = settings(folder.path());
    theirs.care = Care::Others;
    let mut follower = Keyring::open(theirs, at(0)).unwrap();
    assert_eq!(uses(&follower), uses(&keyring));
    let version = follower.version();
    follower.follow().unwrap();
    assert_eq!(follower.version(), version);
    keyring.in_force(keyring.version(), at(0));
    keyring.poll(TIMES, at(3600)).unwrap();
    keyring.ds_seen(at(3600)).unwrap();
    keyring.poll(TIMES, at(7200)).unwrap();
    keyring.roll(Role::Ksk, at(7300)).unwrap();
    follower.follow().unwrap();
    assert_ne!(follower.version(), version);
    assert_eq!((uses(&follower), follower.zone_keys().unwrap().len()), (uses(&keyring), 3));
    std::fs::write(follower.state_file(), "").unwrap();
    assert!(follower.follow().is_err());
    assert_eq!(uses(&follower), uses(&keyring));
}
