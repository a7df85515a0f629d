//! What outlives the process, and the guard on reloads.

use super::*;

/// The journal as `meridian journal --json` shows it.
pub fn journal(server: &Server, world: &World) -> Vec<serde_json::Value> {
    let shown = text(&server.verb(&["journal", "--json"], &world.config()).stdout);
    shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn whats(lines: &[serde_json::Value]) -> Vec<&str> {
    lines.iter().map(|line| line["what"].as_str().unwrap()).collect()
}

impl World {
    /// A world whose server keeps its state in `state`, beside its configuration.
    pub fn keeping(server: &str) -> World {
        let world = World::new();
        world.write("meridian.toml", &world.configuration(&format!("state = \"state\"\n{server}")));
        world
    }
}

#[test]
fn t1_a_reload_that_empties_too_much_is_refused_unless_forced() {
    let world = World::new();
    let server = world.start();
    assert_eq!(server.ask(WWW), A);
    world.write("zones/example.test.toml", "");
    let refused = server.verb(&["reload"], &world.config());
    let why = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{why}");
    assert!(why.contains("1 of 1 steered answers would be gone"), "{why}");
    assert!(why.contains("www.example.test A") && why.contains("--force"), "{why}");
    // SIGHUP obeys too.
    server.signal(Signal::SIGHUP);
    server.wait_for("reload refused");
    server.wait_for("reload refused");
    assert_eq!(server.ask(WWW), A);
    let forced = server.verb(&["reload", "--force"], &world.config());
    assert_eq!(text(&forced.stdout), "generation 2 is in force\n");
    assert_ne!(server.ask(WWW), A);
    let lines = journal(&server, &world);
    assert_eq!(whats(&lines), ["start", "reload", "reload", "reload"]);
    let outcomes: Vec<_> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["done", "refused", "refused", "done"]);
    assert!(lines[1]["who"].as_str().unwrap().contains('@'), "{:?}", lines[1]);
    assert_eq!(lines[2]["who"], "SIGHUP");
    assert_eq!((&lines[3]["why"], &lines[3]["generation"]), (&"forced".into(), &2.into()));

    // Most of the zone gone, the rest of it right: the file was cut.
    world.write("zones/example.test.toml", "[names]\n\"www\" = \"www\"\n");
    assert_eq!(server.verb(&["reload"], &world.config()).status.code(), Some(0));
    let many: String = (0..10).map(|host| format!("host{host} 60 A 192.0.2.{host}\n")).collect();
    world.write("zones/example.test.zone", &format!("{ZONE}{many}"));
    assert_eq!(server.verb(&["reload"], &world.config()).status.code(), Some(0));
    world.write("zones/example.test.zone", ZONE);
    let refused = text(&server.verb(&["reload"], &world.config()).stderr);
    assert!(refused.contains("10 of 14 static answers would be gone, more than 30%"), "{refused}");
    assert!(refused.contains("host0.example.test A") && refused.contains(", ..."), "{refused}");
}

#[test]
fn t2_the_journal_goes_on_after_a_restart() {
    let world = World::keeping("");
    let server = world.start();
    assert_eq!(server.verb(&["reload"], &world.config()).status.code(), Some(0));
    let mut server = server;
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(), Some(0));
    let server = world.start();
    let lines = journal(&server, &world);
    assert_eq!(whats(&lines), ["start", "reload", "stop", "start"]);
    let last: u64 = lines[3]["number"].as_u64().unwrap();
    assert_eq!(last, 4);
    let later = server.http("GET", "/v1/journal?after=3", "").1;
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&later).unwrap().len(), 1);
    assert_eq!(server.http("GET", "/v1/journal?since=2999-01-01T00:00:00Z", "").1, "[]");
    assert_eq!(server.http("GET", "/v1/journal?since=yesterday", "").0, 400);
    let mode = |name: &str| {
        let about = std::fs::metadata(world.folder.path().join(name)).unwrap();
        std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o777
    };
    assert_eq!((mode("state"), mode("state/journal.jsonl")), (0o700, 0o600));
}

#[test]
fn t2_a_damaged_state_file_never_prevents_a_start() {
    let world = World::keeping("");
    std::fs::create_dir(world.folder.path().join("state")).unwrap();
    for damaged in
        ["", "nonsense", "meridian state 1 7 00000000000000000000000000000000\n{\"x\": 1", "\u{0}\n"]
    {
        world.write("state/state", damaged);
        world.write("state/journal.jsonl", damaged);
        let server = world.start();
        assert_eq!(server.ask(WWW), A);
        let log = server.log.lock().unwrap().clone();
        assert!(log.contains("the state file cannot be used and is now"), "{damaged:?}:\n{log}");
        let files = std::fs::read_dir(world.folder.path().join("state")).unwrap();
        let aside = |name: &str| name.starts_with("state.damaged.");
        assert!(files.map(|file| file.unwrap().file_name()).any(|name| aside(&name.to_string_lossy())));
    }
}

