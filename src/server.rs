//! The server: what all connections share.

use crate::auth::Auth;
use crate::blocked::Blocked;
use crate::client::{Client, Registry};
use crate::clock::Clock;
use crate::command::{Flags, Row};
use crate::config::Config;
use crate::config::enums::{Encodings, MaxmemoryPolicy};
use crate::control::{Lingering, Orders};
use crate::error::{self, Error};
use crate::keyspace::events::Class;
use crate::keyspace::{AccessPolicy, Hasher, Keyspace, Reaper, SHARDS, Shard};
use crate::migrate::Sockets;
use crate::monitor::Monitors;
use crate::net::IoThreads;
use crate::net::simulated::Network;
use crate::persistence::Persistence;
use crate::pubsub::PubSub;
use crate::replication::Hub;
use crate::replication::link::{Link, Target};
use crate::replication::log::{Log, ReplId};
use crate::snapshot::Snapshots;
use crate::stats::Stats;
use crate::types::Limits;
use crate::types::limits::LimitsInForce;
use crate::world::{Background, Entropy, World};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Everything that is not a single connection's.
pub struct Server {
    pub clock: Clock,
    pub entropy: Entropy,
    pub network: Network,
    pub background: Background,
    /// Where the RDB file is.
    pub directory: PathBuf,
    pub config: ArcSwap<Config>,
    /// The configuration file, if there is one.
    pub config_file: Option<PathBuf>,
    pub keyspace: Keyspace,
    pub log: Log,
    pub hub: Hub,
    pub link: Link,
    pub snapshots: Snapshots,
    pub persistence: Persistence,
    pub auth: Auth,
    pub clients: Registry,
    pub monitors: Monitors,
    pub pubsub: PubSub,
    pub blocked: Blocked,
    pub stats: Stats,
    pub orders: Orders,
    pub run_id: ReplId,
    pub started_ms: i64,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: AtomicBool,
    /// DEBUG PAUSE-CRON: the clockwork stands still.
    pub cron_paused: AtomicBool,
    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION: checksums of files and payloads are not looked at.
    pub skip_checksums: AtomicBool,
    /// The shutdown that is under way.
    pub lingering: Lingering,
    /// Connections that MIGRATE keeps.
    pub migrate_sockets: Sockets,
    /// One change of the configuration at a time.
    pub config_changes: Mutex<()>,
    io_threads: OnceLock<IoThreads>,
    trouble: AtomicU32,
    seed: AtomicU64,
    hot: Hot,
    limits: LimitsInForce,
}

/// What commands look at all the time, taken out of the configuration.
#[derive(Default)]
struct Hot {
    max_bulk_bytes: AtomicU64,
    normal_output_limit: AtomicU64,
    query_buffer_limit: AtomicU64,
    /// 0: LRU; else LFU: log factor in the upper, decay minutes in the lower half, plus 1 << 63.
    access: AtomicU64,
    lazy_expire: AtomicBool,
    /// `notify-keyspace-events`.
    events: AtomicU32,
}

const LFU: u64 = 1 << 63;

bitflags::bitflags! {
    /// Circumstances in which not every command may run. Usually none.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Trouble: u32 {
        /// The data set is being loaded at start.
        const LOADING = 1 << 0;
        /// We follow a master.
        const REPLICA = 1 << 1;
        /// min-replicas-to-write is set.
        const MIN_REPLICAS = 1 << 2;
        /// The last background save failed and writes are to stop then.
        const CANNOT_SAVE = 1 << 3;
        /// The server ends: replicas are getting the last writes.
        const ENDING = 1 << 4;
    }
}

impl Server {
    /// A server with an empty keyspace.
    pub fn new(config: Config) -> Arc<Server> {
        Server::with_file(config, None)
    }

    /// A server with an empty keyspace and a configuration file.
    pub fn with_file(config: Config, config_file: Option<PathBuf>) -> Arc<Server> {
        Server::in_world(config, config_file, World::default())
    }

