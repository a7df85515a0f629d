//! The closed loop in virtual time: clients behind caches, regions that shed to each other, and what is
//! promised of it (docs/decisions/0008-load-control.md).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

const INTERVAL_S: u64 = 5;

/// A small generator: the same seed gives the same run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Clients that share a cache and a client subnet.
struct Crowd {
    /// Regions, nearest first.
    order: Vec<usize>,
    /// What the gates compare with shares, by region.
    gates: Vec<u16>,
    /// How long its cache holds an answer.
    ttl_s: u64,
    asks_at_s: u64,
    goes_to: usize,
    load: f64,
}

/// What one run is made of.
#[derive(Clone)]
struct Plan {
    seed: u64,
    /// By region: target; `max` is as many times the target.
    targets: Vec<f64>,
    max_ratio: f64,
    /// By region: demand, as a share of the target, before and after, from when to when the pressure lasts.
    calm: Vec<f64>,
    pressed: Vec<f64>,
    pressure_s: std::ops::Range<u64>,
    end_s: u64,
    ttls_s: std::ops::Range<u64>,
    /// Readings differ by so much from what is.
    noise: f64,
    /// So many of a thousand caches hold answers for five minutes whatever the TTL.
    stretching: u64,
    /// Heavy crowds: demand is spread over this many.
    crowds: usize,
}

/// What was seen of one region.
#[derive(Default, Clone, Debug)]
struct Seen {
    shares: Vec<u16>,
    loads: Vec<f64>,
}

fn demand(plan: &Plan, region: usize, at_s: u64) -> f64 {
    let calm = plan.calm[region];
    if plan.pressure_s.contains(&at_s) { plan.pressed[region] } else { calm }
}

fn run(plan: &Plan) -> Vec<Seen> {
    let mut dice = Dice(plan.seed);
    let regions = plan.targets.len();
    let members = plan.targets.iter().enumerate().map(|(index, target)| LoadMember {
        endpoint: EndpointId(index as u32),
        group: 0,
        metered: Some(Metered {
            feeds: Box::new([TargetId(index as u32)]),
            interval: Duration::from_secs(INTERVAL_S),
            caches: Duration::from_secs(60),
            limits: LoadLimits {
                target: Amount::from_units(*target).unwrap(),
                max: Amount::from_units(target * plan.max_ratio).unwrap(),
            },
        }),
    });
    let mut loads = Loads::new(members.collect());
    let mut crowds: Vec<Crowd> =
        (0..plan.crowds * regions).map(|number| crowd(plan, number, &mut dice)).collect();
    let mut seen = vec![Seen::default(); regions];
    for at_s in 0..plan.end_s {
        let now = Duration::from_secs(at_s + 1);
        let shares: Vec<u16> =
            (0..regions).map(|region| loads.share(EndpointId(region as u32)).permille).collect();
        let mut load = vec![0.0; regions];
        for crowd in &mut crowds {
            if crowd.asks_at_s <= at_s {
                crowd.asks_at_s = at_s + crowd.ttl_s;
                let open = crowd.order.iter().find(|region| crowd.gates[**region] < shares[**region]);
                crowd.goes_to = *open.unwrap_or(&crowd.order[0]);
            }
            load[crowd.goes_to] += crowd.load * demand(plan, crowd.order[0], at_s);
        }
        for (region, load) in load.iter().enumerate() {
            // Each feed at its own time.
            if (at_s + region as u64).is_multiple_of(INTERVAL_S) {
                let read = load * (1.0 + plan.noise * (2.0 * dice.unit() - 1.0));
                loads.observe(TargetId(region as u32), Amount::from_units(read).unwrap(), now);
            }
            seen[region].loads.push(*load);
            seen[region].shares.push(shares[region]);
        }
        loads.poll(now);
    }
    seen
}

fn crowd(plan: &Plan, number: usize, dice: &mut Dice) -> Crowd {
    let regions = plan.targets.len();
    let home = number % regions;
    let mut order: Vec<usize> = (0..regions).collect();
    order.rotate_left(home);
    // Not all have the same second choice.
    if dice.below(2) == 0 {
        order[1..].reverse();
    }
    let ttl_s = match dice.below(1000) < plan.stretching {
        true => 300,
        false => plan.ttls_s.start + dice.below(plan.ttls_s.end - plan.ttls_s.start),
    };
    Crowd {
        order,
        gates: (0..regions).map(|_| dice.below(1000) as u16).collect(),
        ttl_s,
        asks_at_s: dice.below(ttl_s),
        goes_to: home,
        load: plan.targets[home] / plan.crowds as f64,
    }
}

