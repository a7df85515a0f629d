//! Roll-overs seen by resolvers: whatever a cache may hold, it validates.
//!
//! The checker knows nothing of the ring's states. It keeps what was served, from when to when and with which
//! TTLs, and what the parent had; from that it derives everything that some cache may hold at a moment.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use super::*;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// A simple generator is random enough for worlds.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below.max(1)
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.roll(many) == 0
    }
}

/// What was served for a while.
struct Served {
    until: Option<u64>,
    keys: Vec<(KeyId, KeyUse)>,
    dnskey_ttl: u64,
    zone_ttl: u64,
}

/// What the parent had for a while.
struct ParentHad {
    until: Option<u64>,
    ds: Vec<KeyId>,
}

/// Everything that was served, by real time.
#[derive(Default)]
struct History {
    zone: Vec<Served>,
    parent: Vec<ParentHad>,
    propagation: u64,
    parent_ds: u64,
}

impl History {
    fn serve(&mut self, now: u64, served: Served) {
        if let Some(last) = self.zone.last_mut() {
            last.until = Some(now);
        }
        let (propagation, horizon) = (self.propagation, 40 * DAY);
        self.zone.retain(|old| old.until.is_none_or(|until| until + propagation + horizon > now));
        self.zone.push(served);
    }

    fn delegate(&mut self, now: u64, ds: Vec<KeyId>) {
        if let Some(last) = self.parent.last_mut() {
            last.until = Some(now);
        }
        self.parent.push(ParentHad { until: None, ds });
    }

    /// Every combination that a cache may hold now validates, or is insecure because there is no DS.
    fn check(&self, now: u64) -> Result<(), String> {
        let held = |until: Option<u64>, ttl: u64| until.is_none_or(|until| now <= until + ttl);
        let parents = self.parent.iter().filter(|had| held(had.until, self.parent_ds));
        for parent in parents.filter(|had| !had.ds.is_empty()) {
            let keys = self.zone.iter().filter(|own| held(own.until, own.dnskey_ttl + self.propagation));
            for keys in keys {
                let chained = keys.keys.iter().any(|(id, used)| used.signs_keys() && parent.ds.contains(id));
                if !chained {
                    return Err(format!("DS {:?} against keys {:?}", parent.ds, keys.keys));
                }
                let data = self.zone.iter().filter(|own| held(own.until, own.zone_ttl + self.propagation));
                for data in data {
                    let signers = data.keys.iter().filter(|(_, used)| used.signs_zone());
                    let known = signers.filter(|(id, _)| keys.keys.iter().any(|(other, _)| other == id));
                    if known.count() == 0 {
                        return Err(format!("data by {:?} against keys {:?}", data.keys, keys.keys));
                    }
                }
            }
        }
        Ok(())
    }
}

/// One node with its operator, in virtual time.
struct World {
    dice: Dice,
    history: History,
    /// What is true.
    plan: Plan,
    /// What the ring is told of it.
    told: fn(Times) -> Times,
    ring: Ring,
    kept: KeptRing,
    /// Real time, which caches go by.
    real: u64,
    /// When the process was started, by real time.
    started: u64,
    /// What the wall clock is wrong by.
    skew: i64,
    /// The version in force, or what signing waits for.
    published: u64,
    publish_at: Option<u64>,
    next_tag: u16,
    rolls: u32,
}

