//! Probes that are not HTTP: against real servers on loopback, well, ill and hostile.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, NS, TXT};
use hickory_proto::rr::{Name, RData, Record};
use hyper::HeaderMap;
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::tests::{loopback, probe, spec};
use crate::health::{
    Check, DnsCheck, DnsData, DnsTransport, Failure, GrpcCheck, ServingStatus, TcpCheck, TlsFailure,
};

const PATIENT: Duration = Duration::from_secs(20);
/// For what never happens; what comes before it in a probe must fit in.
const SHORT: Duration = Duration::from_millis(500);

async fn outcome(check: Check, timeout: Duration) -> Result<(), Failure> {
    probe(spec(loopback(), check, timeout)).await.map(drop)
}

/// A listener that gives each connection to `serve`.
async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection));
        }
    });
    port
}

/// Reads until the other side leaves.
async fn hold(mut connection: TcpStream) {
    let _ = connection.read_to_end(&mut Vec::new()).await;
}

mod tcp {
    use super::*;

    /// A server that greets, and answers what it hears with the same in angle brackets.
    async fn check(
        greeting: &'static [u8],
        send: &str,
        expect: &str,
        timeout: Duration,
        expected: Result<(), Failure>,
    ) {
        let port = listen(move |mut connection| async move {
            let _ = connection.write_all(greeting).await;
            let mut heard = [0; 64];
            while let Ok(length @ 1..) = connection.read(&mut heard).await {
                let answer = [b"<", &heard[..length], b">"].concat();
                let _ = connection.write_all(&answer).await;
            }
        })
        .await;
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let check = TcpCheck { port, send: some(send), expect: some(expect) };
        assert_eq!(outcome(Check::Tcp(check), timeout).await, expected, "{send} {expect}");
    }

    #[tokio::test]
    async fn h4_tcp_says_and_hears() {
        check(b"220 mail.example.com ESMTP\r\n", "", "220 ", PATIENT, Ok(())).await;
        check(b"", "PING", "<PING>", PATIENT, Ok(())).await;
        check(b"hello ", "PING", "hello <PING>", PATIENT, Ok(())).await;
        check(b"", "PING", "", PATIENT, Ok(())).await;
        check(b"", "PING", "PONG", SHORT, Err(Failure::BodyTimeout)).await;
        check(b"", "", "220 ", SHORT, Err(Failure::AnswerTimeout)).await;
    }

    #[tokio::test]
    async fn what_is_heard_is_bounded() {
        let talk = |mut connection: TcpStream| async move {
            while connection.write_all(&[b'.'; 1000]).await.is_ok() {}
        };
        let check = |port| Check::Tcp(TcpCheck { port, send: None, expect: Some("well".to_owned()) });
        assert_eq!(outcome(check(listen(talk).await), PATIENT).await, Err(Failure::AnswerLacksText));
        let close = |connection: TcpStream| async move { drop(connection) };
        assert_eq!(outcome(check(listen(close).await), PATIENT).await, Err(Failure::Closed));
        let close = |mut connection: TcpStream| async move {
            let _ = connection.write_all(b"wel").await;
        };
        assert_eq!(outcome(check(listen(close).await), PATIENT).await, Err(Failure::AnswerLacksText));
    }
}

mod grpc {
    use super::*;

    /// What a server answers with.
    #[derive(Clone)]
    struct Answer {
        status: u16,
        message: Vec<u8>,
        trailers: Vec<(&'static str, Vec<u8>)>,
        /// In the head, with no message at all.
        head: Vec<(&'static str, Vec<u8>)>,
    }

    fn serving(status: u8) -> Answer {
        Answer {
            status: 200,
            message: vec![0, 0, 0, 0, 2, 0x08, status],
            trailers: vec![("grpc-status", b"0".to_vec())],
            head: vec![],
        }
    }

    fn fields(of: &[(&'static str, Vec<u8>)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in of {
            fields.insert(*name, hyper::header::HeaderValue::from_bytes(value).unwrap());
        }
        fields
    }

    async fn serve(connection: TcpStream, answer: Answer) {
        let Ok(mut connection) = h2::server::handshake(connection).await else { return };
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                let mut head = hyper::Response::new(());
                *head.status_mut() = answer.status.try_into().unwrap();
                *head.headers_mut() = fields(&answer.head);
                let end = answer.message.is_empty() && answer.trailers.is_empty();
                let Ok(mut stream) = respond.send_response(head, end) else { return };
                if !end {
                    let _ = stream.send_data(Bytes::from(answer.message), answer.trailers.is_empty());
                    let _ = stream.send_trailers(fields(&answer.trailers));
                }
            });
        }
    }

