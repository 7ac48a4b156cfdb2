//! INFO: what the server tells of itself, in sections.
//!
//! A section is a row of `SECTIONS`, a line is one call in its function; nothing else knows them. What INFO reads is counted
//! elsewhere: shards are looked at one after the other, each locked for an instant, so that a monitoring system that asks each
//! second stops nobody (inside EXEC they are held already). Sums are therefore true per shard, not of one moment.

pub mod lines;
pub mod memory;
mod persistence;
mod replication;
mod server;
mod stats;

use crate::command::{Acl, Flags, Group, Row};
use crate::config::Config;
use crate::error::Error;
use crate::executor::Call;
use crate::keyspace::Shard;
use crate::server::Server;
use lines::Lines;
use std::sync::Arc;

/// The family's rows.
pub const ROWS: &[Row] = &[INFO];

const INFO: Row = Row::new("info", -1, Group::Server, "1.0.0", info)
    .flags(Flags::LOADING.union(Flags::STALE).union(Flags::EXEC_ALL_SHARDS))
    .categories(Acl::DANGEROUS)
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]);

fn info(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let wanted: Vec<&[u8]> = call.args.from(1).collect();
    let shards = Shards::sum(call);
    let info = Info {
        server: call.server,
        config: call.server.config.load_full(),
        now_ms: call.view.now_ms(),
        shards,
    };
    let mut lines = Lines::default();
    for section in SECTIONS.iter().filter(|section| section.is_wanted(&wanted)) {
        lines.section(section.title);
        (section.write)(&info, &mut lines);
    }
    call.reply.verbatim(lines.into_text().as_bytes());
    Ok(())
}

/// What the sections look at.
pub struct Info<'a> {
    server: &'a Server,
    config: Arc<Config>,
    now_ms: i64,
    shards: Shards,
}

impl Info<'_> {
    /// A directive's value, as CONFIG GET shows it.
    fn shown(&self, name: &str) -> String {
        let found = self.config.get(&[name]).pop();
        found.map_or_else(String::new, |(_, value)| String::from_utf8_lossy(&value).into_owned())
    }
}

/// One section.
struct Section {
    title: &'static str,
    /// Is it shown when nobody says which?
    default: bool,
    write: fn(&Info<'_>, &mut Lines),
}

/// The sections, in the order in which they are shown.
const SECTIONS: &[Section] = &[
    Section { title: "Server", default: true, write: server::server },
    Section { title: "Clients", default: true, write: server::clients },
    Section { title: "Memory", default: true, write: memory::memory },
    Section { title: "Persistence", default: true, write: persistence::persistence },
    Section { title: "Stats", default: true, write: stats::stats },
    Section { title: "Replication", default: true, write: replication::replication },
    Section { title: "CPU", default: true, write: server::cpu },
    Section { title: "Modules", default: true, write: |_, _| {} },
    Section { title: "Commandstats", default: false, write: stats::commands },
    Section { title: "Errorstats", default: true, write: stats::errors },
    Section { title: "Cluster", default: true, write: |_, lines| lines.put("cluster_enabled", 0) },
    Section { title: "Keyspace", default: true, write: keyspace },
];

impl Section {
    fn is_wanted(&self, wanted: &[&[u8]]) -> bool {
        let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let names = |word: &&[u8]| {
            is(word, self.title)
                || is(word, "all")
                || is(word, "everything")
                || (self.default && is(word, "default"))
        };
        (wanted.is_empty() && self.default) || wanted.iter().any(names)
    }
}

/// What the shards have, summed up.
struct Shards {
    hits: u64,
    misses: u64,
    expired: u64,
    expired_fields: u64,
    dirty: u64,
    /// Keys to which clients of a replica gave a time.
    own_expires: usize,
    databases: Vec<Database>,
}

#[derive(Clone, Copy, Default)]
struct Database {
    keys: usize,
    expires: usize,
    /// Hashes with fields that expire.
    with_expiring_fields: usize,
    /// Sum of the remaining times to live, milliseconds.
    ttl_ms: i128,
}

impl Shards {
    fn sum(call: &mut Call<'_, '_>) -> Shards {
        let now_ms = call.view.now_ms();
        let databases = vec![Database::default(); usize::from(call.view.databases())];
        let mut sum =
            Shards { hits: 0, misses: 0, expired: 0, expired_fields: 0, dirty: 0, own_expires: 0, databases };
        call.for_each_shard(|shard| sum.add(shard, now_ms));
        sum
    }

