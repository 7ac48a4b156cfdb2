//! How long a thread has worked while it held locks.
//!
//! INFO's `lock_hold_max_usec` tells the longest piece of work that was done under shard locks. What the clock on the wall
//! shows is that piece and whatever time the scheduler gave to others meanwhile; on a busy machine the latter is many times the
//! former and says nothing about the server. Reading the thread's own processor time costs a system call, too much
//! for every command. So each thread keeps a mark, the processor's time at most [`MARK_MAX_AGE`] before a batch, and only a
//! hold that looks long is held against it: what the thread has worked since the mark is the most that the hold can have been.

use crate::clock::Tick;
use nix::sys::time::TimeValLike as _;
use nix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::time::Duration;

/// How old a mark may be when a batch or a slice begins: what a hold may be overestimated by.
const MARK_MAX_AGE: Duration = Duration::from_micros(200);
/// Holds up to this are taken for what the wall's clock says.
const LOOKS_LONG: Duration = Duration::from_micros(300);

thread_local! {
    static MARK: Cell<Option<(Tick, Duration)>> = const { Cell::new(None) };
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map_or(Duration::ZERO, |time| Duration::from_nanos(time.num_nanoseconds().max(0) as u64))
}

/// A batch of commands, or a slice of background work, begins at `now`.
#[inline]
pub fn mark(now: Tick) {
    let fresh = MARK.get().is_some_and(|(at, _)| now.duration_since(at) < MARK_MAX_AGE);
    if !fresh {
        MARK.set(Some((now, processor_time())));
    }
}

/// How long a hold was that took `wall` by the wall's clock and ends now: not longer, and hardly shorter.
#[inline]
pub fn worked(wall: Duration) -> Duration {
    if wall < LOOKS_LONG { wall } else { worked_since_mark(wall) }
}

#[cold]
fn worked_since_mark(wall: Duration) -> Duration {
    let now = processor_time();
    // The next hold of the same batch has this for its mark.
    match MARK.replace(Some((Tick::now(), now))) {
        Some((_, marked)) => wall.min(now.saturating_sub(marked)),
        None => wall,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_is_not_working() {
        let begin = Tick::now();
        mark(begin);
        std::thread::sleep(Duration::from_millis(20));
        assert!(worked(begin.elapsed()) < Duration::from_millis(15));
    }

    #[test]
    fn sleeping_again_is_not_working_either() {
        mark(Tick::now());
        for _ in 0..2 {
            let begin = Tick::now();
            std::thread::sleep(Duration::from_millis(20));
            assert!(worked(begin.elapsed()) < Duration::from_millis(15));
        }
    }

    #[test]
    fn working_is() {
        let begin = Tick::now();
        mark(begin);
        let start = processor_time();
        let mut sum = 0_u64;
        while processor_time() - start < Duration::from_millis(5) {
            sum = std::hint::black_box(sum + 1);
        }
        let wall = begin.elapsed();
        assert!((Duration::from_millis(5)..=wall).contains(&worked(wall)));
    }
}
