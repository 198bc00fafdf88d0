//! An allocator that counts what each thread asks of it, so that tests side by side do not count each other's.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// The system's allocator, with a count of what this thread asks of it. A test program that measures memory declares
/// it as its `#[global_allocator]`.
pub struct CountingAllocator;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(calls: usize, bytes: isize) {
    // A thread that ends may free after its counters are gone; nothing is measured then.
    let _ = CALLS.try_with(|cell| cell.set(cell.get() + calls));
    let live = LIVE.try_with(|cell| {
        cell.set(cell.get() + bytes);
        cell.get()
    });
    let _ = PEAK.try_with(|cell| cell.set(cell.get().max(live.unwrap_or(0))));
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
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

/// Calls for memory, and the most bytes held at once beyond those held before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub calls: usize,
    pub peak: isize,
}

pub fn cost(work: impl FnOnce()) -> Cost {
    let (calls, live) = (CALLS.get(), LIVE.get());
    PEAK.set(live);
    work();
    Cost { calls: CALLS.get() - calls, peak: PEAK.get() - live }
}

pub const NOTHING: Cost = Cost { calls: 0, peak: 0 };

/// How often this thread has asked for memory.
pub fn calls() -> usize {
    CALLS.get()
}

/// Bytes that this thread holds.
pub fn live() -> isize {
    LIVE.get()
}
