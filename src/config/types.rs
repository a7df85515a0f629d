//! What a configuration means once it is read: resolved, in range, finite.
//!
//! Ids index the vectors of [`Config`] in the order of the written file.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::{FileId, Https, Quic, Secondary, Span, Tls};
use crate::cookie::Secret;
use crate::dnssec::Algorithm;
use crate::geo::{Coordinates, GeoKey, ScopeFloor};
use crate::health::load::LoadLimits;
use crate::health::{Cadence, Check, FailbackSpec, GovernorSpec, MinCapacity};
use crate::ids::{MonitorId, NodeId, PoolId, RegionId, ScheduleId, ServiceId};
use crate::limit::Rates;
use crate::steer::{self, Aaaa, Families};
use crate::tsig;
use crate::wire::SvcParamKey;

/// Everything an operator wrote.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[tls]`; `None`: off.
    pub tls: Option<Tls>,
    /// `[https]`; `None`: off.
    pub https: Option<Https>,
    /// `[quic]`; `None`: off.
    pub quic: Option<Quic>,
    /// `[control]`
    pub control: Control,
    /// `[geoip]`
    pub geoip: Geoip,
    /// `[dnssec]`
    pub dnssec: Dnssec,
    /// `[rate_limit]`; `None`: off.
    pub rate_limit: Option<Rates>,
    /// `[cookies]`
    pub cookies: Cookies,
    /// `[probes]`
    pub probes: Probes,
    /// `[governor]`
    pub governor: GovernorSpec,
    /// `[regions.*]`, by [`RegionId`].
    pub regions: Vec<Region>,
    /// `[monitors.*]`, and behind them `[feeds.*]`, by [`MonitorId`].
    pub monitors: Vec<Monitor>,
    /// `[pools.*]`, by [`PoolId`].
    pub pools: Vec<Pool>,
    /// `[policies.*]`, the anonymous policies written inside services and other policies, and one
    /// node for each pool that is used as a child; by [`NodeId`]. Acyclic, at most 10 deep.
    pub policies: Vec<Policy>,
    /// `[services.*]`, by [`ServiceId`].
    pub services: Vec<Service>,
    /// `[schedules.*]`, by [`ScheduleId`].
    pub schedules: Vec<Schedule>,
    /// The zones folder.
    pub zones: Vec<Zone>,
    /// `[classes.*]`, in the order written.
    pub classes: Vec<Class>,
    /// `[tsig.*]`, in the order written.
    pub tsig: Vec<TsigKey>,
}

impl Config {
    /// Whether a monitor runs commands.
    pub fn runs_commands(&self) -> bool {
        self.monitors.iter().any(|monitor| matches!(monitor.check, Check::Exec(_)))
    }
}

/// `[server]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// Addresses to serve DNS on, UDP and TCP. Default: 0.0.0.0:53 and [::]:53.
    pub listen: Vec<SocketAddr>,
    /// UDP workers per address; `None`: one per core.
    pub workers: Option<usize>,
    /// The largest UDP answer we send and the size we announce, in octets: 512..=4096, default 1232.
    pub udp_payload_max: u16,
    /// The largest UDP answer to a query without a valid cookie, where that is less: 512..=4096; by default no less.
    pub udp_payload_unproven_max: u16,
    /// The name server identifier (RFC 5001); `None`: the option is not answered.
    pub nsid: Option<Vec<u8>>,
    /// What is said at `version.bind` in class CH; `None`: refused.
    pub version: Option<String>,
    /// What is said at `id.server` in class CH; `None`: refused.
    pub identity: Option<String>,
    /// Whether answers leave out what they need not have.
    pub minimal_responses: bool,
    /// The user to become after binding when started as root.
    pub user: Option<String>,
    /// The group likewise; `None`: the user's own.
    pub group: Option<String>,
    /// TCP connections in total (default 10000).
    pub tcp_connections_max: usize,
    /// TCP connections from one client address (default 50).
    pub tcp_connections_per_client_max: usize,
    /// A connection without a whole message for this long is closed (default 10 s).
    pub tcp_idle_timeout: Duration,
    /// A message, once begun, must arrive within this (default 5 s).
    pub tcp_message_timeout: Duration,
    /// Whose connections begin with a PROXY protocol header (version 2). Empty: nobody's.
    pub proxies: Vec<IpNet>,
    /// The first round of probes may hold the start at most this long (H1; default 10 s).
    pub start_timeout: Duration,
    /// How long to go on answering after SIGTERM with readiness off (default 5 s).
    pub drain_timeout: Duration,
    /// Who may ask for the account of an answer at `_why.NAME` (X2). Empty: nobody.
    pub why: Vec<IpNet>,
    /// The key of the sticky hash (R5): equal on all nodes. Default: sixteen zero octets.
    pub hash_key: [u8; 16],
    /// The folder of zones, as written (default "zones"), relative to the configuration file.
    pub zones: PathBuf,
    /// Where what outlives the process is kept (T2).
    pub state: StateFolder,
    /// The share of answers in percent that a reload may take away unless forced (T1; default 30).
    pub reload_removed_max_percent: u8,
}