    /// A server with an empty keyspace in a world that may be simulated.
    pub fn in_world(config: Config, config_file: Option<PathBuf>, world: World) -> Arc<Server> {
        let World { clock, entropy, network, background, directory } = world;
        let hasher = Hasher::new((entropy.next(), entropy.next()));
        let databases = config.databases.min(u32::from(u16::MAX)) as u16;
        let server = Arc::new(Server {
            keyspace: Keyspace::new(databases, hasher, Reaper::start()),
            log: Log::new(config.repl_backlog_size, ReplId::random(&entropy)),
            hub: Hub::default(),
            link: Link::default(),
            snapshots: Snapshots::default(),
            persistence: Persistence::new(clock.now_ms()),
            auth: Auth::new(&config.requirepass),
            clients: Registry::default(),
            monitors: Monitors::default(),
            pubsub: PubSub::default(),
            blocked: Blocked::default(),
            stats: Stats::default(),
            orders: Orders::default(),
            lingering: Lingering::default(),
            migrate_sockets: Sockets::default(),
            run_id: ReplId::random(&entropy),
            started_ms: clock.now_ms(),
            active_expire: AtomicBool::new(true),
            cron_paused: AtomicBool::new(false),
            skip_checksums: AtomicBool::new(false),
            config_changes: Mutex::new(()),
            io_threads: OnceLock::new(),
            trouble: AtomicU32::new(0),
            seed: AtomicU64::new(entropy.next()),
            hot: Hot::default(),
            limits: LimitsInForce::new(&limits_of(&config, hasher, LIST_PACKED_THRESHOLD_BYTES)),
            config: ArcSwap::from_pointee(config),
            config_file,
            clock,
            entropy,
            network,
            background,
            directory,
        });
        server.config_changed();
        server.stats.startup_memory.store(crate::memory::used_bytes(), Relaxed);
        server
    }

    /// Takes over what a changed configuration means for running commands.
    pub fn config_changed(&self) {
        let config = self.config.load();
        self.hot.max_bulk_bytes.store(config.proto_max_bulk_len, Relaxed);
        self.hot.normal_output_limit.store(config.client_output_buffer_limit[0].hard, Relaxed);
        self.hot.query_buffer_limit.store(config.client_query_buffer_limit, Relaxed);
        self.hot.lazy_expire.store(config.lazyfree_lazy_expire, Relaxed);
        self.hot.events.store(config.notify_keyspace_events.told().bits(), Relaxed);
        let packed_threshold = self.limits().list_packed_threshold;
        self.limits.set(&limits_of(&config, self.keyspace.hasher(), packed_threshold));
        let lfu =
            matches!(config.maxmemory_policy, MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu);
        let lfu =
            if lfu { LFU | (config.lfu_log_factor as u64) << 32 | config.lfu_decay_time as u64 } else { 0 };
        self.hot.access.store(lfu, Relaxed);
        self.auth.set_password(&config.requirepass);
        self.log.lock().set_keep_bytes(config.repl_backlog_size);
        let counts_replicas = config.min_replicas_to_write > 0 && config.min_replicas_max_lag > 0;
        self.set_trouble(Trouble::MIN_REPLICAS, counts_replicas);
        self.note_save_result();
        for client in self.clients.all() {
            client.apply_limits(&config.client_output_buffer_limit);
        }
    }

    fn set_trouble(&self, trouble: Trouble, on: bool) {
        if on {
            self.trouble.fetch_or(trouble.bits(), Relaxed);
        } else {
            self.trouble.fetch_and(!trouble.bits(), Relaxed);
        }
    }

    fn trouble(&self) -> Trouble {
        Trouble::from_bits_truncate(self.trouble.load(Relaxed))
    }

    /// The last background save has ended, or what follows from it has changed.
    pub fn note_save_result(&self) {
        let config = self.config.load();
        let stops = config.stop_writes_on_bgsave_error && !config.save.is_empty();
        self.set_trouble(Trouble::CANNOT_SAVE, stops && !self.persistence.last_bgsave_ok());
    }

    /// The data set is being loaded at start, or no more.
    pub fn set_loading(&self, loading: bool) {
        self.set_trouble(Trouble::LOADING, loading);
    }

    /// Is the data set being loaded at start?
    pub fn is_loading(&self) -> bool {
        self.trouble().contains(Trouble::LOADING)
    }

