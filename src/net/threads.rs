//! The I/O threads: each a current-thread runtime that owns its connections.

use super::outbox;
use crate::clock;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// Handles to the I/O threads.
pub struct IoThreads {
    threads: Vec<Thread>,
    /// Which thread was given the last connection.
    last: AtomicUsize,
    stop: watch::Sender<bool>,
}

struct Thread {
    runtime: Handle,
    load: Arc<AtomicUsize>,
}

/// A connection's place on a thread; given back when dropped.
pub struct Place(Arc<AtomicUsize>);

impl Place {
    /// A place on no thread of ours.
    pub fn elsewhere() -> Place {
        Place(Arc::new(AtomicUsize::new(1)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl IoThreads {
    /// Starts `count` threads. Their timers are kept by `timers`, a runtime that must outlive them.
    ///
    /// # Errors
    /// When a thread or its reactor cannot be made.
    pub fn start(count: usize, timers: &Handle) -> io::Result<IoThreads> {
        let (stop, _) = watch::channel(false);
        let start = |number| start_thread(number, stop.subscribe(), timers.clone());
        let threads = (0..count).map(start).collect::<io::Result<_>>()?;
        Ok(IoThreads { threads, last: AtomicUsize::new(count - 1), stop })
    }

    /// Number of threads.
    pub fn len(&self) -> usize {
        self.threads.len()
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// Runs a connection on the thread with the fewest; of several such, on the next in turn.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(&self, run: impl FnOnce(Place) -> F) {
        let loads = self.threads.iter().map(|thread| thread.load.load(Relaxed));
        let chosen = least_loaded(loads, self.last.load(Relaxed));
        self.last.store(chosen, Relaxed);
        let thread = &self.threads[chosen];
        thread.load.fetch_add(1, Relaxed);
        thread.runtime.spawn(run(Place(thread.load.clone())));
    }

    /// Ends all threads and their connections.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// The index of the least of these loads; of several that are equal, the first behind `last`, and then from the beginning. Connections
/// that come one after the other belong to one program as a rule, and are busy together: they go to different threads.
fn least_loaded(loads: impl Iterator<Item = usize>, last: usize) -> usize {
    let least = loads.enumerate().min_by_key(|(at, load)| (*load, *at <= last, *at));
    least.expect("there is at least one thread").0
}

fn start_thread(number: usize, mut stop: watch::Receiver<bool>, timers: Handle) -> io::Result<Thread> {
    let runtime = outbox::attend(Builder::new_current_thread().enable_io()).build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new().name(format!("io_thd_{number}")).spawn(move || {
        clock::keep_timers_on(timers);
        runtime.block_on(async {
            // An error says that the sender is gone, which is a stop as well.
            let _ = stop.wait_for(|stop| *stop).await;
        });
        outbox::send_all();
    })?;
    Ok(Thread { runtime: handle, load: Arc::default() })
}

#[cfg(test)]
mod tests {
    use super::least_loaded;

    #[test]
    fn the_least_loaded_thread_is_next_and_equals_take_turns() {
        for (loads, last, expected) in [
            (&[0][..], 0, 0),
            (&[0, 0, 0], 2, 0),
            (&[1, 0, 0], 0, 1),
            (&[1, 1, 1], 0, 1),
            (&[1, 1, 1], 2, 0),
            (&[1, 1], 0, 1),
            (&[2, 1, 1], 2, 1),
            (&[2, 1, 3], 0, 1),
            (&[0, 1, 3], 1, 0),
        ] {
            assert_eq!(least_loaded(loads.iter().copied(), last), expected, "{loads:?} {last}");
        }
    }
}
