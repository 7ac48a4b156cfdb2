//! What a server takes from the world around it: time, chance, the network, threads, a directory.
//!
//! In production they are the system's. A simulation hands in its own, and a whole cluster runs in one thread, in virtual
//! time, from a seed; so nothing else in the crate may ask the system for any of these. There is one server code: what
//! is simulated lies below it, not beside it.

use crate::clock::Clock;
use crate::net::simulated::Network;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The world of one server.
pub struct World {
    pub clock: Clock,
    pub entropy: Entropy,
    pub network: Network,
    pub background: Background,
    /// Where the RDB file is.
    pub directory: PathBuf,
}

impl Default for World {
    /// The real one, in the process's current directory.
    fn default() -> World {
        World {
            clock: Clock::default(),
            entropy: Entropy::default(),
            network: Network::default(),
            background: Background::default(),
            directory: PathBuf::from("."),
        }
    }
}

/// Where random numbers come from.
#[derive(Debug, Default)]
pub enum Entropy {
    /// The operating system's: nobody can guess them.
    #[default]
    System,
    /// A seed's: the same ones in every run.
    Seeded(AtomicU64),
}

impl Entropy {
    /// The numbers of a seed.
    pub fn seeded(seed: u64) -> Entropy {
        Entropy::Seeded(AtomicU64::new(seed))
    }

    /// The next number (splitmix64 where there is a seed).
    pub fn next(&self) -> u64 {
        match self {
            Entropy::System => rand::random(),
            Entropy::Seeded(state) => {
                let mut z = state.fetch_add(STEP, Relaxed).wrapping_add(STEP);
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ (z >> 31)
            }
        }
    }
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Work that is done in steps; false: it is done.
pub type Steps = Box<dyn FnMut() -> bool + Send>;

/// Who does what must not be done on a connection's thread (snapshots).
#[derive(Clone, Default)]
pub enum Background {
    /// A thread of its own for each piece of work.
    #[default]
    Threads,
    /// Somebody who takes the steps when he likes.
    Given(Arc<dyn Fn(Steps) + Send + Sync>),
}

impl Background {
    /// Has the steps taken, one after the other, until they are done.
    ///
    /// # Panics
    /// When no thread can be started: what has begun must be brought to its end.
    pub fn start(&self, name: &str, mut steps: Steps) {
        match self {
            Background::Threads => {
                // Whoever waits for a core goes first: clients must not feel that there is work in the background.
                let work = move || {
                    while steps() {
                        std::thread::yield_now();
                    }
                };
                let spawned = std::thread::Builder::new().name(name.into()).spawn(work);
                if let Err(error) = spawned {
                    panic!("work that has begun needs its thread: {error}");
                }
            }
            Background::Given(take) => take(steps),
        }
    }
}
