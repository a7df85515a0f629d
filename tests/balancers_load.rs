//! Load feedback with real regional load balancers (H12): two HAProxy of Debian in front of nginx, one read by
//! its Prometheus exporter and one by its CSV; clients who hold real connections and resolve through the real
//! program. Clients move when a region is above its target, the share settles, and they come back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Long enough for anything that is to happen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(45);

const US: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 79, 1));
const EU: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 79, 2));

/// Connections that each region is to carry; at twice that it would shed everything.
const TARGET: usize = 80;

/// A process that ends with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command) -> Process {
    let name = format!("{:?}", command.get_program());
    // Debian keeps servers where ordinary users do not look.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let child = command.env("PATH", path).spawn();
    Process(child.unwrap_or_else(|error| panic!("{name}: {error}; `make tools` installs it")))
}

/// The same free port on both regions' addresses.
fn free_port() -> u16 {
    (0..100)
        .find_map(|_| {
            let first = TcpListener::bind((US, 0)).unwrap();
            let port = first.local_addr().unwrap().port();
            TcpListener::bind((EU, port)).is_ok().then_some(port)
        })
        .unwrap()
}

fn await_listening(process: Process, address: SocketAddr) -> Process {
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < PATIENCE, "nobody listens on {address}");
        std::thread::yield_now();
    }
    process
}

/// The ports of both regions, the same in each.
#[derive(Clone, Copy)]
struct Ports {
    web: u16,
    admin: u16,
    nginx: u16,
}

/// A region: HAProxy with its statistics, nginx behind it.
fn region(folder: &Path, at: IpAddr, ports: Ports) -> [Process; 2] {
    let Ports { web, admin, nginx } = ports;
    let (here, name) = (folder.display(), at.to_string());
    let text = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {here}/{name}.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; keepalive_requests 100000; client_body_temp_path {here}/{name}-b; proxy_temp_path {here}/{name}-p;\n\
           fastcgi_temp_path {here}/{name}-f; uwsgi_temp_path {here}/{name}-u; scgi_temp_path {here}/{name}-s;\n\
           server {{ listen {at}:{nginx}; location = /bad {{ return 503; }} location / {{ return 200 well; }} }} }}\n"
    );
    let file = folder.join(format!("nginx-{name}.conf"));
    std::fs::write(&file, text).unwrap();
    let nginx_process = start(Command::new("nginx").arg("-p").arg(folder).arg("-c").arg(&file));
    let nginx_process = await_listening(nginx_process, SocketAddr::new(at, nginx));
    let text = format!(
        "global\n  maxconn 1000\ndefaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  timeout connect 5s\n\
         frontend web\n  bind {at}:{web}\n  default_backend apps\n\
         backend apps\n  server nginx {at}:{nginx}\n\
         frontend admin\n  bind {at}:{admin}\n  stats enable\n  stats uri /\n\
           http-request use-service prometheus-exporter if {{ path /metrics }}\n"
    );
    let file = folder.join(format!("haproxy-{name}.cfg"));
    std::fs::write(&file, text).unwrap();
    let haproxy = start(Command::new("haproxy").args(["-db", "-q", "-f"]).arg(&file));
    [await_listening(haproxy, SocketAddr::new(at, web)), nginx_process]
}

struct Server {
    _process: Process,
    dns: SocketAddr,
    control: SocketAddr,
}

