//! Whether the hook answers as meridian does: every octet of every reply, and what is not the hook's goes by.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use crate::afxdp::Server;
use crate::generator::{Generator, Judged};
use crate::hook::{CLIENT_INTERFACE, Hook, INTERFACE, Mode};
use crate::hot::Hot;
use crate::machine::{Meridian, enter, pin};
use crate::world::{
    CLIENT, Chance, Edns, Kind, PORT, Responder, SERVER, STATIC_NAMES, TYPE_A, World, query, static_name,
    steered_name, wire_name,
};
use crate::{Place, Result};

/// Queries with a few octets changed by chance.
const MUTATED: usize = 50_000;
/// How long the server may take to start: it reads the location database.
const START_MAX: Duration = Duration::from_secs(60);

/// meridian and the hook in the server's namespace, the client in its own.
pub struct Bench {
    /// The hook, nothing attached.
    pub hook: Hook,
    /// The same programs with empty maps.
    pub empty: Hook,
    /// The same for the client's end.
    peer: Hook,
    /// meridian.
    pub server: Meridian,
}

impl Bench {
    /// Starts meridian and fills the hook's maps. The calling thread is then in the client's namespace, on core 1.
    pub fn start(world: &World, place: &Place) -> Result<Bench> {
        enter(&place.server_namespace)?;
        pin(0, 0)?;
        let server = Meridian::start(&place.meridian, &world.config)?;
        pin(0, 1)?;
        let start = std::time::Instant::now();
        let hot = Hot::of(&world.view)?;
        println!(
            "compiled {} names, {} answers, {} networks in {:.2} s",
            hot.names.len(),
            hot.answers.len(),
            hot.networks.len(),
            start.elapsed().as_secs_f64()
        );
        let mut hook = Hook::load(hot.payload_octets)?;
        println!("filled: {:?}", hook.fill(&hot)?);
        enter(&place.client_namespace)?;
        let bench = Bench {
            hook,
            empty: Hook::load(hot.payload_octets)?,
            peer: Hook::load(hot.payload_octets)?,
            server,
        };
        wait_for_answers()?;
        Ok(bench)
    }

    /// Puts a program into the hook of the server's interface.
    pub fn attach(&mut self, place: &Place, program: &'static str, mode: Mode) -> Result<()> {
        enter(&place.server_namespace)?;
        let outcome = self.hook.attach(program, INTERFACE, mode);
        enter(&place.client_namespace)?;
        outcome
    }

    /// Has the client's end take frames that a program sends back (XDP_TX): a virtual interface is woken by them only
    /// where it has a program itself, though with GRO it takes them.
    pub fn take_frames(&mut self, place: &Place, take: bool) -> Result<()> {
        enter(&place.client_namespace)?;
        if take { self.peer.attach("pass", CLIENT_INTERFACE, Mode::Native) } else { self.peer.detach() }
    }

    /// Takes off whatever is in the hook.
    pub fn detach(&mut self) -> Result<()> {
        self.hook.detach()?;
        self.empty.detach()
    }

    /// Whether meridian still runs.
    pub fn is_well(&mut self) -> Result<bool> {
        self.server.is_running()
    }
}

/// Everything asked with and without the hook.
pub fn check(world: &World, place: &Place) -> Result<()> {
    let mut bench = Bench::start(world, place)?;
    bench.take_frames(place, true)?;
    let cases = cases();
    let mutated = mutated(&cases);
    for program in ["answer_flat", "answer_trie", "answer_bare"] {
        bench.attach(place, program, Mode::Native)?;
        let before = bench.hook.counts()?;
        ask_all(world, &cases, program)?;
        ask_all(world, &mutated[..if program == "answer_flat" { MUTATED } else { MUTATED / 10 }], program)?;
        println!("{program}: answered static, steered, passed: {:?}", since(bench.hook.counts()?, before));
        load(world, &mut bench, program)?;
    }
    bench.attach(place, "answer_flat", Mode::Generic)?;
    ask_all(world, &cases, "answer_flat, generic")?;
    bench.hook.detach()?;
    let server = Server::start(&mut bench.hook, world.view.clone(), &place.server_namespace, 0)?;
    enter(&place.client_namespace)?;
    bench.attach(place, "redirect", Mode::Native)?;
    ask_all(world, &cases, "AF_XDP")?;
    load(world, &mut bench, "AF_XDP")?;
    bench.hook.detach()?;
    bench.take_frames(place, false)?;
    drop(server);
    ask_all(world, &cases, "the socket")?;
    load(world, &mut bench, "the socket")?;
    if bench.is_well()? { Ok(()) } else { Err("meridian has ended".into()) }
}

