//! gRPC probes: grpc.health.v1.Health/Check.
//!
//! One request and one answer of a few octets each, so the two messages are written and read here:
//!
//! ```text
//! HealthCheckRequest  { string service = 1; }
//! HealthCheckResponse { ServingStatus status = 1; }   UNKNOWN 0, SERVING 1, NOT_SERVING 2, SERVICE_UNKNOWN 3
//! ```

use h2::client::SendRequest;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, TE, USER_AGENT};
use hyper::http::uri::Scheme;
use hyper::{HeaderMap, Method, Request, Uri};

use super::addresses::Addresses;
use super::http::AGENT;
use super::stopwatch::Stopwatch;
use super::trust::{Secure, Trust};
use super::{authority, http2};
use crate::health::{Failure, GrpcCheck, Http2, NotRun, ServingStatus};

/// The answer is five octets and a message of two; what is larger is none.
const ANSWER_OCTETS_MAX: usize = 1024;

/// A gRPC check of one target.
#[derive(Debug)]
pub struct GrpcProbe {
    addresses: Addresses,
    secure: Option<Secure>,
    uri: Uri,
    message: Bytes,
}

impl GrpcProbe {
    /// Makes the request of a check.
    pub fn new(check: &GrpcCheck, addresses: Addresses, trust: &mut Trust) -> Result<GrpcProbe, NotRun> {
        let host = check.host.as_deref();
        let tls = check.tls.as_ref();
        let secure =
            tls.map(|tls| trust.secure(tls, Http2::Required, host, &addresses.target)).transpose()?;
        let (scheme, usual_port) = if tls.is_some() { (Scheme::HTTPS, 443) } else { (Scheme::HTTP, 80) };
        let authority = authority::of(host, &addresses.target, check.port, usual_port);
        let path = "/grpc.health.v1.Health/Check";
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
        let uri = uri.map_err(|_| NotRun::BadRequest)?;
        Ok(GrpcProbe { addresses, secure, uri, message: request(&check.service).ok_or(NotRun::BadRequest)? })
    }

    /// Asks for the service's health.
    pub async fn run(&self, stopwatch: &Stopwatch) -> Result<(), Failure> {
        let connection = self.addresses.connect(stopwatch).await?;
        let ask = |sender| self.ask(sender, stopwatch);
        match &self.secure {
            Some(secure) => {
                let secured = secure.handshake(connection, stopwatch).await?;
                http2::with_connection(secured.connection, stopwatch, ask).await
            }
            None => http2::with_connection(connection, stopwatch, ask).await,
        }
    }

    async fn ask(&self, mut sender: SendRequest<Bytes>, stopwatch: &Stopwatch) -> Result<(), Failure> {
        let failed = |error: h2::Error| http2::failure(&error, stopwatch.phase());
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let (answer, mut stream) = sender.send_request(request, false).map_err(failed)?;
        stream.send_data(self.message.clone(), true).map_err(failed)?;
        let (head, mut body) = answer.await.map_err(failed)?.into_parts();
        stopwatch.head();
        if head.status.as_u16() != 200 {
            return Err(Failure::Status(head.status.as_u16()));
        }
        // An answer without a message has its status in the head.
        if head.headers.contains_key(STATUS) {
            return Err(judge_status(&head.headers).err().unwrap_or(Failure::NotGrpc));
        }
        let mut message = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece.map_err(failed)?;
            body.flow_control().release_capacity(piece.len()).map_err(failed)?;
            if message.len() + piece.len() > ANSWER_OCTETS_MAX {
                return Err(Failure::NotGrpc);
            }
            message.extend_from_slice(&piece);
        }
        let trailers = body.trailers().await.map_err(failed)?;
        judge_status(&trailers.ok_or(Failure::NotGrpc)?)?;
        judge_message(&message)
    }
}

const STATUS: &str = "grpc-status";

/// `Ok` for status 0.
fn judge_status(fields: &HeaderMap) -> Result<(), Failure> {
    let status = fields.get(STATUS).and_then(|status| status.to_str().ok()?.parse::<u8>().ok());
    match status {
        Some(0) => Ok(()),
        Some(status) => Err(Failure::GrpcStatus(status)),
        None => Err(Failure::NotGrpc),
    }
}

