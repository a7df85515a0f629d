//! `[classes.*]`: clients who see zones of their own (R16).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::directory::Directory;
use super::reader::{Context, Table, Value, shortened};
use super::{scalar, server};
use crate::config::shape::CLASS;
use crate::config::{Class, Server, Span};

/// `[classes.*]` in the order written. `entrances` are all addresses that are listened on. Their zones are not read yet.
pub fn classes(
    cx: &mut Context,
    directory: &Directory,
    server: &Server,
    entrances: &[SocketAddr],
) -> Vec<Class> {
    let mut taken = Taken::default();
    let mut classes = Vec::new();
    for (name, value) in &directory.entries {
        let mut class = Class {
            name: name.text.to_owned(),
            span: name.span,
            networks: Vec::new(),
            listen: Vec::new(),
            folder: PathBuf::new(),
            zones: Vec::new(),
        };
        if let Some(table) = Table::open(cx, *value, &CLASS, Some(name.span)) {
            class.networks = networks(cx, &table, &mut taken);
            class.listen = listen(cx, &table, entrances, &mut taken);
            if let Some(folder) = table.text(cx, "zones") {
                class.folder = PathBuf::from(folder.value);
                if class.folder == server.zones {
                    cx.error(
                        folder.span,
                        format!("class `{}` has the zones folder of everybody", name.text),
                        "name a folder with the zones that differ; all others are seen by everybody",
                    );
                }
            }
            if table.get("networks").is_none() && table.get("listen").is_none() {
                cx.error(
                    name.span,
                    format!("nobody is in class `{}`", name.text),
                    "say who: networks = [\"10.0.0.0/8\"], or listen = [\"192.0.2.1:53\"]",
                );
            }
        }
        classes.push(class);
    }
    classes
}

/// What some class has already: nobody can be in two.
#[derive(Default)]
struct Taken {
    networks: HashMap<IpNet, Span>,
    listen: HashMap<SocketAddr, Span>,
}

fn networks(cx: &mut Context, table: &Table, taken: &mut Taken) -> Vec<IpNet> {
    let mut networks = Vec::new();
    let Some((values, _)) = table.one_or_many("networks") else { return networks };
    for value in values {
        let Some(text) = value.text(cx, "networks") else { continue };
        match scalar::network(text.value) {
            Err((why, hint)) => {
                cx.error(
                    text.span,
                    format!("`networks` cannot hold `{}`: {why}", shortened(text.value)),
                    hint,
                );
            }
            Ok(network) => match taken.networks.insert(network, text.span) {
                Some(first) => twice(cx, &value, &network.to_string(), first),
                None => networks.push(network),
            },
        }
    }
    networks
}

fn listen(cx: &mut Context, table: &Table, entrances: &[SocketAddr], taken: &mut Taken) -> Vec<SocketAddr> {
    let mut listen = Vec::new();
    let Some((values, _)) = table.one_or_many("listen") else { return listen };
    for value in values {
        let Some(socket) = server::socket(cx, value, "listen") else { continue };
        if !entrances.contains(&socket) {
            let known: Vec<String> = entrances.iter().map(ToString::to_string).collect();
            cx.error(
                value.span,
                format!("the server does not listen on {socket}"),
                format!("add it to [server] listen, which has {}", known.join(", ")),
            );
            continue;
        }
        match taken.listen.insert(socket, value.span) {
            Some(first) => twice(cx, &value, &socket.to_string(), first),
            None => listen.push(socket),
        }
    }
    listen
}

fn twice(cx: &mut Context, value: &Value, what: &str, first: Span) {
    cx.error(value.span, format!("{what} is listed twice"), "one client is in one class: remove one of them");
    cx.also(first, "first listed here");
}