/// The hook and the server, until a line comes in.
pub fn serve(world: &World, place: &Place) -> Result<()> {
    let mut bench = Bench::start(world, place)?;
    bench.take_frames(place, true)?;
    bench.attach(place, "answer_flat", Mode::Native)?;
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    println!("answered static, steered, passed: {:?}", bench.hook.counts()?);
    Ok(())
}

/// How long each program runs, by the kernel's own count (which adds two readings of the clock, about 20 ns).
pub fn cost(world: &World, place: &Place) -> Result<()> {
    let _counting = aya::sys::enable_stats(aya::sys::Stats::RunTime)?;
    let mut bench = Bench::start(world, place)?;
    bench.take_frames(place, true)?;
    for program in ["pass", "reflect", "answer_bare", "answer_flat", "answer_trie"] {
        bench.attach(place, program, Mode::Native)?;
        for kind in [Kind::Static, Kind::Subnet] {
            let exchanges = world.queries(kind)?;
            let judged = if program == "reflect" { Judged::Number } else { Judged::Whole };
            let before = bench.hook.run_time(program)?;
            Generator::new(&exchanges)?.run(Duration::from_secs(1), judged)?;
            let after = bench.hook.run_time(program)?;
            let (time, runs) = (after.0 - before.0, after.1 - before.1);
            println!(
                "{program}, {}: {:.0} ns a run, {runs} runs",
                kind.name(),
                time.as_nanos() as f64 / runs as f64
            );
        }
    }
    Ok(())
}

fn load(world: &World, bench: &mut Bench, path: &str) -> Result<()> {
    for kind in [Kind::Static, Kind::Subnet] {
        let exchanges = world.queries(kind)?;
        let before = bench.hook.counts()?;
        let outcome = Generator::new(&exchanges)?.run(Duration::from_secs(1), Judged::Whole)?;
        let counts = since(bench.hook.counts()?, before);
        println!("{path}, {}: {outcome:?}; by the hook: {counts:?}", kind.name());
        if outcome.wrong + outcome.lost > 0 || outcome.answered == 0 {
            return Err("replies that were wrong, or none".into());
        }
    }
    Ok(())
}

fn since(now: [u64; 3], before: [u64; 3]) -> [u64; 3] {
    [now[0] - before[0], now[1] - before[1], now[2] - before[2]]
}

/// Asks one query after the other and compares the replies with the responder's.
fn ask_all(world: &World, queries: &[Vec<u8>], path: &str) -> Result<()> {
    let socket = connected()?;
    let mut responder = Responder::new(&world.view);
    let mut buffer = [0; 1500];
    let (mut compared, mut silent) = (0, 0);
    for (index, query) in queries.iter().enumerate() {
        // An answer to nothing would come before the next one's, and be found out there by its number.
        let mut query = query.clone();
        if let Some(number) = query.first_chunk_mut() {
            *number = (index as u16).to_be_bytes();
        }
        let Some(expected) = responder.reply(&query, CLIENT.into(), 0) else {
            silent += 1;
            socket.send(&query)?;
            continue;
        };
        socket.send(&query)?;
        let length = socket.recv(&mut buffer).map_err(|error| format!("{path}: {error}: {query:02x?}"))?;
        let reply = &buffer[..length];
        if reply != expected {
            return Err(format!("{path}: {query:02x?} got {reply:02x?} instead of {expected:02x?}").into());
        }
        compared += 1;
    }
    println!(
        "{path}: {compared} replies are meridian's own octet by octet, {silent} queries got none, as they should"
    );
    Ok(())
}

