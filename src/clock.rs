//! Time, asked for here and nowhere else, so that a run can be replayed with another clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    #[inline]
    fn unix_time(&self) -> Duration {
        match &self.runtime {
            None => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            Some(origin) => origin.unix + origin.at.elapsed(),
        }
    }
}
