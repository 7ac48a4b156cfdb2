//! What happened over all seeds, so that the simulation cannot go tame without anybody noticing.

use super::network::Events;
use super::oracle;
use redpoll::keyspace::Stored;
use redpoll::server::Server;
use redpoll::types::Object;
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
    /// Of the data sets that servers had at their ends: lists, sets, hashes and sorted sets in one listpack or intset, and others.
    packed,
    large,
    streams,
    pending,
    timed_fields,
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
        oracle::for_each_entry(server, |_, entry| {
            if let Stored::Object(object) = entry.stored() {
                self.count_object(&object.read());
            }
        });
    }

    fn count_object(&mut self, object: &Object) {
        match object {
            Object::Stream(stream) => {
                self.streams += 1;
                self.pending += stream.groups().map(|(_, group)| group.pending_len() as u64).sum::<u64>();
            }
            Object::List(list) if list.nodes() > 1 => self.large += 1,
            _ if ["hashtable", "skiplist"].contains(&object.encoding()) => self.large += 1,
            _ => self.packed += 1,
        }
        if let Object::Hash(hash) = object {
            self.timed_fields += hash.iter().filter(|field| field.expiry_ms.is_some()).count() as u64;
        }
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
