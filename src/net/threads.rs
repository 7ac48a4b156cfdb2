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
        Ok(IoThreads { threads, stop })
    }

    /// Number of threads.
    pub fn len(&self) -> usize {
        self.threads.len()
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// Runs a connection on the thread with the fewest.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(&self, run: impl FnOnce(Place) -> F) {
        let thread =
            self.threads.iter().min_by_key(|thread| thread.load.load(Relaxed)).expect("at least one");
        thread.load.fetch_add(1, Relaxed);
        thread.runtime.spawn(run(Place(thread.load.clone())));
    }

    /// Ends all threads and their connections.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
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