impl World {
    fn new(seed: u64, told: fn(Times) -> Times) -> World {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678);
        let plan = Plan {
            scheme: if dice.one_in(2) { Scheme::Csk } else { Scheme::KskZsk },
            zsk_lifetime: Some(Duration::from_secs(10 * DAY + dice.roll(90 * DAY))),
            times: Times {
                dnskey_ttl: Duration::from_secs(60 + dice.roll(2 * DAY)),
                zone_ttl_max: Duration::from_secs(60 + dice.roll(4 * DAY)),
                propagation: Duration::from_secs(dice.roll(DAY)),
                parent_ds: Duration::from_secs(60 + dice.roll(3 * DAY)),
            },
        };
        let mut history = History {
            propagation: plan.times.propagation.as_secs(),
            parent_ds: plan.times.parent_ds.as_secs(),
            ..History::default()
        };
        history.delegate(0, Vec::new());
        let ttl = plan.times.zone_ttl_max.as_secs();
        history.serve(0, Served { until: None, keys: Vec::new(), dnskey_ttl: ttl, zone_ttl: ttl });
        let kept = Ring::empty().keep(Now { monotonic: Duration::ZERO, wall: Duration::ZERO });
        World {
            dice,
            history,
            plan,
            told,
            ring: Ring::empty(),
            kept,
            real: 1,
            started: 0,
            skew: 0,
            published: 0,
            publish_at: Some(1),
            next_tag: 1,
            rolls: 0,
        }
    }

    fn told(&self) -> Plan {
        Plan { times: (self.told)(self.plan.times), ..self.plan }
    }

    fn now(&self) -> Now {
        let wall = (1_700_000_000 + self.real as i64 + self.skew).max(0) as u64;
        Now { monotonic: Duration::from_secs(self.real - self.started), wall: Duration::from_secs(wall) }
    }

    fn add(&mut self, role: Role) {
        let id = KeyId { algorithm: Algorithm::Ed25519, tag: self.next_tag };
        self.next_tag += 1;
        self.ring.add(id, role, self.now()).unwrap();
    }

    /// What the daemon does again and again: poll, make what is wanted, keep, and only then publish.
    fn turn(&mut self) {
        let now = self.now();
        let mut changed = self.ring.poll(&self.told(), now);
        for role in self.ring.wanted(&self.told(), now) {
            self.add(role);
            changed = true;
        }
        if changed {
            self.kept = self.ring.keep(now);
        }
        if self.publish_at.is_none() && self.ring.version() != self.published {
            // Signing may fail for days.
            let late = if self.dice.one_in(20) { self.dice.roll(5 * DAY) } else { self.dice.roll(60) };
            self.publish_at = Some(self.real + late);
        }
        if self.publish_at.is_some_and(|at| at <= self.real) {
            self.publish();
        }
    }

    fn publish(&mut self) {
        self.kept = self.ring.keep(self.now());
        let keys: Vec<_> = self.ring.uses().map(|(id, _, used)| (id, used)).collect();
        let signed = keys.iter().any(|(_, used)| used.signs_zone());
        assert!(signed && keys.iter().any(|(_, used)| used.signs_keys()), "{keys:?}");
        let served = Served {
            until: None,
            keys,
            dnskey_ttl: self.plan.times.dnskey_ttl.as_secs(),
            zone_ttl: self.plan.times.zone_ttl_max.as_secs(),
        };
        self.history.serve(self.real, served);
        self.published = self.ring.version();
        self.publish_at = None;
        self.ring.in_force(self.published, self.now());
    }

    /// A process that is killed remembers what was kept, at best a few minutes old.
    fn restart(&mut self) {
        self.real += self.dice.roll(if self.dice.0.is_multiple_of(3) { 20 * DAY } else { 60 });
        self.started = self.real;
        self.ring = Ring::restore(&self.kept);
        self.published = 0;
        self.publish_at = Some(self.real + self.dice.roll(HOUR));
    }

    /// What operators, clocks and power supplies do.
    fn happen(&mut self) {
        match self.dice.roll(400) {
            0..4 => self.restart(),
            4 => self.skew = self.dice.roll(2 * YEAR) as i64 - YEAR as i64,
            5 => self.skew = 0,
            6..12 => {
                let role = [Role::Csk, Role::Ksk, Role::Zsk][self.dice.roll(3) as usize];
                if self.ring.may_roll(role, &self.plan).is_ok() {
                    self.add(role);
                    self.kept = self.ring.keep(self.now());
                    self.rolls += 1;
                }
            }
            12 if self.publish_at.is_none() => {
                // A reload with other TTLs, in force at once.
                self.plan.times.dnskey_ttl = Duration::from_secs(60 + self.dice.roll(2 * DAY));
                self.plan.times.zone_ttl_max = Duration::from_secs(60 + self.dice.roll(4 * DAY));
                self.ring.poll(&self.told(), self.now());
                self.publish();
            }
            13 if self.dice.one_in(10) => {
                self.plan.scheme = match self.plan.scheme {
                    Scheme::Csk => Scheme::KskZsk,
                    Scheme::KskZsk => Scheme::Csk,
                };
            }
            14..40 => self.kept = self.ring.keep(self.now()),
            _ => {}
        }
        self.operate();
    }

    /// The operator brings the DS to the parent and says so, sooner or later.
    fn operate(&mut self) {
        let wanted = self.ring.announced().filter(|_| self.published == self.ring.version());
        let Some(wanted) = wanted else { return };
        let has = &self.history.parent.last().unwrap().ds;
        let right = *has == [wanted];
        if !right && self.dice.one_in(6) {
            // Some add the new one first and remove the old one later.
            let both = !has.contains(&wanted) && self.dice.one_in(2);
            let ds = if both { [&has[..], &[wanted]].concat() } else { vec![wanted] };
            self.history.delegate(self.real, ds);
        } else if right && self.dice.one_in(4) && self.ring.ds_seen(self.now()).is_ok() {
            self.kept = self.ring.keep(self.now());
        }
    }

    fn step(&mut self) {
        let pace = [60, HOUR, 8 * HOUR][self.dice.roll(3) as usize];
        self.real += 1 + self.dice.roll(pace);
        self.turn();
        self.happen();
    }
}