    fn check_of(port: u16) -> Check {
        Check::Grpc(GrpcCheck { tls: None, port, host: None, service: "shop.Cart".to_owned() })
    }

    async fn check(answer: Answer, expected: Result<(), Failure>) {
        let port = listen(move |connection| serve(connection, answer.clone())).await;
        assert_eq!(outcome(check_of(port), PATIENT).await, expected);
    }

    #[tokio::test]
    async fn h4_serving_is_well() {
        check(serving(1), Ok(())).await;
        check(serving(0), Err(Failure::NotServing(ServingStatus::Unknown))).await;
        check(serving(2), Err(Failure::NotServing(ServingStatus::NotServing))).await;
        check(serving(3), Err(Failure::NotServing(ServingStatus::ServiceUnknown))).await;
        check(serving(9), Err(Failure::NotServing(ServingStatus::Other))).await;
    }

    #[tokio::test]
    async fn h4_another_status_of_grpc_is_not() {
        let bare = |head: &[(&'static str, Vec<u8>)]| Answer {
            message: vec![],
            trailers: vec![],
            head: head.to_vec(),
            ..serving(1)
        };
        check(bare(&[("grpc-status", b"5".to_vec())]), Err(Failure::GrpcStatus(5))).await;
        check(bare(&[("grpc-status", b"0".to_vec())]), Err(Failure::NotGrpc)).await;
        check(bare(&[]), Err(Failure::NotGrpc)).await;
        let trailers = vec![("grpc-status", b"14".to_vec())];
        check(Answer { trailers, ..serving(1) }, Err(Failure::GrpcStatus(14))).await;
        check(Answer { status: 503, ..serving(1) }, Err(Failure::Status(503))).await;
    }

    #[tokio::test]
    async fn garbage_is_no_grpc() {
        for status in [&b"banana"[..], b"", b"-1", b"256", b"0 0", b"\xff\xfe"] {
            let trailers = vec![("grpc-status", status.to_vec())];
            check(Answer { trailers, ..serving(1) }, Err(Failure::NotGrpc)).await;
        }
        check(Answer { trailers: vec![], ..serving(1) }, Err(Failure::NotGrpc)).await;
        check(Answer { trailers: vec![("x", vec![b'x'; 9000])], ..serving(1) }, Err(Failure::NotGrpc)).await;
        for message in [&b"\x01\0\0\0\x02\x08\x01"[..], b"\0\0\0\0\x03\x08\x01", b"\0", &[0xff; 900]] {
            check(Answer { message: message.to_vec(), ..serving(1) }, Err(Failure::NotGrpc)).await;
        }
        // More than is ever read.
        check(Answer { message: vec![0; 60_000], ..serving(1) }, Err(Failure::NotGrpc)).await;
        // HTTP/1.1 is none either.
        let port = listen(|mut connection| async move {
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            hold(connection).await;
        });
        assert_eq!(outcome(check_of(port.await), PATIENT).await, Err(Failure::NotHttp));
    }

    #[tokio::test]
    async fn http2_that_never_answers_is_left() {
        assert_eq!(outcome(check_of(listen(hold).await), SHORT).await, Err(Failure::AnswerTimeout));
        // Settings, and then nothing.
        let settle = |connection: TcpStream| async move {
            let Ok(mut connection) = h2::server::handshake(connection).await else { return };
            let mut held: Vec<(_, h2::server::SendResponse<Bytes>)> = Vec::new();
            while let Some(Ok(request)) = connection.accept().await {
                held.push(request);
            }
        };
        assert_eq!(outcome(check_of(listen(settle).await), SHORT).await, Err(Failure::AnswerTimeout));
        // Settings and pings for ever.
        let ping = |mut connection: TcpStream| async move {
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            let _ = connection.write_all(&settings).await;
            let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
            let (mut reader, mut writer) = connection.split();
            let read = async { while let Ok(1..) = reader.read(&mut [0; 4096]).await {} };
            let write = async { while writer.write_all(&ping).await.is_ok() {} };
            tokio::join!(read, write);
        };
        assert_eq!(outcome(check_of(listen(ping).await), SHORT).await, Err(Failure::AnswerTimeout));
        let close = |connection: TcpStream| async move { drop(connection) };
        let failure = outcome(check_of(listen(close).await), PATIENT).await.unwrap_err();
        assert!(matches!(failure, Failure::Closed | Failure::NotHttp), "{failure:?}");
    }

    #[tokio::test]
    async fn tls_that_is_none_is_told() {
        let port = listen(|connection| serve(connection, serving(1))).await;
        let tls = Some(super::super::tests::tls_check(false, None));
        let check = GrpcCheck { tls, port, host: None, service: String::new() };
        let outcome = outcome(Check::Grpc(check), PATIENT).await;
        assert_eq!(outcome, Err(Failure::Tls(TlsFailure::Failed)));
    }
}

mod dns {
    use super::*;

