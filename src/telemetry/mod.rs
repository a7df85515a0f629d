//! What the server counts and how it is shown. Workers count for themselves; sums are made when asked.

mod certificates;
mod counters;
mod exposition;
mod registry;
mod samples;
mod transfers;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use counters::{Event, Signing, WorkerCounters, Writers};
pub use exposition::{Exposition, Kind};
pub use registry::{Identity, Registry};
pub use samples::{SAMPLED_ONE_IN, Sample, Samples};
pub use transfers::{TransferCounters, TransferEvent};

use certificates::Certificates;

use crate::cookie::Worth;
use crate::ids::CounterId;
use crate::respond::{Limited, Transport};
use crate::steer::Mode;
use crate::wire::Rcode;

/// All counters of a process.
#[derive(Default)]
pub struct Telemetry {
    registry: Registry,
    workers: RwLock<Vec<Arc<WorkerCounters>>>,
    /// By endpoint: the region in the generation in force.
    regions: RwLock<HashMap<String, String>>,
    /// Of transfers.
    pub transfers: TransferCounters,
    certificates: Certificates,
}

impl Telemetry {
    /// Counters for one more worker.
    pub fn worker(&self, transport: Transport, writers: Writers) -> Arc<WorkerCounters> {
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        let counters = Arc::new(WorkerCounters::new(transport, writers, self.registry.len()));
        workers.push(counters.clone());
        counters
    }

    /// The number under which answers of a service that name an endpoint (`pool/endpoint`) are counted: the
    /// same in every generation. Every worker has room for it when this returns.
    pub fn counter(&self, service: &str, endpoint: &str) -> CounterId {
        let number = self.registry.counter(service, endpoint);
        for worker in self.workers().iter() {
            worker.make_room(number.index() + 1);
        }
        number
    }

