//! The demo as lines: for scripts, and for terminals that cannot be drawn on.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::scene::Scene;

/// How often answers are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Prints until it is stopped.
pub async fn show(scene: &Scene) -> Result<(), String> {
    for stand_in in scene.stand_ins.iter() {
        let addresses: Vec<String> = stand_in.addresses.iter().map(ToString::to_string).collect();
        println!("region {} stands in on {}", stand_in.region, addresses.join(", "));
    }
    println!("server answers on {}", scene.address);
    if let Some(status) = scene.status().await {
        status.attributions.iter().for_each(|line| println!("locations: {line}"));
    }
    scene.lines_to_try().iter().for_each(|line| println!("try: {line}"));
    println!("ready");
    let stopped = |kind: SignalKind| signal(kind).map_err(|error| format!("no signals here: {error}"));
    let (mut interrupt, mut terminate) =
        (stopped(SignalKind::interrupt())?, stopped(SignalKind::terminate())?);
    let (mut seen, mut before) = (0u64, Vec::new());
    let mut id = 1u16;
    loop {
        let (lines, count) = scene.server.log_after(seen);
        seen = count;
        lines.iter().for_each(|line| println!("server: {line}"));
        if scene.server.has_ended().await {
            return Err("the server has ended".to_owned());
        }
        id = id.wrapping_add(1);
        let now: Vec<String> = scene
            .see_all(id)
            .await
            .into_iter()
            .map(|seen| match (seen.region, seen.reply) {
                (Some(region), Some(reply)) => {
                    let scope = reply.scope.map_or(String::new(), |scope| format!(", scope /{scope}"));
                    format!("answer: {} ({}) -> {region}{scope}", seen.person.city, seen.person.network)
                }
                _ => format!("answer: {} ({}) -> none", seen.person.city, seen.person.network),
            })
            .collect();
        for (index, line) in now.iter().enumerate() {
            if before.get(index) != Some(line) {
                println!("{line}");
            }
        }
        before = now;
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}
