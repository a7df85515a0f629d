//! The command line: verbs, options, exit codes.

mod check;
mod client;
mod demo;
mod explain;
pub mod geoip;
mod healthcheck;
mod journal;
mod keys;
mod logging;
mod operate;
mod serve;
mod status;
mod zones;

use std::io::{IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::config::Style;

/// What the process ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exit {
    /// What was asked was done.
    Done = 0,
    /// It could not be done: an address is taken, no server answers, the name is not steered.
    Failed = 1,
    /// The configuration, or what an operator asked for, is refused.
    Refused = 2,
    /// The command line makes no sense (sysexits.h, EX_USAGE).
    Usage = 64,
}

const EXIT_CODES: &str = "Exit codes:
  0   done
  1   not done: an address is taken, no server answers, no service answers for the name
  2   refused: the configuration, with every problem on standard error, or a command, with its reason
  64  the command line makes no sense";

/// A DNS server that sends every user to the nearest healthy region.
#[derive(Parser, Debug)]
#[command(name = "meridian", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Run the server until SIGTERM; SIGHUP reads the configuration again
    Serve(ServeArgs),
    /// Read and compile the configuration without effect, and report every problem
    Check(CheckArgs),
    /// Show why a client gets the answer it gets
    ///
    /// With the health of the running server where one answers on the control listener, otherwise from the
    /// files alone, with every endpoint taken to be eligible.
    Explain(ExplainArgs),
    /// Let the running server read its configuration again
    Reload(ReloadArgs),
    /// Take endpoints out of the answers, at once or step by step
    ///
    /// They are still served if nothing else exists. It says by when every cache that obeys TTLs has dropped
    /// them; --wait waits for that.
    Drain(operate::DrainArgs),
    /// Let endpoints count as up, whatever their probes say
    ForceUp(operate::ForceArgs),
    /// Never answer with these endpoints, not even if nothing else exists
    ForceDown(operate::ForceArgs),
    /// Take an override back
    Undo(operate::UndoArgs),
    /// List the overrides in force
    Overrides(ServerArgs),
    /// Let endpoints back in that wait for it, or are held, after they were down
    Approve(operate::ApproveArgs),
    /// Post a verdict to the push monitors of endpoints; it holds for their ttl
    Push(operate::PushArgs),
    /// Accept what the governor has frozen: what is down leaves the answers
    Release(operate::ReleaseArgs),
    /// Show who did what, when and why, and what came of it
    Journal(journal::JournalArgs),
    /// Show regions, endpoints and their health in the running server
    Status(ServerArgs),
    /// List the zones of the running server, and how those that come from primaries are
    Zones(ServerArgs),
    /// Let the running server ask the primaries of a zone now, and show what came of it
    Refresh(zones::RefreshArgs),
    /// Ask the running server whether it is ready: exit 0, else 1
    ///
    /// For containers and service managers: it asks /readyz on the control listener.
    Healthcheck(HealthcheckArgs),
    /// Print the JSON Schema of meridian.toml, for editors
    Schema {
        /// That of the files of steered names, zones/NAME.toml
        #[arg(long)]
        zone: bool,
    },
    /// Run the server with stand-in regions on loopback, to watch and to break
    Demo(demo::DemoArgs),
    /// The helper that runs the commands of exec monitors; the server starts it
    #[command(name = crate::probe::exec::HELPER_VERB, hide = true)]
    RunCommands,
    /// Make, list, import and roll the keys of signed zones
    #[command(subcommand)]
    Keys(keys::KeysVerb),
    /// Work on location data
    #[command(subcommand)]
    Geoip(GeoipVerb),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Subcommand, Debug)]
enum GeoipVerb {
    /// Make a small packed location file from city databases
    Pack(geoip::PackArgs),
}

#[derive(Args, Debug)]
struct ConfigArg {
    /// The configuration [default: ./meridian.toml, else /etc/meridian/meridian.toml]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct ControlArg {
    /// The server's control listener [default: what the configuration says, else 127.0.0.1:9853]
    #[arg(long, value_name = "ADDRESS")]
    control: Option<SocketAddr>,
}

#[derive(Args, Debug)]
struct ServeArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// How log lines look; RUST_LOG selects them (default: info)
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Stop at the end of standard input: the server of a demo does not outlive it, however that ends
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

