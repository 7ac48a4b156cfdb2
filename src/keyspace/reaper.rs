//! Freeing large things elsewhere: a background thread drops what would take long to drop under a lock.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

/// A handle to the freeing thread. Cloned into every shard.
#[derive(Clone)]
pub struct Reaper {
    graves: Sender<Box<dyn Any + Send>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    pending: AtomicUsize,
    freed: AtomicUsize,
}

impl Reaper {
    /// Starts the thread; it ends when the last handle is dropped.
    pub fn start() -> Reaper {
        let (graves, queue) = channel::<Box<dyn Any + Send>>();
        let counts = Arc::new(Counts::default());
        let mine = counts.clone();
        std::thread::Builder::new()
            .name("bio_lazy_free".into())
            .spawn(move || {
                for grave in queue {
                    drop(grave);
                    mine.pending.fetch_sub(1, Ordering::Relaxed);
                    mine.freed.fetch_add(1, Ordering::Relaxed);
                }
            })
            .expect("a thread can be started");
        Reaper { graves, counts }
    }

    /// Drops `what` on the thread.
    pub fn bury(&self, what: impl Any + Send) {
        self.counts.pending.fetch_add(1, Ordering::Relaxed);
        // Without the thread (shutdown) it is dropped here.
        let _ = self.graves.send(Box::new(what));
    }

    /// Objects that wait to be freed (INFO lazyfree_pending_objects).
    pub fn pending(&self) -> usize {
        self.counts.pending.load(Ordering::Relaxed)
    }

    /// Counts those that are freed from zero on (CONFIG RESETSTAT).
    pub fn reset(&self) {
        self.counts.freed.store(0, Ordering::Relaxed);
    }

    /// Objects freed so far (INFO lazyfreed_objects).
    pub fn freed(&self) -> usize {
        self.counts.freed.load(Ordering::Relaxed)
    }
}