#[test]
fn t2_a_disk_that_takes_nothing_stops_nothing() {
    let world = World::keeping("");
    // No file may grow: what a full disk does to us, without one.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" serve --log-format json --config \"$1\""]);
    limited.arg(env!("CARGO_BIN_EXE_meridian")).arg(world.config());
    let server = Server::of(limited);
    assert_eq!(server.ask(WWW), A);
    server.wait_for_log("the state directory cannot be written to");
    assert_eq!(server.verb(&["reload"], &world.config()).status.code(), Some(0));
    assert_eq!(server.ask(WWW), A);
    let (_, metrics) = server.http("GET", "/metrics", "");
    let failed = metrics.lines().find(|line| line.starts_with("meridian_journal_failures_total ")).unwrap();
    assert_ne!(failed, "meridian_journal_failures_total 0");

    // A file where the folder should be.
    let world = World::keeping("");
    world.write("state", "");
    let server = world.start();
    assert_eq!(server.ask(WWW), A);
    server.wait_for_log("the state folder cannot be made");
}

#[test]
fn h1_t2_health_that_is_restored_needs_no_first_round() {
    let world = World::keeping("");
    let slow =
        std::fs::read_to_string(world.config()).unwrap().replace("interval = \"100ms\"", "interval = \"5s\"");
    world.write("meridian.toml", &slow);
    world.regions[0].status.store(500, Ordering::Relaxed);
    let mut server = world.start();
    assert_eq!(server.ask(WWW), B);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(), Some(0));
    // Had it waited for a first round, that would have found A well.
    world.regions[0].status.store(200, Ordering::Relaxed);
    let server = world.start();
    assert_eq!(server.ask(WWW), B);
    let log = server.log.lock().unwrap().clone();
    assert!(log.contains("health was restored"), "{log}");
    // Two successes in a row bring it back, as without the restart.
    let (_, status) = server.http("GET", "/v1/status", "");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["endpoints"][0]["addresses"][0]["state"], "down", "{status}");
}

#[test]
fn t2_what_was_confirmed_survives_kill_9_at_any_moment() {
    let world = World::keeping("");
    // By selector: an override takes the place of an earlier one with the same.
    let mut confirmed = std::collections::BTreeMap::new();
    // A simple generator is random enough for moments.
    let mut moment = 88_172_645_463_325_252_u64;
    for round in 0..8 {
        let mut server = world.start();
        let kept = |server: &Server| -> std::collections::BTreeSet<u64> {
            let (_, overrides) = server.http("GET", "/v1/overrides", "");
            let overrides: Vec<serde_json::Value> = serde_json::from_str(&overrides).unwrap();
            overrides.iter().map(|own| own["id"].as_u64().unwrap()).collect()
        };
        let found = kept(&server);
        let lost: Vec<u64> = confirmed.values().filter(|id| !found.contains(id)).copied().collect();
        assert!(lost.is_empty(), "round {round}: {lost:?} of {confirmed:?} are not in {found:?}");
        assert!(!server.log.lock().unwrap().contains("cannot be used"));
        let pid = Pid::from_raw(i32::try_from(server.child.id()).unwrap());
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let patience = Duration::from_micros(moment >> 47);
        let killer = std::thread::spawn(move || {
            let begun = Instant::now();
            while begun.elapsed() < patience {
                std::thread::yield_now();
            }
            kill(pid, Signal::SIGKILL).unwrap();
        });
        for number in 0..1000 {
            let pattern = format!("a/{}", "*".repeat(1 + number % 40 + round));
            let body = format!("{{\"kind\":\"force-up\",\"selector\":\"{pattern}\",\"reason\":\"x\"}}");
            // The one that was under way may be done or not, and so may what it would have replaced.
            confirmed.remove(&pattern);
            let Some(done) = server.try_post("/v1/overrides", &body) else { break };
            assert_eq!(done["durable"], "yes", "{done}");
            confirmed.insert(pattern, done["id"].as_u64().unwrap());
        }
        killer.join().unwrap();
        server.child.wait().unwrap();
    }
    assert!(!confirmed.is_empty());
}