fn server(folder: &Path, ports: Ports) -> Server {
    let control = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let Ports { web, admin, .. } = ports;
    std::fs::create_dir(folder.join("zones")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("places.csv", "11.0.0.0/8,US,,,,40.7,-74.0\n81.0.0.0/8,DE,,,,50.1,8.7\n");
    write(
        "zones/gslb.test.zone",
        "$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\n",
    );
    write("zones/gslb.test.toml", "[names]\n\"www\" = \"www\"\n");
    let feed = |name: &str, rest: &str| {
        format!(
            "[feeds.{name}]\n{rest}interval = \"200ms\"\ntimeout = \"200ms\"\nerrors_max = \"50%\"\nfall = 2\n"
        )
    };
    let exporter = feed(
        "exporter",
        &format!(
            "http = {{ path = \"/metrics\", port = {admin} }}\nformat = \"prometheus\"\n\
             current = 'haproxy_frontend_current_sessions{{proxy=\"web\"}}'\n\
             responses = 'haproxy_frontend_http_responses_total{{proxy=\"web\"}}'\n\
             errors = 'haproxy_frontend_http_responses_total{{proxy=\"web\",code=\"5xx\"}}'\n"
        ),
    );
    let csv = feed(
        "csv",
        &format!(
            "http = {{ path = \"/;csv\", port = {admin} }}\nformat = \"haproxy-csv\"\n\
             current = \"web/FRONTEND scur\"\nresponses = \"web/FRONTEND req_tot\"\nerrors = \"web/FRONTEND hrsp_5xx\"\n"
        ),
    );
    let pool = |name: &str, feed: &str, at: IpAddr| {
        format!(
            "[pools.{name}]\nmonitor = \"web\"\nfeed = \"{feed}\"\nload = {{ target = {TARGET} }}\n\
             endpoints = [{{ name = \"lb\", region = \"{name}\", address = \"{at}\" }}]\n"
        )
    };
    write(
        "meridian.toml",
        &format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\n[control]\nlisten = \"{control}\"\n\
             [probes]\nallow_loopback = true\n[geoip]\noverrides = \"places.csv\"\n\
             [regions.us]\nat = \"aws:us-east-1\"\n[regions.eu]\nat = \"aws:eu-central-1\"\n\
             [monitors.web]\nhttp = {{ path = \"/\", port = {web} }}\ninterval = \"1s\"\ntimeout = \"1s\"\n\
             {exporter}{csv}{}{}\
             [services.www]\npolicy = {{ nearest = [\"us\", \"eu\"] }}\nttl = {{ min = \"1s\", max = \"1s\" }}\n",
            pool("us", "exporter", US),
            pool("eu", "csv", EU)
        ),
    );
    let mut process = start(
        Command::new(env!("CARGO_BIN_EXE_meridian"))
            .args(["serve", "--log-format", "json", "--config"])
            .arg(folder.join("meridian.toml"))
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped()),
    );
    let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines();
    let mut log = String::new();
    loop {
        let line = lines.next().unwrap_or_else(|| panic!("it ended:\n{log}")).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let _ = writeln!(log, "{line}");
        if told["message"] == "ready" {
            // The rest of the log is read to the end, so that the pipe never fills.
            std::thread::spawn(move || lines.for_each(drop));
            let dns = told["listen"].as_str().unwrap().parse().unwrap();
            return Server { _process: process, dns, control };
        }
    }
}

impl Server {
    /// An endpoint's account in the status.
    fn endpoint(&self, name: &str) -> serde_json::Value {
        let body = get(&mut TcpStream::connect(self.control).unwrap(), self.control, "/v1/status", "close");
        let status: serde_json::Value = serde_json::from_str(&body).unwrap();
        let mut all = status["endpoints"].as_array().unwrap().iter();
        all.find(|own| own["name"] == name).cloned().unwrap()
    }

    /// The share of clients that an endpoint gives to others, in percent.
    fn shed(&self, name: &str) -> f64 {
        self.endpoint(name)["load"]["shed"].as_f64().unwrap() * 100.0
    }
}

/// One request over a connection; the body.
fn get(connection: &mut TcpStream, host: SocketAddr, path: &str, connection_field: &str) -> String {
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection_field}\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let length = connection.read(&mut piece).unwrap();
        answer.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let field = |name: &str| {
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix(name).map(str::to_owned))
            };
            let whole = field("content-length: ").and_then(|length| length.trim().parse::<usize>().ok());
            if length == 0 || whole.is_some_and(|whole| body.len() >= whole) {
                return body.to_owned();
            }
        }
        assert!(length > 0, "closed: {}", String::from_utf8_lossy(&answer));
    }
}

/// A client behind a resolver of its own: it holds one connection to where the name leads, and asks again
/// when the answer has expired.
struct Client {
    subnet: [u8; 3],
    known: Option<(IpAddr, Instant)>,
    connection: Option<(IpAddr, TcpStream)>,
}

impl Client {
    fn new(first: u8, number: usize) -> Client {
        Client { subnet: [first, (number / 256) as u8, (number % 256) as u8], known: None, connection: None }
    }

    /// One request of its own.
    fn act(&mut self, resolver: &UdpSocket, ports: Ports, path: &str) {
        let now = Instant::now();
        let at = match self.known {
            Some((at, until)) if now < until => at,
            _ => {
                let (at, ttl) = resolve(resolver, self.subnet);
                self.known = Some((at, now + ttl));
                at
            }
        };
        let host = SocketAddr::new(at, ports.web);
        if self.connection.as_ref().is_none_or(|(there, _)| *there != at) {
            self.connection = Some((at, TcpStream::connect(host).unwrap()));
        }
        if let Some((_, connection)) = &mut self.connection {
            get(connection, host, path, "keep-alive");
        }
    }

    fn is_at(&self, region: IpAddr) -> bool {
        self.connection.as_ref().is_some_and(|(at, _)| *at == region)
    }
}

/// Asks for the name with a client subnet: the address and its TTL.
fn resolve(resolver: &UdpSocket, [a, b, c]: [u8; 3]) -> (IpAddr, Duration) {
    let mut query = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    query.extend_from_slice(b"\x03www\x04gslb\x04test\x00\x00\x01\x00\x01");
    let question_end = query.len();
    query.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, a, b, c]);
    let mut answer = [0; 512];
    let begun = Instant::now();
    loop {
        resolver.send(&query).unwrap();
        if let Ok(length) = resolver.recv(&mut answer)
            && length >= question_end + 16
        {
            assert_eq!(answer[3] & 15, 0, "the response code");
            let record = &answer[question_end..];
            let ttl_s = u32::from_be_bytes(record[6..10].try_into().unwrap());
            let address: [u8; 4] = record[12..16].try_into().unwrap();
            return (IpAddr::from(address), Duration::from_secs(u64::from(ttl_s)));
        }
        assert!(begun.elapsed() < PATIENCE, "no answer");
    }
}

