//! The server: what all connections share.

use crate::auth::Auth;
use crate::client::Registry;
use crate::clock::Clock;
use crate::command::{Flags, Row};
use crate::config::Config;
use crate::error::{self, Error};
use crate::keyspace::{AccessPolicy, Hasher, Keyspace, Reaper};
use crate::monitor::Monitors;
use crate::pubsub::PubSub;
use crate::replication::log::Log;
use crate::stats::Stats;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Everything that is not a single connection's.
pub struct Server {
    pub clock: Clock,
    pub config: ArcSwap<Config>,
    pub keyspace: Keyspace,
    pub log: Log,
    pub clients: Registry,
    pub monitors: Monitors,
    pub pubsub: PubSub,
    pub auth: Auth,
    pub stats: Stats,
    /// Are due keys deleted before anybody asks for them (DEBUG SET-ACTIVE-EXPIRE)?
    pub active_expire: AtomicBool,
    replica: AtomicBool,
    seed: AtomicU64,
}

impl Server {
    /// A server with an empty keyspace.
    pub fn new(config: Config) -> Arc<Server> {
        let hasher = Hasher::new((rand::random(), rand::random()));
        Arc::new(Server {
            clock: Clock::default(),
            keyspace: Keyspace::new(16, hasher, Reaper::start()),
            log: Log::new(1 << 20),
            clients: Registry::default(),
            monitors: Monitors::default(),
            pubsub: PubSub::default(),
            auth: Auth::new(&config.requirepass),
            stats: Stats::default(),
            active_expire: AtomicBool::new(true),
            replica: AtomicBool::new(false),
            seed: AtomicU64::new(rand::random()),
            config: ArcSwap::from_pointee(config),
        })
    }

    /// Do we follow a master?
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.replica.load(Relaxed)
    }

    /// A fresh seed for a unit's random numbers.
    #[inline]
    pub fn next_seed(&self) -> u64 {
        self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed)
    }

    /// How accesses to keys are recorded.
    #[inline]
    pub fn access_policy(&self) -> AccessPolicy {
        AccessPolicy::Lru
    }

    /// Are expired keys propagated as UNLINK (`lazyfree-lazy-expire`)?
    pub fn lazy_expire(&self) -> bool {
        false
    }

    /// May a normal client run this command in the server's present state?
    ///
    /// # Errors
    /// The refusal.
    pub fn admits(&self, row: &Row) -> Result<(), Error> {
        if row.is_write() && self.is_replica() {
            return Err(error::READ_ONLY);
        }
        let _ = row.flags.contains(Flags::LOADING);
        Ok(())
    }
}
