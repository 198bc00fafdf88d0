//! Threads for work that would block an event loop.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Sender},
    },
    thread,
};

type Task = Box<dyn FnOnce() + Send>;

/// Threads for work that would block an event loop, such as a query of a database, with a bounded queue. Cheap to clone.
///
/// A result goes back to a connection by [`Remote::tell`](super::Remote::tell), or by a
/// [`Responder`](super::Responder), a [`Verdict`](super::Verdict) or an `Ack` that the task owns. A task that panics is
/// logged, and its thread goes on with the next one.
///
/// The threads end when the last clone is dropped and nothing waits any more.
///
/// # Examples
/// A login that takes a while. If more wait than the queue holds, the client is to come back later:
///
/// ```
/// use switchboard::{App, Context, Handshake, Message, Rejection, TaskPool, Verdict};
///
/// struct Slow(TaskPool);
///
/// fn user_of(token: Option<String>) -> Option<String> {
///     token // a query of a database
/// }
///
/// impl App for Slow {
///     type Peer = String;
///     type Told = std::convert::Infallible;
///
///     fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<String>) {
///         let token = handshake.request.query().map(str::to_owned);
///         let task = move |verdict: Verdict<String>| match user_of(token) {
///             Some(user) => verdict.accept(user),
///             None => verdict.reject(Rejection::new(401)),
///         };
///         if let Err(verdict) = self.0.run_with(verdict, task) {
///             verdict.reject(Rejection::new(503).header("Retry-After", "5"));
///         }
///     }
///
///     fn message(&mut self, user: &mut String, _: Message<'_>, context: &mut Context<'_>) {
///         context.send(Message::Text(user));
///     }
/// }
///
/// let tasks = TaskPool::start(4, 1000)?;
/// let make_app = move |_: &switchboard::Remote| Slow(tasks.clone()); // for `Server::start`
/// # let _ = make_app;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct TaskPool {
    queue: Sender<Task>,
    /// How many tasks are in it.
    waiting: Arc<AtomicUsize>,
    max_waiting: usize,
}

/// The error of [`TaskPool::run`]: as many tasks wait as the queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TaskPoolFull;

impl fmt::Display for TaskPoolFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many tasks wait already")
    }
}

impl std::error::Error for TaskPoolFull {}

impl TaskPool {
    /// Starts this many threads, at least one, with a queue of at most `max_waiting` tasks.
    ///
    /// # Errors
    /// The system's error if a thread cannot be started.
    pub fn start(threads: usize, max_waiting: usize) -> io::Result<Self> {
        let (queue, tasks) = mpsc::channel::<Task>();
        let (tasks, waiting) = (Arc::new(Mutex::new(tasks)), Arc::new(AtomicUsize::new(0)));
        for number in 0..threads.max(1) {
            let (tasks, waiting) = (Arc::clone(&tasks), Arc::clone(&waiting));
            // One thread waits for a task, and the others for that thread.
            let next = move || tasks.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
            let work = move || {
                while let Some(task) = next() {
                    waiting.fetch_sub(1, Relaxed);
                    if catch_unwind(AssertUnwindSafe(task)).is_err() {
                        log::error!("a task panicked");
                    }
                }
            };
            thread::Builder::new().name(format!("task-{number}")).spawn(work)?;
        }
        Ok(Self { queue, waiting, max_waiting })
    }

    /// Lets a thread of the pool run the task, when those before it are done. Returns at once.
    ///
    /// # Errors
    /// [`TaskPoolFull`]. The task is dropped.
    pub fn run(&self, task: impl FnOnce() + Send + 'static) -> Result<(), TaskPoolFull> {
        self.run_with((), move |()| task()).map_err(|()| TaskPoolFull)
    }

    /// As [`run`](Self::run), with a value for the task, such as what it has to answer.
    ///
    /// # Errors
    /// The value, if the queue is full.
    pub fn run_with<T: Send + 'static>(&self, value: T, task: impl FnOnce(T) + Send + 'static) -> Result<(), T> {
        if self.waiting.fetch_add(1, Relaxed) >= self.max_waiting {
            self.waiting.fetch_sub(1, Relaxed);
            return Err(value);
        }
        // The threads end after the last handle.
        let _ = self.queue.send(Box::new(move || task(value)));
        Ok(())
    }

    /// Returns how many tasks wait for a thread.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }
}

impl fmt::Debug for TaskPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskPool")
            .field("waiting", &self.waiting())
            .field("max_waiting", &self.max_waiting)
            .finish_non_exhaustive()
    }
}