/// Years of roll-overs, restarts, clocks set back and forward, changed TTLs and late operators.
#[test]
fn rfc6781_4_1_every_cache_validates_at_every_moment() {
    let mut rolls = 0;
    for seed in 0..60 {
        let mut world = World::new(seed, |times| times);
        let mut zsks = 0;
        while world.real < 3 * YEAR {
            world.step();
            if let Err(why) = world.history.check(world.real) {
                panic!("seed {seed}, day {}: {why}\n{:?}", world.real / DAY, world.ring);
            }
            zsks = world.next_tag;
        }
        rolls += world.rolls;
        // Left alone, every roll-over comes to its end.
        world.plan.zsk_lifetime = None;
        for _ in 0..5000 {
            world.real += HOUR;
            world.turn();
            world.operate();
            world.history.check(world.real).unwrap();
        }
        let roles: Vec<_> = world.ring.uses().map(|(_, role, _)| role).collect();
        let mut expected = world.plan.scheme.roles().to_vec();
        expected.sort_by_key(|role| roles.iter().position(|own| own == role));
        assert_eq!(roles, expected, "seed {seed}: {:?}", world.ring);
        assert!(zsks > 5, "seed {seed}: {zsks}");
    }
    assert!(rolls > 100, "{rolls}");
}

/// The checker is worth its words: a ring that waits too little for any one thing is caught.
#[test]
fn a_ring_in_a_hurry_is_caught() {
    let check = |what: &str, told: fn(Times) -> Times| {
        let caught = (0..40).any(|seed| {
            let mut world = World::new(seed, told);
            while world.real < YEAR {
                world.step();
                if world.history.check(world.real).is_err() {
                    return true;
                }
            }
            false
        });
        assert!(caught, "nobody notices that {what} is not waited for");
    };
    const NONE: Duration = Duration::ZERO;
    check("the TTL of DNSKEY", |times| Times { dnskey_ttl: NONE, ..times });
    check("the zone's TTLs", |times| Times { zone_ttl_max: NONE, ..times });
    check("propagation", |times| Times { propagation: NONE, ..times });
    check("the TTL of DS", |times| Times { parent_ds: NONE, ..times });
}

fn at(seconds: u64) -> Now {
    Now { monotonic: Duration::from_secs(seconds), wall: Duration::from_secs(1_700_000_000 + seconds) }
}

fn key(tag: u16) -> KeyId {
    KeyId { algorithm: Algorithm::EcdsaP256Sha256, tag }
}

const TIMES: Times = Times {
    dnskey_ttl: Duration::from_secs(3600),
    zone_ttl_max: Duration::from_secs(7200),
    propagation: Duration::from_secs(600),
    parent_ds: Duration::from_secs(86_400),
};

fn plan(scheme: Scheme) -> Plan {
    Plan { scheme, zsk_lifetime: Some(Duration::from_secs(30 * DAY)), times: TIMES }
}

/// What the ring says after each moment.
fn states(ring: &mut Ring, plan: &Plan, seconds: u64) -> Vec<(u16, &'static str, KeyUse)> {
    ring.poll(plan, at(seconds));
    ring.in_force(ring.version(), at(seconds));
    let report = ring.report(plan, at(seconds));
    report.iter().map(|key| (key.id.tag, key.state.word(), key.key_use)).collect()
}

#[test]
fn rfc6781_4_1_1_1_a_zsk_is_pre_published() {
    let plan = plan(Scheme::KskZsk);
    let mut ring = Ring::empty();
    assert_eq!(ring.wanted(&plan, at(0)), [Role::Ksk, Role::Zsk]);
    ring.add(key(1), Role::Ksk, at(0)).unwrap();
    ring.add(key(2), Role::Zsk, at(0)).unwrap();
    let (ksk, zsk) = (KeyUse::SignsKeys, KeyUse::SignsZone);
    assert_eq!(states(&mut ring, &plan, 0), [(1, "shown", ksk), (2, "active", zsk)]);
    // What has no signatures yet is in caches for as long as its TTL and the secondaries take.
    assert_eq!(states(&mut ring, &plan, 7799)[0].1, "shown");
    assert_eq!(states(&mut ring, &plan, 7800)[0].1, "awaits-ds");
    assert_eq!((ring.announced(), ring.ds_seen(at(7900))), (Some(key(1)), Ok(key(1))));
    assert_eq!(states(&mut ring, &plan, 7900 + 86_400)[0].1, "active");
    let due = 30 * DAY - 4200;
    assert_eq!(ring.wanted(&plan, at(due - 1)), []);
    assert_eq!(ring.wanted(&plan, at(due)), [Role::Zsk]);
    ring.add(key(3), Role::Zsk, at(due)).unwrap();
    assert_eq!(ring.may_roll(Role::Zsk, &plan), Err(Refusal::UnderWay(key(3))));
    let shown = KeyUse::Published;
    states(&mut ring, &plan, due);
    assert_eq!(states(&mut ring, &plan, due + 4199)[1..], [(2, "active", zsk), (3, "shown", shown)]);
    let swapped = due + 4200;
    assert_eq!(states(&mut ring, &plan, swapped)[1..], [(2, "retired", shown), (3, "active", zsk)]);
    assert_eq!(states(&mut ring, &plan, swapped + 7799).len(), 3);
    assert_eq!(states(&mut ring, &plan, swapped + 7800)[1..], [(3, "active", zsk)]);
}

