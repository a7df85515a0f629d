//! What may be asked of the supervisor from outside, and what it says of itself.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::operated::{NotOperated, OperateRequest, OverrideStatus, PostRequest};
use super::signing::SignedStatus;
use crate::dnssec::ring::Role;

/// Requests waiting for the supervisor; beyond that, who asks waits.
pub const COMMANDS_WAITING_MAX: usize = 64;

/// A request. Every change from outside takes this way.
pub enum Command {
    /// Read the configuration again.
    Reload(ReloadRequest),
    /// Do what an operator says.
    Operate(Box<OperateRequest>),
    /// Take in a posted verdict.
    Post(PostRequest),
    /// Do what an operator asks of a signed zone's keys.
    Keys(KeysRequest),
    /// Say how things are.
    Status(oneshot::Sender<Box<Status>>),
    /// Say what zones there are.
    Zones(oneshot::Sender<Vec<ZoneStatus>>),
    /// Check a zone that comes from primaries.
    Refresh(RefreshRequest),
}

/// "Read the configuration again."
pub struct ReloadRequest {
    /// Who asks.
    pub actor: String,
    /// Also if it takes away more answers than allowed (T1).
    pub force: bool,
    /// Where the outcome goes.
    pub reply: oneshot::Sender<Reloaded>,
}

/// What is asked of a signed zone's keys.
pub struct KeysRequest {
    /// The zone, in lower case without the final dot.
    pub zone: String,
    /// What is asked.
    pub asked: KeysAsked,
    /// Who asks.
    pub actor: String,
    /// Where the outcome goes.
    pub reply: oneshot::Sender<Result<KeysDone, NotOperated>>,
}

/// What can be asked of keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeysAsked {
    /// Begin a roll-over.
    Roll(Role),
    /// The parent has the DS.
    DsSeen,
}

/// What was asked was done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeysDone {
    /// The zone.
    pub zone: String,
    /// The key that it concerns.
    pub tag: u16,
}

/// "Check a zone that comes from primaries."
pub struct RefreshRequest {
    /// Its name; of a zone of a class of clients `CLASS@NAME`.
    pub zone: String,
    /// Fetch all of it, whatever its serial.
    pub force: bool,
    /// Who asks.
    pub actor: String,
    /// Where the outcome goes.
    pub reply: oneshot::Sender<Refreshed>,
}

/// What a check came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Refreshed {
    /// No such zone comes from primaries.
    Unknown {
        /// In words.
        why: String,
    },
    /// A primary has confirmed what is here.
    Same {
        /// Its serial.
        serial: Option<u32>,
    },
    /// Something newer is here now.
    Newer {
        /// Its serial.
        serial: Option<u32>,
        /// From whom, and how.
        text: String,
    },
    /// No primary was of use.
    Failed {
        /// What was wrong with the last one.
        why: String,
    },
}

/// A zone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ZoneStatus {
    /// Its origin; of a zone of a class of clients `CLASS@ORIGIN`.
    pub name: String,
    /// `file`, or `secondary`.
    pub kind: String,
    /// `current`; of a secondary zone also `expired`, or `missing` before the first transfer.
    pub state: String,
    /// The serial that it is served with, where it has one; not always the file's in a zone signed here.
    pub serial: Option<u32>,
    /// Names in it, those between names included.
    pub names: usize,
    /// What is known of it if it comes from primaries.
    pub secondary: Option<SecondaryStatus>,
}

/// What is known of a zone that comes from primaries.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SecondaryStatus {
    /// Their addresses.
    pub primaries: Vec<String>,
    /// Seconds until they are asked again; none while they are being asked.
    pub refresh_in_s: Option<f64>,
    /// Seconds until it expires; none where it has, or there is nothing to expire.
    pub expires_in_s: Option<f64>,
    /// Seconds since a primary has confirmed it.
    pub confirmed_s: Option<f64>,
    /// Transfers since the start.
    pub transfers: u64,
    /// Primaries that were of no use, each time one was asked.
    pub failures: u64,
    /// What was wrong when they were asked last.
    pub last_error: Option<String>,
    /// What of the configuration and the primary's data exclude each other.
    pub conflicts: Vec<String>,
}

/// Where commands go.
pub type Commands = mpsc::Sender<Command>;

/// What a reload came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Reloaded {
    /// A new generation is in force.
    Done {
        /// Its number.
        generation: u64,
        /// Warnings and settings that need a restart, as text; empty when there are none.
        remarks: String,
    },
    /// The old generation stays.
    Refused {
        /// Every problem, as text.
        problems: String,
    },
}

/// Where the process is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The first round of probes is under way; nothing is answered yet.
    Starting,
    /// Queries are answered.
    Serving,
    /// Queries are answered, and it would be better to ask elsewhere.
    Draining,
}

impl Phase {
    /// The word for it.
    pub const fn label(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Serving => "serving",
            Phase::Draining => "draining",
        }
    }
}

