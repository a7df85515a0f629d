//! Commands, with the helper in this process and with the helper gone.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::time::Duration;

use super::*;

/// Long enough for a shell on a busy machine.
const PATIENT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

/// A helper in a task of this process, and the way to it.
fn start() -> Commands {
    let (ours, theirs) = StdStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    tokio::spawn(async move { helper::serve(UnixStream::from_std(theirs).unwrap()).await });
    Commands::new(Helper { socket: ours, child: None }).unwrap()
}

fn shell(script: &str, timeout: Duration, commands: Commands) -> ExecProbe {
    let arguments = ["-c", script, "probe", "{address}"].map(str::to_owned).to_vec();
    let check = ExecCheck { program: PathBuf::from("/bin/sh"), arguments };
    let target = TargetAddress::Address("192.0.2.1".parse().unwrap());
    ExecProbe::new(&check, &target, "web/dub-1 192.0.2.1", timeout, Some(commands))
}

async fn check(script: &str, expected: Result<(), Failure>) {
    let probe = shell(script, PATIENT, start());
    assert_eq!(probe.run(&Stopwatch::start()).await, expected, "{script}");
}

#[tokio::test]
async fn h4_the_status_of_a_command_decides() {
    check("exit 0", Ok(())).await;
    check("exit 2", Err(Failure::Exit(2))).await;
    check("kill -TERM $$", Err(Failure::Signal(15))).await;
    check("echo well; echo ill >&2", Ok(())).await;
}

#[tokio::test]
async fn h4_a_command_knows_what_it_checks_and_nothing_else() {
    check("[ \"$1\" = 192.0.2.1 ]", Ok(())).await;
    check("[ $MERIDIAN_ADDRESS $MERIDIAN_ENDPOINT $MERIDIAN_TIMEOUT_MS = 192.0.2.1 ]", Err(Failure::Exit(2)))
        .await;
    check("[ \"$MERIDIAN_ADDRESS $MERIDIAN_ENDPOINT\" = '192.0.2.1 web/dub-1' ]", Ok(())).await;
    check("[ $MERIDIAN_TIMEOUT_MS = 20000 ]", Ok(())).await;
    // What a shell adds by itself, and ours.
    check("! env | grep -vE '^(PATH|PWD|OLDPWD|SHLVL|_|MERIDIAN_[A-Z_]*)='", Ok(())).await;
    check("[ $(pwd) = / ]", Ok(())).await;
}

#[tokio::test]
async fn h4_a_command_that_does_not_end_is_killed_with_all_that_it_has_started() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!("sleep 600 & echo $$ $! > {0}.new; mv {0}.new {0}; sleep 600", pids.display());
    let outcome = shell(&script, SHORT, start()).run(&Stopwatch::start()).await;
    assert_eq!(outcome, Err(Failure::CommandTimeout));
    // Busy machines may not have come as far as the second line.
    let Ok(pids) = std::fs::read_to_string(pids) else { return };
    for pid in pids.split_whitespace() {
        // What is killed may be there a little longer, as a zombie or on its way.
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')')
                .next()
                .is_none_or(|rest| rest.trim_start().starts_with(['Z', 'X']) || rest.is_empty())
        };
        let deadline = tokio::time::Instant::now() + PATIENT;
        while !gone() {
            assert!(tokio::time::Instant::now() < deadline, "{pid} still runs");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn h4_a_command_that_writes_without_end_is_killed() {
    check("yes", Err(Failure::OutputTooLarge)).await;
    check("yes >&2", Err(Failure::OutputTooLarge)).await;
    check("head -c 60000 /dev/zero", Ok(())).await;
}

#[tokio::test]
async fn h13_without_a_helper_nothing_is_said_of_the_endpoint() {
    let gone = Err(Failure::NotRun(NotRun::NoHelper));
    // Never started.
    let check = ExecCheck { program: PathBuf::from("/bin/true"), arguments: vec![] };
    let target = TargetAddress::Host("lb.example.com".to_owned());
    let probe = ExecProbe::new(&check, &target, "web/a lb.example.com", PATIENT, None);
    assert_eq!(probe.run(&Stopwatch::start()).await, gone);
    // Leaves while a command is under way, and stays away.
    let (ours, theirs) = StdStream::pair().unwrap();
    let commands = Commands::new(Helper { socket: ours, child: None }).unwrap();
    let probe = shell("exit 0", PATIENT, commands);
    drop(theirs);
    assert_eq!(probe.run(&Stopwatch::start()).await, gone);
    assert_eq!(probe.run(&Stopwatch::start()).await, gone);
}

#[tokio::test]
async fn h13_a_program_that_is_not_there_says_nothing_of_the_endpoint() {
    let mut probe = shell("exit 0", PATIENT, start());
    probe.order.program = PathBuf::from("/nonexistent/check");
    assert_eq!(probe.run(&Stopwatch::start()).await, Err(Failure::NotRun(NotRun::NoCommand)));
}

#[tokio::test]
async fn commands_run_beside_each_other_and_wait_for_a_place() {
    let commands = start();
    let probes: Vec<_> = (0..3 * COMMANDS_MAX)
        .map(|number| shell(&format!("exit {}", number % 3), PATIENT, commands.clone()))
        .map(|probe| tokio::spawn(async move { probe.run(&Stopwatch::start()).await }))
        .collect();
    for (number, probe) in probes.into_iter().enumerate() {
        let expected = match number % 3 {
            0 => Ok(()),
            status => Err(Failure::Exit(status as u8)),
        };
        assert_eq!(probe.await.unwrap(), expected);
    }
}
