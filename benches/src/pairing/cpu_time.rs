//! The processor time of this thread: what others do on the same core meanwhile is not in it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What this thread has used until now.
pub(super) fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("processor time is not negative")
}

/// What `work` takes.
pub(super) fn measure<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = thread_cpu_time();
    let result = work();
    (result, thread_cpu_time() - start)
}
