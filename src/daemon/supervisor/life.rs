//! From the first round of probes over serving to the end.

use std::ops::ControlFlow;
use std::time::Duration;

use super::Supervisor;
use super::tell::OURSELVES;
use crate::daemon::notify::{State, notify};
use crate::now::Now;
use crate::server::{Entrances, Server};
use crate::state::{Durable, Outcome, What};

/// Where the process is in its life, with what it needs there.
pub(super) enum Life {
    /// Sockets are open, nothing is read from them until the first round or `until`.
    Starting { until: Duration, entrances: Option<Box<Entrances>> },
    /// Queries are answered.
    Serving { server: Server },
    /// Queries are answered until `until`; readiness is off.
    Draining { until: Duration, server: Option<Server> },
}

impl Supervisor {
    /// Goes from one phase of life to the next when its time has come; breaks at the end.
    pub(super) async fn grow_up(&mut self, now: Now) -> std::io::Result<ControlFlow<()>> {
        match &mut self.life {
            Life::Starting { until, entrances } => {
                let complete = self.board.first_round_done();
                if (complete || now.monotonic >= *until)
                    && let Some(entrances) = entrances.take()
                {
                    self.begin_to_serve(*entrances, complete)?;
                }
            }
            Life::Serving { .. } => {}
            Life::Draining { until, server } => {
                if now.monotonic >= *until {
                    if let Some(server) = server.take() {
                        server.stop().await;
                    }
                    self.keep(now, None::<fn(Durable)>);
                    self.record(OURSELVES, What::Stop, "", "", Outcome::Done, "");
                    tracing::info!("stopped");
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn begin_to_serve(&mut self, entrances: Entrances, complete: bool) -> std::io::Result<()> {
        if self.board.restored_fresh() {
            tracing::info!("health was restored: no first round of probes to wait for");
        } else if !complete {
            tracing::warn!("start_timeout has passed: what has no verdict yet counts as eligible");
        }
        self.tell_places();
        self.publish();
        let server = Server::start(entrances, &self.cell, self.clock, &self.telemetry, &self.desk)?;
        self.life = Life::Serving { server };
        let listen = self.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        tracing::info!(listen, generation = self.view.snapshot.generation, "ready");
        self.record(OURSELVES, What::Start, &listen, "", Outcome::Done, env!("CARGO_PKG_VERSION"));
        notify(State::Ready);
        Ok(())
    }

    /// The first request to stop drains, the second does not wait.
    pub(super) fn begin_to_stop(&mut self) -> ControlFlow<()> {
        let drain = self.prepared.config.server.drain_timeout;
        let until = self.clock.now().monotonic.saturating_add(drain);
        let serving = Life::Draining { until, server: None };
        match std::mem::replace(&mut self.life, serving) {
            Life::Starting { .. } => {
                tracing::info!("stopped before the first answer");
                ControlFlow::Break(())
            }
            Life::Serving { server } => {
                tracing::info!(?drain, "stopping: readiness is off, queries are answered a little longer");
                notify(State::Stopping);
                self.life = Life::Draining { until, server: Some(server) };
                ControlFlow::Continue(())
            }
            Life::Draining { .. } => {
                tracing::warn!("told again to stop: stopping at once");
                self.keep(self.clock.now(), None::<fn(Durable)>);
                self.record(OURSELVES, What::Stop, "", "", Outcome::Done, "told twice");
                ControlFlow::Break(())
            }
        }
    }
}