/// How things are.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// Where the process is in its life.
    pub phase: Phase,
    /// The generation in force.
    pub generation: u64,
    /// When the view in force was published, in seconds since 1970.
    pub published_s: f64,
    /// The addresses that are served.
    pub listen: Vec<String>,
    /// The classes of clients who see zones of their own.
    #[serde(default)]
    pub classes: Vec<String>,
    /// The regions with how many of their endpoints may be used.
    pub regions: Vec<RegionStatus>,
    /// The endpoints.
    pub endpoints: Vec<EndpointStatus>,
    /// The services.
    pub services: Vec<ServiceStatus>,
    /// The zones that are signed here.
    #[serde(default)]
    pub signed: Vec<SignedStatus>,
    /// What operators have said.
    pub overrides: Vec<OverrideStatus>,
    /// What the probes came to.
    pub probes: ProbeCounts,
    /// Reloads since the start.
    pub reloads: ReloadCounts,
    /// Changes of health since the start.
    pub transitions: u64,
    /// What must be shown wherever locations are shown.
    pub attributions: Vec<String>,
}

/// A region.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RegionStatus {
    /// Its name.
    pub name: String,
    /// Latitude and longitude in degrees, if known.
    pub at: Option<(f64, f64)>,
    /// How many endpoints it has.
    pub endpoints: usize,
    /// How many of them have an address that is not down.
    pub eligible: usize,
}

/// An endpoint.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EndpointStatus {
    /// `pool/endpoint`
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its weight.
    pub weight: u16,
    /// The name of the monitor that probes it.
    pub monitor: Option<String>,
    /// An operator's word: `up`, `down`, `drained`.
    pub forced: Option<String>,
    /// The number of the override whose word it is, or that lets in a share.
    pub forced_by: Option<u64>,
    /// The share of clients that a drain or its load lets in.
    pub share: ShareStatus,
    /// Answers that named it, over all services, since the start.
    pub answers: u64,
    /// What it answers with, and the health of each.
    pub addresses: Vec<AddressStatus>,
    /// How busy it is, where a feed tells.
    pub load: Option<LoadFigures>,
}

/// How busy an endpoint is, and what follows (H12).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LoadFigures {
    /// The load as read and smoothed; none before the first reading.
    pub current: Option<f64>,
    /// Seconds since it was read.
    pub age_s: Option<f64>,
    /// Above this it sheds.
    pub target: f64,
    /// Here it would shed everything.
    pub max: f64,
    /// The target in force: raised where all exceed theirs.
    pub target_raised: f64,
    /// The share of its clients that go to others, 0 to 1.
    pub shed: f64,
    /// What it weighs under `least-loaded`; 1000 is neutral.
    pub load_weight: u16,
}

/// The share of clients that get something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShareStatus {
    /// In thousandths; 1000 is everybody.
    pub permille: u16,
    /// `full`, `hold`, `manual`, `ramp`, `draining` or `shed`.
    pub why: String,
}

/// An address (or the host name) of an endpoint.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AddressStatus {
    /// The address or the host name.
    pub address: String,
    /// `up`, `down`, `unknown`, or `unmonitored`.
    pub state: String,
    /// The share of clients that failback lets in (H10).
    pub share: ShareStatus,
    /// The services for which the governor does not accept that it is down (H11): it counts as up there.
    pub frozen_for: Vec<String>,
    /// No result for more than three intervals.
    pub stale: bool,
    /// Failures counted while up.
    pub failures: u8,
    /// Successes that it still needs while down.
    pub successes_needed: u8,
    /// Why it failed last.
    pub last_failure: Option<String>,
    /// Seconds since the last result.
    pub age_s: Option<f64>,
    /// The smoothed TCP handshake in milliseconds.
    pub connect_ms: Option<f64>,
    /// The smoothed time to the first octet of the answer in milliseconds.
    pub first_byte_ms: Option<f64>,
    /// What its checks say, one by one: those that vote, then those that are only watched.
    pub checks: Vec<CheckStatus>,
}

/// One check of an address.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CheckStatus {
    /// The monitor.
    pub monitor: String,
    /// `votes`, `inverted`, or `watched`.
    pub part: String,
    /// `up`, `down` or `unknown`, before any inversion.
    pub state: String,
    /// Failures counted while up.
    pub failures: u8,
    /// Why it failed last.
    pub last_failure: Option<String>,
    /// Seconds since the last result.
    pub age_s: Option<f64>,
    /// The smoothed TCP handshake in milliseconds.
    pub connect_ms: Option<f64>,
    /// The smoothed TLS handshake in milliseconds.
    pub tls_ms: Option<f64>,
    /// The smoothed time to the first octet of the answer in milliseconds.
    pub first_byte_ms: Option<f64>,
    /// The smoothed time of the whole probe in milliseconds.
    pub total_ms: Option<f64>,
    /// Seconds until the server's certificate expires; below zero when it has.
    pub certificate_expires_in_s: Option<f64>,
    /// Whether that is sooner than the monitor's `expires_in_days`.
    pub certificate_expires_soon: bool,
}

/// A service.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Whether, for some place, nothing is healthy and a last resort answers.
    pub all_down: bool,
    /// Whether, for some place, the governor keeps an answer that is down (H11).
    #[serde(default)]
    pub frozen: bool,
}

/// What the probes came to since the start.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ProbeCounts {
    /// Under way now.
    pub under_way: u64,
    /// Started.
    pub started: u64,
    /// Left out because the one before was not done.
    pub late_skipped: u64,
    /// Never heard of again.
    pub lost: u64,
    /// Succeeded.
    pub succeeded: u64,
    /// Failed, by kind.
    pub failed: std::collections::BTreeMap<String, u64>,
}

/// Reloads since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReloadCounts {
    /// New generations.
    pub done: u64,
    /// Refused configurations.
    pub refused: u64,
}