    /// Do we follow a master?
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.trouble().contains(Trouble::REPLICA)
    }

    /// Commands treat us as a replica from now on. The caller holds all shards.
    pub fn mark_replica(&self) {
        self.set_trouble(Trouble::REPLICA, true);
        crate::logging::set_role(crate::logging::Role::Replica);
    }

    /// We are about to end: no writes any more, when this returns.
    pub fn stop_writing(&self) {
        // With all shards: whoever has been let in before is through.
        let _held = self.keyspace.lock_all();
        self.set_trouble(Trouble::ENDING, true);
    }

    /// Are we about to end?
    #[inline]
    pub fn is_ending(&self) -> bool {
        self.trouble().contains(Trouble::ENDING)
    }

    /// We go on after all.
    pub fn go_on_writing(&self) {
        self.set_trouble(Trouble::ENDING, false);
    }

    /// Follows a master. The caller holds all shards.
    pub fn become_replica(&self, target: Target) {
        if !self.is_replica() {
            self.link.note_own_history();
        }
        self.mark_replica();
        self.blocked.end_all(self, &error::UNBLOCKED_BY_ROLE);
        // Our replicas stay: as long as the history is ours there is nothing new for them.
        self.link.follow(Some(target), self.clock.now_ms());
    }

    /// Follows nobody any more: the former history's id stays valid up to here. The caller holds all shards.
    pub fn become_master(&self) {
        self.link.follow(None, self.clock.now_ms());
        let mut ring = self.log.lock();
        let ids = &mut ring.ids;
        (ids.id2, ids.id) = (ids.id, ReplId::random(&self.entropy));
        let (former, current) = (ids.id2, ids.id);
        let second_offset = ring.end() as i64 + 1;
        ring.ids.second_offset = second_offset;
        ring.forget_selected();
        drop(ring);
        self.set_trouble(Trouble::REPLICA, false);
        crate::logging::set_role(crate::logging::Role::Master);
        tracing::info!(
            "Setting secondary replication ID to {former}, valid up to offset: {second_offset}. New replication ID is {current}"
        );
        // They learn the new id when they ask again.
        self.hub.disconnect_all();
    }

    /// Exchanges the data set, and the history that it belongs to, for a master's: all at once.
    pub fn replace_data(
        self: &Arc<Self>,
        shards: Vec<Shard>,
        id: ReplId,
        offset: u64,
        stream_db: Option<u16>,
    ) {
        let mut held = self.keyspace.lock_all();
        let since = self.clock.instant();
        crate::hold::mark(since);
        let mut ring = self.log.lock();
        held.adopt(shards);
        let ready = held.shards().flat_map(|shard| shard.waiting.take_ready()).collect();
        ring.ids = crate::replication::log::Ids { id, id2: ReplId::NONE, second_offset: -1 };
        ring.restart(offset);
        ring.set_selected(stream_db);
        self.log.want();
        drop(ring);
        drop(held);
        self.stats.record_lock(since.elapsed());
        crate::executor::serve_ready(self, ready);
        self.hub.disconnect_all();
    }

    /// The I/O threads.
    ///
    /// # Panics
    /// Before [`Server::set_io_threads`].
    pub fn io_threads(&self) -> &IoThreads {
        self.io_threads.get().expect("I/O threads are started before anything is accepted")
    }

    /// Hands the I/O threads over, once.
    pub fn set_io_threads(&self, threads: IoThreads) {
        assert!(self.io_threads.set(threads).is_ok(), "I/O threads are started once");
    }

    /// Wakes the replicas' connections.
    #[inline]
    pub fn wake_replicas(&self) {
        self.hub.wake();
    }

    /// A client has gone.
    pub fn forget_client(&self, client: &mut Client) {
        self.clients.remove(client.id());
        self.monitors.remove(client.id());
        self.pubsub.forget(client);
        crate::commands::transaction::forget_watches(client, &self.keyspace);
    }

    /// A fresh seed for a unit's random numbers.
    #[inline]
    pub fn next_seed(&self) -> u64 {
        self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed)
    }

    /// How accesses to keys are recorded.
    #[inline]
    pub fn access_policy(&self) -> AccessPolicy {
        match self.hot.access.load(Relaxed) {
            0 => AccessPolicy::Lru,
            lfu => AccessPolicy::Lfu { log_factor: ((lfu & !LFU) >> 32) as u32, decay_minutes: lfu as u32 },
        }
    }

    /// The keyspace events that are told.
    #[inline]
    pub fn events(&self) -> Class {
        Class::from_bits_retain(self.hot.events.load(Relaxed))
    }

    /// Where small encodings end.
    #[inline]
    pub fn limits(&self) -> Limits {
        self.limits.get()
    }

    /// Must the checksums of RDB files be right?
    pub fn verifies_checksums(&self) -> bool {
        self.config.load().rdbchecksum && !self.skip_checksums.load(Relaxed)
    }

    /// DEBUG QUICKLIST-PACKED-THRESHOLD; 0: as it was at the start.
    pub fn set_list_packed_threshold(&self, bytes: usize) {
        let _one_change_at_a_time = self.config_changes.lock();
        let list_packed_threshold = if bytes == 0 { LIST_PACKED_THRESHOLD_BYTES } else { bytes };
        self.limits.set(&Limits { list_packed_threshold, ..self.limits() });
    }

    /// `proto-max-bulk-len`.
    #[inline]
    pub fn max_bulk_bytes(&self) -> u64 {
        self.hot.max_bulk_bytes.load(Relaxed)
    }

    /// The hard limit of `client-output-buffer-limit normal`; 0: none.
    #[inline]
    pub fn normal_output_limit(&self) -> u64 {
        self.hot.normal_output_limit.load(Relaxed)
    }

    /// `client-query-buffer-limit`, bytes.
    #[inline]
    pub fn query_buffer_limit(&self) -> u64 {
        self.hot.query_buffer_limit.load(Relaxed)
    }

    /// Are expired keys propagated as UNLINK (`lazyfree-lazy-expire`)?
    #[inline]
    pub fn lazy_expire(&self) -> bool {
        self.hot.lazy_expire.load(Relaxed)
    }

    /// May a normal client run this command in the server's present state?
    ///
    /// # Errors
    /// The refusal.
    #[inline]
    pub fn admits(&self, row: &Row) -> Result<(), Error> {
        match self.trouble() {
            trouble if trouble.is_empty() => Ok(()),
            trouble => self.admits_in(trouble, row),
        }
    }

    fn admits_in(&self, trouble: Trouble, row: &Row) -> Result<(), Error> {
        let config = self.config.load();
        let replica = trouble.contains(Trouble::REPLICA);
        if (row.is_write() || row.flags.contains(Flags::HEALTH)) && trouble.contains(Trouble::CANNOT_SAVE) {
            return Err(error::CANNOT_SAVE);
        }
        if row.is_write() && !replica && trouble.contains(Trouble::MIN_REPLICAS) {
            let good = self.hub.good(i64::from(config.min_replicas_max_lag), self.clock.now_ms());
            if good < config.min_replicas_to_write as usize {
                return Err(error::NO_REPLICAS);
            }
        }
        if row.is_write() && replica && config.replica_read_only {
            return Err(error::READ_ONLY);
        }
        if replica
            && !config.replica_serve_stale_data
            && !row.flags.contains(Flags::STALE)
            && !self.link.is_up()
        {
            return Err(error::MASTER_DOWN);
        }
        if trouble.contains(Trouble::LOADING) && !row.flags.contains(Flags::LOADING) {
            return Err(error::LOADING);
        }
        Ok(())
    }

    /// As [`Server::changes`], if each shard is free within `patience`.
    pub fn changes_within(&self, patience: Duration) -> Option<u64> {
        (0..SHARDS).map(|shard| Some(self.keyspace.slot(shard).try_lock_for(patience)?.stats.dirty)).sum()
    }

    /// Changes to the data set since the start.
    pub fn changes(&self) -> u64 {
        let mut changes = 0;
        self.keyspace.for_each_shard(|shard| changes += shard.stats.dirty);
        changes
    }
}

