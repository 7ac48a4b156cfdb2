//! What happened over all seeds, so that the simulation cannot go tame without anybody noticing.

use super::network::Events;
use redpoll::server::Server;
use std::sync::atomic::Ordering::Relaxed;

/// A struct of counts that can be added up.
macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts of what is interesting.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct Coverage {
            $($(#[$doc])* pub $name: u64,)*
            /// The longest time that a healed cluster took to come together, ms.
            pub slowest_peace_ms: u64,
        }

        impl Coverage {
            /// Adds another run.
            pub fn add(&mut self, other: &Coverage) {
                $(self.$name += other.$name;)*
                self.slowest_peace_ms = self.slowest_peace_ms.max(other.slowest_peace_ms);
            }
        }
    };
}

counts! {
    writes,
    connections,
    delivered_bytes,
    full_syncs,
    partial_syncs,
    refused_partial_syncs,
    cuts,
    cuts_in_transactions,
    cut_snapshots,
    half_open,
    partitions,
    kills,
    shutdowns,
    saves,
    promotions,
    repointed,
    /// Writes while more than one node took itself for the master.
    split,
    expired,
    /// Replicas' data sets that were compared with their history's at the same offset.
    compared,
    virtual_ms,
}

impl Coverage {
    /// Adds what a server has counted in its life.
    pub fn count(&mut self, server: &Server) {
        let stats = &server.stats;
        self.full_syncs += stats.sync_full.load(Relaxed);
        self.partial_syncs += stats.sync_partial_ok.load(Relaxed);
        self.refused_partial_syncs += stats.sync_partial_err.load(Relaxed);
        server.keyspace.for_each_shard(|shard| self.expired += shard.stats.expired);
    }

    /// Adds what the network has counted.
    pub fn network(&mut self, events: Events) {
        self.connections += events.connections;
        self.delivered_bytes += events.delivered_bytes;
        self.cuts += events.cuts;
        self.cuts_in_transactions += events.cuts_in_transactions;
        self.half_open += events.half_open;
    }
}