    fn add(&mut self, shard: &Shard, now_ms: i64) {
        self.hits += shard.stats.hits;
        self.misses += shard.stats.misses;
        self.expired += shard.stats.expired;
        self.expired_fields += shard.stats.expired_fields;
        self.dirty += shard.stats.dirty;
        for (number, sum) in self.databases.iter_mut().enumerate() {
            let db = shard.db(number as u16);
            sum.keys += db.len();
            sum.expires += db.expires();
            sum.with_expiring_fields += db.with_expiring_fields();
            self.own_expires += db.own_expires();
            sum.ttl_ms += i128::from(db.expiry().mean_ttl_ms(now_ms)) * db.expires() as i128;
        }
    }
}

/// `# Keyspace`: the databases that hold something; `subexpiry` came with the fields that expire (7.4).
fn keyspace(info: &Info<'_>, lines: &mut Lines) {
    for (number, db) in info.shards.databases.iter().enumerate().filter(|(_, db)| db.keys > 0) {
        let average = db.ttl_ms / (db.expires.max(1) as i128);
        lines.put(
            format_args!("db{number}"),
            format_args!(
                "keys={},expires={},avg_ttl={average},subexpiry={}",
                db.keys, db.expires, db.with_expiring_fields
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    /// The value of a line.
    fn value(text: &str, name: &str) -> String {
        let line = text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).to_string()
    }

    /// The names of a section's lines.
    fn names(section: &str) -> String {
        let mut bench = Bench::new();
        let reply = bench.run(&format!("info {section}"));
        let words = reply.split(' ').filter_map(|word| word.split_once(':'));
        words.map(|(name, _)| name).collect::<Vec<_>>().join(" ")
    }

    /// As redis-server 7.0.15 lists them, with some of 7.2's and with Redpoll's own.
    const FIELDS: &[(&str, &str)] = &[
        (
            "server",
            "redis_version redpoll_version redis_git_sha1 redis_git_dirty redis_build_id redis_mode os arch_bits \
     monotonic_clock multiplexing_api atomicvar_api gcc_version process_id process_supervised run_id tcp_port \
     server_time_usec uptime_in_seconds uptime_in_days hz configured_hz lru_clock executable config_file \
     io_threads_active",
        ),
        (
            "clients",
            "connected_clients cluster_connections maxclients client_recent_max_input_buffer \
     client_recent_max_output_buffer blocked_clients tracking_clients clients_in_timeout_table \
     total_blocking_keys total_blocking_keys_on_nokey",
        ),
        (
            "memory",
            "used_memory used_memory_human used_memory_rss used_memory_rss_human used_memory_peak \
     used_memory_peak_human used_memory_peak_perc used_memory_overhead used_memory_startup used_memory_dataset \
     used_memory_dataset_perc allocator_allocated allocator_active allocator_resident total_system_memory \
     total_system_memory_human used_memory_lua used_memory_vm_eval used_memory_lua_human \
     used_memory_scripts_eval number_of_cached_scripts number_of_functions number_of_libraries \
     used_memory_vm_functions used_memory_vm_total used_memory_vm_total_human used_memory_functions \
     used_memory_scripts used_memory_scripts_human maxmemory maxmemory_human maxmemory_policy \
     allocator_frag_ratio allocator_frag_bytes allocator_rss_ratio allocator_rss_bytes rss_overhead_ratio \
     rss_overhead_bytes mem_fragmentation_ratio mem_fragmentation_bytes mem_not_counted_for_evict \
     mem_replication_backlog mem_total_replication_buffers mem_clients_slaves mem_clients_normal \
     mem_cluster_links mem_aof_buffer mem_allocator active_defrag_running lazyfree_pending_objects \
     lazyfreed_objects",
        ),
        (
            "persistence",
            "loading async_loading current_cow_peak current_cow_size current_cow_size_age current_fork_perc \
     current_save_keys_processed current_save_keys_total rdb_changes_since_last_save rdb_bgsave_in_progress \
     rdb_last_save_time rdb_last_bgsave_status rdb_last_bgsave_time_sec rdb_current_bgsave_time_sec rdb_saves \
     rdb_last_cow_size rdb_last_load_keys_expired rdb_last_load_keys_loaded aof_enabled \
     aof_rewrite_in_progress aof_rewrite_scheduled aof_last_rewrite_time_sec aof_current_rewrite_time_sec \
     aof_last_bgrewrite_status aof_rewrites aof_rewrites_consecutive_failures aof_last_write_status \
     aof_last_cow_size module_fork_in_progress module_fork_last_cow_size",
        ),
        (
            "stats",
            "total_connections_received total_commands_processed instantaneous_ops_per_sec total_net_input_bytes \
     total_net_output_bytes total_net_repl_input_bytes total_net_repl_output_bytes instantaneous_input_kbps \
     instantaneous_output_kbps instantaneous_input_repl_kbps instantaneous_output_repl_kbps \
     rejected_connections sync_full sync_partial_ok sync_partial_err expired_keys expired_subkeys expired_stale_perc \
     expired_time_cap_reached_count expire_cycle_cpu_milliseconds evicted_keys evicted_clients \
     total_eviction_exceeded_time current_eviction_exceeded_time keyspace_hits keyspace_misses pubsub_channels \
     pubsub_patterns pubsubshard_channels latest_fork_usec total_forks migrate_cached_sockets \
     slave_expires_tracked_keys active_defrag_hits active_defrag_misses active_defrag_key_hits \
     active_defrag_key_misses total_active_defrag_time current_active_defrag_time tracking_total_keys \
     tracking_total_items tracking_total_prefixes unexpected_error_replies total_error_replies \
     dump_payload_sanitizations total_reads_processed total_writes_processed io_threaded_reads_processed \
     io_threaded_writes_processed reply_buffer_shrinks reply_buffer_expands \
     acl_access_denied_auth acl_access_denied_cmd acl_access_denied_key acl_access_denied_channel lock_hold_max_usec",
        ),
        (
            "replication",
            "role connected_slaves master_failover_state master_replid master_replid2 master_repl_offset \
     second_repl_offset repl_backlog_active repl_backlog_size repl_backlog_first_byte_offset \
     repl_backlog_histlen repl_backlog_disk_bytes",
        ),
        (
            "cpu",
            "used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children used_cpu_sys_main_thread \
     used_cpu_user_main_thread",
        ),
        ("modules", ""),
        ("cluster", "cluster_enabled"),
    ];

    #[test]
    fn fields_stand_in_order() {
        for (section, fields) in FIELDS {
            assert_eq!(names(section), *fields, "{section}");
        }
    }

    fn titles(sections: &str) -> Vec<String> {
        let reply = Bench::new().run(&format!("info {sections}"));
        let words: Vec<&str> = reply.split(' ').collect();
        words.windows(2).filter(|pair| pair[0] == "#").map(|pair| pair[1].to_string()).collect()
    }

    #[test]
    fn sections_are_chosen() {
        let all: Vec<&str> = SECTIONS.iter().map(|section| section.title).collect();
        let default: Vec<&str> = SECTIONS.iter().filter(|s| s.default).map(|s| s.title).collect();
        assert_eq!(titles(""), default);
        assert_eq!(titles("DEFAULT"), default);
        assert_eq!(titles("default commandstats"), all);
        assert_eq!(titles("all"), all);
        assert_eq!(titles("everything"), all);
        assert_eq!(titles("keyspace nope cluster SERVER cluster"), ["Server", "Cluster", "Keyspace"]);
        assert_eq!(Bench::new().run("info nope"), "$0");
    }

    #[test]
    fn text_is_verbatim_in_resp3() {
        assert_eq!(Bench::new().resp3().run("info cluster"), "=34 txt:# Cluster cluster_enabled:0");
    }

    #[test]
    fn keys_are_counted() {
        let mut bench = Bench::new();
        bench.run("set a 1");
        bench.run("set b 1");
        bench.client.select(3);
        bench.run("set c 1");
        bench.run("get c");
        bench.run("get nope");
        let keys = "db0:keys=2,expires=0,avg_ttl=0,subexpiry=0 db3:keys=1,expires=0,avg_ttl=0,subexpiry=0";
        assert_eq!(bench.run("info keyspace").split_once("Keyspace ").unwrap().1.trim_end(), keys);
        let stats = bench.run("info stats");
        assert_eq!(
            (value(&stats, "keyspace_hits"), value(&stats, "keyspace_misses")),
            ("1".into(), "1".into())
        );
        assert_eq!(value(&bench.run("info persistence"), "rdb_changes_since_last_save"), "3");
    }

    #[test]
    fn commands_and_errors_are_counted_until_reset() {
        let mut bench = Bench::new();
        bench.run("get k");
        bench.run("get");
        bench.run("nope");
        let stats = bench.run("info commandstats errorstats");
        let get = value(&stats, "cmdstat_get");
        assert!(get.starts_with("calls=1,") && get.ends_with(",rejected_calls=1,failed_calls=0"), "{get}");
        assert_eq!(value(&stats, "errorstat_ERR"), "count=2");
        bench.server.stats.reset();
        let reset = bench.run("info commandstats errorstats");
        assert!(!reset.contains("cmdstat_get") && !reset.contains("errorstat"), "{reset}");
        bench.run("get k");
        assert!(value(&bench.run("info commandstats"), "cmdstat_get").starts_with("calls=1,"));
    }

    #[test]
    fn awaited_keys_are_counted_once() {
        let mut bench = Bench::new();
        bench.run("xgroup create s g $ mkstream");
        let waits = |line: &str| {
            let mut client = Bench::client(&bench.server);
            Bench::run_as(&bench.server, &mut client, line);
            assert!(client.waiter.is_some(), "{line}");
        };
        waits("blpop a b 0");
        waits("blpop a 0");
        waits("xreadgroup group g c block 0 streams s >");
        let text = bench.run("info clients");
        assert_eq!(value(&text, "total_blocking_keys"), "3");
        assert_eq!(value(&text, "total_blocking_keys_on_nokey"), "1");
    }

    #[test]
    fn wrong_passwords_are_counted() {
        let mut bench = Bench::new();
        for line in ["auth x", "auth joe x", "hello 2 auth joe x", "auth default x"] {
            bench.run(line);
        }
        assert_eq!(value(&bench.run("info stats"), "acl_access_denied_auth"), "2");
    }

    #[test]
    fn what_the_log_holds_for_replicas_is_told_apart() {
        let mut bench = Bench::with(Config { repl_backlog_size: 1000, ..Config::default() });
        bench.run(&format!("set k {}", "x".repeat(5000)));
        let memory = |bench: &mut Bench| {
            let text = bench.run("info memory");
            let number = |name: &str| value(&text, name).parse::<u64>().expect("a number");
            let (backlog, replicas) = (number("mem_replication_backlog"), number("mem_clients_slaves"));
            assert_eq!(backlog + replicas, number("mem_total_replication_buffers"));
            (backlog, replicas > 4000)
        };
        assert!(!memory(&mut bench).1);
        let replica = crate::replication::hub::Replica {
            shared: Bench::client(&bench.server).shared,
            ip: String::new(),
            port: 0,
            progress: parking_lot::Mutex::new(crate::replication::hub::Progress::AwaitingSnapshot),
            acked_at_ms: 0.into(),
            acknowledged: false.into(),
        };
        bench.server.hub.add(Arc::new(replica));
        assert_eq!(memory(&mut bench), (1000, true));
    }

    #[test]
    fn a_master_tells_of_its_log() {
        let mut bench = Bench::new();
        bench.run("set a 1");
        let text = bench.run("info replication");
        assert_eq!(value(&text, "role"), "master");
        assert_eq!(value(&text, "repl_backlog_first_byte_offset"), "1");
        assert_eq!(value(&text, "master_repl_offset"), value(&text, "repl_backlog_histlen"));
        assert_eq!(value(&text, "master_replid2"), "0".repeat(40));
    }

    #[test]
    fn a_replica_tells_of_its_link() {
        let mut bench = Bench::new();
        let target = crate::replication::link::Target { host: "nowhere".into(), port: 7 };
        bench.server.become_replica(target);
        let text = bench.run("info replication");
        let expected = "role:slave master_host:nowhere master_port:7 master_link_status:down \
                        master_last_io_seconds_ago:-1 master_sync_in_progress:0 slave_read_repl_offset:0 \
                        slave_repl_offset:0 master_link_down_since_seconds:-1 slave_priority:100 slave_read_only:1 \
                        replica_announced:1 connected_slaves:0 master_failover_state:no-failover";
        assert!(text.contains(expected), "{text}");
    }
}