/// The request, framed; `None` for a service whose name is none.
fn request(service: &str) -> Option<Bytes> {
    /// Field 1, a length and so many octets.
    const SERVICE: u8 = 0x0a;
    let length = u8::try_from(service.len()).ok().filter(|length| *length < 0x80)?;
    let message = match service {
        "" => Vec::new(),
        name => [&[SERVICE, length], name.as_bytes()].concat(),
    };
    // Not compressed, then the length.
    let size = (message.len() as u32).to_be_bytes();
    Some([&[0], size.as_slice(), &message].concat().into())
}

/// `Ok` for SERVING.
fn judge_message(framed: &[u8]) -> Result<(), Failure> {
    let message = match framed.split_first_chunk::<5>() {
        Some(([0, size @ ..], message)) if u32::from_be_bytes(*size) as usize == message.len() => message,
        _ => return Err(Failure::NotGrpc),
    };
    match serving_status(message).ok_or(Failure::NotGrpc)? {
        1 => Ok(()),
        0 => Err(Failure::NotServing(ServingStatus::Unknown)),
        2 => Err(Failure::NotServing(ServingStatus::NotServing)),
        3 => Err(Failure::NotServing(ServingStatus::ServiceUnknown)),
        _ => Err(Failure::NotServing(ServingStatus::Other)),
    }
}

/// The number in field 1, the last one where there are several; other fields are passed over, as every
/// reader of the format must.
fn serving_status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let (key, rest) = varint(message)?;
        message = match (key >> 3, key & 7) {
            (0, _) => return None,
            (field, 0) => {
                let (value, rest) = varint(rest)?;
                if field == 1 {
                    status = value;
                }
                rest
            }
            (1, _) => return None,
            (_, 1) => rest.get(8..)?,
            (_, 2) => {
                let (length, rest) = varint(rest)?;
                rest.get(usize::try_from(length).ok()?..)?
            }
            (_, 5) => rest.get(4..)?,
            _ => return None,
        };
    }
    Some(status)
}

/// A number of seven bits an octet, and what follows it.
fn varint(octets: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (at, octet) in octets.iter().take(10).enumerate() {
        value |= u64::from(octet & 0x7f).checked_shl(7 * at as u32)?;
        if octet & 0x80 == 0 {
            return Some((value, octets.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_the_format_has_them() {
        let check = |message: &[u8], expected| assert_eq!(serving_status(message), expected, "{message:?}");
        check(&[], Some(0));
        check(&[0x08, 1], Some(1));
        check(&[0x08, 2, 0x08, 1], Some(1));
        check(&[0x12, 2, 7, 7, 0x08, 1], Some(1));
        check(&[0x15, 1, 2, 3, 4, 0x08, 3], Some(3));
        check(&[0x08], None);
        check(&[0x08, 0x80], None);
        check(&[0x0a, 0], None);
        check(&[0x12, 9, 0x08, 1], None);
        check(&[0x00, 1], None);
        check(&[0xff; 12], None);
    }

    #[test]
    fn frames_have_their_size() {
        assert_eq!(judge_message(&[0, 0, 0, 0, 2, 0x08, 1]), Ok(()));
        assert_eq!(
            judge_message(&[0, 0, 0, 0, 2, 0x08, 2]),
            Err(Failure::NotServing(ServingStatus::NotServing))
        );
        for framed in [&[0, 0, 0, 0, 3, 0x08, 1][..], &[1, 0, 0, 0, 2, 0x08, 1], &[0, 0, 0], &[0; 4]] {
            assert_eq!(judge_message(framed), Err(Failure::NotGrpc));
        }
        assert_eq!(judge_message(&[0; 5]), Err(Failure::NotServing(ServingStatus::Unknown)));
        assert_eq!(request("a.b").as_deref(), Some(&[0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'b'][..]));
        assert_eq!(request("").as_deref(), Some(&[0; 5][..]));
    }
}
