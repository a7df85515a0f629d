//! `meridian journal`

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::client::{self, Answer};
use super::{Exit, ServerArgs, fail, print_text};
use crate::config;
use crate::state::{Line, Outcome, parse_rfc3339, rfc3339};

/// How often a followed journal is asked for more.
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub(super) struct JournalArgs {
    /// Only lines since then: a duration back (2h), or a time (2026-11-21T15:00:00Z)
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// At most so many lines, the last ones
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    /// Go on showing what comes, until interrupted
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &JournalArgs) -> Exit {
    let server = &args.server;
    let address = client::address(server.control.control, &server.config.path());
    let mut parameters = vec![("limit".to_owned(), args.limit.to_string())];
    match args.since.as_deref().map(since) {
        Some(Some(since)) => parameters.push(("since".to_owned(), since)),
        Some(None) => {
            super::tell(
                "meridian: --since takes a duration such as 2h, or a time such as 2026-11-21T15:00:00Z\n",
            );
            return Exit::Usage;
        }
        None => {}
    }
    loop {
        let lines = match client::get::<Vec<Line>>(address, "/v1/journal", &parameters) {
            Answer::Given(lines) => lines,
            Answer::Refused(why) | Answer::Nobody(why) => return fail(&why),
        };
        let mut out = String::new();
        for line in &lines {
            if server.json {
                // A line of the journal is always JSON.
                let _ = writeln!(out, "{}", serde_json::to_string(line).unwrap_or_default());
            } else {
                show(&mut out, line);
            }
        }
        if print_text(&out) != Exit::Done || !args.follow {
            return Exit::Done;
        }
        if let Some(last) = lines.last() {
            parameters = vec![("after".to_owned(), last.number.to_string())];
        }
        std::thread::sleep(FOLLOW_PAUSE);
    }
}

/// A time as the API takes it.
fn since(text: &str) -> Option<String> {
    if parse_rfc3339(text).is_some() {
        return Some(text.to_owned());
    }
    let back = config::duration(text).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(rfc3339(now.saturating_sub(back)))
}

fn show(out: &mut String, line: &Line) {
    let Line { when, who, what, on, why, outcome, detail, .. } = line;
    // Writing to a String cannot fail.
    let _ = write!(out, "{when}  {:<10} {on}", what.label());
    let _ = write!(out, "  by {who}");
    if !why.is_empty() {
        let _ = write!(out, " ({why})");
    }
    if *outcome == Outcome::Refused {
        out.push_str(": REFUSED");
    }
    if !detail.is_empty() {
        let _ = write!(out, ": {}", detail.replace('\n', "\n    "));
    }
    out.push('\n');
}