/// Where what outlives the process is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StateFolder {
    /// Where the service manager says, if it says.
    Told,
    /// Nowhere.
    Off,
    /// Here, as written, relative to the configuration file.
    At(PathBuf),
}

/// `[cookies]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cookies {
    /// Whether cookies are given and taken (default true).
    pub enabled: bool,
    /// What they are made with; `None`: a secret drawn at the start.
    pub secret: Option<Secret>,
    /// Other secrets whose cookies are taken; at most two.
    pub accepted: Vec<Secret>,
}

impl Default for Cookies {
    /// `[cookies]` where nothing is written: on, with a secret drawn at the start.
    fn default() -> Cookies {
        Cookies { enabled: true, secret: None, accepted: Vec::new() }
    }
}

/// `[control]`: health, readiness, metrics and the local API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Control {
    /// Loopback only. Default 127.0.0.1:9853; `None` (written `listen = "off"`): no listener.
    pub listen: Option<SocketAddr>,
}

/// `[geoip]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Geoip {
    /// City or country databases, as written: one, or one a family. Empty: no location is known.
    pub database: Vec<(PathBuf, Span)>,
    /// ASN database, as written.
    pub asn: Option<(PathBuf, Span)>,
    /// Prefix overrides in RFC 8805 form, as written.
    pub overrides: Option<(PathBuf, Span)>,
    /// Whether compiled maps are kept in the state folder for the next start (default yes).
    pub is_cached: bool,
}

/// `[probes]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probes {
    /// Probes under way at once (default 256).
    pub concurrency_max: usize,
    /// Whether loopback addresses may be probed (default no; link-local never).
    pub allow_loopback: bool,
    /// What tells whether this node itself is well (H11).
    pub canaries: Vec<SocketAddr>,
    /// How often host names are looked up whose addresses stand in answers (default 30 s).
    pub resolve_interval: Duration,
}

/// `[regions.NAME]`
#[derive(Clone, PartialEq, Debug)]
pub struct Region {
    /// The name.
    pub name: String,
    /// Where the name is written.
    pub span: Span,
    /// `at`; required where a `nearest` or `latency` policy orders the region.
    pub coordinates: Option<Coordinates>,
}

/// `[monitors.NAME]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Monitor {
    /// The name.
    pub name: String,
    /// Where the name is written.
    pub span: Span,
    /// What is done.
    pub check: Check,
    /// How often, how long, and the thresholds.
    pub cadence: Cadence,
}

/// `[pools.NAME]`
#[derive(Clone, PartialEq, Debug)]
pub struct Pool {
    /// The name.
    pub name: String,
    /// Where the name is written.
    pub span: Span,
    /// How its endpoints are checked; `None`: not at all, always eligible.
    pub monitor: Option<PoolMonitor>,
    /// Monitors that check its endpoints and never vote (H4).
    pub watch: Vec<MonitorId>,
    /// Where the load of its endpoints is read (H12).
    pub feed: Option<MonitorId>,
    /// How its endpoints come back (H10).
    pub failback: FailbackSpec,
    /// The members: at least one.
    pub endpoints: Vec<Endpoint>,
}

/// How the verdicts of several monitors add up for each address of a pool (H4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolMonitor {
    /// The weight of monitors that must be well: the sum of all for `all`, 1 for `any`.
    pub needed: u32,
    /// At least one, no monitor twice. The first one's service times count for `latency`.
    pub votes: Vec<MonitorVote>,
}

impl PoolMonitor {
    /// One monitor decides alone.
    pub fn single(monitor: MonitorId) -> PoolMonitor {
        PoolMonitor { needed: 1, votes: vec![MonitorVote { monitor, weight: 1, inverted: false }] }
    }

    /// The monitor whose service times count.
    pub fn first(&self) -> Option<MonitorId> {
        self.votes.first().map(|vote| vote.monitor)
    }
}

