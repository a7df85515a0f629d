//! An ordinary DNS client: asks the server as a resolver with a client subnet would.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;

/// Loopback answers at once or not at all.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// Someone who asks.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// Where.
    pub city: &'static str,
    /// Their network.
    pub network: &'static str,
}

/// Networks of universities and carriers that have been in one place for decades.
pub const PEOPLE: [Person; 8] = [
    Person { city: "Boston", network: "18.7.0.0/24" },
    Person { city: "Los Angeles", network: "128.97.0.0/24" },
    Person { city: "Sao Paulo", network: "200.160.0.0/24" },
    Person { city: "London", network: "212.58.224.0/24" },
    Person { city: "Amsterdam", network: "193.0.0.0/24" },
    Person { city: "Johannesburg", network: "196.25.1.0/24" },
    Person { city: "Tokyo", network: "133.11.0.0/24" },
    Person { city: "Sydney", network: "129.78.0.0/24" },
];

impl Person {
    /// The network as address and length.
    pub fn subnet(&self) -> Option<(IpAddr, u8)> {
        let (address, length) = self.network.split_once('/')?;
        Some((address.parse().ok()?, length.parse().ok()?))
    }
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The addresses, sorted.
    pub addresses: Vec<IpAddr>,
    /// The TTL in seconds.
    pub ttl_s: u32,
    /// The scope of the client subnet option.
    pub scope: Option<u8>,
}

/// Asks for A records. `None`: no answer, or one without addresses.
pub async fn ask(server: SocketAddr, name: &str, subnet: (IpAddr, u8), id: u16) -> Option<Reply> {
    let mut query = Message::new(id, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(Name::from_ascii(name).ok()?, RecordType::A));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new(subnet.0, subnet.1, 0)));
    query.set_edns(edns);
    let local: SocketAddr = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().ok()?;
    let socket = UdpSocket::bind(local).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(&query.to_vec().ok()?).await.ok()?;
    let mut buffer = [0u8; 4096];
    let length = tokio::time::timeout(ANSWER_TIMEOUT, socket.recv(&mut buffer)).await.ok()?.ok()?;
    let reply = Message::from_vec(buffer.get(..length)?).ok()?;
    if reply.metadata.id != id || reply.metadata.response_code != ResponseCode::NoError {
        return None;
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut ttl_s = u32::MAX;
    for record in &reply.answers {
        if let RData::A(address) = &record.data {
            addresses.push(IpAddr::V4(address.0));
            ttl_s = ttl_s.min(record.ttl);
        }
    }
    addresses.sort_unstable();
    let scope = reply.edns.as_ref().and_then(|edns| match edns.option(EdnsCode::Subnet) {
        Some(EdnsOption::Subnet(subnet)) => Some(subnet.scope_prefix()),
        _ => None,
    });
    (!addresses.is_empty()).then_some(Reply { addresses, ttl_s, scope })
}
