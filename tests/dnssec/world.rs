//! Keys, signed views, and questions to them.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use meridian::dnssec::{
    Algorithm, Denial, KeyRecords, KeyUse, OnlineLimits, OnlineSignatures, Signature, Signed, Signer,
    SigningFailed, SigningJob, Validity, ZoneKey, in_order,
};
use meridian::health::HealthTable;
use meridian::ids::ZoneId;
use meridian::now::Now;
use meridian::respond::{Asked, Outcome, Transport, respond};
use meridian::steer::Calendar;
use meridian::view::{Additional, Chaos, Peers, ResponderSettings, Snapshot, View};
use meridian::zone::{Catalog, ClientClass, ClientClasses, Zone};

use crate::validator::{Message, Name, Proven, Record, Validator};

pub const NOW_S: u32 = 1_800_000_000;
pub const VALIDITY: Validity = Validity {
    now_s: NOW_S,
    skew_s: 3600,
    lifetime_s: 14 * 86_400,
    jitter_s: 86_400,
    refresh_s: 4 * 86_400,
    seed: 7,
};

pub fn now() -> Now {
    Now { monotonic: Duration::from_secs(100), wall: Duration::from_secs(u64::from(NOW_S)) }
}

struct Edwards(Ed25519KeyPair);

impl Signer for Edwards {
    fn sign(&self, message: &[u8]) -> Result<Signature, SigningFailed> {
        self.0.sign(message).as_ref().try_into().map_err(|_| SigningFailed)
    }
}

struct Ecdsa(EcdsaKeyPair);

impl Signer for Ecdsa {
    fn sign(&self, message: &[u8]) -> Result<Signature, SigningFailed> {
        let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| SigningFailed)?;
        signature.as_ref().try_into().map_err(|_| SigningFailed)
    }
}

pub fn ed25519(seed: u8, key_use: KeyUse) -> ZoneKey {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let public = pair.public_key().as_ref().to_vec();
    ZoneKey::new(Algorithm::Ed25519, &public, key_use.signs_keys(), key_use, Arc::new(Edwards(pair)))
}

pub fn ecdsa(key_use: KeyUse) -> ZoneKey {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public = pair.public_key().as_ref()[1..].to_vec();
    ZoneKey::new(Algorithm::EcdsaP256Sha256, &public, key_use.signs_keys(), key_use, Arc::new(Ecdsa(pair)))
}

/// A view of one zone without services.
pub fn view_of(zone: Zone) -> View {
    view_of_given(Arc::new(zone), None)
}

/// The same of a zone that came signed.
pub fn view_of_given(zone: Arc<Zone>, signed: Option<Arc<Signed>>) -> View {
    let catalog = Catalog::of_shared(vec![zone], ClientClasses::default(), Vec::new());
    let snapshot = Snapshot {
        generation: 1,
        catalog,
        signed: Box::new([signed]),
        fingerprints: Arc::default(),
        fleet: Arc::default(),
        regions: Arc::default(),
        plans: Arc::default(),
        bindings: Arc::default(),
        schedules: Arc::default(),
        maps: Arc::default(),
        board: Arc::default(),
        monitors: Arc::default(),
        attributions: Arc::default(),
        responder: ResponderSettings {
            udp_payload_max: 1232,
            nsid: None,
            why: Box::default(),
            peers: Peers::default(),
            chaos: Chaos::default(),
            additional: Additional::Given,
            protection: meridian::view::Protection::OFF,
        },
    };
    View::new(Arc::new(snapshot), HealthTable::unknown(0, 0), Calendar::default(), None)
}

pub fn sign(view: &View, keys: &[ZoneKey], denial: Denial, previous: Option<&Signed>) -> Arc<Signed> {
    sign_at(view, keys, denial, previous, VALIDITY)
}

