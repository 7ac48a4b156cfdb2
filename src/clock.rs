//! Time, asked for here and nowhere else, so that a run can be replayed with another clock.

use std::cell::{Cell, OnceCell};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;
use tokio::time::{Sleep, Timeout};

/// Where time comes from.
#[derive(Debug, Default)]
pub struct Clock {
    /// Not 0: Unix milliseconds that stand still, for tests.
    frozen_ms: AtomicI64,
    /// Time is that of the tokio runtime, which may be virtual.
    runtime: Option<Origin>,
}

/// What a runtime's time is counted from.
#[derive(Debug)]
struct Origin {
    at: tokio::time::Instant,
    unix: Duration,
}

/// A moment of the monotonic clock: nanoseconds since some moment before the process began. As an `Instant`, of which each batch
/// of commands would read and compare several, but a single number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tick(u64);

impl Tick {
    /// Now.
    #[inline]
    pub fn now() -> Tick {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Tick(now.tv_sec as u64 * NANOS_PER_SECOND + now.tv_nsec as u64)
    }

    /// How long it is since `earlier`; zero if that is later.
    #[inline]
    pub fn duration_since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// How long it is since then.
    #[inline]
    pub fn elapsed(self) -> Duration {
        Tick::now().duration_since(self)
    }

    #[inline]
    fn nanos_since(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The time as a batch of commands sees it: one reading of the clock ends a command and begins the next.
#[derive(Clone, Copy, Debug)]
pub struct BatchTime {
    now_ms: i64,
    now_read_at: Tick,
    /// When the current command began.
    pub at: Tick,
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MILLISECOND: u64 = 1_000_000;
/// How old the Unix time of a batch may be, nanoseconds.
const NOW_MAX_AGE: u64 = NANOS_PER_MILLISECOND;
/// How long a thread reckons Unix time from one reading of it, nanoseconds: if the system's clock is set, a batch knows after this time.
const READING_MAX_AGE: u64 = 10 * NANOS_PER_MILLISECOND;
/// How far Unix time as a thread reckons it may be behind the system's, nanoseconds.
const READING_MAX_LAG: u64 = 20_000;

thread_local! {
    /// The runtime that keeps this thread's timers, where its own keeps none.
    static TIMERS: OnceCell<Handle> = const { OnceCell::new() };
    /// The system's Unix time at some moment not long ago.
    static READING: Cell<Option<Reading>> = const { Cell::new(None) };
}

/// The system's Unix time and the moment at which it was that late or a little later: what is reckoned from it is never in the
/// future. (A redis-server that is told of a delivery in the future, in XCLAIM, puts its own time in the place.)
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Tick,
    /// Nanoseconds.
    unix: u64,
}

impl Reading {
    /// Of Unix time (nanoseconds) read after `before` and before `after`. None if too long passed between them, because the thread
    /// lost its processor.
    fn new(before: Tick, unix: u64, after: Tick) -> Option<Reading> {
        (after.nanos_since(before) <= READING_MAX_LAG).then_some(Reading { at: after, unix })
    }

    /// Unix time at `now`, nanoseconds. None if the reading is too old.
    #[inline]
    fn unix_at(self, now: Tick) -> Option<u64> {
        let age = now.nanos_since(self.at);
        (age < READING_MAX_AGE).then(|| self.unix + age)
    }
}

/// Has `runtime` keep the timers of this thread. A runtime without timers of its own reads no clock when it sleeps and wakes, which
/// for an I/O thread is with almost every request.
pub fn keep_timers_on(runtime: Handle) {
    TIMERS.with(|timers| timers.set(runtime).expect("a thread asks for this once"));
}

#[expect(clippy::disallowed_methods, reason = "this is what stands for them")]
mod timers {
    use super::*;

    fn with_timers<T>(make: impl FnOnce() -> T) -> T {
        TIMERS.with(|timers| {
            let _entered = timers.get().map(Handle::enter);
            make()
        })
    }

    /// Waits so long.
    pub fn sleep(time: Duration) -> Sleep {
        with_timers(|| tokio::time::sleep(time))
    }

    /// Waits for `future`, but no longer than this.
    pub fn timeout<F: Future>(time: Duration, future: F) -> Timeout<F> {
        with_timers(|| tokio::time::timeout(time, future))
    }

    /// Waits for `future`, but not beyond this moment.
    pub fn timeout_at<F: Future>(end: tokio::time::Instant, future: F) -> Timeout<F> {
        with_timers(|| tokio::time::timeout_at(end, future))
    }
}
pub use timers::{sleep, timeout, timeout_at};

impl BatchTime {
    /// A batch begins.
    pub fn begin(clock: &Clock) -> BatchTime {
        let at = clock.instant();
        crate::hold::mark(at);
        BatchTime { now_ms: clock.ms_at(at), now_read_at: at, at }
    }

    /// Unix time in milliseconds at the current command's beginning.
    #[inline]
    pub fn now_ms(&mut self, clock: &Clock) -> i64 {
        if self.at.nanos_since(self.now_read_at) > NOW_MAX_AGE {
            (self.now_ms, self.now_read_at) = (clock.ms_at(self.at), self.at);
        }
        self.now_ms
    }

    /// A command has ended and the next begins. Returns how long it took.
    #[inline]
    pub fn next(&mut self, clock: &Clock) -> Duration {
        let ended = clock.instant();
        ended.duration_since(std::mem::replace(&mut self.at, ended))
    }
}

impl Clock {
    /// A clock that shows `unix_ms` now and goes on with the runtime's time from here on.
    pub fn of_runtime(unix_ms: u64) -> Clock {
        let origin = Origin { at: tokio::time::Instant::now(), unix: Duration::from_millis(unix_ms) };
        Clock { frozen_ms: AtomicI64::new(0), runtime: Some(origin) }
    }

    /// Unix time in milliseconds.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        match self.frozen_ms.load(Ordering::Relaxed) {
            0 => self.unix_time().as_millis() as i64,
            frozen => frozen,
        }
    }