/// From this size on a list's element has a node of its own, unless DEBUG QUICKLIST-PACKED-THRESHOLD says otherwise.
const LIST_PACKED_THRESHOLD_BYTES: usize = 1 << 30;

fn limits_of(config: &Config, hasher: Hasher, list_packed_threshold: usize) -> Limits {
    let count = |n: i64| usize::try_from(n).unwrap_or(0);
    let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let newer = config.compatible_encodings == Encodings::Of7_2;
    Limits {
        hash_max_listpack_entries: count(config.hash_max_listpack_entries),
        hash_max_listpack_value: bytes(config.hash_max_listpack_value),
        set_max_intset_entries: count(config.set_max_intset_entries),
        set_max_listpack_entries: if newer { count(config.set_max_listpack_entries) } else { 0 },
        set_max_listpack_value: bytes(config.set_max_listpack_value),
        zset_max_listpack_entries: count(config.zset_max_listpack_entries),
        zset_max_listpack_value: bytes(config.zset_max_listpack_value),
        list_max_listpack_size: i64::from(config.list_max_listpack_size),
        list_compress_depth: count(i64::from(config.list_compress_depth)),
        list_packed_threshold,
        list_bare_listpack: newer,
        stream_node_max_bytes: bytes(config.stream_node_max_bytes),
        stream_node_max_entries: count(config.stream_node_max_entries),
        hll_sparse_max_bytes: bytes(config.hll_sparse_max_bytes),
        hasher,
    }
}
