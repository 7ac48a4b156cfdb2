//! The table of directives: one row each, `name [aliases] => field: type = default, kind, when it may change`.
//!
//! Names, checks and defaults: observed on redis-server 7.0.15; those that came later: Valkey 8's documentation. Redpoll's own stand
//! at the end.

use super::directive::{Change, Directive, directives, is_many};
use super::enums::*;
use super::kinds::*;
use super::lists::*;

const I32_MIN: i64 = i32::MIN as i64;
const I32_MAX: i64 = i32::MAX as i64;
const U32_MAX: i64 = u32::MAX as i64;
const SIZE_MAX: u64 = i64::MAX as u64;
const KB: u64 = 1 << 10;
const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;

/// How many I/O threads run when nobody says: the cores, but at most 8.
fn default_io_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8))
}

fn default_save() -> Vec<SavePoint> {
    [(3600, 1), (300, 100), (60, 10000)].map(|(secs, changes)| SavePoint { secs, changes }).to_vec()
}

const DEFAULT_OUTPUT_LIMITS: [Limit; 3] = [
    Limit { hard: 0, soft: 0, soft_secs: 0 },
    Limit { hard: 256 * MB, soft: 64 * MB, soft_secs: 60 },
    Limit { hard: 32 * MB, soft: 8 * MB, soft_secs: 60 },
];

