//! What a demo consists of: stand-ins, the server, and what there is to ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, Config, EndpointTarget, PoolMonitor};
use crate::control::ACTOR_FIELD;
use crate::daemon::{Done, Status};
use crate::health::Check;
use crate::load;

use super::ask::{PEOPLE, Person, Reply, ask};
use super::remote;
use super::server::Server;
use super::stand_ins::StandIn;

/// How long the server may take to its first answer: compiling locations and one round of probes.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How often readiness is looked at.
const READY_POLL: Duration = Duration::from_millis(50);
/// The control listener is on loopback: it answers at once or not at all.
const STATUS_TIMEOUT: Duration = Duration::from_millis(500);

/// The running demo.
pub struct Scene {
    /// The regions.
    pub stand_ins: Arc<[StandIn]>,
    /// The server.
    pub server: Server,
    /// Where it answers.
    pub address: SocketAddr,
    /// The steered name to ask for, with its zone.
    pub name: String,
    /// The regions of the addresses in answers.
    regions: Vec<(IpAddr, String)>,
    control: Option<SocketAddr>,
    config: PathBuf,
    http: reqwest::Client,
}

/// What one person got.
pub struct Seen {
    /// Who asked.
    pub person: Person,
    /// The answer.
    pub reply: Option<Reply>,
    /// The region that it leads to.
    pub region: Option<String>,
}

impl Scene {
    /// Starts everything and waits for the first answer.
    pub async fn start(path: &Path) -> Result<Scene, String> {
        let config = read(path)?;
        let stand_ins: Arc<[StandIn]> = stand_ins(&config).into();
        if stand_ins.is_empty() {
            return Err(format!(
                "{} has no endpoint with a loopback address and a monitor: the demo has no region to play",
                path.display()
            ));
        }
        let name = steered_name(&config).ok_or("the configuration steers no name: nothing to ask for")?;
        remote::listen(Arc::clone(&stand_ins)).await?;
        for stand_in in stand_ins.iter() {
            stand_in.revive().await?;
        }
        let listen = config.server.listen.first().copied().ok_or("the server listens nowhere")?;
        config
            .server
            .listen
            .iter()
            .chain(&config.control.listen)
            .try_for_each(|address| is_free(*address))?;
        let http = reqwest::Client::builder().no_proxy().timeout(STATUS_TIMEOUT).build();
        let scene = Scene {
            stand_ins,
            server: Server::start(path)?,
            address: reachable(listen),
            name,
            regions: regions(&config),
            control: config.control.listen,
            config: path.to_owned(),
            http: http.map_err(|error| format!("no HTTP client: {error}"))?,
        };
        scene.wait_for_an_answer().await?;
        Ok(scene)
    }

    async fn wait_for_an_answer(&self) -> Result<(), String> {
        let ready = async {
            loop {
                if self.server.has_ended().await {
                    // Its last lines may still be on their way.
                    tokio::time::sleep(READY_POLL).await;
                    return Err(format!("the server ended:\n{}", self.server.log_after(0).0.join("\n")));
                }
                if self.see(PEOPLE[0], 1).await.reply.is_some() {
                    return Ok(());
                }
                tokio::time::sleep(READY_POLL).await;
            }
        };
        match tokio::time::timeout(READY_TIMEOUT, ready).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!(
                "no answer from {} within {} s:\n{}",
                self.address,
                READY_TIMEOUT.as_secs(),
                self.server.log_after(0).0.join("\n")
            )),
        }
    }

    /// Asks as every person.
    pub async fn see_all(&self, id: u16) -> Vec<Seen> {
        let mut all = Vec::with_capacity(PEOPLE.len());
        for person in PEOPLE {
            all.push(self.see(person, id).await);
        }
        all
    }

    async fn see(&self, person: Person, id: u16) -> Seen {
        let reply = match person.subnet() {
            Some(subnet) => ask(self.address, &self.name, subnet, id).await,
            None => None,
        };
        let region = reply.as_ref().and_then(|reply| {
            let first = reply.addresses.first()?;
            self.regions.iter().find(|(address, _)| address == first).map(|(_, region)| region.clone())
        });
        Seen { person, reply, region }
    }

    /// What the server says of itself.
    pub async fn status(&self) -> Option<Status> {
        let url = format!("http://{}/v1/status", self.control?);
        let body = self.http.get(url).send().await.ok()?.bytes().await.ok()?;
        serde_json::from_slice(&body).ok()
    }

    /// Drains a region, or takes the drain back; what came of it.
    pub async fn drain_or_undo(&self, region: &str) -> String {
        let selector = format!("region:{region}");
        let drained = self
            .status()
            .await
            .is_some_and(|status| status.overrides.iter().any(|own| own.selector == selector));
        let outcome = if drained {
            self.operate(self.http.delete(self.control_url(&format!("/{selector}")))).await
        } else {
            let body =
                format!(r#"{{"kind":"drain","selector":"{selector}","reason":"to see what happens"}}"#);
            self.operate(self.http.post(self.control_url("")).body(body)).await
        };
        match outcome {
            Err(why) => why,
            Ok(_) if drained => format!("{region} is back"),
            Ok(done) => {
                format!("drained {region}: caches have dropped it by {}", done.gone_by.unwrap_or_default())
            }
        }
    }

    fn control_url(&self, rest: &str) -> String {
        let address = self.control.map_or_else(String::new, |address| address.to_string());
        format!("http://{address}/v1/overrides{rest}")
    }

    async fn operate(&self, request: reqwest::RequestBuilder) -> Result<Done, String> {
        let request = request.header(ACTOR_FIELD, "demo");
        let body = match request.send().await {
            Ok(answer) => answer.bytes().await.unwrap_or_default(),
            Err(error) => return Err(format!("the server does not answer: {error}")),
        };
        let problem = |_| String::from_utf8_lossy(&body).into_owned();
        serde_json::from_slice(&body).map_err(problem)
    }

    /// Lines to try in another terminal.
    pub fn lines_to_try(&self) -> Vec<String> {
        // As this program was called: `meridian` may not be on the reader's PATH.
        let program = std::env::args().next().unwrap_or_else(|| "meridian".to_owned());
        let at = format!("dig @{} -p {}", self.address.ip(), self.address.port());
        let line = |network: &str, city: &str| format!("{at} {} +subnet={network}   # {city}", self.name);
        let mut lines: Vec<String> = PEOPLE
            .iter()
            .filter(|person| ["Boston", "Amsterdam", "Tokyo"].contains(&person.city))
            .map(|person| line(person.network, person.city))
            .collect();
        if let Some(stand_in) =
            self.stand_ins.iter().find(|own| own.region.starts_with("eu")).or(self.stand_ins.first())
        {
            lines.push(format!(
                "{program} demo fail {}   # then ask again; `heal` brings it back",
                stand_in.region
            ));
        }
        let config = match self.config.to_str() {
            None | Some("meridian.toml") => String::new(),
            Some(other) => format!(" --config {other}"),
        };
        lines
            .push(format!("{program} explain {} --client 193.0.0.0/24{config}   # the whole why", self.name));
        lines
    }

    /// Stops the server and the stand-ins.
    pub async fn stop(&self) {
        self.server.stop().await;
        self.stand_ins.iter().for_each(StandIn::kill);
    }
}

