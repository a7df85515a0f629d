//! The cache of location maps, and reloads while queries come.

use super::*;

const CITY: &[u8] = include_bytes!("../data/mmdb/nested-city.mmdb");

/// Clients in the database's Britain, and in its Japan.
const PLACES: [&str; 2] = ["81.2.69.160", "2001:218::1"];

/// Beside the state: maps and nothing else.
fn cached(world: &World) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(world.folder.path().join("state/maps"));
    let mut files: Vec<PathBuf> = folder.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort_unstable();
    files
}

impl World {
    /// A world with a database, whose service goes to the nearest of two regions; `east` moves one of them.
    fn located(state: &str, east: u32) -> World {
        let world = World::new();
        world.write_located(state, east);
        std::fs::write(world.folder.path().join("city.mmdb"), CITY).unwrap();
        world
    }

    fn write_located(&self, server: &str, east: u32) {
        let text = format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\ndrain_timeout = \"300ms\"\n{server}\n\
             [control]\nlisten = \"127.0.0.1:0\"\n[geoip]\ndatabase = \"city.mmdb\"\n\
             [regions.a]\nat = [51, {east}]\n[regions.b]\nat = [35, 139]\n\
             [pools.p]\nendpoints = [{{ name = \"one\", region = \"a\", address = \"192.0.2.1\" }}, \
             {{ name = \"two\", region = \"b\", address = \"192.0.2.2\" }}]\n\
             [services.www]\npolicy = {{ nearest = [\"p\"] }}\n"
        );
        self.write("meridian.toml", &text);
    }
}

impl Server {
    /// Waits until the log says something, wherever.
    pub fn wait_for_log(&self, what: &str) {
        let begun = Instant::now();
        while !self.log.lock().unwrap().contains(what) {
            assert!(begun.elapsed() < PATIENCE, "never {what:?}:\n{}", self.log.lock().unwrap());
            std::thread::yield_now();
        }
    }

    fn stop(mut self) -> String {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.wait(), Some(0));
        self.log.lock().unwrap().clone()
    }

    /// Where the clients of both places are sent, by the last octet.
    fn nearest(&self, world: &World) -> Vec<String> {
        let explain = |client: &&str| {
            let shown = self.verb(&["explain", WWW, "--client", client, "--json"], &world.config());
            let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
            shown["steered"]["preference"].to_string()
        };
        PLACES.iter().map(explain).collect()
    }
}

const TAKEN: &str = "location map taken from the cache";
const UNUSABLE: &str = "the cached location map cannot be used and is made anew";
const WRITTEN: &str = "location map cached";

#[test]
fn a_map_is_compiled_once_and_a_damaged_one_again() {
    let world = World::located("state = \"state\"", 0);
    let server = world.start();
    server.wait_for_log(WRITTEN);
    let nearest = server.nearest(&world);
    assert!(!server.stop().contains(TAKEN));
    let files = cached(&world);
    assert_eq!(files.len(), 1, "{files:?}");

    let server = world.start();
    assert_eq!(server.nearest(&world), nearest);
    let log = server.stop();
    assert!(log.contains(TAKEN) && !log.contains(WRITTEN), "{log}");

    // A bit flipped, a file cut short, somebody else's: each is told, made anew, and written over.
    let whole = std::fs::read(&files[0]).unwrap();
    let mut bent = whole.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 4;
    for octets in [&bent[..], &whole[..whole.len() - 1], b"", b"a letter"] {
        std::fs::write(&files[0], octets).unwrap();
        let server = world.start();
        server.wait_for_log(WRITTEN);
        assert_eq!(server.nearest(&world), nearest);
        let log = server.stop();
        assert!(log.contains(UNUSABLE) && !log.contains(TAKEN), "{log}");
        assert_eq!(std::fs::read(&files[0]).unwrap(), whole);
    }

    // Other regions: another map. A database with other octets, its time as it was: likewise.
    world.write_located("state = \"state\"", 130);
    let server = world.start();
    server.wait_for_log(WRITTEN);
    assert!(!server.stop().contains(TAKEN));
    world.write_located("state = \"state\"", 0);
    let database = world.folder.path().join("city.mmdb");
    let modified = database.metadata().unwrap().modified().unwrap();
    let mut octets = CITY.to_vec();
    let japan = octets.windows(2).rposition(|pair| pair == b"JP").unwrap();
    octets[japan..japan + 2].copy_from_slice(b"KR");
    std::fs::write(&database, &octets).unwrap();
    std::fs::File::options().append(true).open(&database).unwrap().set_modified(modified).unwrap();
    let server = world.start();
    server.wait_for_log(WRITTEN);
    assert!(!server.stop().contains(TAKEN));
    assert_eq!(cached(&world).len(), 3);
    // And back: the first map is still there, and `check` finds it and writes nothing.
    std::fs::write(&database, CITY).unwrap();
    assert_eq!(run(&["check"], &world.config()).status.code(), Some(0));
    let log = world.start().stop();
    assert!(log.contains(TAKEN) && cached(&world).len() == 3, "{log}");
}

