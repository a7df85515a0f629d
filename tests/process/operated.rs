//! Operators at the command line: drains, overrides, and what is seen of them (H8, H9).

use super::kept::{journal, whats};
use super::*;

/// A server's command line in one place.
struct Operator<'w> {
    server: &'w Server,
    world: &'w World,
}

impl Operator<'_> {
    /// Runs a verb: exit code, standard output and standard error together.
    fn does(&self, line: &str) -> (i32, String) {
        let arguments: Vec<&str> = line.split(' ').collect();
        let output = self.server.verb(&arguments, &self.world.config());
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }

    /// Runs a verb that must end with a code and say some things.
    fn check(&self, line: &str, code: i32, says: &[&str]) {
        let (found, said) = self.does(line);
        assert_eq!(found, code, "{line}:\n{said}");
        for expected in says {
            assert!(said.contains(expected), "{line}: no {expected:?} in\n{said}");
        }
    }
}

#[test]
fn h9_a_drained_region_leaves_the_answers_and_comes_back() {
    let world = World::keeping("");
    let short = std::fs::read_to_string(world.config()).unwrap().replace("max = \"60s\"", "max = \"1s\"");
    world.write("meridian.toml", &short);
    let server = world.start();
    let operator = Operator { server: &server, world: &world };
    assert_eq!(server.ask(WWW), A);
    operator.check(
        "drain region:a --reason maintenance --wait",
        0,
        &[
            "drain 1 is in force",
            "endpoints  a/one",
            "services   www",
            "(TTL 1 s)",
            "meridian undo 1",
            "every cache that obeys TTLs has dropped them; answers since: a/one 0",
        ],
    );
    assert_eq!(server.ask(WWW), B);
    operator.check("overrides", 0, &["drain", "region:a", "out of answers and caches", "maintenance"]);
    operator.check("status", 0, &["drained by 1 (is up)"]);
    operator.check("explain www.example.test --client 192.0.2.0/24", 0, &["127.0.77.2"]);
    // What would leave nothing is refused, with the way to do it nevertheless.
    operator.check("drain region:b --reason more", 2, &["refused", "www", "--force"]);
    assert_eq!(server.ask(WWW), B);
    operator.check("force-down region:b --reason gone --force", 0, &["force-down 3", "in spite"]);
    // Drained is served if nothing else exists, forced down never.
    assert_eq!(server.ask(WWW), A);
    operator.check("undo region:b", 0, &["override 3 is taken back"]);
    operator.check("undo 1 --reason finished", 0, &["override 1 is taken back"]);
    assert_eq!(server.ask(WWW), A);
    operator.check("overrides", 0, &["no overrides"]);

    let lines = journal(&server, &world);
    assert_eq!(
        whats(&lines),
        ["start", "drain", "drain", "force-down", "all-down", "undo", "recovered", "undo"]
    );
    assert_eq!((&lines[2]["outcome"], &lines[2]["on"]), (&"refused".into(), &"region:b".into()));
    assert_eq!(lines[1]["why"], "maintenance");
    operator.check("journal --since 1h -n 1", 0, &["undo", "finished", "@"]);
}

#[test]
fn h8_commands_that_make_no_sense_are_refused_with_a_hint() {
    let world = World::new();
    let server = world.start();
    let operator = Operator { server: &server, world: &world };
    operator.check("drain region:aa --reason x", 2, &["region:aa names no endpoint; did you mean region:a?"]);
    operator.check("drain zone:x --reason x", 2, &["there is no `zone` to select by"]);
    operator.check("drain region:a", 64, &["--reason"]);
    operator.check("drain region:a --over soon --reason x", 2, &["over: \"soon\" is no duration", "10m"]);
    operator.check("undo 7", 2, &["there is no override number 7", "meridian overrides"]);
    operator.check("release nothing", 2, &["there is no service nothing"]);
    let body = "{\"kind\":\"drain\",\"selector\":\"region:a\",\"reason\":\"x\",\"hurry\":true}";
    let length = format!("Content-Length: {}\r\n", body.len());
    let (status, problem) = server.request("POST", "/v1/overrides", &length, body);
    assert_eq!(status, 400);
    assert!(problem.contains("unknown field `hurry`"), "{problem}");
    let web = format!("Origin: http://localhost\r\n{length}");
    assert_eq!(server.request("POST", "/v1/overrides", &web, body).0, 403);
    assert_eq!(server.http("GET", "/v1/overrides", "").1, "[]");
    // Nothing of it has changed anything.
    assert_eq!(server.ask(WWW), A);
}

#[test]
fn h8_an_override_ends_by_itself() {
    let world = World::new();
    let server = world.start();
    let operator = Operator { server: &server, world: &world };
    operator.check("force-down a/* --reason short --for 1s", 0, &["force-down 1"]);
    assert_eq!(server.ask(WWW), B);
    operator.check("overrides", 0, &["force-down", "a/*", "short"]);
    let (_, metrics) = server.http("GET", "/metrics", "");
    for line in [
        "meridian_overrides{kind=\"force-down\"} 1",
        "meridian_endpoint_share{endpoint=\"a/one\",region=\"a\",address=\"127.0.77.1\"} 0",
        "meridian_service_frozen{service=\"www\"} 0",
    ] {
        assert!(metrics.lines().any(|there| there == line), "{line} is not in\n{metrics}");
    }
    promtool(&metrics);
    server.wait_for("has expired");
    server.wait_for_answer(WWW, A);
    let lines = journal(&server, &world);
    assert_eq!(whats(&lines), ["start", "force-down", "expire"]);
    assert_eq!(lines[2]["who"], "meridian");
}

#[test]
fn h9_a_gradual_drain_says_how_far_it_is() {
    let world = World::new();
    let server = world.start();
    let operator = Operator { server: &server, world: &world };
    operator.check(
        "drain endpoint:a/one --over 1h --reason slowly",
        0,
        &["drain 1", "name none of them from"],
    );
    operator.check("overrides", 0, &["draining, ", "% of clients left"]);
    operator.check("status", 0, &["(draining)"]);
    operator.check("force-up endpoint:a/one --reason enough", 0, &["in place of override 1"]);
    operator.check("status", 0, &["forced up by 2 (is up)"]);
}

#[test]
fn h4_a_posted_verdict_counts_at_once() {
    let world = World::new();
    let mut lines: Vec<String> = world.configuration("").lines().map(str::to_owned).collect();
    let at = lines.iter().position(|line| line == "[monitors.a]").unwrap();
    lines.splice(at + 1..at + 4, ["push = { ttl = \"1h\" }".to_owned()]);
    world.write("meridian.toml", &lines.join("\n"));
    // The first round does not wait for what is not probed.
    let server = world.start();
    let operator = Operator { server: &server, world: &world };
    assert_eq!(server.ask(WWW), A);
    operator.check("push endpoint:a/one down", 0, &["taken by 1 checks"]);
    server.wait_for_answer(WWW, B);
    operator.check("push a/* up --ttl 30m", 0, &[]);
    server.wait_for_answer(WWW, A);
    operator.check("push region:b up", 2, &["push"]);
    operator.check("push endpoint:a/two up", 2, &["did you mean"]);
    operator.check("push region:a sideways", 64, &[]);
}
