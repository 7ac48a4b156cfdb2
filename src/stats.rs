//! Counters: what INFO stats, commandstats and errorstats show.
//!
//! Each I/O thread counts for itself, in its own cache lines, with plain loads and stores of relaxed atomics; INFO sums up.

use crate::command::{Command, table};
use crate::error::Error;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::ThreadId;
use std::time::Duration;

/// A counter with one writer.
#[derive(Default, Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the owning thread may.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed) + n, Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One command's counters.
#[derive(Default, Debug)]
pub struct CommandCounters {
    pub calls: Counter,
    pub nanos: Counter,
    pub rejected: Counter,
    pub failed: Counter,
}

/// One thread's counters.
#[derive(Debug)]
pub struct ThreadStats {
    /// By command id; 0 is unused.
    pub commands: Vec<CommandCounters>,
    pub connections: Counter,
    pub commands_processed: Counter,
    pub net_input_bytes: Counter,
    pub net_output_bytes: Counter,
    pub reads: Counter,
    pub writes: Counter,
}

impl ThreadStats {
    /// All counters, always in the same order.
    fn counters(&self) -> impl Iterator<Item = &Counter> {
        let commands = self.commands.iter().flat_map(|command| {
            [&command.calls, &command.nanos, &command.rejected, &command.failed].into_iter()
        });
        let threads = [&self.connections, &self.commands_processed, &self.net_input_bytes];
        commands.chain(threads).chain([&self.net_output_bytes, &self.reads, &self.writes])
    }

    fn new() -> ThreadStats {
        ThreadStats {
            commands: (0..=table().count()).map(|_| CommandCounters::default()).collect(),
            connections: Counter::default(),
            commands_processed: Counter::default(),
            net_input_bytes: Counter::default(),
            net_output_bytes: Counter::default(),
            reads: Counter::default(),
            writes: Counter::default(),
        }
    }
}

/// All counters.
#[derive(Default, Debug)]
pub struct Stats {
    threads: Mutex<Vec<(ThreadId, Arc<ThreadStats>)>>,
    /// What the threads had counted at CONFIG RESETSTAT, which is subtracted: a thread's counters have one writer, and it
    /// is not the one that resets.
    baseline: Mutex<Option<ThreadStats>>,
    errors: Mutex<BTreeMap<String, u64>>,
    lock_hold_max_ns: AtomicU64,
    pub rejected_connections: AtomicU64,
    pub sync_full: AtomicU64,
    pub sync_partial_ok: AtomicU64,
    pub sync_partial_err: AtomicU64,
    /// Snapshots and streams; the threads' own bytes do not include them.
    pub repl_input_bytes: AtomicU64,
    pub repl_output_bytes: AtomicU64,
    pub unexpected_errors: AtomicU64,
    /// Packed blocks of payloads that were to be looked at closely.
    pub sanitized_blocks: AtomicU64,
    /// What active expiry has taken, nanoseconds.
    pub expire_cycle_ns: AtomicU64,
    /// AUTH and HELLO with what is no user's password.
    pub denied_auths: AtomicU64,
    /// The largest request, and the most that waited to be sent, to any one client.
    pub recent_input: Recent,
    pub recent_output: Recent,
    /// The most that was ever allocated, bytes, as far as samples tell.
    peak_memory: AtomicU64,
    /// What was allocated before the data set, bytes.
    pub startup_memory: AtomicU64,
    rates: Mutex<Rates>,
}

/// Samples per average, as many as Redis keeps.
const SAMPLES: usize = 16;

/// Averages over the last samples.
#[derive(Default, Debug)]
struct Rates {
    last_ms: i64,
    last: [u64; 5],
    per_sec: [[u64; SAMPLES]; 5],
    at: usize,
}

/// Seconds that [`Recent`] looks back, one of them just begun; as many as Redis's.
const RECENT_SECS: usize = 8;

/// The largest number of the last seconds.
#[derive(Default, Debug)]
pub struct Recent {
    largest: [AtomicU64; RECENT_SECS],
}