#[test]
fn no_map_is_kept_where_that_is_off_or_cannot_be() {
    let world = World::located("state = \"state\"", 0);
    world.write(
        "meridian.toml",
        &std::fs::read_to_string(world.config()).unwrap().replace("[geoip]\n", "[geoip]\ncache = false\n"),
    );
    world.start().stop();
    assert_eq!(cached(&world).len(), 0);
    // A file where the folder would be.
    world.write_located("state = \"state\"", 0);
    world.write("state/maps", "in the way");
    let server = world.start();
    server.wait_for_log("the location map is not cached");
    assert_eq!(server.nearest(&world).len(), 2);
    server.stop();
}

/// Sends queries from several clients, so many in flight from each, while the server reloads, each time with another map,
/// and waits for every answer. How many were sent, and the longest that one waited.
fn reload_under_load(
    world: &World,
    server: &Server,
    (queries, reloads): (usize, usize),
    (clients, in_flight): (usize, usize),
) -> (usize, Duration) {
    /// Ends the clients, also where a reload has failed.
    struct Done<'d>(&'d std::sync::atomic::AtomicBool);

    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let done = std::sync::atomic::AtomicBool::new(false);
    let address = server.dns;
    let client = |share: usize| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut sent: Vec<Option<Instant>> = vec![None; 1 << 16];
        let (mut asked, mut answered, mut longest) = (0usize, 0usize, Duration::ZERO);
        let mut message = query(WWW);
        let mut buffer = [0; 512];
        loop {
            let is_over = asked >= share && done.load(Ordering::Relaxed);
            while !is_over && asked - answered < in_flight {
                let number = asked as u16;
                message[..2].copy_from_slice(&number.to_be_bytes());
                sent[usize::from(number)] = Some(Instant::now());
                socket.send(&message).unwrap();
                asked += 1;
            }
            if answered == asked {
                return (asked, longest);
            }
            // A query that is lost is an answer that never comes.
            let octets = socket.recv(&mut buffer).unwrap();
            let number = u16::from_be_bytes([buffer[0], buffer[1]]);
            longest = longest.max(sent[usize::from(number)].take().unwrap().elapsed());
            assert_eq!((buffer[3] & 15, buffer[7], buffer[octets - 4]), (0, 1, 192));
            answered += 1;
        }
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(|| client(queries / clients))).collect();
        let done = Done(&done);
        for reload in 0..reloads {
            world.write_located("", if reload % 2 == 0 { 130 } else { 0 });
            server.signal(Signal::SIGHUP);
            server.wait_for("reloaded");
        }
        drop(done);
        let outcomes: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        let asked = outcomes.iter().map(|(asked, _)| asked).sum();
        assert!(asked >= queries);
        (asked, outcomes.into_iter().map(|(_, longest)| longest).max().unwrap())
    })
}

#[test]
fn no_query_is_lost_while_maps_are_replaced() {
    let world = World::located("", 0);
    let server = world.start();
    reload_under_load(&world, &server, (20_000, 5), (2, 16));
}

/// `cargo test --release --test process a_million -- --ignored --nocapture`; `CITY` names a database other than the small one.
#[test]
#[ignore = "a minute or more, and a measurement"]
fn a_million_queries_over_twenty_reloads() {
    let world = World::located("", 0);
    if let Ok(city) = std::env::var("CITY") {
        std::fs::copy(city, world.folder.path().join("city.mmdb")).unwrap();
    }
    let server = world.start();
    // Whoever compiles a map gives way to those who answer: where these had every core, no reload would end.
    let (asked, longest) = reload_under_load(&world, &server, (1_000_000, 20), (1, 1));
    println!("{asked} queries over 20 reloads, none lost; the longest answer took {longest:?}");
}
