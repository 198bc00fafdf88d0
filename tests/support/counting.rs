//! An allocator that counts allocations per thread, so that tests that run at the same time do not affect each other.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// The system's allocator with counters for each thread. A test program that measures memory declares it as its
/// `#[global_allocator]`.
pub struct CountingAllocator;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(calls: usize, bytes: isize) {
    // An ending thread may free memory after its counters are gone.
    let _ = CALLS.try_with(|cell| cell.set(cell.get() + calls));
    let live = LIVE.try_with(|cell| {
        cell.set(cell.get() + bytes);
        cell.get()
    });
    let _ = PEAK.try_with(|cell| cell.set(cell.get().max(live.unwrap_or(0))));
}

// SAFETY: every call goes to the system's allocator with the same arguments.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(1, new_size as isize - layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// The allocations of some work, and the most bytes held at once beyond those held before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub calls: usize,
    pub peak: isize,
}

/// Returns what `work` allocates on this thread.
pub fn cost(work: impl FnOnce()) -> Cost {
    let (calls, live) = (CALLS.get(), LIVE.get());
    PEAK.set(live);
    work();
    Cost { calls: CALLS.get() - calls, peak: PEAK.get() - live }
}

/// The cost of work that allocates nothing.
pub const NOTHING: Cost = Cost { calls: 0, peak: 0 };

/// The number of this thread's allocations so far.
pub fn calls() -> usize {
    CALLS.get()
}

/// The bytes that this thread has allocated and not freed.
pub fn live() -> isize {
    LIVE.get()
}