fn read(path: &Path) -> Result<Config, String> {
    let loaded = load::configuration(path);
    loaded.config.ok_or_else(|| {
        let text = config::text(&loaded.sources, &loaded.problems, config::Style::Plain);
        format!("{text}\n(the demo runs the shipped configuration: start it in the repository, or name one with --config)")
    })
}

/// One stand-in per region that has probed endpoints on loopback.
fn stand_ins(config: &Config) -> Vec<StandIn> {
    let mut all: Vec<(String, Vec<SocketAddr>)> = Vec::new();
    for pool in &config.pools {
        let monitor = pool.monitor.as_ref().and_then(PoolMonitor::first);
        let Some(monitor) = monitor.and_then(|monitor| config.monitors.get(monitor.index())) else {
            continue;
        };
        let port = match &monitor.check {
            Check::Http(check) if check.tls.is_none() => check.port,
            Check::Tcp(check) => check.port,
            _ => continue,
        };
        for endpoint in &pool.endpoints {
            let EndpointTarget::Addresses(addresses) = &endpoint.target else { continue };
            let Some(region) = config.regions.get(endpoint.region.index()) else { continue };
            let index = all.iter().position(|(name, _)| *name == region.name).unwrap_or_else(|| {
                all.push((region.name.clone(), Vec::new()));
                all.len() - 1
            });
            let Some((_, own)) = all.get_mut(index) else { continue };
            own.extend(addresses.iter().filter(|ip| ip.is_loopback()).map(|ip| SocketAddr::new(*ip, port)));
        }
    }
    let alive = all.into_iter().filter(|(_, addresses)| !addresses.is_empty());
    alive
        .map(|(region, mut addresses)| {
            addresses.sort_unstable();
            addresses.dedup();
            StandIn::new(region, addresses)
        })
        .collect()
}

/// The region of every address that can stand in an answer.
fn regions(config: &Config) -> Vec<(IpAddr, String)> {
    let mut all = Vec::new();
    for endpoint in config.pools.iter().flat_map(|pool| &pool.endpoints) {
        let EndpointTarget::Addresses(addresses) = &endpoint.target else { continue };
        let Some(region) = config.regions.get(endpoint.region.index()) else { continue };
        all.extend(addresses.iter().map(|address| (*address, region.name.clone())));
    }
    all
}

/// `www` of the first zone that steers it, else the first plain steered name.
fn steered_name(config: &Config) -> Option<String> {
    let names = config.zones.iter().flat_map(|zone| zone.names.iter().map(move |name| (zone, name)));
    let plain = names.filter(|(_, name)| !name.name.starts_with('*') && name.name != "@");
    let best = plain.clone().find(|(_, name)| name.name == "www").or_else(|| plain.clone().next());
    best.map(|(zone, name)| format!("{}.{}", name.name, zone.origin))
}

/// Another server's answers must not pass for those of the demo's own.
fn is_free(address: SocketAddr) -> Result<(), String> {
    match std::net::TcpListener::bind(address) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(format!(
            "{address} is taken: another demo or server may be running (`ss -lnptu` shows which)"
        )),
        // Everything else the server itself says better.
        _ => Ok(()),
    }
}

/// An address that a client on this machine can ask.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
