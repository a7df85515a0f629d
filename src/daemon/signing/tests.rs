//! Signed zones over virtual months: what is served can always be validated for days to come.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;

use super::*;
use crate::daemon::{EarlierMaps, Prepared, Source};
use crate::ids::CounterId;

const DAY: Duration = Duration::from_secs(86_400);
/// Signatures that are served hold for so long at least.
const HOLD_MIN: Duration = Duration::from_secs(3 * 86_400);

/// A node with a folder of its own, in virtual time.
struct Node {
    folder: tempfile::TempDir,
    now: Now,
    signing: Signing,
    prepared: Prepared,
    view: View,
}

fn prepare(path: PathBuf) -> Prepared {
    let source = Source { path };
    source.read(1, &EarlierMaps::default(), &mut |_, _| CounterId(0)).outcome().unwrap()
}

fn view_of(prepared: &Prepared, now: Now) -> View {
    let board =
        crate::health::Board::new(Arc::clone(&prepared.snapshot.board), prepared.board_limits(), now, 0);
    View::new(prepared.snapshot.clone(), board.table(), prepared.snapshot.calendar(now), None)
}

impl Node {
    fn start(folder: tempfile::TempDir, now: Now) -> Node {
        let path = folder.path().join("meridian.toml");
        let prepared = prepare(path.clone());
        let (mut signing, view) = (Signing::default(), view_of(&prepared, now));
        let mut opened = signing.open(&prepared.config, &path, now).unwrap();
        let mut bases = vec![None];
        for (id, work) in signing.first_work(&prepared.config, &path, &opened).unwrap() {
            bases[id.index()] = work.run(&view, id, now).unwrap();
        }
        let bases = signing.settle((&prepared.config, &path), &mut opened, bases, now).unwrap();
        let (view, bases) = Signing::sign_with(bases, view, now).unwrap();
        assert!(signing.take_over(&prepared.config, &path, opened, bases, now).is_empty());
        signing.in_force(&view, now);
        Node { folder, now, signing, prepared, view }
    }

    fn restart(self, after: Duration) -> Node {
        let Node { folder, now, signing, .. } = self;
        drop(signing);
        Node::start(folder, Now { monotonic: Duration::ZERO, wall: now.wall + after })
    }

    /// What the supervisor does: true where something new was published.
    fn turn(&mut self) -> bool {
        let now = self.now;
        let mut publish = false;
        for (id, work) in self.signing.poll(&self.view, now) {
            let based = work.run(&self.view, id, now).and_then(|based| based.ok_or(SigningFailed));
            publish |= self.signing.done(id, based, now);
        }
        if publish {
            self.view = self.signing.sign(view_of(&self.prepared, now), now).unwrap();
            self.signing.in_force(&self.view, now);
        }
        publish
    }

    fn served(&self) -> &Arc<Signed> {
        self.view.signed(ZoneId(0)).unwrap()
    }

    fn status(&self) -> SignedStatus {
        self.signing.report(self.now).remove(0)
    }
}

fn folder(dnssec: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("zones")).unwrap();
    write("meridian.toml", "");
    let hosts: String = (0..40).map(|host| format!("host{host} 300 A 192.0.2.{host}\n")).collect();
    write(
        "zones/example.test.zone",
        &format!("@ 3600 SOA ns a 7 1 1 1 60\n@ 3600 NS ns\nns 3600 A 127.0.0.1\n{hosts}"),
    );
    write("zones/example.test.toml", dnssec);
    folder
}

fn at(wall: u64) -> Now {
    Now { monotonic: Duration::ZERO, wall: Duration::from_secs(wall) }
}

