//! HTTP and HTTPS probes: one fresh connection, one request, no redirects.

use std::pin::{Pin, pin};

use h2::client::SendRequest;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, HOST, USER_AGENT};
use hyper::http::response::Parts;
use hyper::http::uri::Scheme;
use hyper::{HeaderMap, Method, Request, Response, Uri};
use hyper::{client::conn::http1, header::HeaderName, header::HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::addresses::Addresses;
use super::authority;
use super::body::{Judge, More};
use super::cause;
use super::feed::Intake;
use super::http2;
use super::stopwatch::Stopwatch;
use super::trust::{Secure, Trust};
use crate::health::feed::FeedFormat;
use crate::health::{Failure, HttpCheck, LoadCheck, NotRun};

/// The head of an answer may be this large, whatever the protocol.
pub const HEAD_OCTETS_MAX: usize = 64 * 1024;

/// And have so many fields.
const HEAD_FIELDS_MAX: usize = 100;

/// What a probe calls itself.
pub const AGENT: &str = concat!("meridian/", env!("CARGO_PKG_VERSION"));

/// An HTTP or HTTPS check of one target.
#[derive(Debug)]
pub struct HttpProbe {
    addresses: Addresses,
    secure: Option<Secure>,
    method: Method,
    /// Absolute.
    uri: Uri,
    headers: HeaderMap,
    expect: Vec<std::ops::RangeInclusive<u16>>,
    wanted: Wanted,
}

/// What becomes of the body of an answer.
#[derive(Debug)]
pub enum Wanted {
    /// It is not read.
    Nothing,
    /// Its beginning is judged.
    Judged(Judge),
    /// A load is read from it.
    Feed(FeedFormat),
}

impl HttpProbe {
    /// Makes the request of a check.
    pub fn new(check: &HttpCheck, addresses: Addresses, trust: &mut Trust) -> Result<HttpProbe, NotRun> {
        let wanted = Judge::new(&check.body)?.map_or(Wanted::Nothing, Wanted::Judged);
        HttpProbe::with_body(check, wanted, addresses, trust)
    }

    /// Makes the request of a feed.
    pub fn feed(check: &LoadCheck, addresses: Addresses, trust: &mut Trust) -> Result<HttpProbe, NotRun> {
        HttpProbe::with_body(&check.http, Wanted::Feed(check.format.clone()), addresses, trust)
    }

    fn with_body(
        check: &HttpCheck,
        wanted: Wanted,
        addresses: Addresses,
        trust: &mut Trust,
    ) -> Result<HttpProbe, NotRun> {
        let host = check.host.as_deref();
        let tls = check.tls.as_ref();
        let secure = tls.map(|tls| trust.secure(tls, check.http2, host, &addresses.target)).transpose()?;
        let (scheme, usual_port) = if tls.is_some() { (Scheme::HTTPS, 443) } else { (Scheme::HTTP, 80) };
        let authority = authority::of(host, &addresses.target, check.port, usual_port);
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(check.path.as_str());
        Ok(HttpProbe {
            addresses,
            secure,
            method: Method::from_bytes(check.method.as_bytes()).map_err(|_| NotRun::BadRequest)?,
            uri: uri.build().map_err(|_| NotRun::BadRequest)?,
            headers: headers(check, !matches!(wanted, Wanted::Nothing))?,
            expect: check.expect.clone(),
            wanted,
        })
    }

    /// Asks and judges the answer. A body is read only if the check looks for something in it.
    pub async fn run(&self, stopwatch: &Stopwatch) -> Result<(), Failure> {
        let connection = self.addresses.connect(stopwatch).await?;
        let Some(secure) = &self.secure else {
            return self.exchange(connection, stopwatch).await;
        };
        let secured = secure.handshake(connection, stopwatch).await?;
        match secured.http2 {
            true => {
                http2::with_connection(secured.connection, stopwatch, |sender| {
                    self.exchange_http2(sender, stopwatch)
                })
                .await
            }
            false => self.exchange(secured.connection, stopwatch).await,
        }
    }

    /// HTTP/1.1
    async fn exchange(
        &self,
        connection: impl AsyncRead + AsyncWrite + Unpin,
        stopwatch: &Stopwatch,
    ) -> Result<(), Failure> {
        stopwatch.asking();
        let failed = |error: hyper::Error| cause::of(&error, stopwatch.phase());
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_OCTETS_MAX).max_headers(HEAD_FIELDS_MAX);
        let (mut sender, connection) = builder.handshake(TokioIo::new(connection)).await.map_err(failed)?;
        let exchange = async {
            let answer = sender.send_request(self.request()?).await.map_err(failed)?;
            stopwatch.head();
            let (head, mut body) = answer.into_parts();
            let Some(mut reader) = self.judge_head(&head)? else { return Ok(()) };
            let mut more = More::Wanted;
            while more == More::Wanted
                && let Some(piece) = next_piece(&mut body).await.map_err(failed)?
            {
                more = reader.take(&piece)?;
            }
            reader.finish(more, stopwatch)
        };
        http2::alongside(exchange, connection).await
    }

    async fn exchange_http2(
        &self,
        mut sender: SendRequest<Bytes>,
        stopwatch: &Stopwatch,
    ) -> Result<(), Failure> {
        let failed = |error: h2::Error| http2::failure(&error, stopwatch.phase());
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let (answer, _) = sender.send_request(request, true).map_err(failed)?;
        let answer: Response<_> = answer.await.map_err(failed)?;
        stopwatch.head();
        let (head, mut body) = answer.into_parts();
        let Some(mut reader) = self.judge_head(&head)? else { return Ok(()) };
        let mut more = More::Wanted;
        while more == More::Wanted
            && let Some(piece) = body.data().await
        {
            let piece = piece.map_err(failed)?;
            body.flow_control().release_capacity(piece.len()).map_err(failed)?;
            more = reader.take(&piece)?;
        }
        reader.finish(more, stopwatch)
    }

    /// The request as HTTP/1.1 has it.
    fn request(&self) -> Result<Request<String>, Failure> {
        let refused = |_| Failure::NotRun(NotRun::BadRequest);
        let mut request = Request::new(String::new());
        *request.method_mut() = self.method.clone();
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = Uri::try_from(path).map_err(|_| Failure::NotRun(NotRun::BadRequest))?;
        let headers = request.headers_mut();
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        headers.insert(HOST, HeaderValue::from_str(host).map_err(refused)?);
        // There will be no second request; so the server need not wait for one.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.extend(self.headers.clone());
        Ok(request)
    }

    /// What is to take in the body, if anything does.
    fn judge_head(&self, head: &Parts) -> Result<Option<Intake<'_>>, Failure> {
        let status = head.status.as_u16();
        match self.expect.iter().any(|range| range.contains(&status)) {
            true => Ok(Intake::new(&self.wanted, encoding(&head.headers))),
            false => Err(Failure::Status(status)),
        }
    }
}

/// The fields that every protocol sends.
fn headers(check: &HttpCheck, with_body: bool) -> Result<HeaderMap, NotRun> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    if with_body {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    // What is configured replaces ours, and may itself name a field twice.
    let mut named = HeaderMap::new();
    for (name, value) in &check.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NotRun::BadRequest)?;
        named.append(name, HeaderValue::from_str(value).map_err(|_| NotRun::BadRequest)?);
    }
    headers.extend(named);
    Ok(headers)
}

fn encoding(headers: &HeaderMap) -> &[u8] {
    headers.get(CONTENT_ENCODING).map_or(b"", HeaderValue::as_bytes)
}

/// The next piece of a body; trailers are passed over.
async fn next_piece(body: &mut Incoming) -> Result<Option<Bytes>, hyper::Error> {
    loop {
        let mut body = pin!(&mut *body);
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        match frame.transpose()?.map(|frame| frame.into_data()) {
            None => return Ok(None),
            Some(Ok(piece)) => return Ok(Some(piece)),
            Some(Err(_)) => {}
        }
    }
}