#[test]
fn rfc6781_4_1_2_a_ksk_signs_beside_its_predecessor_until_its_ds_is_everywhere() {
    let plan = plan(Scheme::KskZsk);
    let mut ring = Ring::empty();
    ring.add(key(1), Role::Ksk, at(0)).unwrap();
    ring.add(key(2), Role::Zsk, at(0)).unwrap();
    states(&mut ring, &plan, 0);
    assert_eq!(ring.ds_seen(at(1)), Err(Refusal::NothingAnnounced));
    assert_eq!(ring.may_roll(Role::Ksk, &plan), Err(Refusal::UnderWay(key(1))));
    assert_eq!(ring.may_roll(Role::Csk, &plan), Err(Refusal::NotInScheme(Role::Csk)));
    states(&mut ring, &plan, 7800);
    ring.ds_seen(at(7800)).unwrap();
    states(&mut ring, &plan, 100_000);
    ring.add(key(4), Role::Ksk, at(100_000)).unwrap();
    assert_eq!(ring.add(key(4), Role::Ksk, at(100_000)), Err(Refusal::SameTag(key(4))));
    let ksk = KeyUse::SignsKeys;
    assert_eq!(states(&mut ring, &plan, 100_000)[2], (4, "shown", ksk));
    assert_eq!(ring.announced(), Some(key(1)));
    assert_eq!(states(&mut ring, &plan, 104_200)[2], (4, "awaits-ds", ksk));
    // Forever, if need be.
    assert_eq!(states(&mut ring, &plan, 1_000_000)[2], (4, "awaits-ds", ksk));
    assert_eq!(ring.announced(), Some(key(4)));
    ring.ds_seen(at(1_000_000)).unwrap();
    assert_eq!(states(&mut ring, &plan, 1_086_399)[0], (1, "active", ksk));
    let left: Vec<_> = states(&mut ring, &plan, 1_086_400).iter().map(|key| key.0).collect();
    assert_eq!(left, [2, 4]);
}

#[test]
fn rfc6781_4_1_3_a_csk_signs_data_before_its_predecessor_leaves_the_parent() {
    let plan = plan(Scheme::Csk);
    let mut ring = Ring::empty();
    ring.add(key(1), Role::Csk, at(0)).unwrap();
    states(&mut ring, &plan, 0);
    states(&mut ring, &plan, 7800);
    ring.ds_seen(at(7800)).unwrap();
    assert_eq!(states(&mut ring, &plan, 94_200), [(1, "active", KeyUse::SignsAll)]);
    ring.add(key(2), Role::Csk, at(100_000)).unwrap();
    let (keys, all) = (KeyUse::SignsKeys, KeyUse::SignsAll);
    assert_eq!(states(&mut ring, &plan, 100_000), [(1, "active", all), (2, "shown", keys)]);
    assert_eq!(states(&mut ring, &plan, 104_200), [(1, "retired", keys), (2, "awaits-ds", all)]);
    ring.ds_seen(at(104_200)).unwrap();
    assert_eq!(states(&mut ring, &plan, 190_600), [(2, "active", all)]);
}

/// What was not published has not been waited for, however long ago it was decided.
#[test]
fn rfc7583_3_no_time_counts_before_it_is_in_force() {
    let plan = plan(Scheme::Csk);
    let mut ring = Ring::empty();
    ring.add(key(1), Role::Csk, at(0)).unwrap();
    assert!(!ring.poll(&plan, at(30 * DAY)));
    ring.in_force(ring.version() - 1, at(30 * DAY));
    assert!(!ring.poll(&plan, at(60 * DAY)));
    ring.in_force(ring.version(), at(60 * DAY));
    assert!(ring.poll(&plan, at(60 * DAY + 7800)));
    // Nor does a clock that is set forward make caches forget.
    let mut ring = Ring::empty();
    ring.add(key(1), Role::Csk, at(0)).unwrap();
    ring.in_force(ring.version(), at(0));
    let later = Now { monotonic: Duration::from_secs(7799), wall: at(YEAR).wall };
    assert!(!ring.poll(&plan, later));
}