/// More than a year with restarts: signatures never come near their end, serials rise, keys come and go.
#[test]
fn rfc6781_4_4_2_what_is_served_holds_for_days() {
    let dnssec = "[dnssec]\nkeys = \"ksk-zsk\"\nzsk_lifetime = \"60d\"\n";
    let mut node = Node::start(folder(dnssec), at(1_795_000_000));
    let end = node.now.wall + 400 * DAY;
    let (mut dice, mut zsks) = (7_u64, std::collections::BTreeSet::new());
    let (mut published, mut serial) = (0, node.status().serial.unwrap());
    while node.now.wall < end {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let step = Duration::from_secs(60 + (dice >> 33) % (8 * 3600));
        node.now = node.now.after(step);
        if dice.is_multiple_of(97) {
            // Down for up to a day.
            node = node.restart(step);
        }
        published += u32::from(node.turn());
        let status = node.status();
        let left = status.expires_in_s.unwrap();
        assert!(left >= HOLD_MIN.as_secs_f64(), "{left} s left: {status:?}");
        assert_eq!(status.trouble, None);
        assert!(status.serial.unwrap() >= serial);
        serial = status.serial.unwrap();
        let soa = node.served().apex(crate::wire::Rtype::SOA).unwrap().rdata.next().unwrap();
        assert_eq!(soa[soa.len() - 20..soa.len() - 16], serial.to_be_bytes());
        zsks.extend(status.keys.iter().filter(|key| key.role == "zsk").map(|key| key.tag));
        if status.to_do.is_some() && dice.is_multiple_of(5) {
            node.signing.ds_seen("example.test", node.now).unwrap();
        }
        if dice.is_multiple_of(211) {
            // Refused where one is under way.
            let _ = node.signing.roll("example.test", Role::Ksk, node.now);
        }
    }
    assert!((5..=12).contains(&zsks.len()), "{zsks:?}");
    // Not at each turn: what is near its end is renewed together.
    assert!((40..400).contains(&published), "{published}");
}

/// Nothing is signed, and no serial rises, while nothing changes.
#[test]
fn what_is_good_stays_as_it_is() {
    let mut node = Node::start(folder("dnssec = true\n"), at(1_795_000_000));
    let (served, serial) = (Arc::clone(node.served()), node.status().serial);
    assert_eq!(serial, Some(8));
    for _ in 0..60 {
        node.now = node.now.after(Duration::from_secs(60));
        assert!(!node.turn());
    }
    assert!(Arc::ptr_eq(&served, node.served()) && node.status().serial == serial);
    let again = node.signing.sign(view_of(&node.prepared, node.now), node.now).unwrap();
    assert!(Arc::ptr_eq(again.signed(ZoneId(0)).unwrap(), &served));
}

/// A disk that fails takes nothing from what is served; the trouble is told, and over when the disk is back.
#[test]
fn where_nothing_can_be_written_the_old_signatures_stay() {
    let mut node =
        Node::start(folder("[dnssec]\nkeys = \"ksk-zsk\"\nzsk_lifetime = \"1d\"\n"), at(1_795_000_000));
    let keys = node.folder.path().join("keys");
    let away = node.folder.path().join("away");
    let served = Arc::clone(node.served());
    std::fs::rename(&keys, &away).unwrap();
    for _ in 0..24 * 8 {
        node.now = node.now.after(Duration::from_secs(3600));
        node.turn();
        let left = node.status().expires_in_s.unwrap();
        assert!(left >= HOLD_MIN.as_secs_f64(), "{left}");
    }
    let status = node.status();
    assert!(status.trouble.as_ref().unwrap().contains("example.test.ring"), "{status:?}");
    assert_eq!(status.keys.len(), 2, "no key is made that cannot be kept: {status:?}");
    assert!(Arc::ptr_eq(&served, node.served()) && status.failures > 0);
    std::fs::rename(&away, &keys).unwrap();
    for _ in 0..3 {
        node.now = node.now.after(Duration::from_secs(120));
        node.turn();
    }
    let status = node.status();
    assert_eq!((status.trouble, status.keys.len()), (None, 3));
    assert!(!Arc::ptr_eq(&served, node.served()));
}
