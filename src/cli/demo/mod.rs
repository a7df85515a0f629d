//! `meridian demo`: the real server on a real configuration, with stand-ins for the regional load
//! balancers on loopback, and something to watch and to break.
//!
//! `stand_ins` plays the regions, `server` runs `meridian serve` as a child, `ask` is an ordinary DNS client,
//! `screen` and `plain` show it all.

mod ask;
mod plain;
mod remote;
mod scene;
mod screen;
mod server;
mod stand_ins;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use scene::Scene;

/// What `meridian demo` takes.
#[derive(Args, Debug)]
pub struct DemoArgs {
    #[command(subcommand)]
    verb: Option<DemoVerb>,
    /// Lines instead of a screen: for scripts; runs until it is stopped
    #[arg(long)]
    plain: bool,
    /// The configuration to run
    #[arg(long, short, value_name = "FILE", default_value = "meridian.toml", global = true)]
    config: PathBuf,
}

#[derive(Subcommand, Debug)]
enum DemoVerb {
    /// Kill a region's stand-in in the running demo
    Fail {
        /// The region
        region: String,
    },
    /// Let a killed region's stand-in come back
    Heal {
        /// The region
        region: String,
    },
}

/// Runs the demo, or one of its verbs. The error is for the terminal.
pub fn run(args: &DemoArgs) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("the demo cannot start: {error}"))?;
    runtime.block_on(async {
        match &args.verb {
            Some(DemoVerb::Fail { region }) => remote::tell("fail", region).await,
            Some(DemoVerb::Heal { region }) => remote::tell("heal", region).await,
            None => {
                let scene = Scene::start(&args.config).await?;
                // A terminal that cannot be drawn on gets lines.
                let drawable = std::io::IsTerminal::is_terminal(&std::io::stdout())
                    && std::io::IsTerminal::is_terminal(&std::io::stdin());
                let outcome = if args.plain || !drawable {
                    plain::show(&scene).await
                } else {
                    screen::show(&scene).await
                };
                scene.stop().await;
                outcome
            }
        }
    })
}
