//! Mail to a worker from any thread: a queue that reports when it is full, and one coalesced wake-up.
//!
//! Waking is a system call, so a thread wakes the worker only if it sleeps or is about to. The worker sets a flag
//! before it checks for mail a last time. A thread that posts after this check sees the flag and wakes the worker; mail
//! posted before is found by the check. So mail that a worker posts to itself costs no system call.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    vec::Drain,
};

use super::system::Waker;

/// The sending end, usable from any thread.
#[derive(Debug)]
pub(crate) struct Mailbox<M>(Arc<Shared<M>>);

/// The receiving end, the worker's own.
#[derive(Debug)]
pub(super) struct Inbox<M> {
    shared: Arc<Shared<M>>,
    /// A buffer for the mail that is being taken, and the weight of that mail, which counts until it is handled.
    taken: Vec<M>,
    taken_bytes: usize,
}

#[derive(Debug)]
struct Shared<M> {
    queue: Mutex<Queue<M>>,
    waker: Waker,
    /// The worker waits for readiness or is about to.
    asleep: AtomicBool,
    /// The queue has mail. Written under the lock, read without it.
    has_mail: AtomicBool,
    /// The sum of the weights of the mail, in bytes. Written under the lock, read without it.
    bytes: AtomicUsize,
    limit: usize,
}

#[derive(Debug)]
struct Queue<M> {
    mail: Vec<M>,
    is_open: bool,
}

/// The worker has ended, and the mail is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

pub(super) fn pair<M>(waker: Waker, limit: usize) -> (Inbox<M>, Mailbox<M>) {
    let queue = Mutex::new(Queue { mail: Vec::new(), is_open: true });
    let [asleep, has_mail] = [const { AtomicBool::new(false) }; 2];
    // An empty queue is never full: nobody would read on.
    let limit = limit.max(1);
    let shared = Arc::new(Shared { queue, waker, asleep, has_mail, bytes: AtomicUsize::new(0), limit });
    (Inbox { shared: Arc::clone(&shared), taken: Vec::new(), taken_bytes: 0 }, Mailbox(shared))
}

impl<M> Shared<M> {
    /// Ignores poisoning: no operation under the lock can panic and leave the queue inconsistent.
    fn lock(&self) -> MutexGuard<'_, Queue<M>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> Mailbox<M> {
    /// Posts mail that weighs `bytes`. A full queue takes it too: callers check [`is_full`](Self::is_full) before they
    /// begin an operation that must not stop half-way.
    pub(crate) fn post(&self, mail: M, bytes: usize) -> Result<(), Closed> {
        self.post_all([mail], bytes)
    }

    /// Posts several pieces of mail, which together weigh `bytes`. The worker takes them in one turn.
    pub(crate) fn post_all(&self, mail: impl IntoIterator<Item = M>, bytes: usize) -> Result<(), Closed> {
        let mut queue = self.0.lock();
        if !queue.is_open {
            return Err(Closed);
        }
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        queue.mail.extend(mail);
        self.0.has_mail.store(true, Ordering::SeqCst);
        drop(queue);
        if self.0.asleep.swap(false, Ordering::SeqCst)
            && let Err(error) = self.0.waker.wake()
        {
            log::error!("a worker cannot be woken: {error}");
        }
        Ok(())
    }

