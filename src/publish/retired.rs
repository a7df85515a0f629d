//! What is no longer in force, kept until nobody else has it, and freed on a thread of its own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How often it is looked whether the last reader has let go: readers keep a view for a batch, or for one request.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Takes what is to be freed.
pub(super) struct Retired<T> {
    sender: Sender<Arc<T>>,
}

impl<T: Send + Sync + 'static> Retired<T> {
    /// Starts the thread. It ends when this value does.
    pub(super) fn new() -> Retired<T> {
        let (sender, receiver) = channel();
        // Without it whoever sends frees: late, but not wrong.
        let _ = std::thread::Builder::new().name("retired views".to_owned()).spawn(move || free(&receiver));
        Retired { sender }
    }

    /// Something that nobody can load any more.
    pub(super) fn take(&self, retired: Arc<T>) {
        // The receiver is gone only where the thread could not be started.
        let _ = self.sender.send(retired);
    }
}

/// Frees each as soon as it is seen that this is the last who has it.
fn free<T>(receiver: &Receiver<Arc<T>>) {
    let mut waiting: Vec<Arc<T>> = Vec::new();
    loop {
        let received = match waiting.is_empty() {
            true => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => receiver.recv_timeout(LOOK_INTERVAL),
        };
        match received {
            Ok(retired) => waiting.push(retired),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        waiting.retain(|retired| Arc::strong_count(retired) > 1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::thread::{ThreadId, current};

    use super::*;

    /// Tells who frees it.
    struct Telltale(Sender<ThreadId>);

    impl Drop for Telltale {
        fn drop(&mut self) {
            self.0.send(current().id()).unwrap();
        }
    }

    #[test]
    fn a_reader_that_lets_go_last_does_not_free() {
        let (sender, freed) = channel();
        let retired = Retired::new();
        let reader = Arc::new(Telltale(sender));
        retired.take(Arc::clone(&reader));
        drop(reader);
        assert_ne!(freed.recv().unwrap(), current().id());
    }
}