    /// What a server makes of a query.
    type Reply = fn(&Message) -> Vec<Vec<u8>>;

    fn answer(query: &Message) -> Message {
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.add_queries(query.queries.clone());
        let name = query.queries[0].name().clone();
        answer.add_answer(Record::from_rdata(name.clone(), 60, RData::A(A::new(192, 0, 2, 1))));
        answer.add_answer(Record::from_rdata(name.clone(), 60, RData::A(A::new(192, 0, 2, 2))));
        answer.add_answer(Record::from_rdata(
            name.clone(),
            60,
            RData::NS(NS(Name::from_ascii("NS1.Example.com.").unwrap())),
        ));
        answer.add_answer(Record::from_rdata(
            name,
            60,
            RData::TXT(TXT::new(vec!["all is ".into(), "well".into()])),
        ));
        answer
    }

    fn well(query: &Message) -> Vec<Vec<u8>> {
        vec![answer(query).to_vec().unwrap()]
    }

    /// One port, over UDP and TCP.
    async fn serve(over_udp: Reply, over_tcp: Reply) -> u16 {
        let port = listen(move |mut connection| async move {
            let Ok(size) = connection.read_u16().await else { return };
            let mut query = vec![0; usize::from(size)];
            let _ = connection.read_exact(&mut query).await;
            for reply in over_tcp(&Message::from_vec(&query).unwrap()) {
                let size = (reply.len() as u16).to_be_bytes();
                let _ = connection.write_all(&[&size, reply.as_slice()].concat()).await;
            }
            hold(connection).await;
        })
        .await;
        let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                for reply in over_udp(&Message::from_vec(&buffer[..length]).unwrap()) {
                    let _ = socket.send_to(&reply, from).await;
                }
            }
        });
        port
    }

    fn dns_check(port: u16) -> DnsCheck {
        DnsCheck {
            transport: DnsTransport::Udp,
            port,
            name: "www.example.com".to_owned(),
            record_type: 1,
            rcode: 0,
            answer: vec![DnsData::Address("192.0.2.2".parse().unwrap())],
        }
    }

    async fn check(reply: Reply, timeout: Duration, expected: Result<(), Failure>) {
        for transport in [DnsTransport::Udp, DnsTransport::Tcp] {
            let check = DnsCheck { transport, ..dns_check(serve(reply, reply).await) };
            assert_eq!(outcome(Check::Dns(check), timeout).await, expected, "{transport:?}");
        }
    }

    async fn check_data(answer: &[DnsData], expected: Result<(), Failure>) {
        let check = DnsCheck { answer: answer.to_vec(), ..dns_check(serve(well, well).await) };
        assert_eq!(outcome(Check::Dns(check), PATIENT).await, expected, "{answer:?}");
    }

    fn rcode(query: &Message, code: ResponseCode) -> Message {
        let mut reply = answer(query);
        reply.answers.clear();
        reply.metadata.response_code = code;
        reply
    }

    #[tokio::test]
    async fn h4_code_and_records_decide() {
        check(well, PATIENT, Ok(())).await;
        check(
            |query| vec![rcode(query, ResponseCode::ServFail).to_vec().unwrap()],
            PATIENT,
            Err(Failure::Rcode(2)),
        )
        .await;
        check(
            |query| vec![rcode(query, ResponseCode::NoError).to_vec().unwrap()],
            PATIENT,
            Err(Failure::AnswerLacksRecord),
        )
        .await;
        check_data(&[], Ok(())).await;
        check_data(&[DnsData::Name("ns1.example.com".to_owned())], Ok(())).await;
        check_data(&[DnsData::Text("all is well".to_owned())], Ok(())).await;
        let address = |text: &str| DnsData::Address(text.parse().unwrap());
        check_data(&[address("192.0.2.1"), address("192.0.2.2")], Ok(())).await;
        check_data(&[address("192.0.2.1"), address("192.0.2.3")], Err(Failure::AnswerLacksRecord)).await;
        check_data(&[DnsData::Text("all is".to_owned())], Err(Failure::AnswerLacksRecord)).await;
        let refuse: Reply = |query| vec![rcode(query, ResponseCode::Refused).to_vec().unwrap()];
        let refused = DnsCheck { rcode: 5, answer: vec![], ..dns_check(serve(refuse, refuse).await) };
        assert_eq!(outcome(Check::Dns(refused), PATIENT).await, Ok(()));
    }

    #[tokio::test]
    async fn h4_a_truncated_answer_is_asked_for_over_tcp() {
        let truncated: Reply = |query| {
            let mut reply = rcode(query, ResponseCode::NoError);
            reply.metadata.truncation = true;
            vec![reply.to_vec().unwrap()]
        };
        let check = dns_check(serve(truncated, well).await);
        assert_eq!(outcome(Check::Dns(check), PATIENT).await, Ok(()));
    }

    #[tokio::test]
    async fn another_id_is_no_answer() {
        let stranger: Reply = |query| {
            let mut other = answer(query);
            other.metadata.id ^= 1;
            vec![other.to_vec().unwrap()]
        };
        let port = serve(stranger, stranger).await;
        assert_eq!(outcome(Check::Dns(dns_check(port)), SHORT).await, Err(Failure::AnswerTimeout));
        let over_tcp = DnsCheck { transport: DnsTransport::Tcp, ..dns_check(port) };
        assert_eq!(outcome(Check::Dns(over_tcp), PATIENT).await, Err(Failure::NotDns));
        // The right one may come behind a forged one.
        let behind: Reply = |query| [stranger_first(query), well(query)].concat();
        fn stranger_first(query: &Message) -> Vec<Vec<u8>> {
            let mut other = rcode(query, ResponseCode::NXDomain);
            other.metadata.id ^= 1;
            vec![other.to_vec().unwrap(), vec![], vec![7]]
        }
        assert_eq!(outcome(Check::Dns(dns_check(serve(behind, well).await)), PATIENT).await, Ok(()));
        // Strangers without end are not waited upon.
        let flood: Reply = |query| {
            let mut other = answer(query);
            other.metadata.id ^= 1;
            vec![other.to_vec().unwrap(); 40]
        };
        assert_eq!(
            outcome(Check::Dns(dns_check(serve(flood, flood).await)), PATIENT).await,
            Err(Failure::NotDns)
        );
    }

    #[tokio::test]
    async fn garbage_is_no_dns() {
        check(
            |query| vec![[&query.metadata.id.to_be_bytes()[..], &[0xff; 40]].concat()],
            PATIENT,
            Err(Failure::NotDns),
        )
        .await;
        // A pointer that leads to itself.
        check(
            |query| {
                let id = query.metadata.id.to_be_bytes();
                vec![[&id[..], &[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1]].concat()]
            },
            PATIENT,
            Err(Failure::NotDns),
        )
        .await;
        // The query itself, thrown back.
        check(|query| vec![query.to_vec().unwrap()], PATIENT, Err(Failure::NotDns)).await;
        // The answer to another question.
        check(
            |query| {
                let mut other = answer(query);
                other.queries[0].set_name(Name::from_ascii("www.example.org.").unwrap());
                vec![other.to_vec().unwrap()]
            },
            PATIENT,
            Err(Failure::NotDns),
        )
        .await;
        check(|_| vec![], SHORT, Err(Failure::AnswerTimeout)).await;
    }

    #[tokio::test]
    async fn a_closed_port_is_told() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        assert_eq!(outcome(Check::Dns(dns_check(port)), PATIENT).await, Err(Failure::ConnectRefused));
    }
}
