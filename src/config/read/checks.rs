//! `tcp`, `grpc`, `dns`, `exec` and `push`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::monitors::{host, port, tls};
use super::reader::{Context, Table, Value, shortened, wrong_type};
use super::scalar;
use crate::config::shape::{DNS, EXEC, GRPC, PUSH, TCP};
use crate::health::{Check, DnsCheck, DnsData, DnsTransport, ExecCheck, GrpcCheck, TcpCheck};

/// Arguments of a command; what needs more is a script.
const ARGUMENTS_MAX: usize = 64;

/// Record types by number (IANA's registry).
const TYPES: [(&str, u16); 12] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("CAA", 257),
];

/// Response codes by number (RFC 1035, 4.1.1).
const RCODES: [(&str, u16); 6] =
    [("NOERROR", 0), ("FORMERR", 1), ("SERVFAIL", 2), ("NXDOMAIN", 3), ("NOTIMP", 4), ("REFUSED", 5)];

/// The check of a monitor that is neither `http` nor `https`.
pub fn other(cx: &mut Context, monitor: &Table, folder: &Path) -> Option<Check> {
    if let Some(value) = monitor.get("tcp") {
        let table = Table::open(cx, value, &TCP, None)?;
        return tcp(cx, &table).map(Check::Tcp);
    }
    if let Some(value) = monitor.get("grpc") {
        let table = Table::open(cx, value, &GRPC, None)?;
        return grpc(cx, &table, folder).map(Check::Grpc);
    }
    if let Some(value) = monitor.get("dns") {
        let table = Table::open(cx, value, &DNS, None)?;
        return dns(cx, &table).map(Check::Dns);
    }
    if let Some(value) = monitor.get("exec") {
        let table = Table::open(cx, value, &EXEC, None)?;
        return exec(cx, &table).map(Check::Exec);
    }
    let table = Table::open(cx, monitor.get("push")?, &PUSH, None)?;
    table.duration(cx, "ttl").map(|ttl| Check::Push { ttl: ttl.value })
}

fn tcp(cx: &mut Context, table: &Table) -> Option<TcpCheck> {
    let send = table.text(cx, "send").map(|text| text.value.to_owned());
    let expect = table.text(cx, "expect").map(|text| text.value.to_owned());
    Some(TcpCheck { port: port(cx, table)?, send, expect })
}

fn grpc(cx: &mut Context, table: &Table, folder: &Path) -> Option<GrpcCheck> {
    let secured = table.flag(cx, "tls").unwrap_or(false);
    let settings = tls(cx, table, folder);
    if !secured {
        for key in ["verify", "ca", "expires_in_days"] {
            if let Some(span) = table.key_span(key) {
                cx.error(span, format!("`{key}` has no effect without TLS"), "add tls = true, or remove it");
            }
        }
    }
    let service = table.text(cx, "service").map_or("", |text| text.value).to_owned();
    let host = host(cx, table);
    Some(GrpcCheck { tls: secured.then_some(settings), port: port(cx, table)?, host, service })
}

fn dns(cx: &mut Context, table: &Table) -> Option<DnsCheck> {
    let kind = table.word(cx, "type").map_or("A", |at| at.value);
    let rcode = table.word(cx, "rcode").map_or("NOERROR", |at| at.value);
    let transport = match table.word(cx, "transport").map(|at| at.value) {
        Some("tcp") => DnsTransport::Tcp,
        _ => DnsTransport::Udp,
    };
    let answer = answers(cx, table, kind, rcode);
    let port = port(cx, table).unwrap_or(53);
    let name = name(cx, table)?;
    Some(DnsCheck {
        transport,
        port,
        name,
        record_type: number(&TYPES, kind),
        rcode: number(&RCODES, rcode),
        answer,
    })
}

fn number(table: &[(&str, u16)], word: &str) -> u16 {
    table.iter().find(|(known, _)| *known == word).map_or(0, |(_, number)| *number)
}

fn name(cx: &mut Context, table: &Table) -> Option<String> {
    let text = table.text(cx, "name")?;
    if text.value == "." {
        return Some(String::new());
    }
    match scalar::host_name(text.value) {
        Ok(name) => Some(name),
        Err(why) => {
            cx.error(
                text.span,
                format!("`name` cannot be `{}`: {why}", shortened(text.value)),
                "write a domain name such as \"www.example.com\"; \".\" is the root",
            );
            None
        }
    }
}

fn answers(cx: &mut Context, table: &Table, kind: &str, rcode: &str) -> Vec<DnsData> {
    let Some((values, span)) = table.one_or_many("answer") else { return Vec::new() };
    if values.is_empty() {
        cx.error(span, "`answer` is empty", "name what must be there, or leave the key out");
    }
    if rcode != "NOERROR" {
        cx.error(
            span,
            format!("`answer` can never be found with rcode = \"{rcode}\""),
            "remove one of the two",
        );
    }
    values.into_iter().filter_map(|value| answer(cx, value, kind)).collect()
}

fn answer(cx: &mut Context, value: Value, kind: &str) -> Option<DnsData> {
    let text = value.text(cx, "answer")?;
    let (data, hint) = match kind {
        "A" => (
            text.value.parse().ok().map(|v4| DnsData::Address(IpAddr::V4(v4))),
            "write an IPv4 address, as type A has them",
        ),
        "AAAA" => (
            text.value.parse().ok().map(|v6| DnsData::Address(IpAddr::V6(v6))),
            "write an IPv6 address, as type AAAA has them",
        ),
        "CNAME" | "NS" | "PTR" => (
            scalar::host_name(text.value).ok().map(DnsData::Name),
            "write a domain name such as \"www.example.com\"",
        ),
        "TXT" => (Some(DnsData::Text(text.value.to_owned())), ""),
        _ => (None, "answers are looked at for A, AAAA, CNAME, NS, PTR and TXT; else the rcode decides"),
    };
    if data.is_none() {
        cx.error(
            value.span,
            format!("`answer` cannot be `{}` with type = \"{kind}\"", shortened(text.value)),
            hint,
        );
    }
    data
}

fn exec(cx: &mut Context, table: &Table) -> Option<ExecCheck> {
    let value = table.get("command")?;
    let Some(elements) = value.elements() else {
        let hint = "write command = [\"/path/to/program\", \"argument\"]; no shell takes a line apart";
        wrong_type(cx, "command", value, "an array of texts is needed", hint);
        return None;
    };
    if elements.is_empty() {
        cx.error(value.span, "`command` is empty", "write command = [\"/path/to/program\"]");
    }
    if elements.len() > ARGUMENTS_MAX {
        let message = format!("`command` has {} parts", elements.len());
        cx.error(value.span, message, format!("at most {ARGUMENTS_MAX}: write a script"));
    }
    let mut parts = elements.into_iter().take(ARGUMENTS_MAX);
    let program = parts.next()?.text(cx, "command");
    let arguments = parts.filter_map(|part| Some(part.text(cx, "command")?.value.to_owned())).collect();
    let program = program?;
    if !program.value.starts_with('/') {
        cx.error(
            program.span,
            format!("`{}` is not an absolute path", shortened(program.value)),
            "write where the program is, such as \"/usr/bin/ping\": no search path is used",
        );
        return None;
    }
    Some(ExecCheck { program: PathBuf::from(program.value), arguments })
}