fn connected() -> Result<UdpSocket> {
    let socket = UdpSocket::bind((CLIENT, 0))?;
    socket.connect((SERVER, PORT))?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    Ok(socket)
}

fn wait_for_answers() -> Result<()> {
    let socket = UdpSocket::bind((CLIENT, 0))?;
    socket.connect((SERVER, PORT))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let query = query(&wire_name(&static_name(0)), TYPE_A, Edns::Plain);
    let start = std::time::Instant::now();
    while start.elapsed() < START_MAX {
        let _ = socket.send(&query);
        match socket.recv(&mut [0; 512]) {
            Ok(_) => return Ok(()),
            // Nobody listens yet: the address answers at once.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(_) => {}
        }
    }
    Err("meridian does not answer: see its log".into())
}

/// Queries of every sort: for the hook, nearly for the hook, and for nobody.
fn cases() -> Vec<Vec<u8>> {
    let mut cases = Vec::new();
    let network = Ipv4Addr::new(203, 0, 113, 0);
    let forms = [Edns::Absent, Edns::Plain, Edns::Subnet(network), Edns::Subnet(Ipv4Addr::new(10, 0, 0, 0))];
    for number in 0..STATIC_NAMES + 2 {
        let name = wire_name(&static_name(number));
        cases.extend(forms.map(|edns| query(&name, TYPE_A, edns)));
        cases.push(query(&wire_name(&static_name(number).to_uppercase()), TYPE_A, Edns::Plain));
    }
    let mut chance = Chance(7);
    for _ in 0..5_000 {
        let network = Ipv4Addr::from(chance.next() as u32 & 0xffff_ff00);
        cases.push(query(&wire_name("wWw.Bench.TEST"), TYPE_A, Edns::Subnet(network)));
    }
    let name = wire_name(&steered_name());
    cases.extend(forms.map(|edns| query(&name, TYPE_A, edns)));
    for rtype in [2, 5, 6, 15, 16, 28, 41, 65, 251, 252, 255] {
        cases.extend(forms.map(|edns| query(&name, rtype, edns)));
    }
    for other in ["bench.test", "no.such.name.bench.test", "example.com", "host-1"] {
        cases.extend(forms.map(|edns| query(&wire_name(other), TYPE_A, edns)));
    }
    cases
        .extend(forms.map(|edns| query(&wire_name(&format!("{}.bench.test", "a".repeat(63))), TYPE_A, edns)));
    let long = ["b".repeat(63), "c".repeat(63), "d".repeat(63), "e".repeat(40)].join(".");
    cases.extend(forms.map(|edns| query(&wire_name(&long), TYPE_A, edns)));
    // Each bit of the flags, DO, other versions, sizes, other lengths of network, trailing octets, every cut.
    let whole = query(&name, TYPE_A, Edns::Subnet(network));
    let opt = whole.len() - 22;
    for bit in 0..16 {
        cases.push(changed(&whole, 2 + bit / 8, |octet| octet ^ 0x80 >> (bit % 8)));
    }
    for at in 4..whole.len() {
        for value in [0, 1, 2, 24, 255] {
            cases.push(changed(&whole, at, |_| value));
        }
    }
    cases.push(changed(&whole, opt + 7, |octet| octet | 0x80));
    cases.push([&whole[..], &[0]].concat());
    cases.push([&whole[..], &whole[opt..]].concat());
    cases.extend((0..whole.len()).map(|length| whole[..length].to_vec()));
    cases
}

fn changed(query: &[u8], at: usize, change: impl Fn(u8) -> u8) -> Vec<u8> {
    let mut query = query.to_vec();
    query[at] = change(query[at]);
    query
}

/// The same with octets changed by chance.
fn mutated(cases: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut chance = Chance(11);
    let mut mutate = |_| {
        let mut query = cases[(chance.next() % cases.len() as u64) as usize].clone();
        for _ in 0..1 + chance.next() % 3 {
            if let Some(octet) = query.len().checked_sub(1).map(|last| (chance.next() as usize) % (last + 1))
            {
                query[octet] = chance.next() as u8;
            }
        }
        query
    };
    (0..MUTATED).map(&mut mutate).collect()
}
