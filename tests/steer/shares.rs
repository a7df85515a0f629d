//! R12: partial shares are decided by hash of the client, one value for each client and region.

use std::collections::BTreeMap;
use std::net::IpAddr;

use meridian::health::ShareCause;
use meridian::ids::{Family, ServiceId};
use meridian::steer::{Decision, Lane, Mix, Mode};
use meridian::view::View;

use crate::setting::{Setting, client};

const CLIENTS: u32 = 4000;

/// Two regions in order, and a third with both at once.
const FAILOVER: &str = "\
    [pools.us]\nendpoints = [{ name = \"a\", region = \"us\", address = \"192.0.2.1\" }, { name = \"b\", region = \"us\", address = \"192.0.2.2\", weight = 0 }]\n\
    [pools.eu]\nendpoints = [{ name = \"a\", region = \"eu\", address = \"198.51.100.1\" }]\n\
    [services.s]\npolicy = { failover = [\"us\", \"eu\"] }\n";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Who of the clients gets what.
fn all(setting: &Setting, view: &View) -> Vec<IpAddr> {
    (0..CLIENTS).map(|number| setting.address(view, &client(number))).collect()
}

fn part(found: &[IpAddr], of: &str) -> f64 {
    found.iter().filter(|own| **own == address(of)).count() as f64 / found.len() as f64 * 100.0
}

#[test]
fn r12_a_share_that_moves_moves_only_the_clients_between() {
    let mut setting = Setting::new(FAILOVER);
    let mut before: Option<Vec<IpAddr>> = None;
    for permille in [0u16, 5, 50, 200, 500, 900, 1000, 700, 250, 30, 0] {
        for name in ["us/a", "us/b"] {
            setting.share(name, permille, ShareCause::Ramp);
        }
        let found = all(&setting, &setting.view());
        let (own, expected) = (part(&found, "192.0.2.1"), f64::from(permille) / 10.0);
        assert!((own - expected).abs() < 2.0, "{own} of {expected}");
        if let Some(before) = before.replace(found.clone()) {
            let entered = before.iter().zip(&found).filter(|(a, b)| a != b && **b == address("192.0.2.1"));
            let left = before.iter().zip(&found).filter(|(a, b)| a != b && **a == address("192.0.2.1"));
            assert!(entered.count() == 0 || left.count() == 0, "{permille}: the share moved one way only");
        }
    }
}

#[test]
fn r12_the_draw_plays_no_part_and_the_scope_is_the_hashed_length() {
    let mut setting = Setting::new(FAILOVER);
    for name in ["us/a", "us/b"] {
        setting.share(name, 500, ShareCause::Draining);
    }
    let view = setting.view();
    for number in 0..50 {
        let first = setting.ask(&view, Family::V4, &client(number), 0);
        assert_eq!(first.scope, 24);
        for draw in 1..20u64 {
            let again = setting.ask(&view, Family::V4, &client(number), draw << 58);
            assert_eq!(again.answer, first.answer);
        }
    }
    // Nobody in, or everybody: there is nothing to hash.
    for (permille, expected) in [(0, "198.51.100.1"), (1000, "192.0.2.1")] {
        for name in ["us/a", "us/b"] {
            setting.share(name, permille, ShareCause::Hold);
        }
        let view = setting.view();
        assert_eq!(setting.ask(&view, Family::V4, &client(1), 0).scope, 0);
        assert_eq!(setting.address(&view, &client(1)), address(expected));
    }
}

#[test]
fn r12_endpoints_of_a_region_nest() {
    let mut setting = Setting::new(
        "[pools.web]\nendpoints = [\n\
         { name = \"a\", region = \"us\", address = \"192.0.2.1\" },\n\
         { name = \"b\", region = \"us\", address = \"192.0.2.2\" },\n\
         { name = \"c\", region = \"eu\", address = \"198.51.100.1\" }]\n\
         [services.s]\npolicy = { nearest = [\"web\"], unknown = \"us\" }\n",
    );
    setting.share("web/a", 200, ShareCause::Ramp);
    setting.share("web/b", 500, ShareCause::Ramp);
    let view = setting.view();
    let table = view.table(ServiceId(0)).unwrap().lane(Lane::Addresses(Family::V4)).unwrap();
    let decisions: Vec<&Decision> = table.decisions().collect();
    let [Decision::Answer(Mix::Gated { parts, .. })] = &*decisions else { panic!("{table:#?}") };
    let ends: Vec<u16> = parts.iter().map(|part| part.0).collect();
    assert_eq!(ends, [200, 500, 1000], "both, one, none of the region");
    let mut shares: BTreeMap<IpAddr, f64> = BTreeMap::new();
    for (_, mix) in &**parts {
        mix.visit(1.0, &mut |share, pick| *shares.entry(pick.addresses[0]).or_default() += share);
    }
    assert_eq!(
        shares.into_iter().collect::<Vec<_>>(),
        [(address("192.0.2.1"), 0.5), (address("192.0.2.2"), 1.5), (address("198.51.100.1"), 1.0)]
    );
}

#[test]
fn r12_shares_alone_leave_nobody_without_an_answer() {
    let mut setting = Setting::new(FAILOVER);
    setting.down("eu/a");
    setting.down("us/b");
    setting.share("us/a", 0, ShareCause::Manual);
    let view = setting.view();
    assert!(!view.table(ServiceId(0)).unwrap().has(Mode::AllDown), "something is healthy");
    assert_eq!(setting.address(&view, &client(1)), address("192.0.2.1"));
    let told = setting.explain(&view, Family::V4, &client(1));
    let has = |what: &str| told.steps.iter().any(|step| step.what.contains(what));
    assert!(has("lets nobody in (held until an operator lets it back)"), "{told:#?}");
    assert!(has("shares are left aside"), "{told:#?}");
}

