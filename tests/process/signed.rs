//! Signed zones: keys and their files, and what independent tools make of the answers.

use std::os::unix::fs::PermissionsExt;

use super::*;

const SIGNED: &str = "dnssec = true\n[names]\n\"www\" = \"www\"\n";
const STATIC: &str = "@ 3600 SOA ns.static.test. admin.static.test. 41 3600 600 86400 60
@ 3600 NS ns
ns 3600 A 127.0.0.1
a.b 300 A 192.0.2.1
*.wild 300 TXT \"any\"
sub 300 NS ns.elsewhere.example.
";

impl World {
    /// A world whose steered zone is signed, with a static one beside it.
    fn signed(denial: &str) -> World {
        let world = World::keeping("");
        world.write("zones/example.test.toml", SIGNED);
        world.write("zones/static.test.zone", STATIC);
        world.write(
            "zones/static.test.toml",
            &format!("[dnssec]\nkeys = \"ksk-zsk\"\ndenial = \"{denial}\"\n"),
        );
        world
    }

    fn keys(&self, arguments: &[&str]) -> Output {
        run(&[&["keys"], arguments].concat(), &self.config())
    }

    fn key_files(&self, ending: &str) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder.path().join("keys")).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.to_string_lossy().ends_with(ending));
        files.sort();
        files
    }

    /// What delv trusts: the key that the parent would have.
    fn anchor(&self, zone: &str) -> PathBuf {
        let records = text(&self.keys(&["ds", zone]).stdout);
        let key = records.lines().find(|line| line.contains(" DNSKEY ")).unwrap();
        let words: Vec<&str> = key.split_whitespace().skip(3).collect();
        let [flags, protocol, algorithm, public] = words[..] else { panic!("{key}") };
        let anchor =
            format!("trust-anchors {{ {zone}. static-key {flags} {protocol} {algorithm} \"{public}\"; }};\n");
        let path = self.folder.path().join(format!("{zone}.anchor"));
        std::fs::write(&path, anchor).unwrap();
        path
    }
}

/// What BIND's validator says of a question; `None` where it is not installed.
fn delv(server: &Server, zone: &str, anchor: &Path, question: &[&str]) -> Option<String> {
    let output = Command::new("delv")
        .args(["@127.0.0.1", "-p", &server.dns.port().to_string(), "-a"])
        .arg(anchor)
        .args([&format!("+root={zone}"), "+vtrace"])
        .args(question)
        .output()
        .ok()?;
    Some(format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

fn tags(listed: &Output) -> Vec<String> {
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let zones = listed.as_object().unwrap().values();
    zones.flat_map(|keys| keys.as_array().unwrap()).map(|key| key["tag"].to_string()).collect()
}

#[test]
fn rfc4035_5_answers_validate_in_every_state_of_health() {
    for denial in ["nsec", "nsec3"] {
        let world = World::signed(denial);
        let server = world.start();
        let validates = |zone: &str, question: &[&str], expected: &str| {
            let anchor = world.anchor(zone);
            let Some(said) = delv(&server, zone, &anchor, question) else { return };
            assert!(said.contains(expected), "{question:?}: {expected} is not in\n{said}");
        };
        let both = |expected: [u8; 4]| {
            assert_eq!(server.ask(WWW), expected);
            validates("example.test", &[WWW, "A"], "; fully validated");
            validates("example.test", &[WWW, "AAAA"], "; negative response, fully validated");
        };
        both(A);
        validates("example.test", &["example.test", "SOA"], "; fully validated");
        validates("example.test", &["example.test", "DNSKEY"], "; fully validated");
        validates("example.test", &["static.example.test", "A"], "; fully validated");
        validates("example.test", &["nothing.example.test", "A"], "; negative response, fully validated");
        validates("static.test", &["a.b.static.test", "A"], "; fully validated");
        validates("static.test", &["x.y.wild.static.test", "TXT"], "; fully validated");
        validates("static.test", &["b.static.test", "A"], "; negative response, fully validated");
        validates("static.test", &["c.b.static.test", "A"], "; negative response, fully validated");
        world.regions[0].status.store(503, Ordering::Relaxed);
        server.wait_for_answer(WWW, B);
        both(B);
        world.regions[0].status.store(200, Ordering::Relaxed);
        server.wait_for_answer(WWW, A);
        both(A);
    }
}

#[test]
fn keys_are_made_once_and_stay() {
    let world = World::signed("nsec");
    let mut server = world.start();
    server.log.lock().unwrap().contains("keys were made").then_some(()).unwrap();
    let before = tags(&world.keys(&["list", "--json"]));
    assert_eq!(before.len(), 3);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert!(world.key_files(".private").iter().all(|file| mode(file) == 0o600));
    assert_eq!(mode(&world.folder.path().join("keys")), 0o700);
    let (_, status) = server.http("GET", "/v1/status", "");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["signed"][0]["denial"], "compact", "{status}");
    assert_eq!(status["signed"][1]["serial"], 42);
    assert!(status["signed"][1]["expires_in_s"].as_f64().unwrap() > 9.0 * 86_400.0);
    let shown = text(&server.verb(&["status"], &world.config()).stdout);
    assert!(shown.contains("signed static.test: nsec, serial 42, "), "{shown}");
    let (_, metrics) = server.http("GET", "/metrics", "");
    assert!(
        metrics.contains("meridian_zone_keys{zone=\"static.test\",role=\"zsk\",state=\"active\"} 1"),
        "{metrics}"
    );
    promtool(&metrics);
    // Nobody else works on the keys meanwhile.
    let taken = world.keys(&["generate", "static.test"]);
    assert!(text(&taken.stderr).contains("another process holds it"), "{}", text(&taken.stderr));
    server.signal(Signal::SIGKILL);
    server.wait();
    let server = world.start();
    assert_eq!(tags(&world.keys(&["list", "--json"])), before);
    // Signatures are others, so the serial has risen.
    let (_, status) = server.http("GET", "/v1/status", "");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["signed"][1]["serial"], 43);
}

