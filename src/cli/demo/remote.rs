//! `meridian demo fail REGION`: a word from another terminal to the running demo.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::stand_ins::StandIn;

/// Where a running demo listens for words from other terminals.
const ADDRESS: &str = "127.0.0.1:18079";
/// A word is one short line.
const LINE_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends `fail REGION` or `heal REGION` and prints what the demo says.
pub async fn tell(verb: &str, region: &str) -> Result<(), String> {
    let stream = TcpStream::connect(ADDRESS).await;
    let mut stream = stream.map_err(|_| "no demo is running: start one with `meridian demo`".to_owned())?;
    let sent = stream.write_all(format!("{verb} {region}\n").as_bytes()).await;
    sent.map_err(|error| format!("the demo does not listen: {error}"))?;
    let mut said = String::new();
    let read = BufReader::new(stream).read_line(&mut said).await;
    read.map_err(|error| format!("the demo does not answer: {error}"))?;
    match said.trim().strip_prefix("ok ") {
        Some(done) => {
            println!("{done}");
            Ok(())
        }
        None => Err(said.trim().to_owned()),
    }
}

/// Listens for words, until the demo ends.
pub async fn listen(stand_ins: Arc<[StandIn]>) -> Result<(), String> {
    let listener = TcpListener::bind(ADDRESS).await;
    let listener = listener
        .map_err(|error| format!("cannot listen on {ADDRESS}: {error}; another demo may be running"))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stand_ins = Arc::clone(&stand_ins);
            tokio::spawn(async move {
                let _ = tokio::time::timeout(LINE_TIMEOUT, obey(stream, &stand_ins)).await;
            });
        }
    });
    Ok(())
}

async fn obey(stream: TcpStream, stand_ins: &[StandIn]) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let said = carry_out(line.trim(), stand_ins).await;
    stream.get_mut().write_all(format!("{said}\n").as_bytes()).await
}

async fn carry_out(line: &str, stand_ins: &[StandIn]) -> String {
    let (verb, region) = line.split_once(' ').unwrap_or((line, ""));
    let Some(stand_in) = stand_ins.iter().find(|own| own.region == region) else {
        let known: Vec<&str> = stand_ins.iter().map(|own| own.region.as_str()).collect();
        return format!("no region \"{region}\" in this demo; there are {}", known.join(", "));
    };
    match verb {
        "fail" => {
            stand_in.kill();
            format!("ok {region} killed: its users move once its probes have failed")
        }
        "heal" => match stand_in.revive().await {
            Ok(()) => format!("ok {region} revived"),
            Err(why) => why,
        },
        _ => format!("no such word: {verb}"),
    }
}