/// A node with a mode of its own, and a fence, do the same where they stand.
#[test]
fn r12_shares_are_left_aside_before_the_mode_of_a_node_acts() {
    let mut setting = Setting::new(
        "[pools.us]\nendpoints = [{ name = \"a\", region = \"us\", address = \"192.0.2.1\" }]\n\
         [pools.eu]\nendpoints = [{ name = \"a\", region = \"eu\", address = \"198.51.100.1\" }]\n\
         [pools.ap]\nendpoints = [{ name = \"a\", region = \"ap\", address = \"203.0.113.1\" }]\n\
         [policies.own]\nfailover = [\"us\"]\nall_down = { fallback = \"ap\" }\n\
         [services.s]\npolicy = { failover = [\"own\", \"eu\"] }\n",
    );
    setting.share("us/a", 300, ShareCause::Shed);
    let view = setting.view();
    assert_eq!(all(&setting, &view), vec![address("192.0.2.1"); CLIENTS as usize]);
    setting.down("us/a");
    assert_eq!(setting.address(&setting.view(), &client(1)), address("203.0.113.1"));
}

/// R10: who is sent away by a share must not meet an empty answer that the others do not get.
#[test]
fn r12_no_client_gets_an_empty_answer_because_of_a_share() {
    let mut setting = Setting::new(
        "[pools.us]\nendpoints = [{ name = \"a\", region = \"us\", address = \"192.0.2.1\" }]\n\
         [pools.eu]\nendpoints = [{ name = \"a\", region = \"eu\", address = \"198.51.100.1\" }]\n\
         [policies.last]\nfailover = [\"eu\"]\nall_down = \"nodata\"\n\
         [services.s]\npolicy = { failover = [\"us\", \"last\"] }\n",
    );
    setting.share("us/a", 300, ShareCause::Ramp);
    let found = all(&setting, &setting.view());
    assert!((part(&found, "192.0.2.1") - 30.0).abs() < 2.0);
    setting.down("eu/a");
    assert_eq!(all(&setting, &setting.view()), vec![address("192.0.2.1"); CLIENTS as usize]);
}

#[test]
fn r12_explain_says_which_side_the_client_is_on() {
    let mut setting = Setting::new(FAILOVER);
    for name in ["us/a", "us/b"] {
        setting.share(name, 200, ShareCause::Ramp);
    }
    let view = setting.view();
    for number in 0..40 {
        let inside = setting.address(&view, &client(number)) == address("192.0.2.1");
        let told = setting.explain(&view, Family::V4, &client(number));
        let not = if inside { "" } else { "not " };
        let expected = format!("region us lets 20 % in (ramp): this client is {not}among them");
        assert_eq!(told.steps.iter().filter(|step| step.what == expected).count(), 1, "{told:#?}");
        assert_eq!(told.candidates.len(), 1);
        assert_eq!(told.candidates[0].regions, [if inside { "us" } else { "eu" }]);
        assert_eq!(told.scope_why, "partial shares hash the first 24 bits of the client");
    }
}

/// More partial shares at once than are told apart: some count as full, and explain agrees with the answer.
#[test]
fn r12_forks_are_bounded() {
    let mut text = String::new();
    let mut pool = String::from("[pools.web]\nendpoints = [\n");
    for number in 0..12 {
        text += &format!("[regions.r{number}]\nat = [{number}.0, 10.0]\n");
        pool +=
            &format!("{{ name = \"e{number}\", region = \"r{number}\", address = \"192.0.2.{number}\" }},\n");
    }
    text += &pool;
    text += "]\n[services.s]\npolicy = \"web\"\n";
    let mut setting = Setting::new(&text);
    for number in 0..12 {
        setting.share(&format!("web/e{number}"), 300 + 50 * number, ShareCause::Shed);
    }
    let view = setting.view();
    let table = view.table(ServiceId(0)).unwrap().lane(Lane::Addresses(Family::V4)).unwrap();
    let decisions: Vec<&Decision> = table.decisions().collect();
    let [Decision::Answer(mix)] = &*decisions else { panic!("{table:#?}") };
    fn leaves(mix: &Mix) -> usize {
        match mix {
            Mix::Gated { parts, .. } => parts.iter().map(|part| leaves(&part.1)).sum(),
            _ => 1,
        }
    }
    assert!((32..=64).contains(&leaves(mix)), "{}", leaves(mix));
    for number in 0..200 {
        let told = setting.explain(&view, Family::V4, &client(number));
        for draw in 0..24u64 {
            let meridian::steer::Answer::Addresses([own]) = setting
                .ask(&view, Family::V4, &client(number), draw.wrapping_mul(0x0b1e_5555_5555_5555))
                .answer
            else {
                panic!()
            };
            assert!(told.candidates.iter().any(|candidate| candidate.addresses == [*own]), "{told:#?}");
        }
    }
}

#[test]
fn r12_a_trickle_reaches_the_second_child() {
    let (head, _) = FAILOVER.split_once("[services.s]").unwrap();
    let policy = "policy = { failover = [\"us\", \"eu\"], trickle = \"5%\" }";
    let setting = Setting::new(&format!("{head}[services.s]\n{policy}\n"));
    let found = all(&setting, &setting.view());
    assert!((part(&found, "198.51.100.1") - 5.0).abs() < 1.0, "{}", part(&found, "198.51.100.1"));
}
