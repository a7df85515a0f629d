//! The certificates that are shown: when each ends, and how many could not be used.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::exposition::{Exposition, Kind};
use crate::respond::Transport;

/// What is known of them.
#[derive(Default)]
pub struct Certificates {
    /// By a transport's label.
    ends: RwLock<BTreeMap<&'static str, Duration>>,
    refused: AtomicU64,
}

impl Certificates {
    /// What a transport shows from now on ends then.
    pub fn shown(&self, transport: Transport, ends: Option<Duration>) {
        let mut known = self.ends.write().unwrap_or_else(PoisonError::into_inner);
        match ends {
            Some(ends) => known.insert(transport.label(), ends),
            None => known.remove(transport.label()),
        };
    }

    /// One could not be used.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// In Prometheus' text form.
    pub fn expose(&self, to: &mut Exposition) {
        let known = self.ends.read().unwrap_or_else(PoisonError::into_inner);
        let help = "When the certificate in force ends, in seconds since 1970, by transport.";
        to.family("meridian_certificate_end_timestamp_seconds", Kind::Gauge, help);
        for (transport, ends) in known.iter() {
            to.sample(&[("transport", transport)], ends.as_secs() as f64);
        }
        let help = "Changed certificates that could not be used: the old ones stayed.";
        to.family("meridian_certificates_refused_total", Kind::Counter, help);
        to.sample(&[], self.refused.load(Ordering::Relaxed) as f64);
    }
}