/// How log lines look.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Args, Debug)]
struct CheckArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print the problems as JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct ExplainArgs {
    /// The name asked for
    name: String,
    /// The client: a network as in EDNS client subnet, or an address
    #[arg(long, value_name = "PREFIX")]
    client: String,
    /// The record type: A, AAAA, HTTPS or SVCB
    #[arg(long = "type", value_name = "TYPE", default_value = "A")]
    rtype: String,
    /// The address of the client's resolver [default: the client's]
    #[arg(long, value_name = "IP")]
    resolver: Option<IpAddr>,
    /// The class of clients whose zones answer [default: that of the resolver's address]
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Take a region, an endpoint (POOL/NAME), an address or a family (ipv4, ipv6) to be otherwise; can be given
    /// several times
    #[arg(long, value_name = "WHAT=down|up|drained")]
    assume: Vec<String>,
    /// Explain for another time, as the schedules have it: 2026-12-24T12:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The draw that picks among candidates, a number of 64 bits
    #[arg(long, default_value_t = 0)]
    draw: u64,
    /// Explain from the files even where a server runs
    #[arg(long)]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    control: ControlArg,
}

/// What verbs that ask a running server take.
#[derive(Args, Debug)]
struct ServerArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    control: ControlArg,
}

#[derive(Args, Debug)]
struct ReloadArgs {
    /// Also if it takes away more answers than server.reload_removed_max allows
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct HealthcheckArgs {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    control: ControlArg,
}

/// Runs the program: reads the command line, does what it says, and ends with the documented code.
pub fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => {
            // Help and version are no errors and go to standard output.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            let _ = error.print();
            return ExitCode::from(exit as u8);
        }
    };
    let exit = match command.verb {
        Verb::Serve(args) => serve::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Reload(args) => status::reload(&args),
        Verb::Drain(args) => operate::drain(&args),
        Verb::ForceUp(args) => operate::force("force-up", &args),
        Verb::ForceDown(args) => operate::force("force-down", &args),
        Verb::Undo(args) => operate::undo(&args),
        Verb::Overrides(args) => operate::overrides(&args),
        Verb::Approve(args) => operate::approve(&args),
        Verb::Push(args) => operate::push(&args),
        Verb::Release(args) => operate::release(&args),
        Verb::Journal(args) => journal::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Zones(args) => zones::list(&args),
        Verb::Refresh(args) => zones::refresh(&args),
        Verb::Healthcheck(args) => healthcheck::run(&args),
        Verb::Schema { zone } => print_text(&schema(zone)),
        Verb::Demo(args) => match demo::run(&args) {
            Ok(()) => Exit::Done,
            Err(error) => fail(&error),
        },
        Verb::RunCommands => match crate::probe::exec::main() {
            Ok(()) => Exit::Done,
            Err(error) => fail(&error),
        },
        Verb::Keys(verb) => keys::run(&verb),
        Verb::Geoip(GeoipVerb::Pack(args)) => match geoip::pack(&args) {
            Ok(said) => print_text(&format!("{said}\n")),
            Err(error) => fail(&error),
        },
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Command::command(), "meridian", &mut script);
            print_text(&String::from_utf8_lossy(&script))
        }
    };
    ExitCode::from(exit as u8)
}

fn schema(zone: bool) -> String {
    let schema = if zone { crate::config::zone_schema() } else { crate::config::main_schema() };
    format!("{schema:#}\n")
}

impl ConfigArg {
    /// The file that is meant.
    fn path(&self) -> PathBuf {
        let here = PathBuf::from("meridian.toml");
        let system = PathBuf::from("/etc/meridian/meridian.toml");
        match &self.config {
            Some(path) => path.clone(),
            // Where neither is there, the message names the one that people would make first.
            None if !here.exists() && system.exists() => system,
            None => here,
        }
    }
}

/// Prints to standard output. A reader that has gone away (`| head`) is no failure.
fn print_text(text: &str) -> Exit {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail(&error),
        _ => Exit::Done,
    }
}

/// Prints JSON, indented.
fn print_json(value: &impl serde::Serialize) -> Exit {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print_text(&format!("{text}\n")),
        Err(error) => fail(&error),
    }
}

/// Says on standard error why something was not done.
fn fail(why: &dyn std::fmt::Display) -> Exit {
    tell(&format!("meridian: {why}\n"));
    Exit::Failed
}

/// Prints to standard error. When that cannot be written there is nobody left to tell, and the exit code stays.
fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// How problems are shown on standard error.
fn style() -> Style {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stderr().is_terminal() && !plain { Style::Coloured } else { Style::Plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Command::command().debug_assert();
    }
}
