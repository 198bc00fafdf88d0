//! A channel to the core's thread, in which sending and waking are apart: a worker sends all events of one turn, and
//! then wakes the thread once. So the thread gets them in one batch, even if it runs on the worker's core and would
//! otherwise interrupt the worker after the first.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
    vec::Drain,
};

/// Returns the two ends of a new channel.
pub(super) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let queue = Queue { items: Vec::new(), is_asleep: false, is_open: true };
    let shared = Arc::new(Shared { queue: Mutex::new(queue), woken: Condvar::new() });
    (Sender(Arc::clone(&shared)), Receiver { shared, taken: Vec::new() })
}

/// The sending end, for any thread.
pub(super) struct Sender<T>(Arc<Shared<T>>);

/// The receiving end.
pub(super) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// A buffer for what is being taken.
    taken: Vec<T>,
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    woken: Condvar,
}

struct Queue<T> {
    items: Vec<T>,
    /// The receiver waits, and nobody has woken it yet.
    is_asleep: bool,
    /// The receiver exists.
    is_open: bool,
}

impl<T> Shared<T> {
    /// Ignores poisoning: no operation under the lock can panic and leave the queue inconsistent.
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Sender<T> {
    /// Sends an item. The receiver gets it when it is next awake: see [`wake`](Self::wake). Without a receiver the item
    /// is dropped.
    pub(super) fn send(&self, item: T) {
        let mut queue = self.0.lock();
        if queue.is_open {
            queue.items.push(item);
        } else {
            // Dropping an item may send again, so it happens outside of the lock.
            drop(queue);
            drop(item);
        }
    }

    /// Wakes the receiver if it waits although there are items.
    pub(super) fn wake(&self) {
        let mut queue = self.0.lock();
        if queue.is_asleep && !queue.items.is_empty() {
            queue.is_asleep = false;
            drop(queue);
            self.0.woken.notify_one();
        }
    }
}

// A derived impl would require `T: Clone`.
impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Receiver<T> {
    /// Takes all items, in the order in which they were sent. If there are none, waits until it is woken, or until
    /// `deadline`.
    pub(super) fn take(&mut self, deadline: Option<Instant>) -> Drain<'_, T> {
        let mut queue = self.shared.lock();
        if let Some(deadline) = deadline
            && queue.items.is_empty()
        {
            queue.is_asleep = true;
            let timeout = deadline.saturating_duration_since(Instant::now());
            let waited = self.shared.woken.wait_timeout_while(queue, timeout, |queue| queue.is_asleep);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            queue.is_asleep = false;
        }
        std::mem::swap(&mut queue.items, &mut self.taken);
        drop(queue);
        self.taken.drain(..)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.is_open = false;
        let rest = std::mem::take(&mut queue.items);
        drop(queue);
        drop(rest);
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    #[test]
    fn a_receiver_that_waits_takes_everything_once_it_is_woken() {
        let (sender, mut receiver) = channel();
        let far = Instant::now() + Duration::from_secs(60);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| receiver.take(Some(far)).collect::<Vec<_>>());
            while !sender.0.lock().is_asleep {
                thread::yield_now();
            }
            sender.wake(); // there is nothing to take, so it waits on
            sender.send(1);
            sender.send(2);
            assert!(sender.0.lock().is_asleep && !waiting.is_finished());
            sender.wake();
            assert_eq!(waiting.join().unwrap(), [1, 2]);
        });
        sender.send(3);
        assert_eq!(receiver.take(Some(far)).collect::<Vec<_>>(), [3], "it does not wait");
        assert_eq!(receiver.take(None).count(), 0);
        assert_eq!(receiver.take(Some(Instant::now())).count(), 0);
    }

    #[test]
    fn without_a_receiver_everything_is_dropped() {
        let (sender, receiver) = channel();
        let item = Arc::new(());
        sender.send(Arc::clone(&item));
        drop(receiver);
        assert_eq!(Arc::strong_count(&item), 1);
        sender.send(Arc::clone(&item));
        sender.wake();
        assert_eq!(Arc::strong_count(&item), 1);
    }
}