/// One monitor's part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MonitorVote {
    /// Whose verdict.
    pub monitor: MonitorId,
    /// How much it weighs: 1..=1000.
    pub weight: u16,
    /// Its failures count as well, its successes as not.
    pub inverted: bool,
}

/// A member of a pool.
#[derive(Clone, PartialEq, Debug)]
pub struct Endpoint {
    /// The name, unique in its pool.
    pub name: String,
    /// Where the name is written.
    pub span: Span,
    /// Its region.
    pub region: RegionId,
    /// What it answers with.
    pub target: EndpointTarget,
    /// Its share against the others (default 100); 0 is a standby tier (R4).
    pub weight: u16,
    /// Declared capacity in any unit common to the pool.
    pub capacity: Option<u32>,
    /// Between what loads it sheds (H12); `None`: it never does.
    pub load: Option<LoadLimits>,
}

/// Addresses or one host name, never both (R14).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EndpointTarget {
    /// `address = [...]`: at least one, no duplicates.
    Addresses(Vec<IpAddr>),
    /// `host = "lb.example.net"`: answered as a CNAME. Without the final dot, lower case.
    Host(String),
}

/// A node of a policy tree.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    /// Its name; anonymous ones are called after their place (`services.www.policy`), the node of a
    /// pool after the pool.
    pub name: String,
    /// Where it is written.
    pub span: Span,
    /// What it does.
    pub rule: Rule,
    /// By family: fewer healthy members than this and the node has failed (R3). Default `Count(1)`.
    pub min_healthy: [MinHealthy; 2],
    /// R11: everybody gets their second choice, where there is one.
    pub skip_first: bool,
    /// R13: outside its windows the node has failed.
    pub schedule: Option<ScheduleId>,
    /// What happens when nothing below is healthy; a node that says so never fails to its parent (R9).
    pub all_down: Option<AllDown>,
}

/// The kinds of policy.
#[derive(Clone, PartialEq, Debug)]
pub enum Rule {
    /// A leaf.
    Pool {
        /// The pool.
        pool: PoolId,
        /// How many endpoints an answer names (default 1).
        answers: u8,
    },
    /// The first child that has not failed.
    Failover {
        /// In order.
        children: Vec<NodeId>,
        /// R12: so many clients of a thousand try the second child first; 0: none.
        trickle_permille: u16,
    },
    /// The region with the least (biased) great-circle distance.
    Nearest {
        /// What is split by region.
        children: Vec<NodeId>,
        /// R6: -99..=99 by region; regions not named have 0.
        bias: Vec<(RegionId, i8)>,
        /// R6: regions within this share of the nearest distance, in thousandths (0..=1000, default 0),
        /// join it.
        tie_permille: u16,
        /// Where clients without a known location count as being (R7). Default: the first region.
        unknown: RegionId,
        /// How many endpoints of the region's group an answer names (default 1).
        answers: u8,
    },
    /// The region with the least expected round trip plus service time.
    Latency {
        /// What is split by region.
        children: Vec<NodeId>,
        /// As for `nearest`.
        unknown: RegionId,
        /// As for `nearest`.
        answers: u8,
    },
    /// The most specific rule that matches the client's place or address.
    Geo {
        /// In the order written.
        rules: Vec<GeoRule>,
        /// For what no rule matches. Without one the node fails there (a lint says so).
        default: Option<GeoBranch>,
        /// For clients without a known location; `None`: `default`.
        unknown: Option<GeoBranch>,
    },
    /// A share each (R4).
    Weighted {
        /// Children with their weights.
        children: Vec<(NodeId, u16)>,
        /// In the order of the children: what is hashed in place of a child's name.
        seats: Vec<Option<String>>,
        /// R5: chosen by hash of the client's prefix and not by a draw.
        sticky: bool,
    },
    /// A region by its part of the load that can be taken (H12), by hash of the client's prefix.
    LeastLoaded {
        /// What is split by region.
        children: Vec<NodeId>,
        /// As for `nearest`.
        answers: u8,
    },
    /// Up to `answers` healthy endpoints of all children in one answer.
    Multivalue {
        /// Their members are pooled.
        children: Vec<NodeId>,
        /// At most this many (default 8).
        answers: u8,
    },
}

/// A geo rule.
#[derive(Clone, PartialEq, Debug)]
pub struct GeoRule {
    /// What must match.
    pub key: GeoKey,
    /// Where the key is written.
    pub span: Span,
    /// Where it leads.
    pub branch: GeoBranch,
}

