//! How much memory a piece of work holds at most: an allocator that counts, for each thread by
//! itself.

#![expect(
    unsafe_code,
    reason = "an allocator is an unsafe trait; every call is passed on to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    /// Bytes held now, against when this thread began; others may free what it took.
    static HELD: Cell<isize> = const { Cell::new(0) };
    /// The most that were held since the last measurement began.
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // A thread that ends has no counters any more, and nobody measures it.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        PEAK.try_with(|peak| peak.set(peak.get().max(held.get())))
    });
}

// SAFETY: every call goes to `System` with the arguments that came, which the caller vouches for.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may exist while the bytes are copied.
        count(size as isize);
        // SAFETY: as above.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        count(-(layout.size() as isize));
        moved
    }
}

/// Does `work` and tells how many bytes more than before it held at most.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, usize::try_from(PEAK.get() - before).unwrap_or(0))
}

/// What reading `len` foreign bytes may take. Issue 2; the head of `earshot_proto::wire`.
pub(crate) const fn allowed(len: usize) -> usize {
    4 * len + 4096
}

#[test]
fn what_is_held_for_a_moment_is_counted() {
    let (_, peak) = peak_of(|| drop(vec![1_u8; 50_000]));
    assert!((50_000..51_000).contains(&peak), "{peak}");
    let (_, grown) = peak_of(|| vec![0_u8; 20_000].repeat(1).len());
    assert!(grown >= 20_000, "{grown}");
    let (_, nothing) = peak_of(|| 7);
    assert_eq!(nothing, 0);
}