/// How often a curve turns back by more than `least` permille; out and home again is one turn.
fn turns(shares: &[u16], least: u16) -> usize {
    let (mut turns, mut extreme, mut falling) = (0, shares[0], true);
    for share in shares {
        let onward = if falling { *share <= extreme } else { *share >= extreme };
        if onward {
            extreme = *share;
        } else if share.abs_diff(extreme) > least {
            (turns, extreme, falling) = (turns + 1, *share, !falling);
        }
    }
    turns
}

fn plan(seed: u64) -> Plan {
    let mut dice = Dice(seed ^ 0xfeed);
    let regions = 2 + dice.below(3) as usize;
    let busy = dice.below(regions as u64) as usize;
    let calm: Vec<f64> = (0..regions).map(|_| 0.3 + 0.3 * dice.unit()).collect();
    let mut pressed = calm.clone();
    pressed[busy] = 1.3 + 1.2 * dice.unit();
    Plan {
        seed,
        targets: (0..regions).map(|_| 100.0 + 400.0 * dice.unit()).collect(),
        max_ratio: 1.2 + 1.8 * dice.unit(),
        calm,
        pressed,
        pressure_s: 300..1500,
        end_s: 2400,
        ttls_s: 20..61,
        noise: 0.02,
        stretching: 0,
        crowds: 400,
    }
}

/// The worst that was seen of any region in any run.
#[derive(Default, Debug)]
struct Figures {
    /// Of a share, by more than 2 points.
    turns: usize,
    /// How far a share went below where it settled, in points.
    overshoot: f64,
    /// How far a share settled from what suits the true demand, in points.
    error: f64,
    /// How long after the pressure began the share last left the 5 points around where it settled.
    settled_s: usize,
    /// How long after the pressure ended the load was back.
    returned_s: usize,
}

impl Figures {
    fn hold_within(&self, what: &str, turns: usize, points: f64, settled_s: usize) {
        eprintln!("{what}: {self:?}");
        assert!(
            self.turns <= turns && self.overshoot <= points && self.settled_s <= settled_s,
            "{what}: {self:?}"
        );
        assert!(self.error <= 10.0 && self.returned_s <= 120, "{what}: {self:?}");
    }
}

/// Runs of each kind. With 200 the figures are those of docs/decisions/0008-load-control.md.
const RUNS: u64 = 12;

fn figures(seeds: u64, change: impl Fn(&mut Plan)) -> Figures {
    let mut worst = Figures::default();
    for seed in 0..seeds {
        let mut plan = plan(seed);
        change(&mut plan);
        let seen = run(&plan);
        let pressure = plan.pressure_s.start as usize..plan.pressure_s.end as usize;
        let total: f64 = seen.iter().map(|own| own.loads[pressure.end - 1]).sum();
        let raise = (total / plan.targets.iter().sum::<f64>()).max(1.0);
        for (region, seen) in seen.iter().enumerate() {
            let settled = seen.shares[pressure.end - 1];
            let lowest = *seen.shares[pressure.clone()].iter().min().unwrap();
            let turns = turns(&seen.shares, 20);
            let overshoot = f64::from(settled.saturating_sub(lowest)) / 10.0;
            let target = plan.targets[region] * raise;
            let demand = seen.loads[pressure.end - 1] / f64::from(settled) * 1000.0;
            let error = (f64::from(settled) / 10.0
                - 100.0 * law::wanted(demand, target, target * plan.max_ratio))
            .abs();
            let away = |share: &u16| share.abs_diff(settled) > 50;
            let settled_s = seen.shares[pressure.clone()].iter().rposition(away).map_or(0, |at| at + 1);
            let returned_s =
                seen.shares[pressure.end..].iter().rposition(|share| *share < 1000).map_or(0, |at| at + 1);
            worst.turns = worst.turns.max(turns);
            worst.overshoot = worst.overshoot.max(overshoot);
            worst.error = worst.error.max(error);
            worst.settled_s = worst.settled_s.max(settled_s);
            worst.returned_s = worst.returned_s.max(returned_s);
        }
    }
    worst
}

#[test]
fn it_settles_and_returns() {
    figures(RUNS, |_| {}).hold_within("noise of 2 %", 1, 3.0, 240);
}

#[test]
fn also_with_caches_that_stretch_ttls() {
    figures(RUNS, |plan| plan.stretching = 87).hold_within("8.7 % of caches stretch", 1, 3.0, 480);
}

#[test]
fn also_with_noise() {
    figures(RUNS, |plan| plan.noise = 0.1).hold_within("noise of 10 %", 3, 5.0, 600);
}

#[test]
fn also_with_few_heavy_crowds() {
    figures(RUNS, |plan| plan.crowds = 20).hold_within("20 crowds a region", 5, 8.0, 1000);
}

#[test]
fn also_when_all_exceed() {
    figures(RUNS, |plan| {
        plan.calm.iter_mut().for_each(|share| *share *= 0.8);
        plan.pressed.iter_mut().for_each(|share| *share += 0.7);
    })
    .hold_within("all exceed", 3, 5.0, 480);
}