/// Where a geo rule leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GeoBranch {
    /// The child.
    pub node: NodeId,
    /// R8: never leave it.
    pub geofence: bool,
}

/// R3's threshold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MinHealthy {
    /// At least this many members.
    Count(u32),
    /// At least this share of members, in percent: 1..=100.
    Percent(u8),
}

/// R9's modes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AllDown {
    /// Health is ignored, the policy chooses.
    ServeAll,
    /// As the last table in which the node had not failed would have it.
    LastGood,
    /// Another node.
    Fallback(NodeId),
    /// An empty answer. A load error where it could depend on the client (R10).
    NoData,
    /// REFUSED. Likewise.
    Refuse,
}

/// `[services.NAME]`
#[derive(Clone, PartialEq, Debug)]
pub struct Service {
    /// The name.
    pub name: String,
    /// Where the name is written.
    pub span: Span,
    /// The root of its tree.
    pub policy: NodeId,
    /// The bounds of the answer's TTL in seconds (H7; default 20..=60).
    pub ttl_s: RangeInclusive<u32>,
    /// What operators may not go below (H8).
    pub min_capacity: Option<MinCapacity>,
    /// What may be removed automatically (H11).
    pub governor: GovernorSpec,
    /// E5.
    pub client_subnet: ClientSubnetUse,
    /// R10: whether A and AAAA are decided by the health of both.
    pub families: Families,
    /// R10: what a region without IPv6 does for AAAA.
    pub aaaa: Aaaa,
    /// E6: how fine networks are told apart (default: not bounded).
    pub scope_floor: ScopeFloor,
    /// What an HTTPS/A/AAAA name that can answer CNAME answers is decided by its endpoints (R14): true
    /// when every endpoint below is a host name, false when every one has addresses.
    pub alias: bool,
    /// R14: whether the addresses of host names stand in its answers, instead of CNAME.
    pub flatten: bool,
    /// R11: whether each region has a testing name below the service's names.
    pub testing_names: bool,
    /// How its HTTPS record looks; `None`: it has none.
    pub https: Option<Binding>,
    /// How its SVCB record looks; `None`: it has none.
    pub svcb: Option<Binding>,
}

/// An HTTPS or SVCB record (RFC 9460) but for the address hints, which each answer decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// SvcPriority: 1..=65535.
    pub priority: u16,
    /// Values in wire form.
    pub parameters: BTreeMap<SvcParamKey, Box<[u8]>>,
}

/// `[schedules.NAME]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// Where the name is written.
    pub span: Span,
    /// Its name and windows.
    pub schedule: steer::Schedule,
}

/// Whose client subnet a service believes (E5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientSubnetUse {
    /// Everybody's.
    Use,
    /// Nobody's: the resolver's address decides.
    Ignore,
    /// Only that of resolvers in these networks.
    Trusted(Vec<IpNet>),
}

/// `[classes.NAME]`: clients who see zones of their own (R16).
#[derive(Clone, PartialEq, Debug)]
pub struct Class {
    /// The name.
    pub name: String,
    /// Where the name is written.
    pub span: Span,
    /// Where its clients are, by the address that sends the packets; no network is in two classes.
    pub networks: Vec<IpNet>,
    /// Where its clients' queries come in: some of [`Server::listen`], none of them in two classes.
    pub listen: Vec<SocketAddr>,
    /// The folder of its zones as written, relative to the configuration file.
    pub folder: PathBuf,
    /// Its zones; all others are everybody's.
    pub zones: Vec<Zone>,
}

/// One zone of the zones folder.
#[derive(Clone, PartialEq, Debug)]
pub struct Zone {
    /// The origin as the file's name spells it, without the final dot (`.` for the root).
    pub origin: String,
    /// `ORIGIN.zone`; of a secondary zone `ORIGIN.toml`.
    pub file: FileId,
    /// Where the data come from; `None`: from `ORIGIN.zone`.
    pub secondary: Option<Secondary>,
    /// The steered names of `ORIGIN.toml`.
    pub names: Vec<SteeredName>,
    /// How it is signed; `None`: it is not.
    pub dnssec: Option<ZoneDnssec>,
    /// Its other name servers.
    pub transfer: Transfer,
}

