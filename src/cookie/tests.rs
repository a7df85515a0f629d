#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().map(|digit| char::from(digit).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn secret(text: &str) -> Secret {
    Secret(hex(text).try_into().unwrap())
}

const FIRST: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
const EARLIER: &str = "dd3bdf9344b678b185a6f5cb60fca715";
const SECOND: &str = "445536bcd2513298075a5d379663c962";

/// A query's cookie from an address, at a time: what it is worth, and the cookie that answers it.
fn check(secrets: &Secrets, query: &str, source: &str, now_s: u64, worth: Worth, answer: &str) {
    let data = hex(query);
    let (found, cookie) = secrets.judge(&Cookie::parse(&data).unwrap(), source.parse().unwrap(), now_s);
    assert_eq!((found, cookie.to_vec()), (worth, hex(answer)), "{query} from {source} at {now_s}");
}

#[test]
fn rfc9018_a_1_a_new_server_cookie() {
    let secrets = Secrets::new(secret(FIRST), &[]);
    let answer = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
    check(&secrets, "2464c4abcf10c957", "198.51.100.100", 1_559_731_985, Worth::ClientOnly, answer);
    // The same client of a socket for both families.
    check(&secrets, "2464c4abcf10c957", "::ffff:198.51.100.100", 1_559_731_985, Worth::ClientOnly, answer);
}

#[test]
fn rfc9018_a_2_the_same_client_learns_a_renewed_cookie() {
    let secrets = Secrets::new(secret(FIRST), &[]);
    let query = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
    let renewed = "2464c4abcf10c957010000005cf7a871d4a564a1442aca77";
    check(&secrets, query, "198.51.100.100", 1_559_734_385, Worth::Valid, renewed);
}

#[test]
fn rfc9018_a_3_another_client_learns_a_renewed_cookie() {
    // Its reserved octets are not zero: they are hashed as they came.
    let secrets = Secrets::new(secret(FIRST), &[]);
    let query = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
    let renewed = "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e";
    check(&secrets, query, "203.0.113.203", 1_559_727_985 + 1700, Worth::Valid, query);
    // The vector's server takes cookies for longer than section 4.3 recommends; what it then makes is the same.
    check(&secrets, query, "203.0.113.203", 1_559_734_700, Worth::Invalid, renewed);
}

#[test]
fn rfc9018_a_4_ipv6_and_the_secret_rolled_over() {
    let client = "2001:db8:220:1:59de:d0f4:8769:82b8";
    let query = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
    let renewed = "22681ab97d52c298010000005cf7c609a6bb79d16625507a";
    let now_s = 1_559_741_961;
    check(&Secrets::new(secret(SECOND), &[secret(EARLIER)]), query, client, now_s, Worth::Valid, renewed);
    // A server that has the new secret ready takes the old cookie as it is.
    check(&Secrets::new(secret(EARLIER), &[secret(SECOND)]), query, client, now_s, Worth::Valid, query);
    check(&Secrets::new(secret(SECOND), &[]), query, client, now_s, Worth::Invalid, renewed);
}

#[test]
fn rfc9018_4_3_an_hour_back_and_five_minutes_ahead() {
    let secrets = Secrets::new(secret(FIRST), &[]);
    let source: IpAddr = "192.0.2.1".parse().unwrap();
    // The last time crosses the end of 32 bits.
    for made_s in [1_559_731_985_u64, 0xffff_fff0] {
        let client = hex("2464c4abcf10c957");
        let (_, cookie) = secrets.judge(&Cookie::parse(&client).unwrap(), source, made_s);
        let check = |age_s: i64, worth, same| {
            let now_s = made_s.checked_add_signed(age_s).unwrap();
            let (found, answer) = secrets.judge(&Cookie::parse(&cookie).unwrap(), source, now_s);
            assert_eq!((found, answer == cookie), (worth, same), "{age_s} s after {made_s}");
        };
        check(0, Worth::Valid, true);
        check(1800, Worth::Valid, true);
        check(1801, Worth::Valid, false);
        check(3600, Worth::Valid, false);
        check(3601, Worth::Invalid, false);
        check(-300, Worth::Valid, true);
        check(-301, Worth::Invalid, false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cookie_is_one_clients_and_one_secrets(
        key: [u8; 16], other: [u8; 16], client: [u8; 8], at: u32, addresses: [u32; 2], flipped in 0..192_usize,
    ) {
        let secrets = Secrets::new(Secret(key), &[]);
        let source = IpAddr::V4(addresses[0].into());
        let now_s = u64::from(at);
        let (_, cookie) = secrets.judge(&Cookie::parse(&client).unwrap(), source, now_s);
        let worth = |secrets: &Secrets, cookie: &[u8], source| {
            secrets.judge(&Cookie::parse(cookie).unwrap(), source, now_s).0
        };
        prop_assert_eq!(worth(&secrets, &cookie, source), Worth::Valid);
        let mut changed = cookie;
        changed[flipped / 8] ^= 1 << (flipped % 8);
        prop_assert_eq!(worth(&secrets, &changed, source), Worth::Invalid);
        if addresses[0] != addresses[1] {
            prop_assert_eq!(worth(&secrets, &cookie, IpAddr::V4(addresses[1].into())), Worth::Invalid);
        }
        if key != other {
            prop_assert_eq!(worth(&Secrets::new(Secret(other), &[]), &cookie, source), Worth::Invalid);
            let both = Secrets::new(Secret(other), &[Secret(key)]);
            prop_assert_eq!(worth(&both, &cookie, source), Worth::Valid);
        }
    }
}
