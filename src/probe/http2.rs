//! One HTTP/2 connection for one exchange, in the probe's own task: when that ends, nothing is left.

use std::pin::pin;

use h2::Reason;
use h2::client::{Builder, SendRequest};
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::cause;
use super::http::HEAD_OCTETS_MAX;
use super::stopwatch::{Phase, Stopwatch};
use crate::health::Failure;

/// What a server may send before it is read: the least that the protocol starts with.
const WINDOW_OCTETS: u32 = 65_535;

/// Opens a connection and has one exchange over it.
pub async fn with_connection<F, T>(
    connection: impl AsyncRead + AsyncWrite + Unpin,
    stopwatch: &Stopwatch,
    ask: impl FnOnce(SendRequest<Bytes>) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    stopwatch.asking();
    let failed = |error: h2::Error| failure(&error, stopwatch.phase());
    let (sender, connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(WINDOW_OCTETS)
        .initial_connection_window_size(WINDOW_OCTETS)
        .max_header_list_size(HEAD_OCTETS_MAX as u32)
        .handshake(connection)
        .await
        .map_err(failed)?;
    let exchange = async { ask(sender.ready().await.map_err(failed)?).await };
    alongside(exchange, connection).await
}

/// Runs the work of a connection while an exchange over it goes on. What the connection comes to is seen
/// by the exchange.
pub async fn alongside<T>(exchange: impl Future<Output = T>, connection: impl Future) -> T {
    let mut exchange = pin!(exchange);
    tokio::select! {
        biased;
        outcome = &mut exchange => return outcome,
        _ = connection => {}
    }
    exchange.await
}

/// What an error means for a probe that had come as far as `phase`.
pub fn failure(error: &h2::Error, phase: Phase) -> Failure {
    if let Some(error) = error.get_io() {
        return cause::of(error, phase);
    }
    match phase {
        Phase::Reading => Failure::BodyBroken,
        // What we refuse ourselves as too large, h2 ends with this reason.
        _ if error.is_library() && error.reason() == Some(Reason::REFUSED_STREAM) => Failure::HeadTooLarge,
        _ if error.is_remote() => Failure::Closed,
        _ => Failure::NotHttp,
    }
}