impl Config {
    /// Forgets the steered names of zones that have files: once compiled the zones have them, and a million of
    /// them twice is most of what they take. Those of zones from primaries are laid over each transfer.
    pub fn forget_names(&mut self) {
        let own = self.classes.iter_mut().flat_map(|class| &mut class.zones);
        for zone in self.zones.iter_mut().chain(own).filter(|zone| zone.secondary.is_none()) {
            zone.names = Vec::new();
        }
    }
}

/// `[dnssec]` of the main file
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dnssec {
    /// Where keys are kept (default "keys"), relative to the configuration file.
    pub key_folder: PathBuf,
    /// Who looks after the keys.
    pub managed: KeysManaged,
}

/// Who looks after the keys of signed zones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeysManaged {
    /// This node makes and rolls them.
    Here,
    /// Another node does, and the key folder is a copy: it is read again and again, and never written to.
    Elsewhere,
}

/// `[dnssec]` of `ORIGIN.toml`: how a zone is signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZoneDnssec {
    /// Where that is written.
    pub span: Span,
    /// Which keys it has.
    pub scheme: KeyScheme,
    /// What is signed with.
    pub algorithm: Algorithm,
    /// How what does not exist is denied. Compact wherever names are steered.
    pub denial: DenialKind,
    /// For how long signatures are made (default 14 d).
    pub signature_validity: Duration,
    /// Signatures are renewed when so much is left of them (default 7 d, at least 4 d).
    pub refresh: Duration,
    /// The age at which the ZSK is replaced; `None`: only when told.
    pub zsk_lifetime: Option<Duration>,
    /// The time in which every secondary has a new version of the zone (default 1 h).
    pub propagation_delay: Duration,
    /// The TTL of DS at the parent, with the parent's own propagation (default 1 d).
    pub parent_ds_ttl: Duration,
    /// What is published for the parent.
    pub cds: Announcement,
    /// Where this zone's keys are kept; `None`: where the main file says.
    pub key_folder: Option<PathBuf>,
}

impl ZoneDnssec {
    /// What `dnssec = true` means.
    pub fn usual(span: Span, steered: bool) -> ZoneDnssec {
        const DAY: Duration = Duration::from_secs(86_400);
        ZoneDnssec {
            span,
            scheme: KeyScheme::Csk,
            algorithm: Algorithm::EcdsaP256Sha256,
            denial: if steered { DenialKind::Compact } else { DenialKind::Nsec },
            signature_validity: 14 * DAY,
            refresh: 7 * DAY,
            zsk_lifetime: Some(90 * DAY),
            propagation_delay: Duration::from_secs(3600),
            parent_ds_ttl: DAY,
            cds: Announcement::Publish,
            key_folder: None,
        }
    }
}

/// Which keys a zone has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyScheme {
    /// One that signs everything.
    Csk,
    /// One that the parent knows, and one that signs the zone's data.
    KskZsk,
}

/// How a signed zone denies that something exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DenialKind {
    /// RFC 9824, signed online.
    Compact,
    /// A chain of NSEC records.
    Nsec,
    /// A chain of NSEC3 records (RFC 5155), without salt and extra iterations (RFC 9276).
    Nsec3,
}

/// What CDS and CDNSKEY say (RFC 7344, RFC 8078).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Announcement {
    /// Which DS the parent should have.
    Publish,
    /// Nothing: there are none.
    Off,
    /// That the parent should have none.
    Delete,
}

/// `[tsig.NAME]`
#[derive(Clone, Debug)]
pub struct TsigKey {
    /// The name.
    pub name: String,
    /// Where the name is written.
    pub span: Span,
    /// The key.
    pub key: Arc<tsig::Key>,
}

/// `[transfer]` of a zone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Transfer {
    /// Who may take the zone. Empty: nobody.
    pub to: Vec<TransferPeer>,
    /// Who is told when it has changed.
    pub notify: Vec<NotifyTarget>,
}

/// Who may take a zone: all that is said must hold, and something is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferPeer {
    /// Where it asks from; `None`: anywhere.
    pub network: Option<IpNet>,
    /// What its messages are signed with: a place in [`Config::tsig`].
    pub key: Option<usize>,
}

/// Who is told that a zone has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotifyTarget {
    /// Where it listens.
    pub address: SocketAddr,
    /// What messages to it are signed with: a place in [`Config::tsig`].
    pub key: Option<usize>,
}

/// A steered name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SteeredName {
    /// As written, relative to the origin: `www`, `*.apps`, `@`.
    pub name: String,
    /// Where it is written.
    pub span: Span,
    /// Which service answers for it.
    pub service: ServiceId,
}
