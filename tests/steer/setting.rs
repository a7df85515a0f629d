//! A configuration with its states, and questions to it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use meridian::compile::locations::Atlas;
use meridian::config::{SourceFile, Sources};
use meridian::geo::ClientPrefix;
use meridian::health::{EndpointState, HealthTable, Share, ShareCause, Standing, Verdict};
use meridian::ids::{AddressId, CounterId, EndpointId, Family, ServiceId};
use meridian::now::Now;
use meridian::steer::{Answer, Calendar, Client, Lane, Selection};
use meridian::view::{self, Explanation, Snapshot, View};

/// The first service, asked by name of endpoints.
pub struct Setting {
    pub snapshot: Arc<Snapshot>,
    pub health: HealthTable,
    pub now: Now,
}

impl Setting {
    /// `text` goes behind a server and three regions, `us` in Virginia, `eu` in Dublin, `ap` in Tokyo.
    pub fn new(text: &str) -> Setting {
        let text = format!(
            "[server]\nlisten = [\"127.0.0.1:5300\"]\n[regions.us]\nat = [39.0, -77.5]\n\
             [regions.eu]\nat = [53.3, -6.3]\n[regions.ap]\nat = [35.7, 139.7]\n{text}"
        );
        let file = SourceFile { path: "meridian.toml".into(), bytes: text.into_bytes() };
        let sources = Sources { files: vec![file], ..Sources::default() };
        let atlas = |_: &mut _| Ok(Atlas::default());
        let (found, problems) =
            crate::compile::compile(&sources, atlas, 1, &mut |_, _| CounterId(0)).unwrap();
        let (_, snapshot) = found.unwrap_or_else(|| panic!("{problems:#?}"));
        let health = HealthTable {
            addresses: vec![Standing::of(Verdict::Up); snapshot.board.addresses.len()].into(),
            ..HealthTable::unknown(0, snapshot.fleet.endpoints.len())
        };
        let now = Now { monotonic: Duration::from_secs(1000), wall: Duration::from_secs(1_700_000_000) };
        Setting { snapshot: Arc::new(snapshot), health, now }
    }

    fn endpoint_id(&self, name: &str) -> EndpointId {
        let found = self.snapshot.fleet.endpoints.iter().position(|own| &*own.name == name);
        EndpointId(found.unwrap_or_else(|| panic!("{name}")) as u32)
    }

    fn change(&mut self, name: &str, change: impl Fn(&mut EndpointState)) {
        let id = self.endpoint_id(name);
        let mut all = self.health.endpoints.to_vec();
        change(&mut all[id.index()]);
        self.health.endpoints = all.into();
    }

    /// What an endpoint (`pool/endpoint`) lets in.
    pub fn share(&mut self, name: &str, permille: u16, why: ShareCause) {
        self.change(name, |own| own.share = Share { permille, why, step_at: own.share.step_at });
    }

    /// What an endpoint takes of the load.
    pub fn load(&mut self, name: &str, weight: u16) {
        self.change(name, |own| own.load_weight = weight);
    }

    /// When an endpoint's share takes its next step, in seconds from now.
    pub fn step_in(&mut self, name: &str, seconds: u64) {
        let at = self.now.monotonic + Duration::from_secs(seconds);
        self.change(name, |own| own.share.step_at = Some(at));
    }

    /// A verdict on the addresses of a family of an endpoint.
    pub fn verdict(&mut self, name: &str, family: Family, verdict: Verdict) {
        for id in self.addresses(name, family) {
            let mut all = self.health.addresses.to_vec();
            all[id.index()].verdict = verdict;
            self.health.addresses = all.into();
        }
    }

    /// Both families of an endpoint go down.
    pub fn down(&mut self, name: &str) {
        Family::ALL.into_iter().for_each(|family| self.verdict(name, family, Verdict::Down));
    }

    pub fn addresses(&self, name: &str, family: Family) -> Vec<AddressId> {
        let endpoint = &self.snapshot.fleet.endpoints[self.endpoint_id(name).index()];
        let own = endpoint.addresses.iter().filter(|own| Family::of(own.address) == family);
        own.map(|own| own.id).collect()
    }

    pub fn view(&self) -> View {
        View::new(Arc::clone(&self.snapshot), self.health.clone(), Calendar::default(), None)
    }

    /// The answer to a client and a draw.
    pub fn ask<'v>(&self, view: &'v View, family: Family, client: &Client, draw: u64) -> Selection<'v> {
        view.steer(ServiceId(0), Lane::Addresses(family), client, self.now, draw)
    }

    /// The one address that a client gets over IPv4.
    pub fn address(&self, view: &View, client: &Client) -> IpAddr {
        match self.ask(view, Family::V4, client, 1 << 63).answer {
            Answer::Addresses([address]) => *address,
            other => panic!("{other:?}"),
        }
    }

    pub fn explain(&self, view: &View, family: Family, client: &Client) -> Explanation {
        view::explain(view, ServiceId(0), Lane::Addresses(family), client, self.now, 1 << 63).unwrap()
    }
}

/// A client by the number of its /24.
pub fn client(number: u32) -> Client {
    let first = Ipv4Addr::from(0x5000_0000 + (number << 8));
    Client { resolver: first.into(), subnet: Some(ClientPrefix::new(first.into(), 24)) }
}
