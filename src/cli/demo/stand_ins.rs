//! Stand-ins for regional load balancers: one small HTTP server per region, which can be killed and
//! revived.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request's head; probes send far less.
const REQUEST_OCTETS_MAX: usize = 8192;
/// A client that has not sent its request by then is left.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// One region's stand-in.
pub struct StandIn {
    /// The region.
    pub region: String,
    /// Where it listens while it lives.
    pub addresses: Vec<SocketAddr>,
    /// The accepting tasks; empty while it is dead.
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl StandIn {
    /// A dead stand-in.
    pub fn new(region: String, addresses: Vec<SocketAddr>) -> StandIn {
        StandIn { region, addresses, tasks: Mutex::new(Vec::new()) }
    }

    /// Whether it answers.
    pub fn is_alive(&self) -> bool {
        self.tasks.lock().is_ok_and(|tasks| !tasks.is_empty())
    }

    /// Listens; nothing happens to a living one.
    pub async fn revive(&self) -> Result<(), String> {
        if self.is_alive() {
            return Ok(());
        }
        let mut tasks = Vec::new();
        for address in &self.addresses {
            let listener = TcpListener::bind(address).await.map_err(|error| {
                format!(
                    "the stand-in for region {} cannot listen on {address}: {error}; another demo may be running",
                    self.region
                )
            })?;
            tasks.push(tokio::spawn(serve(listener, self.region.clone())));
        }
        if let Ok(mut own) = self.tasks.lock() {
            *own = tasks;
        }
        Ok(())
    }

    /// Stops listening: connections are refused from now on.
    pub fn kill(&self) {
        if let Ok(mut tasks) = self.tasks.lock() {
            tasks.drain(..).for_each(|task| task.abort());
        }
    }
}

async fn serve(listener: TcpListener, region: String) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let region = region.clone();
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(REQUEST_TIMEOUT, answer(stream, &region)).await;
                });
            }
            // No descriptors, mostly: the next probe may have better luck.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn answer(mut stream: TcpStream, region: &str) -> std::io::Result<()> {
    let mut request: Vec<u8> = Vec::new();
    let mut chunk = [0u8; 1024];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let read = stream.read(&mut chunk).await?;
        if read == 0 || request.len() > REQUEST_OCTETS_MAX {
            return Ok(());
        }
        request.extend(chunk.iter().take(read));
    }
    let body = format!("this is {region}\n");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    stream.shutdown().await
}
