//! What response rate limiting and cookies need besides their configuration: chance, and memory that outlives a
//! reload.

use std::sync::{Arc, OnceLock};

use crate::config::Config;
use crate::cookie::{Secret, Secrets};
use crate::limit::Limiter;
use crate::server::Draws;
use crate::view::Protection;

/// The secret of servers that are given none: this process's alone.
static DRAWN: OnceLock<Secret> = OnceLock::new();

/// The protection that a configuration asks for. Counts of sources go on where the rates are those of before.
pub fn protection(config: &Config, earlier: Option<&Arc<Limiter>>) -> Protection {
    let cookies = config.cookies.enabled.then(|| {
        let own = config.cookies.secret.unwrap_or_else(|| *DRAWN.get_or_init(told));
        Secrets::new(own, &config.cookies.accepted)
    });
    let limiter = config.rate_limit.as_ref().map(|rates| match earlier {
        Some(limiter) if limiter.rates() == rates => Arc::clone(limiter),
        _ => Arc::new(Limiter::new(rates.clone(), [chance(), chance()])),
    });
    Protection { cookies, limiter, udp_payload_unproven_max: config.server.udp_payload_unproven_max }
}

fn told() -> Secret {
    tracing::info!("no cookies.secret: one was drawn, and other servers do not know it");
    Secret((u128::from(chance()) << 64 | u128::from(chance())).to_be_bytes())
}

/// 64 bits by the system's chance: each from a generator of its own, so that none says anything of another.
fn chance() -> u64 {
    Draws::seeded().draw()
}