#[test]
fn a_roll_over_survives_kill_9() {
    let world = World::signed("nsec");
    let mut expected = {
        let server = world.start();
        tags(&server.verb(&["keys", "list", "--json"], &world.config()))
    };
    let mut server = world.start();
    let zsk = server.verb(&["keys", "roll", "static.test", "--zsk"], &world.config());
    assert_eq!(zsk.status.code(), Some(0), "{}", text(&zsk.stderr));
    server.signal(Signal::SIGKILL);
    server.wait();
    let server = world.start();
    let listed = server.verb(&["keys", "list", "--json"], &world.config());
    let after = tags(&listed);
    assert_eq!(after.len(), expected.len() + 1, "{}", text(&listed.stdout));
    expected.retain(|tag| !after.contains(tag));
    assert!(expected.is_empty(), "{expected:?} are gone");
    let shown = text(&server.verb(&["keys", "list", "static.test"], &world.config()).stdout);
    assert!(shown.contains("then it signs"), "{shown}");
    // What makes no sense now is refused, with the reason.
    let refused = |arguments: &[&str], why: &str| {
        let refused = server.verb(&[&["keys"], arguments].concat(), &world.config());
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(text(&refused.stderr).contains(why), "{}", text(&refused.stderr));
    };
    refused(&["roll", "static.test", "--zsk"], "a roll-over is under way");
    refused(&["roll", "static.test", "--csk"], "the zone has no csk");
    refused(&["ds-seen", "static.test"], "no key waits for its DS");
    refused(&["ds-seen", "other.test"], "is not signed here");
    let lines = kept::journal(&server, &world);
    let whats = kept::whats(&lines);
    let last = whats.iter().rposition(|what| *what == "start").unwrap();
    assert_eq!(whats[last + 1..], ["roll", "roll", "ds-seen", "ds-seen"]);
}

