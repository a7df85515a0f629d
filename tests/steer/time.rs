//! H7: an answer does not outlive the next step of anything it was decided from.

use meridian::ids::Family;

use crate::setting::{Setting, client};

#[test]
fn h7_the_next_step_bounds_the_ttl_but_not_below_the_minimum() {
    let mut setting = Setting::new(
        "[pools.web]\nendpoints = [{ name = \"a\", region = \"us\", address = \"192.0.2.1\" }]\n\
         [services.s]\npolicy = \"web\"\nttl = { min = \"20s\", max = \"60s\" }\n",
    );
    let ttl_s = |setting: &Setting| setting.ask(&setting.view(), Family::V4, &client(1), 0).ttl_s;
    assert_eq!(ttl_s(&setting), 60);
    for (seconds, expected, why) in [
        (300, 60, "the service's maximum"),
        (45, 45, "the next step of a share"),
        (7, 20, "a step comes within 7 s, but the service's minimum is 20 s"),
        (0, 20, "a step comes within 0 s"),
    ] {
        setting.step_in("web/a", seconds);
        assert_eq!(ttl_s(&setting), expected, "{seconds}");
        let told = setting.explain(&setting.view(), Family::V4, &client(1));
        assert!(told.ttl_s == expected && told.ttl_why.contains(why), "{seconds}: {}", told.ttl_why);
    }
    // The same view, later: what is left counts, not what was left.
    setting.step_in("web/a", 45);
    let view = setting.view();
    setting.now = setting.now.after(std::time::Duration::from_millis(5_500));
    assert_eq!(setting.ask(&view, Family::V4, &client(1), 0).ttl_s, 39);
}
