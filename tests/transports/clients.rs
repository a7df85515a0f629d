//! Clients of every transport: what is asked goes out as it is, what comes back is whole or an error.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;

use h2::client::SendRequest;
use hyper::body::Bytes;
use hyper::{Method, Request};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::task::JoinSet;

use super::{PATIENCE, World};

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// The settings of clients that trust a certificate and offer these protocols.
pub fn trusting(certificate: &CertificateDer<'static>, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

pub fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

pub fn read_message(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Asks over one connection, some queries ahead of the answers.
pub fn ask_pipelined(stream: &mut (impl Read + Write), queries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    for some in queries.chunks(100) {
        let octets: Vec<u8> = some.iter().flat_map(|query| framed(query)).collect();
        stream.write_all(&octets).unwrap();
        stream.flush().unwrap();
        answers.extend(some.iter().map(|_| read_message(stream).unwrap()));
    }
    answers
}

impl World {
    /// A connection of DNS over TLS, its handshake done.
    pub fn tls(&self) -> Tls {
        self.try_tls(&[b"dot"]).unwrap()
    }

    pub fn try_tls(&self, protocols: &[&[u8]]) -> io::Result<Tls> {
        self.secured(self.tls, trusting(&self.identity.trusted, protocols))
    }

    pub fn secured(&self, address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Tls> {
        let session = ClientConnection::new(config, name()).unwrap();
        let mut stream = StreamOwned::new(session, connect(address));
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    pub fn ask_udp(&self, queries: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(self.dns).unwrap();
        let mut answers = Vec::new();
        for some in queries.chunks(50) {
            some.iter().for_each(|query| assert_eq!(socket.send(query).unwrap(), query.len()));
            for _ in some {
                let mut buffer = vec![0; 4096];
                let octets = socket.recv(&mut buffer).unwrap();
                buffer.truncate(octets);
                answers.push(buffer);
            }
        }
        answers
    }

    pub fn ask_tcp(&self, queries: &[Vec<u8>]) -> Vec<Vec<u8>> {
        ask_pipelined(&mut connect(self.dns), queries)
    }

    pub fn ask_tls(&self, queries: &[Vec<u8>]) -> Vec<Vec<u8>> {
        ask_pipelined(&mut self.tls(), queries)
    }

    /// A connection of HTTP/2.
    pub async fn http2(&self) -> SendRequest<Bytes> {
        let stream = tokio::net::TcpStream::connect(self.https).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(trusting(&self.identity.trusted, &[b"h2"]));
        let stream = connector.connect(name(), stream).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        client.ready().await.unwrap()
    }

    pub fn ask_https(&self, queries: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.runtime.block_on(async {
            let mut client = self.http2().await;
            let mut answers = Vec::new();
            for some in queries.chunks(50) {
                let mut under_way = JoinSet::new();
                for (number, query) in some.iter().enumerate() {
                    client = client.ready().await.unwrap();
                    let exchange = post(&mut client, query);
                    under_way.spawn(async move { (number, exchange.await) });
                }
                let mut got = under_way.join_all().await;
                got.sort_by_key(|(number, _)| *number);
                answers.extend(got.into_iter().map(|(number, (status, body))| {
                    assert_eq!(status, 200, "{:?}", some[number]);
                    body
                }));
            }
            answers
        })
    }

    pub fn ask_quic(&self, queries: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.runtime.block_on(async {
            let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
            let config = self.quic_config(b"doq");
            let mut answers = Vec::new();
            // hickory-server takes so many from one connection.
            for some in queries.chunks(90) {
                let connecting = endpoint.connect_with(config.clone(), self.quic, "localhost").unwrap();
                let connection = connecting.await.unwrap();
                let mut under_way = Vec::new();
                for query in some {
                    let (mut send, receive) = connection.open_bi().await.unwrap();
                    send.write_all(&framed(query)).await.unwrap();
                    send.finish().unwrap();
                    under_way.push(receive);
                }
                for mut receive in under_way {
                    let reply = receive.read_to_end(70_000).await.unwrap();
                    answers.push(reply[2..].to_vec());
                }
                connection.close(0_u32.into(), b"");
            }
            answers
        })
    }

    pub fn quic_config(&self, protocol: &[u8]) -> quinn::ClientConfig {
        let config = trusting(&self.identity.trusted, &[protocol]);
        let config = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
        quinn::ClientConfig::new(Arc::new(config))
    }
}

/// Sends a POST; what comes back is its status and its body.
pub fn post(client: &mut SendRequest<Bytes>, body: &[u8]) -> impl Future<Output = (u16, Vec<u8>)> + use<> {
    let request = Request::builder()
        .method(Method::POST)
        .uri("https://localhost/dns-query")
        .header("content-type", "application/dns-message")
        .body(())
        .unwrap();
    let (response, mut stream) = client.send_request(request, false).unwrap();
    stream.send_data(Bytes::copy_from_slice(body), true).unwrap();
    async move {
        let (head, mut body) = response.await.unwrap().into_parts();
        let mut octets = Vec::new();
        while let Some(part) = body.data().await {
            let part = part.unwrap();
            body.flow_control().release_capacity(part.len()).unwrap();
            octets.extend_from_slice(&part);
        }
        (head.status.as_u16(), octets)
    }
}