impl Recent {
    /// A number that was met now.
    pub fn note(&self, now_ms: i64, n: u64) {
        let largest = self.of_second(now_ms / 1000);
        if n > largest.load(Relaxed) {
            largest.fetch_max(n, Relaxed);
        }
    }

    /// Makes room for the next second; to be called in each.
    pub fn forget_oldest(&self, now_ms: i64) {
        self.of_second(now_ms / 1000 + 1).store(0, Relaxed);
    }

    /// The largest of them.
    pub fn largest(&self) -> u64 {
        self.largest.iter().map(|largest| largest.load(Relaxed)).max().unwrap_or(0)
    }

    fn of_second(&self, second: i64) -> &AtomicU64 {
        &self.largest[second.rem_euclid(RECENT_SECS as i64) as usize]
    }
}

/// What is measured per second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rate {
    Commands,
    Input,
    Output,
    ReplInput,
    ReplOutput,
}

thread_local! {
    static MINE: RefCell<Option<(usize, Arc<ThreadStats>)>> = const { RefCell::new(None) };
}

impl Stats {
    /// Calls `f` with this thread's counters.
    #[inline]
    pub fn here<R>(&self, f: impl FnOnce(&ThreadStats) -> R) -> R {
        let me = std::ptr::from_ref(self).addr();
        MINE.with_borrow_mut(|mine| match mine {
            Some((owner, stats)) if *owner == me => f(stats),
            _ => {
                let stats = self.of_this_thread();
                let result = f(&stats);
                *mine = Some((me, stats));
                result
            }
        })
    }

    /// A sum over all threads since the last [`Stats::reset`].
    pub fn total(&self, of: impl Fn(&ThreadStats) -> u64) -> u64 {
        let before = self.baseline.lock().as_ref().map_or(0, &of);
        self.sum(of).saturating_sub(before)
    }

    /// Begins to count from zero (CONFIG RESETSTAT). The memory's peak, what was largest recently, denied clients and the shards'
    /// counters stay.
    pub fn reset(&self) {
        let sums = ThreadStats::new();
        for (_, thread) in self.threads.lock().iter() {
            sums.counters().zip(thread.counters()).for_each(|(sum, counter)| sum.add(counter.get()));
        }
        *self.baseline.lock() = Some(sums);
        self.errors.lock().clear();
        let plain = [&self.lock_hold_max_ns, &self.rejected_connections, &self.sync_full];
        let plain = plain.into_iter().chain([&self.sync_partial_ok, &self.sync_partial_err]);
        let plain = plain.chain([&self.repl_input_bytes, &self.repl_output_bytes, &self.unexpected_errors]);
        let plain = plain.chain([&self.sanitized_blocks, &self.expire_cycle_ns]);
        plain.for_each(|counter| counter.store(0, Relaxed));
        *self.rates.lock() = Rates::default();
    }

    /// So many bytes are allocated. Returns the most that ever were.
    pub fn note_memory(&self, used_bytes: u64) -> u64 {
        self.peak_memory.fetch_max(used_bytes, Relaxed).max(used_bytes)
    }

    /// A thread that works for several servers (a simulation) comes here each time that it turns to another.
    fn of_this_thread(&self) -> Arc<ThreadStats> {
        let me = std::thread::current().id();
        let mut threads = self.threads.lock();
        if let Some((_, stats)) = threads.iter().find(|(id, _)| *id == me) {
            return stats.clone();
        }
        let stats = Arc::new(ThreadStats::new());
        threads.push((me, stats.clone()));
        stats
    }

    /// A sum over all threads.
    fn sum(&self, of: impl Fn(&ThreadStats) -> u64) -> u64 {
        self.threads.lock().iter().map(|(_, stats)| of(stats)).sum()
    }

    /// A command has run.
    #[inline]
    pub fn ran(&self, command: &Command, took: Duration, error: Option<&Error>) {
        self.here(|stats| {
            stats.commands_processed.add(1);
            let counters = &stats.commands[command.id];
            counters.calls.add(1);
            counters.nanos.add(took.as_nanos() as u64);
            if error.is_some() {
                counters.failed.add(1);
            }
        });
        if let Some(error) = error {
            self.count_error(error);
        }
    }

