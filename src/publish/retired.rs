//! What is no longer in force, kept until nobody else has it, and freed on a thread of its own: after its successor has
//! learned from it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often it is looked whether the last reader has let go: readers keep a view for a batch, or for one request.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Added to the niceness of the thread: nobody waits for what it does.
const NICENESS: i32 = 10;

/// Has the first find out what the second knows, as long as it goes on.
pub(super) type Learn<T> = fn(&T, &T, &mut dyn FnMut() -> bool);

/// Something that nobody can load any more, and what stands in its place.
type Succession<T> = (Arc<T>, Weak<T>);

/// Takes what is to be freed.
pub(super) struct Retired<T> {
    sender: Sender<Succession<T>>,
}

impl<T: Send + Sync + 'static> Retired<T> {
    /// Starts the thread. It ends when this value does.
    pub(super) fn new(learn: Learn<T>) -> Retired<T> {
        let (sender, receiver) = channel();
        // Without it whoever sends frees: late, but not wrong.
        let thread = std::thread::Builder::new().name("retired views".to_owned());
        let _ = thread.spawn(move || {
            // Linux keeps niceness by thread. Where it is refused the work is done all the same.
            let _ = rustix::process::nice(NICENESS);
            free(&receiver, learn);
        });
        Retired { sender }
    }

    /// Something that nobody can load any more.
    pub(super) fn take(&self, retired: Arc<T>, successor: Weak<T>) {
        // The receiver is gone only where the thread could not be started.
        let _ = self.sender.send((retired, successor));
    }
}

/// Frees each as soon as it is seen that this is the last who has it.
fn free<T>(receiver: &Receiver<Succession<T>>, learn: Learn<T>) {
    let mut waiting: Vec<Arc<T>> = Vec::new();
    let mut next = None;
    loop {
        let received = match (next.take(), waiting.is_empty()) {
            (Some(succession), _) => Ok(succession),
            (None, true) => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            (None, false) => receiver.recv_timeout(LOOK_INTERVAL),
        };
        match received {
            Ok((retired, successor)) => {
                // Whoever is succeeded in turn has nothing to learn any more.
                next = receiver.try_recv().ok();
                if let Some(successor) = successor.upgrade() {
                    learn(&successor, &retired, &mut || {
                        next = next.take().or_else(|| receiver.try_recv().ok());
                        next.is_none()
                    });
                }
                waiting.push(retired);
            }
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
        let retired = Retired::new(|_, _, _| ());
        let reader = Arc::new(Telltale(sender));
        retired.take(Arc::clone(&reader), Weak::new());
        drop(reader);
        assert_ne!(freed.recv().unwrap(), current().id());
    }

    #[test]
    fn a_successor_learns_until_it_has_one_itself() {
        type Told = (u32, Sender<(u32, u32, bool)>);
        let learn: Learn<Told> = |own, before, goes_on| {
            let all = std::iter::repeat_with(goes_on).take_while(|goes_on| *goes_on && own.0 == 2).count();
            own.1.send((own.0, before.0, all > 0)).unwrap();
        };
        let (sender, told) = channel();
        let [first, second, third] = [1, 2, 3].map(|number| Arc::new((number, sender.clone())));
        let retired = Retired::new(learn);
        retired.take(first, Arc::downgrade(&second));
        // The second would go on for ever.
        retired.take(Arc::clone(&second), Arc::downgrade(&third));
        let (number, before, _) = told.recv().unwrap();
        assert_eq!((number, before), (2, 1));
        let (number, before, _) = told.recv().unwrap();
        assert_eq!((number, before), (3, 2));
    }
}