    /// Unix time in milliseconds at `now`, which has been read just now: spares most of the readings of the second clock.
    #[inline]
    fn ms_at(&self, now: Tick) -> i64 {
        if self.runtime.is_some() || self.frozen_ms.load(Ordering::Relaxed) != 0 {
            return self.now_ms();
        }
        let reckoned = READING.get().and_then(|reading| reading.unix_at(now));
        let unix = reckoned.unwrap_or_else(|| {
            let unix = self.unix_time().as_nanos() as u64;
            READING.set(Reading::new(now, unix, self.instant()));
            unix
        });
        (unix / NANOS_PER_MILLISECOND) as i64
    }

    /// Unix time in microseconds.
    pub fn now_us(&self) -> i64 {
        match self.frozen_ms.load(Ordering::Relaxed) {
            0 => self.unix_time().as_micros() as i64,
            frozen => frozen * 1000,
        }
    }

    /// Makes time stand still at `ms` (0: lets it run again).
    pub fn freeze(&self, ms: i64) {
        self.frozen_ms.store(ms, Ordering::Relaxed);
    }

    /// A point in time for measuring how long something takes.
    #[inline]
    pub fn instant(&self) -> Tick {
        Tick::now()
    }

    #[inline]
    fn unix_time(&self) -> Duration {
        match &self.runtime {
            None => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            Some(origin) => origin.unix + origin.at.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However a thread is interrupted while it reads the clock, it never reckons a time that is yet to come.
    #[test]
    fn reckoned_time_is_never_in_the_future() {
        let start = Tick(77_000_000_000);
        let later = |tick: Tick, micros: u64| Tick(tick.0 + micros * 1000);
        let true_unix = |at: Tick| 1_800_000_000 * NANOS_PER_SECOND + at.nanos_since(start);
        for (to_unix, to_after) in [(0, 0), (1, 1), (0, 20), (20, 0), (5000, 1), (1, 5000)] {
            let read_at = later(start, to_unix);
            let after = later(read_at, to_after);
            let reading = Reading::new(start, true_unix(read_at), after);
            assert_eq!(reading.is_some(), to_unix + to_after <= 20, "{to_unix} {to_after}");
            for now in [after, later(after, 1), later(after, 9999)] {
                let Some(reckoned) = reading.and_then(|reading| reading.unix_at(now)) else { continue };
                assert!(reckoned <= true_unix(now), "{to_unix} {to_after}: {reckoned} at {now:?}");
                assert!(reckoned + READING_MAX_LAG >= true_unix(now), "{to_unix} {to_after}: {reckoned}");
            }
            assert_eq!(reading.and_then(|reading| reading.unix_at(later(after, 10_000))), None);
        }
    }
}