directives! {
    // Network
    "bind" => bind: Vec<String> = vec!["*".into(), "-::*".into()], Addresses, Run;
    "bind-source-addr" => bind_source_addr: String = String::new(), Text, Run;
    "port" => port: u16 = 6379, Int(0, 65535), Run;
    "tcp-backlog" => tcp_backlog: i32 = 511, Int(0, I32_MAX), Start;
    "tcp-keepalive" => tcp_keepalive: i32 = 300, Int(0, I32_MAX), Run;
    "timeout" => timeout: i32 = 0, Int(0, I32_MAX), Run;
    "protected-mode" => protected_mode: bool = true, YesNo, Run;
    "unixsocket" => unixsocket: String = String::new(), Text, Start;
    "unixsocketgroup" => unixsocketgroup: String = String::new(), Text, Start;
    "unixsocketperm" => unixsocketperm: u32 = 0, Octal(0o777), Start;
    "socket-mark-id" => socket_mark_id: u32 = 0, Int(0, U32_MAX), Start;
    "maxclients" => maxclients: u32 = 10000, Int(1, U32_MAX), Run;
    "max-new-connections-per-cycle" => max_new_connections_per_cycle: u32 = 10, Int(1, 1000), Run;
    "max-new-tls-connections-per-cycle" => max_new_tls_connections_per_cycle: u32 = 1, Int(1, 1000), Run;
    "proto-max-bulk-len" => proto_max_bulk_len: u64 = 512 * MB, Memory(MB, SIZE_MAX), Run;
    "client-query-buffer-limit" => client_query_buffer_limit: u64 = GB, Memory(MB, SIZE_MAX), Run;
    "client-output-buffer-limit" => client_output_buffer_limit: [Limit; 3] = DEFAULT_OUTPUT_LIMITS, Limits, Run;

    // TLS
    "tls-port" => tls_port: u16 = 0, Int(0, 65535), Run;
    "tls-auth-clients" => tls_auth_clients: TlsAuthClients = TlsAuthClients::Yes, OneOf, Run;
    "tls-ca-cert-dir" => tls_ca_cert_dir: String = String::new(), Text, Run;
    "tls-ca-cert-file" => tls_ca_cert_file: String = String::new(), Text, Run;
    "tls-cert-file" => tls_cert_file: String = String::new(), Text, Run;
    "tls-key-file" => tls_key_file: String = String::new(), Text, Run;
    "tls-key-file-pass" => tls_key_file_pass: Vec<u8> = Vec::new(), Secret, Run;
    "tls-client-cert-file" => tls_client_cert_file: String = String::new(), Text, Run;
    "tls-client-key-file" => tls_client_key_file: String = String::new(), Text, Run;
    "tls-client-key-file-pass" => tls_client_key_file_pass: Vec<u8> = Vec::new(), Secret, Run;
    "tls-dh-params-file" => tls_dh_params_file: String = String::new(), Text, Run;
    "tls-protocols" => tls_protocols: String = String::new(), Text, Run;
    "tls-ciphers" => tls_ciphers: String = String::new(), Text, Run;
    "tls-ciphersuites" => tls_ciphersuites: String = String::new(), Text, Run;
    "tls-prefer-server-ciphers" => tls_prefer_server_ciphers: bool = false, YesNo, Run;
    "tls-session-caching" => tls_session_caching: bool = true, YesNo, Run;
    "tls-session-cache-size" => tls_session_cache_size: i32 = 20480, Int(0, I32_MAX), Run;
    "tls-session-cache-timeout" => tls_session_cache_timeout: i32 = 300, Int(0, I32_MAX), Run;
    "tls-replication" => tls_replication: bool = false, YesNo, Run;
    "tls-cluster" => tls_cluster: bool = false, YesNo, Run;

    // Process and log
    "daemonize" => daemonize: bool = false, YesNo, Start;
    "supervised" => supervised: Supervised = Supervised::No, OneOf, Start;
    "pidfile" => pidfile: String = String::new(), Text, Start;
    "loglevel" => loglevel: LogLevel = LogLevel::Notice, OneOf, Run;
    "logfile" => logfile: String = String::new(), Text, Start;
    "log-format" => log_format: LogFormat = LogFormat::Legacy, OneOf, Run;
    "log-timestamp-format" => log_timestamp_format: LogTimestamp = LogTimestamp::Legacy, OneOf, Run;
    "syslog-enabled" => syslog_enabled: bool = false, YesNo, Start;
    "syslog-ident" => syslog_ident: String = "redis".into(), Text, Start;
    "syslog-facility" => syslog_facility: SyslogFacility = SyslogFacility::Local0, OneOf, Start;
    "crash-log-enabled" => crash_log_enabled: bool = true, YesNo, Run;
    "crash-memcheck-enabled" => crash_memcheck_enabled: bool = true, YesNo, Run;
    "hide-user-data-from-log" => hide_user_data_from_log: bool = true, YesNo, Run;
    "always-show-logo" => always_show_logo: bool = false, YesNo, Start;
    "set-proc-title" => set_proc_title: bool = true, YesNo, Start;
    "proc-title-template" => proc_title_template: String = "{title} {listen-addr} {server-mode}".into(), Checked(checks::proc_title), Run;
    "ignore-warnings" => ignore_warnings: String = String::new(), Text, Run;
    "databases" => databases: u32 = 16, Int(1, 65_535), Start;
    "dir" => dir: String = ".".into(), Directory, Protected;
    "hz" => hz: i64 = 10, Clamped(Int(0, I32_MAX), 1, 500), Run;
    "dynamic-hz" => dynamic_hz: bool = true, YesNo, Run;
    "locale-collate" => locale_collate: String = String::new(), Text, Run;
    "availability-zone" => availability_zone: String = String::new(), Text, Run;
    "extended-redis-compatibility" => extended_redis_compatibility: bool = false, YesNo, Run;
    "shutdown-timeout" => shutdown_timeout: i32 = 10, Int(0, I32_MAX), Run;
    "shutdown-on-sigint" => shutdown_on_sigint: ShutdownFlags = ShutdownFlags::empty(), Shutdown, Run;
    "shutdown-on-sigterm" => shutdown_on_sigterm: ShutdownFlags = ShutdownFlags::empty(), Shutdown, Run;
    "oom-score-adj" => oom_score_adj: OomScoreAdj = OomScoreAdj::No, OneOf, Run;
    "oom-score-adj-values" => oom_score_adj_values: [i32; 3] = [0, 200, 800], OomScores, Run;
    "disable-thp" => disable_thp: bool = true, YesNo, Start;
    "jemalloc-bg-thread" => jemalloc_bg_thread: bool = true, YesNo, Run;
    "server_cpulist" ["server-cpulist"] => server_cpulist: String = String::new(), Text, Start;
    "bio_cpulist" ["bio-cpulist"] => bio_cpulist: String = String::new(), Text, Start;
    "aof_rewrite_cpulist" ["aof-rewrite-cpulist"] => aof_rewrite_cpulist: String = String::new(), Text, Start;
    "bgsave_cpulist" ["bgsave-cpulist"] => bgsave_cpulist: String = String::new(), Text, Start;

    // Snapshots
    "save" => save: Vec<SavePoint> = default_save(), SavePoints, Run;
    "dbfilename" => dbfilename: String = "dump.rdb".into(), Checked(checks::dbfilename), Protected;
    "rdbcompression" => rdbcompression: bool = true, YesNo, Run;
    "rdbchecksum" => rdbchecksum: bool = true, YesNo, Start;
    "rdb-del-sync-files" => rdb_del_sync_files: bool = false, YesNo, Run;
    "rdb-save-incremental-fsync" => rdb_save_incremental_fsync: bool = true, YesNo, Run;
    "stop-writes-on-bgsave-error" => stop_writes_on_bgsave_error: bool = true, YesNo, Run;
    "sanitize-dump-payload" => sanitize_dump_payload: Sanitize = Sanitize::No, OneOf, Run;

    // Replication
    "replicaof" ["slaveof"] => replicaof: Option<(String, u16)> = None, Master, Start;
    "masteruser" ["primaryuser"] => masteruser: Vec<u8> = Vec::new(), Secret, Run;
    "masterauth" ["primaryauth"] => masterauth: Vec<u8> = Vec::new(), Secret, Run;
    "replica-serve-stale-data" ["slave-serve-stale-data"] => replica_serve_stale_data: bool = true, YesNo, Run;
    "replica-read-only" ["slave-read-only"] => replica_read_only: bool = true, YesNo, Run;
    "replica-ignore-maxmemory" ["slave-ignore-maxmemory"] => replica_ignore_maxmemory: bool = true, YesNo, Run;
    "replica-ignore-disk-write-errors" => replica_ignore_disk_write_errors: bool = false, YesNo, Run;
    "replica-lazy-flush" ["slave-lazy-flush"] => replica_lazy_flush: bool = false, YesNo, Run;
    "replica-priority" ["slave-priority"] => replica_priority: i32 = 100, Int(0, I32_MAX), Run;
    "replica-announced" => replica_announced: bool = true, YesNo, Run;
    "replica-announce-ip" ["slave-announce-ip"] => replica_announce_ip: String = String::new(), Text, Run;
    "replica-announce-port" ["slave-announce-port"] => replica_announce_port: u16 = 0, Int(0, 65535), Run;
    "repl-ping-replica-period" ["repl-ping-slave-period"] => repl_ping_replica_period: i32 = 10, Int(1, I32_MAX), Run;
    "repl-timeout" => repl_timeout: i32 = 60, Int(1, I32_MAX), Run;
    "repl-disable-tcp-nodelay" => repl_disable_tcp_nodelay: bool = false, YesNo, Run;
    "repl-backlog-size" => repl_backlog_size: u64 = MB, MemoryFloor(Memory(1, SIZE_MAX), 16 * KB), Run;
    "repl-backlog-ttl" => repl_backlog_ttl: i64 = 3600, Int(0, i64::MAX), Run;
    "repl-diskless-sync" => repl_diskless_sync: bool = true, YesNo, Run;
    "repl-diskless-sync-delay" => repl_diskless_sync_delay: i32 = 5, Int(0, I32_MAX), Run;
    "repl-diskless-sync-max-replicas" => repl_diskless_sync_max_replicas: i32 = 0, Int(0, I32_MAX), Run;
    "repl-diskless-load" => repl_diskless_load: DisklessLoad = DisklessLoad::Disabled, OneOf, Run;
    "dual-channel-replication-enabled" => dual_channel_replication_enabled: bool = false, YesNo, Run;
    "min-replicas-to-write" ["min-slaves-to-write"] => min_replicas_to_write: i32 = 0, Int(0, I32_MAX), Run;
    "min-replicas-max-lag" ["min-slaves-max-lag"] => min_replicas_max_lag: i32 = 10, Int(0, I32_MAX), Run;
    "propagation-error-behavior" => propagation_error_behavior: PropagationError = PropagationError::Ignore, OneOf, Run;

    // Security
    "requirepass" => requirepass: Vec<u8> = Vec::new(), Secret, Run;
    "aclfile" => aclfile: String = String::new(), Text, Start;
    "acllog-max-len" => acllog_max_len: i64 = 128, Int(0, i64::MAX), Run;
    "acl-pubsub-default" => acl_pubsub_default: AclPubsubDefault = AclPubsubDefault::ResetChannels, OneOf, Run;
    "enable-protected-configs" => enable_protected_configs: Allow = Allow::No, OneOf, Start;
    "enable-debug-command" => enable_debug_command: Allow = Allow::No, OneOf, Start;
    "enable-module-command" => enable_module_command: Allow = Allow::No, OneOf, Start;

    // Memory
    "maxmemory" => maxmemory: u64 = 0, Memory(0, u64::MAX), Run;
    "maxmemory-policy" => maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::NoEviction, OneOf, Run;
    "maxmemory-samples" => maxmemory_samples: i32 = 5, Int(1, I32_MAX), Run;
    "maxmemory-eviction-tenacity" => maxmemory_eviction_tenacity: i32 = 10, Int(0, 100), Run;
    "maxmemory-clients" => maxmemory_clients: Share = Share::Bytes(0), MemoryOrPercent, Run;
    "lfu-log-factor" => lfu_log_factor: i32 = 10, Int(0, I32_MAX), Run;
    "lfu-decay-time" => lfu_decay_time: i32 = 1, Int(0, I32_MAX), Run;
    "lazyfree-lazy-eviction" => lazyfree_lazy_eviction: bool = false, YesNo, Run;
    "lazyfree-lazy-expire" => lazyfree_lazy_expire: bool = false, YesNo, Run;
    "lazyfree-lazy-server-del" => lazyfree_lazy_server_del: bool = false, YesNo, Run;
    "lazyfree-lazy-user-del" => lazyfree_lazy_user_del: bool = false, YesNo, Run;
    "lazyfree-lazy-user-flush" => lazyfree_lazy_user_flush: bool = false, YesNo, Run;
    "active-expire-effort" => active_expire_effort: i32 = 1, Int(1, 10), Run;
    "activerehashing" => activerehashing: bool = true, YesNo, Run;
    "activedefrag" => activedefrag: bool = false, YesNo, Run;
    "active-defrag-ignore-bytes" => active_defrag_ignore_bytes: u64 = 100 * MB, Memory(1, SIZE_MAX), Run;
    "active-defrag-threshold-lower" => active_defrag_threshold_lower: i32 = 10, Int(0, 1000), Run;
    "active-defrag-threshold-upper" => active_defrag_threshold_upper: i32 = 100, Int(0, 1000), Run;
    "active-defrag-cycle-min" => active_defrag_cycle_min: i32 = 1, Int(1, 99), Run;
    "active-defrag-cycle-max" => active_defrag_cycle_max: i32 = 25, Int(1, 99), Run;
    "active-defrag-max-scan-fields" => active_defrag_max_scan_fields: i64 = 1000, Int(1, i64::MAX), Run;

    // Threads
    "io-threads" => io_threads: usize = default_io_threads(), Int(1, 128), Start;
    "io-threads-do-reads" => io_threads_do_reads: bool = false, YesNo, Start;
    "events-per-io-thread" => events_per_io_thread: i32 = 2, Int(0, I32_MAX), Run;
    "prefetch-batch-max-size" => prefetch_batch_max_size: i32 = 16, Int(0, 128), Run;

    // Append-only file
    "appendonly" => appendonly: bool = false, YesNo, Run;
    "appendfilename" => appendfilename: String = "appendonly.aof".into(), Checked(checks::appendfilename), Start;
    "appenddirname" => appenddirname: String = "appendonlydir".into(), Checked(checks::appenddirname), Start;
    "appendfsync" => appendfsync: AppendFsync = AppendFsync::EverySec, OneOf, Run;
    "no-appendfsync-on-rewrite" => no_appendfsync_on_rewrite: bool = false, YesNo, Run;
    "auto-aof-rewrite-percentage" => auto_aof_rewrite_percentage: i32 = 100, Int(0, I32_MAX), Run;
    "auto-aof-rewrite-min-size" => auto_aof_rewrite_min_size: u64 = 64 * MB, Memory(0, SIZE_MAX), Run;
    "aof-load-truncated" => aof_load_truncated: bool = true, YesNo, Run;
    "aof-use-rdb-preamble" => aof_use_rdb_preamble: bool = true, YesNo, Run;
    "aof-timestamp-enabled" => aof_timestamp_enabled: bool = false, YesNo, Run;
    "aof-rewrite-incremental-fsync" => aof_rewrite_incremental_fsync: bool = true, YesNo, Run;
    "aof-disable-auto-gc" => aof_disable_auto_gc: bool = false, YesNo, Run;

    // Scripts, events, introspection
    "busy-reply-threshold" ["lua-time-limit"] => busy_reply_threshold: i64 = 5000, Int(0, i64::MAX), Run;
    "notify-keyspace-events" => notify_keyspace_events: Events = Events::empty(), EventLetters, Run;
    "slowlog-log-slower-than" => slowlog_log_slower_than: i64 = 10000, Int(-1, i64::MAX), Run;
    "slowlog-max-len" => slowlog_max_len: i64 = 128, Int(0, i64::MAX), Run;
    "latency-monitor-threshold" => latency_monitor_threshold: i64 = 0, Int(0, i64::MAX), Run;
    "latency-tracking" => latency_tracking: bool = true, YesNo, Run;
    "latency-tracking-info-percentiles" => latency_tracking_info_percentiles: Vec<f64> = vec![50.0, 99.0, 99.9], Percentiles, Run;
    "tracking-table-max-keys" => tracking_table_max_keys: i64 = 1_000_000, Int(0, i64::MAX), Run;

    // Encodings
    "hash-max-listpack-entries" ["hash-max-ziplist-entries"] => hash_max_listpack_entries: i64 = 512, Int(0, i64::MAX), Run;
    "hash-max-listpack-value" ["hash-max-ziplist-value"] => hash_max_listpack_value: u64 = 64, Memory(0, SIZE_MAX), Run;
    "list-max-listpack-size" ["list-max-ziplist-size"] => list_max_listpack_size: i32 = -2, Int(I32_MIN, I32_MAX), Run;
    "list-compress-depth" => list_compress_depth: i32 = 0, Int(0, I32_MAX), Run;
    "set-max-intset-entries" => set_max_intset_entries: i64 = 512, Int(0, i64::MAX), Run;
    "set-max-listpack-entries" => set_max_listpack_entries: i64 = 128, Int(0, i64::MAX), Run;
    "set-max-listpack-value" => set_max_listpack_value: u64 = 64, Memory(0, SIZE_MAX), Run;
    "zset-max-listpack-entries" ["zset-max-ziplist-entries"] => zset_max_listpack_entries: i64 = 128, Int(0, i64::MAX), Run;
    "zset-max-listpack-value" ["zset-max-ziplist-value"] => zset_max_listpack_value: u64 = 64, Memory(0, SIZE_MAX), Run;
    "hll-sparse-max-bytes" => hll_sparse_max_bytes: u64 = 3000, Memory(0, SIZE_MAX), Run;
    "stream-node-max-bytes" => stream_node_max_bytes: u64 = 4096, Memory(0, SIZE_MAX), Run;
    "stream-node-max-entries" => stream_node_max_entries: i64 = 100, Int(0, i64::MAX), Run;

    // Cluster
    "cluster-enabled" => cluster_enabled: bool = false, YesNo, Start;
    "cluster-config-file" => cluster_config_file: String = "nodes.conf".into(), Text, Start;
    "cluster-port" => cluster_port: u16 = 0, Int(0, 65535), Start;
    "cluster-node-timeout" => cluster_node_timeout: i64 = 15000, Int(0, i64::MAX), Run;
    "cluster-migration-barrier" => cluster_migration_barrier: i32 = 1, Int(0, I32_MAX), Run;
    "cluster-replica-validity-factor" ["cluster-slave-validity-factor"] => cluster_replica_validity_factor: i32 = 10, Int(0, I32_MAX), Run;
    "cluster-replica-no-failover" ["cluster-slave-no-failover"] => cluster_replica_no_failover: bool = false, YesNo, Run;
    "cluster-require-full-coverage" => cluster_require_full_coverage: bool = true, YesNo, Run;
    "cluster-allow-reads-when-down" => cluster_allow_reads_when_down: bool = false, YesNo, Run;
    "cluster-allow-pubsubshard-when-down" => cluster_allow_pubsubshard_when_down: bool = true, YesNo, Run;
    "cluster-allow-replica-migration" => cluster_allow_replica_migration: bool = true, YesNo, Run;
    "cluster-link-sendbuf-limit" => cluster_link_sendbuf_limit: u64 = 0, Memory(0, u64::MAX), Run;
    "cluster-preferred-endpoint-type" => cluster_preferred_endpoint_type: EndpointType = EndpointType::Ip, OneOf, Run;
    "cluster-announce-ip" => cluster_announce_ip: String = String::new(), Text, Run;
    "cluster-announce-port" => cluster_announce_port: u16 = 0, Int(0, 65535), Run;
    "cluster-announce-tls-port" => cluster_announce_tls_port: u16 = 0, Int(0, 65535), Run;
    "cluster-announce-bus-port" => cluster_announce_bus_port: u16 = 0, Int(0, 65535), Run;
    "cluster-announce-hostname" => cluster_announce_hostname: String = String::new(), Checked(checks::hostname), Run;
    "cluster-announce-human-nodename" => cluster_announce_human_nodename: String = String::new(), Text, Run;
    "cluster-announce-client-ipv4" => cluster_announce_client_ipv4: String = String::new(), Text, Run;
    "cluster-announce-client-ipv6" => cluster_announce_client_ipv6: String = String::new(), Text, Run;
    "cluster-blacklist-ttl" => cluster_blacklist_ttl: i64 = 60, Int(0, i64::MAX), Run;
    "cluster-slot-stats-enabled" => cluster_slot_stats_enabled: bool = false, YesNo, Run;

    // For tests: slowing loads and saves down
    "key-load-delay" => key_load_delay: i32 = 0, Int(I32_MIN, I32_MAX), Hidden;
    "rdb-key-save-delay" => rdb_key_save_delay: i32 = 0, Int(I32_MIN, I32_MAX), Hidden;
    "loading-process-events-interval-bytes" => loading_process_events_interval_bytes: i32 = 2097152, Int(1024, I32_MAX), Hidden;
    "use-exit-on-panic" => use_exit_on_panic: bool = false, YesNo, Hidden;
    "watchdog-period" => watchdog_period: i32 = 0, Int(0, I32_MAX), Hidden;

    // Redpoll's own
    "repl-backlog-disk-size" => repl_backlog_disk_size: u64 = GB, Memory(0, SIZE_MAX), Run;
    "rdb-compatible-version" => rdb_compatible_version: u32 = 10, Int(9, 12), Run;
    "compatible-encodings" => compatible_encodings: Encodings = Encodings::Of7_2, OneOf, Run;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::split_args;

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut names: Vec<_> = DIRECTIVES.iter().flat_map(Directive::names).collect();
        let all = names.len();
        assert!(names.iter().all(|name| !name.bytes().any(|b| b.is_ascii_uppercase())));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    /// Every default passes its own check, reads back from what CONFIG GET shows, and from what CONFIG REWRITE writes.
    #[test]
    fn defaults_read_back() {
        let default = Config::default();
        for row in DIRECTIVES {
            let shown = (row.show)(&default);
            let many = (row.many)(&default);
            let words =
                if many { shown.split(|b| *b == b' ').map(<[u8]>::to_vec).collect() } else { vec![shown] };
            let mut config = default.clone();
            if row.name != "replicaof" {
                (row.set)(&mut config, &words, At::Run)
                    .unwrap_or_else(|error| panic!("{}: {error}", row.name));
            }
            assert!((row.same)(&config, &default), "{}", row.name);
            for (index, (line, _)) in (row.lines)(&default, &default).iter().enumerate() {
                let words = split_args(line).unwrap();
                assert_eq!(words[0], row.name.as_bytes());
                let at = At::Start { repeated: index > 0 };
                (row.set)(&mut config, &words[1..], at)
                    .unwrap_or_else(|error| panic!("{}: {error}", row.name));
            }
            assert!((row.same)(&config, &default), "{}", row.name);
        }
    }
}