    /// Returns whether the queue has reached its limit. Callers then produce no new mail until it is emptied, so only
    /// operations that have already begun can exceed the limit.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting_bytes() >= self.0.limit
    }

    /// Returns the sum of the weights of the mail that waits.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> Inbox<M> {
    /// Makes later posts wake the worker. Called before waiting. Returns whether there is mail already; then the worker
    /// must not wait.
    pub(super) fn prepare_to_sleep(&self) -> bool {
        // `post` writes `has_mail` and then reads `asleep`; here the order is reversed, so one side sees the other.
        self.shared.asleep.store(true, Ordering::SeqCst);
        self.shared.has_mail.load(Ordering::SeqCst)
    }

    pub(super) fn mark_awake(&self) {
        // If a poster sees this late, the cost is one needless wake-up.
        self.shared.asleep.store(false, Ordering::Relaxed);
    }

    /// Takes all mail, in the order in which it was posted. It counts as waiting until [`release`](Self::release).
    pub(super) fn take(&mut self) -> Drain<'_, M> {
        if self.taken.capacity() > MAX_KEPT_MAIL {
            self.taken = Vec::new();
        }
        // Most turns have no mail and need no lock.
        if self.shared.has_mail.load(Ordering::Relaxed) {
            let mut queue = self.shared.lock();
            std::mem::swap(&mut queue.mail, &mut self.taken);
            self.taken_bytes = self.shared.bytes.load(Ordering::Relaxed);
            self.shared.has_mail.store(false, Ordering::Relaxed);
        }
        self.taken.drain(..)
    }

    /// Notes that the mail that was taken is handled.
    pub(super) fn release(&mut self) {
        if self.taken_bytes > 0 {
            self.shared.bytes.fetch_sub(std::mem::take(&mut self.taken_bytes), Ordering::Relaxed);
        }
    }
}

impl<M> Drop for Inbox<M> {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.is_open = false;
        let rest = std::mem::take(&mut queue.mail);
        self.shared.bytes.store(0, Ordering::Relaxed); // no thread should wait for this queue
        // Dropping mail may post again, so it happens outside of the lock.
        drop(queue);
        drop(rest);
    }
}

/// The largest capacity of the buffer that is kept from turn to turn, in items of mail.
const MAX_KEPT_MAIL: usize = 4096;

#[cfg(test)]
mod tests {
    use mio::{Events, Poll, Token};

    use super::*;

    fn mailbox(limit: usize) -> (Poll, Inbox<u32>, Mailbox<u32>) {
        let poll = Poll::new().unwrap();
        let waker = Waker::Mio(mio::Waker::new(poll.registry(), Token(0)).unwrap());
        let (inbox, mailbox) = pair(waker, limit);
        (poll, inbox, mailbox)
    }

    fn wake_ups(poll: &mut Poll) -> usize {
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(std::time::Duration::ZERO)).unwrap();
        events.iter().count()
    }

    #[test]
    fn posts_wake_a_sleeping_worker_once_and_an_awake_one_never() {
        let (mut poll, mut inbox, mailbox) = mailbox(1000);
        mailbox.post(1, 1).unwrap();
        assert_eq!(wake_ups(&mut poll), 0);
        assert!(inbox.prepare_to_sleep(), "there is mail, so it must not wait");
        inbox.mark_awake();
        assert_eq!(inbox.take().collect::<Vec<_>>(), [1]);

        assert!(!inbox.prepare_to_sleep());
        mailbox.post(2, 1).unwrap();
        mailbox.post(3, 1).unwrap();
        assert_eq!(wake_ups(&mut poll), 1);
        inbox.mark_awake();
        assert_eq!(inbox.take().collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_queue_is_full_from_its_limit_on_until_it_is_emptied() {
        let (_poll, mut inbox, mailbox) = mailbox(10);
        mailbox.post(1, 9).unwrap();
        assert!(!mailbox.is_full());
        mailbox.post(2, 1).unwrap();
        assert!(mailbox.is_full());
        inbox.take();
        assert!(mailbox.is_full(), "the mail is not handled yet");
        mailbox.post(5, 2).unwrap();
        inbox.release();
        assert_eq!(mailbox.waiting_bytes(), 2);
        inbox.take();
        inbox.release();
        assert!(!mailbox.is_full());
        mailbox.post(3, 100).unwrap();
        drop(inbox);
        assert_eq!(mailbox.post(4, 0), Err(Closed));
        assert!(!mailbox.is_full(), "a thread that waits for it would never continue");
    }
}