    /// Says where endpoints (`pool/endpoint`) are in the generation that is put in force. Counts of endpoints
    /// that were never in force are not shown.
    pub fn place<'n>(&self, regions: impl Iterator<Item = (&'n str, &'n str)>) {
        let mut known = self.regions.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(regions.map(|(endpoint, region)| (endpoint.to_owned(), region.to_owned())));
    }

    /// Says when the certificate that a transport shows ends, since the Unix epoch.
    pub fn certificate(&self, transport: Transport, ends: Option<Duration>) {
        self.certificates.shown(transport, ends);
    }

    /// A changed certificate could not be used, and the old one stayed.
    pub fn certificate_refused(&self) {
        self.certificates.refused();
    }

    /// Everything counted so far, in Prometheus' text form.
    pub fn expose(&self, to: &mut Exposition) {
        let workers = self.workers();
        let sum = |transport: Transport, count: &dyn Fn(&WorkerCounters) -> u64| -> u64 {
            workers.iter().filter(|worker| worker.transport == transport).map(|worker| count(worker)).sum()
        };

        to.family("meridian_replies_total", Kind::Counter, "Replies sent, by transport and RCODE.");
        for transport in Transport::ALL {
            for rcode in Rcode::ALL {
                let replies = sum(transport, &|worker| worker.rcode(rcode));
                let labels = [("transport", transport.label()), ("rcode", rcode.mnemonic())];
                to.sample(&labels, replies as f64);
            }
        }
        to.family("meridian_truncated_replies_total", Kind::Counter, "Replies with TC set, by transport.");
        for transport in Transport::ALL {
            let truncated = sum(transport, &WorkerCounters::truncated_count);
            to.sample(&[("transport", transport.label())], truncated as f64);
        }
        to.family(
            "meridian_steered_answers_total",
            Kind::Counter,
            "Answers of services, by transport and by what decided: health (normal), the governor (frozen), a last resort (all-down).",
        );
        for transport in Transport::ALL {
            for mode in Mode::ALL {
                let labels = [("transport", transport.label()), ("mode", mode.label())];
                to.sample(&labels, sum(transport, &|worker| worker.steered_count(mode)) as f64);
            }
        }
        to.family(
            "meridian_dropped_total",
            Kind::Counter,
            "Messages without a reply and connections closed early, by transport and reason.",
        );
        for transport in Transport::ALL {
            for &event in Event::ALL {
                let labels = [("transport", transport.label()), ("reason", event.label())];
                to.sample(&labels, sum(transport, &|worker| worker.event(event)) as f64);
            }
        }
        let streams = [Transport::Tcp, Transport::Tls, Transport::Https];
        to.family("meridian_connections", Kind::Gauge, "Connections that are open, by transport.");
        for transport in streams {
            let open = sum(transport, &|worker| {
                let [opened, closed] = worker.connections();
                opened.saturating_sub(closed)
            });
            to.sample(&[("transport", transport.label())], open as f64);
        }
        to.family("meridian_connections_total", Kind::Counter, "Connections accepted, by transport.");
        for transport in streams {
            let opened = sum(transport, &|worker| worker.connections()[0]);
            to.sample(&[("transport", transport.label())], opened as f64);
        }
        to.family(
            "meridian_cookies_total",
            Kind::Counter,
            "Queries answered, by transport and DNS cookie: valid, client_only (it asks for one), invalid, or absent.",
        );
        for transport in Transport::ALL {
            let replies: u64 =
                Rcode::ALL.map(|rcode| sum(transport, &|worker| worker.rcode(rcode))).iter().sum();
            let mut absent = replies;
            for worth in Worth::ALL {
                let queries = sum(transport, &|worker| worker.cookie_count(worth));
                absent = absent.saturating_sub(queries);
                to.sample(&[("transport", transport.label()), ("cookie", worth.label())], queries as f64);
            }
            to.sample(&[("transport", transport.label()), ("cookie", "absent")], absent as f64);
        }
        to.family(
            "meridian_rate_limited_total",
            Kind::Counter,
            "Queries over UDP from beyond a limit, by what became of them: answered (a valid cookie), truncated, badcookie, or dropped.",
        );
        for limited in Limited::ALL {
            let queries = sum(Transport::Udp, &|worker| worker.limited_count(limited));
            to.sample(&[("outcome", limited.label())], queries as f64);
        }
        let dropped = sum(Transport::Udp, &|worker| worker.event(Event::Limited));
        to.sample(&[("outcome", "dropped")], dropped as f64);
        to.family(
            "meridian_online_signatures_total",
            Kind::Counter,
            "Signatures that could not be made ahead: found among those made lately, made, or refused because there were too many.",
        );
        for outcome in Signing::ALL {
            let signatures: u64 = workers.iter().map(|worker| worker.signed_count(outcome)).sum();
            to.sample(&[("outcome", outcome.label())], signatures as f64);
        }
        self.certificates.expose(to);
        self.transfers.expose(to);
        to.family("meridian_panics_total", Kind::Counter, "Queries answered SERVFAIL because of a defect.");
        to.sample(&[], workers.iter().map(|worker| worker.panics()).sum::<u64>() as f64);

        to.family(
            "meridian_answers_total",
            Kind::Counter,
            "Answers that named an endpoint, by service, region and endpoint; counts survive reloads.",
        );
        let regions = self.regions.read().unwrap_or_else(PoisonError::into_inner);
        for (number, identity) in self.registry.identities().iter().enumerate() {
            let Some(region) = regions.get(&identity.endpoint) else { continue };
            let labels = [
                ("service", identity.service.as_str()),
                ("region", region.as_str()),
                ("endpoint", identity.endpoint.as_str()),
            ];
            to.sample(&labels, self.answers(CounterId(number as u32)) as f64);
        }
    }

    /// Answers that named an endpoint so far, by all workers.
    pub fn answers(&self, counter: CounterId) -> u64 {
        self.workers().iter().map(|worker| worker.named_count(counter)).sum()
    }

    /// Replies sent so far, by all workers.
    pub fn replies(&self) -> u64 {
        Rcode::ALL.map(|rcode| self.replied(rcode)).iter().sum()
    }

    /// Replies with an RCODE so far, by all workers.
    pub fn replied(&self, rcode: Rcode) -> u64 {
        self.workers().iter().map(|worker| worker.rcode(rcode)).sum()
    }

    /// How often something happened so far, to all workers.
    pub fn events(&self, event: Event) -> u64 {
        self.workers().iter().map(|worker| worker.event(event)).sum()
    }

    /// The identities that counters have been given out for, by [`CounterId`].
    pub fn identities(&self) -> Vec<Identity> {
        self.registry.identities()
    }

    /// What the workers have sampled lately.
    pub fn samples(&self) -> Vec<Sample> {
        self.workers().iter().flat_map(|worker| worker.samples().collect::<Vec<_>>()).collect()
    }

    fn workers(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<WorkerCounters>>> {
        self.workers.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::dnssec::OnlineCounts;
    use crate::respond::{EdnsSeen, Note, Size};
    use crate::steer::Mode;

    fn note(rcode: Rcode, counters: &[CounterId]) -> Note<'_> {
        let (size, edns) = (Size::Whole, EdnsSeen::Absent);
        Note {
            rcode,
            size,
            edns,
            zone: None,
            counters,
            steered: None,
            mode: None,
            cookie: None,
            limited: None,
        }
    }

    #[test]
    fn sums_run_over_workers_and_survive_new_identities() {
        let telemetry = Telemetry::default();
        let early = telemetry.worker(Transport::Udp, Writers::One);
        let first = telemetry.counter("www", "web/a");
        let late = telemetry.worker(Transport::Tcp, Writers::Many);
        let many = (0..3000).map(|n| telemetry.counter("www", &format!("web/{n}"))).next_back().unwrap();
        early.answered(&note(Rcode::NoError, &[first, many]));
        late.answered(&note(Rcode::BadVers, &[many]));
        assert_eq!((telemetry.answers(first), telemetry.answers(many), telemetry.replies()), (1, 2, 2));
        assert_eq!(telemetry.answers(CounterId(u32::MAX)), 0);
    }

    #[test]
    fn the_exposition_has_bounded_labels_and_every_family() {
        let telemetry = Telemetry::default();
        let worker = telemetry.worker(Transport::Udp, Writers::One);
        let named = [telemetry.counter("www", "web/a"), telemetry.counter("www", "never/in-force")];
        let note = note(Rcode::NxDomain, &named);
        worker.answered(&Note { size: Size::Truncated, mode: Some(Mode::Frozen), ..note });
        worker.replied(Rcode::ServFail);
        telemetry.place([("web/a", "eu")].into_iter());
        worker.panicked();
        let counts = OnlineCounts { made: 5, ..OnlineCounts::default() };
        worker.signed(OnlineCounts { made: 3, ..counts }, counts);
        worker.happened(Event::SendFailed, 4);
        let mut exposition = Exposition::default();
        telemetry.expose(&mut exposition);
        let text = exposition.finish();
        for line in [
            "meridian_replies_total{transport=\"udp\",rcode=\"NXDOMAIN\"} 1",
            "meridian_replies_total{transport=\"udp\",rcode=\"SERVFAIL\"} 1",
            "meridian_truncated_replies_total{transport=\"udp\"} 1",
            "meridian_dropped_total{transport=\"udp\",reason=\"send_failed\"} 4",
            "meridian_online_signatures_total{outcome=\"made\"} 2",
            "meridian_panics_total 1",
            "meridian_answers_total{service=\"www\",region=\"eu\",endpoint=\"web/a\"} 1",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("never"));
    }
}
