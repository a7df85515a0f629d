//! Threads that give way to those that answer datagrams.

/// Added to the niceness of a thread that others must not wait for. With 10 it gets about a tenth of a core that a worker keeps
/// busy: enough that it gets on at full load too, and little enough that answers hardly wait.
const NICENESS: i32 = 10;

/// Lowers the calling thread's claim to a processor, and that of threads that it starts. There is no way back.
pub fn give_way() {
    // Linux keeps niceness by thread. Where it is refused the work is done all the same.
    let _ = rustix::process::nice(NICENESS);
}
