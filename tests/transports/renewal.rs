//! A certificate is replaced while clients ask: none of them notices, and new ones see the new one.

use std::sync::atomic::{AtomicBool, Ordering};

use super::clients::{ask_pipelined, trusting};
use super::{Identity, LIMITS, World, assert_www, www};

#[test]
fn certificates_are_replaced_under_load_without_losing_a_query() {
    let world = World::start(LIMITS);
    let identities: Vec<_> = (0..20).map(|_| Identity::new()).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let steady: Vec<_> = (0..2)
            .map(|_| {
                let mut stream = world.tls();
                let done = &done;
                scope.spawn(move || {
                    let mut asked = 0_u16;
                    while !done.load(Ordering::Relaxed) {
                        assert_www(&ask_pipelined(&mut stream, &[www(asked)])[0], asked);
                        asked = asked.wrapping_add(1);
                    }
                    asked
                })
            })
            .collect();
        for identity in &identities {
            world.certificate.replace(&identity.credentials);
            // Only the certificate in force is trusted: a handshake with another fails.
            let config = trusting(&identity.trusted, &[b"dot"]);
            let mut fresh = world.secured(world.tls, config).unwrap();
            assert_www(&ask_pipelined(&mut fresh, &[www(7)])[0], 7);
            let config = trusting(&identity.trusted, &[b"http/1.1"]);
            assert!(world.secured(world.https, config).is_ok());
        }
        done.store(true, Ordering::Relaxed);
        assert!(steady.into_iter().all(|thread| thread.join().unwrap() > 0));
    });
    assert!(world.secured(world.tls, trusting(&world.identity.trusted, &[b"dot"])).is_err());
}