/// All clients, who act one after the other again and again.
struct Crowd<'s> {
    server: &'s Server,
    ports: Ports,
    resolver: UdpSocket,
    us: Vec<Client>,
    eu: Vec<Client>,
    /// What the Europeans ask for.
    path: &'static str,
    /// What was shed in the United States, in percent, whenever it was looked at.
    curve: VecDeque<f64>,
}

impl Crowd<'_> {
    fn resize(&mut self, us: usize, eu: usize) {
        for (clients, first, number) in [(&mut self.us, 11, us), (&mut self.eu, 81, eu)] {
            clients.truncate(number);
            let more = clients.len()..number;
            clients.extend(more.map(|number| Client::new(first, number)));
        }
    }

    /// Everybody acts until this is so.
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        loop {
            self.round();
            if is_so(self) {
                return;
            }
            let (us, eu) = (self.server.endpoint("us/lb"), self.server.endpoint("eu/lb"));
            assert!(begun.elapsed() < PATIENCE, "never {what}: {us} {eu} {:?}", self.curve);
        }
    }

    fn rounds(&mut self, lasting: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < lasting {
            self.round();
        }
    }

    fn round(&mut self) {
        let us = self.us.iter_mut().map(|client| (client, "/"));
        let eu = self.eu.iter_mut().map(|client| (client, self.path));
        for (client, path) in us.chain(eu) {
            client.act(&self.resolver, self.ports, path);
        }
        self.curve.push_back(self.server.shed("us/lb"));
    }

    /// How many hold a connection there.
    fn at(&self, region: IpAddr) -> usize {
        self.us.iter().chain(&self.eu).filter(|client| client.is_at(region)).count()
    }
}

/// How often a curve turns back by more than 5 points.
fn turns(curve: &VecDeque<f64>) -> usize {
    let (mut turns, mut extreme, mut rising) = (0, curve[0], true);
    for point in curve {
        if (rising && *point >= extreme) || (!rising && *point <= extreme) {
            extreme = *point;
        } else if (point - extreme).abs() > 5.0 {
            (turns, extreme, rising) = (turns + 1, *point, !rising);
        }
    }
    turns
}

#[test]
fn h12_clients_move_where_there_is_room_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports { web: free_port(), admin: free_port(), nginx: free_port() };
    let _regions = [US, EU].map(|at| region(folder.path(), at, ports));
    let server = server(folder.path(), ports);
    let resolver = UdpSocket::bind("127.0.0.1:0").unwrap();
    resolver.connect(server.dns).unwrap();
    resolver.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let (us, eu, curve) = (Vec::new(), Vec::new(), VecDeque::new());
    let mut crowd = Crowd { server: &server, ports, resolver, us, eu, path: "/", curve };

    // Calm: each in its own region, and nobody is shed.
    crowd.resize(40, 20);
    crowd.until("calm", |crowd| crowd.at(US) == 40 && crowd.at(EU) == 20);
    crowd.rounds(Duration::from_secs(2));
    assert_eq!((crowd.at(US), crowd.at(EU)), (40, 20));

    // 120 where 80 are to be: with a limit of 160 one in five goes to Europe.
    crowd.curve.clear();
    crowd.resize(120, 20);
    crowd.until("shedding", |crowd| server.shed("us/lb") > 10.0 && crowd.at(EU) >= 30);
    crowd.rounds(Duration::from_secs(8));
    let (shed, here) = (server.shed("us/lb"), crowd.at(US));
    assert!((8.0..=35.0).contains(&shed), "{shed} {:?}", crowd.curve);
    assert!((80..=112).contains(&here), "{here} of 120, {:?}", crowd.curve);
    assert_eq!(server.shed("eu/lb"), 0.0);
    assert!(turns(&crowd.curve) <= 1, "it swings: {:?}", crowd.curve);

    // The pressure ends: everybody is at home again.
    crowd.curve.clear();
    crowd.resize(40, 20);
    crowd.until("back", |crowd| server.shed("us/lb") == 0.0 && crowd.at(US) == 40);
    crowd.rounds(Duration::from_secs(2));
    assert_eq!((crowd.at(US), crowd.at(EU)), (40, 20));
    // Down is the one turn.
    assert!(turns(&crowd.curve) <= 1, "{:?}", crowd.curve);

    // Europe answers with errors only, which no probe of ours sees: the passive check does.
    crowd.path = "/bad";
    crowd.until("down", |crowd| {
        server.endpoint("eu/lb")["addresses"][0]["state"] == "down" && crowd.at(EU) == 0
    });
}