pub fn sign_at(
    view: &View,
    keys: &[ZoneKey],
    denial: Denial,
    previous: Option<&Signed>,
    validity: Validity,
) -> Arc<Signed> {
    let zone = &view.snapshot.catalog.zones()[0];
    let ds: Vec<Vec<u8>> = keys.iter().map(|key| key.ds(zone.origin())).collect();
    let cdnskey = keys.iter().map(|key| key.dnskey().to_vec()).collect();
    let job = SigningJob {
        zone,
        keys,
        key_ttl_s: 3600,
        key_records: &KeyRecords { cds: ds, cdnskey },
        serial: Some(2_026_010_101),
        denial,
        validity,
        steered: &view.steered_in(ZoneId(0)),
        previous,
    };
    Arc::new(Signed::build(&job, &in_order).unwrap())
}

/// A server and who asks it.
pub struct World {
    pub view: View,
    pub online: OnlineSignatures,
    pub origin: Name,
    pub keys: Vec<Vec<u8>>,
    pub draw: u64,
    pub now: Now,
}

/// How a question is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    Plain,
    Signed,
    Compact,
}

impl World {
    pub fn new(view: View, keys: &[ZoneKey], origin: &str) -> World {
        World {
            view,
            online: OnlineSignatures::new(OnlineLimits::DEFAULT, [9; 16]),
            origin: Name::text(origin),
            keys: keys.iter().map(|key| key.dnskey().to_vec()).collect(),
            draw: 1,
            now: now(),
        }
    }

    pub fn ask(&mut self, name: &Name, rtype: u16, wish: Wish, transport: Transport) -> Message {
        let edns = wish != Wish::Plain;
        let mut packet = vec![1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
        packet.extend(name.wire());
        packet.extend(rtype.to_be_bytes());
        packet.extend([0, 1]);
        if edns {
            let flags = if wish == Wish::Compact { 0xc0 } else { 0x80 };
            packet.extend([0, 0, 41, 0x10, 0, 0, 0, flags, 0, 0, 0]);
        }
        let source = "203.0.113.7".parse().unwrap();
        let asked = Asked {
            source,
            transport,
            class: ClientClass::DEFAULT,
            idle_timeout: None,
            admission: meridian::limit::Admission::Within,
        };
        let mut buffer = vec![0; 65_535];
        let outcome =
            respond(&self.view, &asked, self.now, self.draw, &packet, &mut buffer, &mut self.online);
        let Outcome::Reply { length, .. } = outcome else { panic!("{outcome:?}") };
        Message::read(&buffer[..length])
    }

    /// Asks with and without signatures: what the one proves, the other says.
    #[track_caller]
    pub fn check(&mut self, name: &Name, rtype: u16) -> Proven {
        let plain = self.ask(name, rtype, Wish::Plain, Transport::Tcp);
        let signed = self.ask(name, rtype, Wish::Signed, Transport::Tcp);
        let keys = self.keys.clone();
        let validator =
            Validator { origin: self.origin.clone(), keys: &keys, now_s: self.now.wall.as_secs() as u32 };
        let text = format!("{} {rtype}", String::from_utf8_lossy(&name.0.join(&b"."[..])));
        let proven = match validator.judge(&signed, name, rtype) {
            Ok(proven) => proven,
            Err(why) => panic!("{text}: {why}\n{signed:#?}"),
        };
        let data = |message: &Message| {
            // The NSEC of a name that is not there is there for those who want signatures.
            let is_made = |own: &Record| own.rtype == 47 && proven == Proven::NxDomain;
            let is_data = |own: &&Record| own.rtype != 46 && !is_made(own);
            let mut all: Vec<_> = message.sections[0].iter().filter(is_data).cloned().collect();
            all.sort_by(|a, b| (&a.owner, a.rtype, &a.rdata).cmp(&(&b.owner, b.rtype, &b.rdata)));
            all
        };
        assert_eq!(data(&plain), data(&signed), "{text}");
        assert_eq!(plain.authoritative, signed.authoritative, "{text}");
        assert_eq!(plain.rcode == 3, proven == Proven::NxDomain, "{text}: {plain:?} {proven:?}");
        assert!(!plain.sections.iter().flatten().any(|own| own.rtype == 46 && rtype != 46), "{text}");
        proven
    }
}
