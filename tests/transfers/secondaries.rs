//! NSD and Knot as secondaries: by AXFR at first, told by NOTIFY, by IXFR from then on; then compared record by
//! record.

use std::fmt::Write as _;

use super::*;

/// A secondary under test.
enum Kind {
    Nsd,
    Knot,
}

fn start(kind: &Kind, folder: &std::path::Path, port: u16, primary: u16) -> Process {
    let folder = folder.join("secondary");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.display();
    let mut text = String::new();
    let (program, arguments): (&str, &[&str]) = match kind {
        Kind::Nsd => {
            write!(
                text,
                "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  zonesdir: \"{path}\"\n  \
                 pidfile: \"{path}/pid\"\n  xfrdfile: \"{path}/xfrd\"\n  zonelistfile: \"{path}/list\"\n  \
                 xfrdir: \"{path}\"\n  database: \"\"\n  server-count: 1\n  verbosity: 2\n  \
                 xfrd-reload-timeout: 0\nremote-control:\n  control-enable: no\n\
                 key:\n  name: xfr.example\n  algorithm: hmac-sha256\n  secret: \"{SECRET}\"\n\
                 zone:\n  name: example.test\n  zonefile: zone\n  request-xfr: 127.0.0.1@{primary} xfr.example\n  \
                 allow-notify: 127.0.0.1 xfr.example\n  provide-xfr: 127.0.0.1 NOKEY\n"
            )
            .unwrap();
            ("nsd", &["-d", "-c"])
        }
        Kind::Knot => {
            write!(
                text,
                "server:\n  listen: 127.0.0.1@{port}\n  rundir: {path}\ndatabase:\n  storage: {path}\n\
                 log:\n- target: stderr\n  any: info\n\
                 key:\n- id: xfr.example\n  algorithm: hmac-sha256\n  secret: {SECRET}\n\
                 remote:\n- id: meridian\n  address: 127.0.0.1@{primary}\n  key: xfr.example\n\
                 acl:\n- id: told\n  address: 127.0.0.1\n  key: xfr.example\n  action: notify\n\
                 - id: taken\n  address: 127.0.0.1\n  action: transfer\n\
                 zone:\n- domain: example.test\n  storage: {path}\n  master: meridian\n  acl: [told, taken]\n"
            )
            .unwrap();
            ("knotd", &["-c"])
        }
    };
    let file = folder.join("secondary.conf");
    std::fs::write(&file, text).unwrap();
    Process::start(Command::new(program).args(arguments).arg(file))
}

/// The serial that a server answers with over UDP; `None` where it has none.
fn serial(port: u16) -> Option<u32> {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut query = vec![7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(b"\x07example\x04test\x00\x00\x06\x00\x01");
    client.send_to(&query, ("127.0.0.1", port)).unwrap();
    let mut buffer = [0; 1232];
    let octets = client.recv(&mut buffer).ok()?;
    let answer = hickory_proto::op::Message::from_vec(&buffer[..octets]).ok()?;
    let soa = answer.answers.first()?.data.to_string();
    soa.split(' ').nth(2)?.parse().ok()
}

fn wait_for_serial(port: u16, expected: u32, server: &Server, secondary: &Process) {
    let begun = Instant::now();
    while serial(port) != Some(expected) {
        let logs = || format!("{}\n{}", server.process.log.lock().unwrap(), secondary.log.lock().unwrap());
        assert!(begun.elapsed() < PATIENCE, "never serial {expected}:\n{}", logs());
        std::thread::yield_now();
    }
}

fn check(kind: &Kind) {
    let port = free_port();
    let transfer = format!(
        "to = [{{ address = \"127.0.0.1\", key = \"xfr.example\" }}]\n\
         notify = [{{ address = \"127.0.0.1:{port}\", key = \"xfr.example\" }}]"
    );
    let world = World::new(&zone(1, 0..3000), &transfer);
    let server = world.start();
    let secondary = start(kind, world.folder.path(), port, server.dns.port());
    let same = |serial: u32| {
        wait_for_serial(port, serial, &server, &secondary);
        let ours = records(&client("dig", &server.port(), &["axfr", "example.test", "-y", KEY]));
        let theirs = records(&client("dig", &port.to_string(), &["axfr", "example.test"]));
        assert!(ours.len() > 1000);
        assert_eq!(theirs, ours, "serial {serial}");
    };
    same(1);
    for serial in 2..5 {
        let begun = server.count("meridian_transfers_total", "ixfr");
        let told = server.count("meridian_notifies_total", "answered");
        world.write("zones/example.test.zone", &zone(serial, serial * 5..3000 + serial));
        server.reload();
        same(serial);
        server.wait_for_count("meridian_transfers_total", "ixfr", begun + 1.0);
        server.wait_for_count("meridian_notifies_total", "answered", told + 1.0);
    }
}

#[test]
fn rfc1996_3_nsd_takes_the_zone_and_follows() {
    check(&Kind::Nsd);
}

#[test]
fn rfc1996_3_knot_takes_the_zone_and_follows() {
    check(&Kind::Knot);
}
