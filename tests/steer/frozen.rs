//! H11: what the governor keeps although it is down is served, and says so.

use meridian::ids::{Family, ServiceId};
use meridian::steer::Mode;

use crate::setting::{Setting, client};

#[test]
fn h11_answers_that_are_down_and_kept_are_marked() {
    let mut setting = Setting::new(
        "[pools.us]\nendpoints = [{ name = \"a\", region = \"us\", address = [\"192.0.2.1\", \"2001:db8::1\"] }]\n\
         [pools.eu]\nendpoints = [{ name = \"a\", region = \"eu\", address = [\"198.51.100.1\", \"2001:db8::2\"] }]\n\
         [services.s]\npolicy = { failover = [\"us\", \"eu\"] }\n",
    );
    let mode = |setting: &Setting, family| setting.ask(&setting.view(), family, &client(1), 0).mode;
    assert_eq!(mode(&setting, Family::V4), Mode::Normal);
    setting.down("us/a");
    let v4 = setting.addresses("us/a", Family::V4)[0];
    setting.health.frozen = vec![(ServiceId(0), v4)].into();
    let view = setting.view();
    assert_eq!(mode(&setting, Family::V4), Mode::Frozen);
    assert_eq!(setting.address(&view, &client(1)).to_string(), "192.0.2.1");
    assert!(view.table(ServiceId(0)).unwrap().has(Mode::Frozen));
    // The other family is not kept, and moved.
    assert_eq!(mode(&setting, Family::V6), Mode::Normal);
    let told = setting.explain(&view, Family::V4, &client(1));
    assert_eq!(told.mode, Mode::Frozen);
    assert!(told.steps.iter().any(|step| step.what.contains("the governor counts it as up")), "{told:#?}");
    // A frozen verdict that no answer names marks nothing.
    setting.verdict("us/a", Family::V4, meridian::health::Verdict::Up);
    assert_eq!(mode(&setting, Family::V4), Mode::Normal);
    // Nothing at all is well: a last resort is graver than the governor.
    setting.health.frozen = Vec::new().into();
    setting.down("us/a");
    setting.down("eu/a");
    assert_eq!(mode(&setting, Family::V4), Mode::AllDown);
}
