//! One waker for the two tasks that may wait for one stream.
//!
//! A stream keeps one waker for each direction. But the task that receives also writes (Pongs, the answer to a Close),
//! and with TLS a read may write. So every call of the stream gets the same waker, which wakes both tasks.

use std::{
    sync::Arc,
    task::{Wake, Waker},
};

use atomic_waker::AtomicWaker;

/// The tasks that wait for the connection.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// The task that receives.
    pub(crate) receiving: AtomicWaker,
    /// The task that sends.
    pub(crate) sending: AtomicWaker,
}

impl Wakers {
    /// Returns the wakers, and the one that wakes both.
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let wakers = Arc::new(Self::default());
        (Arc::clone(&wakers), Waker::from(wakers))
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.receiving.wake();
        self.sending.wake();
    }
}