    /// The command of this number, which takes its time and was counted when it began, has failed.
    pub fn failed(&self, command: usize, error: &Error) {
        self.here(|stats| stats.commands[command].failed.add(1));
        self.count_error(error);
    }

    /// A request was refused before its command ran.
    pub fn rejected(&self, command: Option<&Command>, error: &Error) {
        if let Some(command) = command {
            self.here(|stats| stats.commands[command.id].rejected.add(1));
        }
        self.count_error(error);
    }

    fn count_error(&self, error: &Error) {
        *self.errors.lock().entry(error.code().to_string()).or_default() += 1;
    }

    /// Error replies by code.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().clone()
    }

    /// Takes a sample for the averages.
    pub fn sample(&self, now_ms: i64) {
        self.note_memory(crate::memory::used_bytes());
        let (repl_input, repl_output) =
            (self.repl_input_bytes.load(Relaxed), self.repl_output_bytes.load(Relaxed));
        let now = [
            self.sum(|stats| stats.commands_processed.get()),
            self.sum(|stats| stats.net_input_bytes.get()) + repl_input,
            self.sum(|stats| stats.net_output_bytes.get()) + repl_output,
            repl_input,
            repl_output,
        ];
        let mut rates = self.rates.lock();
        let elapsed_ms = now_ms - rates.last_ms;
        if rates.last_ms > 0 && elapsed_ms > 0 {
            let at = rates.at;
            for (rate, now) in now.iter().enumerate() {
                rates.per_sec[rate][at] = now.saturating_sub(rates.last[rate]) * 1000 / elapsed_ms as u64;
            }
            rates.at = (at + 1) % SAMPLES;
        }
        rates.last = now;
        rates.last_ms = now_ms;
    }

    /// An average per second.
    pub fn rate(&self, rate: Rate) -> u64 {
        let rates = self.rates.lock();
        rates.per_sec[rate as usize].iter().sum::<u64>() / SAMPLES as u64
    }

    /// Shards were held for so long, by the wall's clock, until now (see `crate::hold`).
    #[inline]
    pub fn record_lock(&self, wall: Duration) {
        if wall.as_nanos() as u64 <= self.lock_hold_max_ns.load(Relaxed) {
            return;
        }
        let nanos = crate::hold::worked(wall).as_nanos() as u64;
        if nanos > self.lock_hold_max_ns.load(Relaxed) {
            self.lock_hold_max_ns.fetch_max(nanos, Relaxed);
        }
    }

    /// The longest piece of work that was done while shards were held, in microseconds.
    pub fn lock_hold_max_usec(&self) -> u64 {
        self.lock_hold_max_ns.load(Relaxed).div_ceil(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_of_bytes_include_replication() {
        let stats = Stats::default();
        stats.sample(1000);
        stats.here(|here| here.net_input_bytes.add(160));
        stats.repl_input_bytes.fetch_add(1600, Relaxed);
        stats.repl_output_bytes.fetch_add(320, Relaxed);
        stats.sample(2000);
        let rates = [Rate::Input, Rate::Output, Rate::ReplInput, Rate::ReplOutput];
        assert_eq!(rates.map(|rate| stats.rate(rate)), [110, 20, 100, 20]);
        stats.reset();
        assert_eq!(rates.map(|rate| stats.rate(rate)), [0; 4]);
        stats.sample(3000);
        assert_eq!(rates.map(|rate| stats.rate(rate)), [0; 4], "what was counted before is no news");
    }

    #[test]
    fn the_largest_is_forgotten_after_a_while() {
        let recent = Recent::default();
        recent.note(10_500, 7);
        recent.note(10_600, 5);
        for second in 11..=16 {
            recent.forget_oldest(second * 1000);
            assert_eq!(recent.largest(), 7, "{second}");
        }
        recent.note(16_000, 3);
        recent.forget_oldest(17_000);
        assert_eq!(recent.largest(), 3);
    }
}
