//! The demo as lines: for scripts, and for terminals that cannot be drawn on.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::scene::Scene;

/// How often answers are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Prints until it is stopped, or until nobody reads any more.
pub async fn show(scene: &Scene) -> Result<(), String> {
    match print(scene).await {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

async fn print(scene: &Scene) -> io::Result<()> {
    for stand_in in scene.stand_ins.iter() {
        let addresses: Vec<String> = stand_in.addresses.iter().map(ToString::to_string).collect();
        say(&format!("region {} stands in on {}", stand_in.region, addresses.join(", ")))?;
    }
    say(&format!("server answers on {}", scene.address))?;
    if let Some(status) = scene.status().await {
        status.attributions.iter().try_for_each(|line| say(&format!("locations: {line}")))?;
    }
    scene.lines_to_try().iter().try_for_each(|line| say(&format!("try: {line}")))?;
    say("ready")?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (mut seen, mut before) = (0u64, Vec::new());
    let mut id = 1u16;
    loop {
        let (lines, count) = scene.server.log_after(seen);
        seen = count;
        lines.iter().try_for_each(|line| say(&format!("server: {line}")))?;
        if scene.server.has_ended().await {
            return Err(io::Error::other("the server has ended"));
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
                say(line)?;
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

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}