#[test]
fn what_is_wrong_with_key_files_is_told_and_nothing_takes_their_place() {
    let world = World::signed("nsec");
    drop(world.start());
    let refuses = |why: &str| {
        let refused = run(&["serve"], &world.config());
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{why}: {said}");
    };
    let files = world.key_files("").len();
    let private = world.key_files(".private")[0].clone();
    std::fs::set_permissions(&private, PermissionsExt::from_mode(0o644)).unwrap();
    refuses("chmod 600");
    std::fs::set_permissions(&private, PermissionsExt::from_mode(0o600)).unwrap();
    let octets = std::fs::read(&private).unwrap();
    std::fs::remove_file(&private).unwrap();
    refuses("it is not there");
    std::fs::write(&private, &octets[..40]).unwrap();
    std::fs::set_permissions(&private, PermissionsExt::from_mode(0o600)).unwrap();
    refuses("it holds no private key");
    std::fs::write(&private, octets).unwrap();
    let state = world.key_files("static.test.ring")[0].clone();
    let octets = std::fs::read(&state).unwrap();
    std::fs::write(&state, &octets[..octets.len() / 2]).unwrap();
    refuses("the state of the keys is damaged: it is cut");
    std::fs::remove_file(&state).unwrap();
    refuses("meridian keys import static.test");
    std::fs::write(&state, octets).unwrap();
    assert_eq!(world.key_files("").len(), files);

    // A running server goes on, and says so.
    let server = world.start();
    std::fs::remove_file(&state).unwrap();
    assert_eq!(server.verb(&["reload"], &world.config()).status.code(), Some(0));
    server.wait_for("the keys in memory go on signing, and a restart would fail");
    let (_, metrics) = server.http("GET", "/metrics", "");
    assert!(
        metrics.contains("meridian_zone_signing_trouble{zone=\"static.test\",class=\"\"} 1"),
        "{metrics}"
    );
    let shown = text(&server.verb(&["status"], &world.config()).stdout);
    assert!(shown.contains("TROUBLE"), "{shown}");
}

#[test]
fn a_reload_begins_and_ends_to_sign() {
    let world = World::signed("nsec");
    world.write("zones/static.test.toml", "");
    let server = world.start();
    assert!(world.key_files("static.test.ring").is_empty());
    world.write("zones/static.test.toml", "dnssec = true\n");
    let done = server.verb(&["reload"], &world.config());
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let listed = text(&server.verb(&["keys", "list", "static.test"], &world.config()).stdout);
    assert!(listed.contains("csk"), "{listed}");
    world.write("zones/static.test.toml", "[dnssec]\nalgorithm = \"ed25519\"\n");
    let refused = server.verb(&["reload"], &world.config());
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("algorithm = \"ecdsap256sha256\""), "{}", text(&refused.stderr));
    world.write("zones/static.test.toml", "dnssec = false\n");
    assert_eq!(server.verb(&["reload"], &world.config()).status.code(), Some(0));
    let (_, status) = server.http("GET", "/v1/status", "");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["signed"].as_array().unwrap().len(), 1);
}

#[test]
fn keys_of_bind_are_taken_in_and_ours_are_read_there() {
    let world = World::signed("nsec");
    let theirs = world.folder.path().join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    for flags in [&["-fKSK"][..], &[]] {
        let mut command = Command::new("dnssec-keygen");
        command.args(["-q", "-aECDSAP256SHA256", "-K"]).arg(&theirs).args(flags).arg("static.test");
        let Ok(output) = command.output() else { return };
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let imported = world.keys(&["import", "static.test", theirs.to_str().unwrap()]);
    assert_eq!(imported.status.code(), Some(0), "{}", text(&imported.stderr));
    let again = world.keys(&["import", "static.test", theirs.to_str().unwrap()]);
    assert!(text(&again.stderr).contains("the zone has keys already"), "{}", text(&again.stderr));
    let server = world.start();
    let listed = text(&server.verb(&["keys", "list", "static.test"], &world.config()).stdout);
    let files = std::fs::read_dir(&theirs).unwrap().map(|file| file.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|ending| ending == "key")) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let tag: u16 = name.rsplit('+').next().unwrap().parse().unwrap();
        assert!(listed.contains(&tag.to_string()) && listed.contains("active"), "{tag}: {listed}");
    }
    // The DS that we print is the one that BIND computes from the file that we write.
    let ours = world
        .key_files(".key")
        .into_iter()
        .find(|file| std::fs::read_to_string(file).unwrap().contains("static.test. IN DNSKEY 257 "));
    let Ok(theirs) = Command::new("dnssec-dsfromkey").arg("-2").arg(ours.unwrap()).output() else { return };
    let ours = text(&world.keys(&["ds", "static.test"]).stdout);
    assert_eq!(ours.lines().next(), text(&theirs.stdout).lines().next());
}
