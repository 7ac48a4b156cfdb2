//! MEMORY: what keys and the server occupy.
//!
//! The figures are INFO's and the entries' own; nothing is counted for this command's sake. A key's size is what was asked
//! of the allocator for it, which collections of many allocations know from a sample of their own: SAMPLES is
//! checked and changes nothing.

use super::info::lines::ratio;
use super::info::memory::{Figures, difference};
use crate::command::{Flags, Group, Handler, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::memory;

/// The family's rows.
pub const ROWS: &[Row] = &[MEMORY];

const MEMORY: Row = Row::new("memory", -2, Group::Server, "4.0.0", super::container).subcommands(&[
    sub("memory|doctor", doctor).tips(ANY_OUTPUT),
    sub("memory|help", help).flags(Flags::LOADING.union(Flags::STALE)),
    sub("memory|malloc-stats", malloc_stats).tips(ANY_OUTPUT),
    sub("memory|purge", purge).tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    sub("memory|stats", stats).flags(Flags::EXEC_ALL_SHARDS).tips(ANY_OUTPUT),
    Row::new("memory|usage", -3, Group::Server, "4.0.0", usage)
        .flags(Flags::READONLY)
        .keys(&[KeySpec::one(2, KeyFlags::RO)]),
]);

const ANY_OUTPUT: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

/// A row without arguments.
const fn sub(name: &'static str, handler: Handler) -> Row {
    Row::new(name, 2, Group::Server, "4.0.0", handler)
}

fn help(call: &mut Call<'_, '_>) -> Result<(), Error> {
    const LINES: &[&str] = &[
        "DOCTOR",
        "    Return memory problems reports.",
        "MALLOC-STATS",
        "    Return internal statistics report from the memory allocator.",
        "PURGE",
        "    Attempt to purge dirty pages for reclamation by the allocator.",
        "STATS",
        "    Return information about the memory usage of the server.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).",
    ];
    call.reply.help("memory", LINES);
    Ok(())
}

/// What the table keeps for an entry: its slot.
const SLOT_BYTES: usize = size_of::<usize>();

fn usage(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let mut at = 3;
    while at < call.args.len() {
        if !call.args.is(at, "samples") || at + 1 == call.args.len() {
            return Err(error::SYNTAX);
        }
        if call.args.int(at + 1)? < 0 {
            return Err(error::SYNTAX);
        }
        at += 2;
    }
    match call.view.stored(call.args.at(2)) {
        Some(entry) => call.reply.len(SLOT_BYTES + entry.size_bytes()),
        None => call.reply.null(),
    }
    Ok(())
}

fn purge(call: &mut Call<'_, '_>) -> Result<(), Error> {
    memory::purge();
    call.reply.ok();
    Ok(())
}

fn malloc_stats(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.verbatim(&memory::report());
    Ok(())
}

/// A database's keys and the bytes of its tables and of its expiry index.
#[derive(Clone, Copy, Default)]
struct Database {
    keys: usize,
    table_bytes: usize,
    expiry_bytes: usize,
}

fn databases(call: &mut Call<'_, '_>) -> Vec<Database> {
    let mut sums = vec![Database::default(); usize::from(call.view.databases())];
    call.for_each_shard(|shard| {
        for (db, sum) in (0..).zip(&mut sums) {
            let part = shard.db(db);
            sum.keys += part.len();
            sum.table_bytes += part.table().overhead_bytes();
            sum.expiry_bytes += part.expiry().size_bytes();
        }
    });
    sums
}

fn stats(call: &mut Call<'_, '_>) -> Result<(), Error> {
    /// The pairs of the reply beside those of the databases.
    const PAIRS: usize = 27;
    let databases = databases(call);
    let figures = Figures::now(call.server);
    let shown: Vec<_> = databases.iter().enumerate().filter(|(_, database)| database.keys > 0).collect();
    call.reply.map(PAIRS + shown.len());
    integers(call, &totals(&figures));
    let mut overhead = figures.overhead();
    for (number, database) in &shown {
        call.reply.bulk(format!("db.{number}"));
        call.reply.map(3);
        integers(
            call,
            &[
                ("overhead.hashtable.main", database.table_bytes as i64),
                ("overhead.hashtable.expires", database.expiry_bytes as i64),
                ("overhead.hashtable.slot-to-keys", 0),
            ],
        );
        overhead += (database.table_bytes + database.expiry_bytes) as u64;
    }
    let keys = databases.iter().map(|database| database.keys as u64).sum();
    data_set(call, &figures, overhead.min(figures.used), keys);
    processes(call, &figures);
    Ok(())
}

fn totals(figures: &Figures) -> [(&'static str, i64); 10] {
    [
        ("peak.allocated", figures.peak as i64),
        ("total.allocated", figures.used as i64),
        ("startup.allocated", figures.startup as i64),
        ("replication.backlog", figures.backlog as i64),
        ("clients.slaves", figures.replicas as i64),
        ("clients.normal", figures.clients as i64),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", 0),
        ("functions.caches", 0),
    ]
}

fn data_set(call: &mut Call<'_, '_>, figures: &Figures, overhead: u64, keys: u64) {
    let data = figures.used - overhead;
    let grown = figures.used.saturating_sub(figures.startup);
    integers(
        call,
        &[
            ("overhead.total", overhead as i64),
            ("keys.count", keys as i64),
            ("keys.bytes-per-key", grown.checked_div(keys).unwrap_or(0) as i64),
            ("dataset.bytes", data as i64),
        ],
    );
    ratios(call, "dataset.percentage", 100.0 * ratio(data, grown));
    ratios(call, "peak.percentage", 100.0 * ratio(figures.used, figures.peak));
}

/// What the allocator and the system add.
fn processes(call: &mut Call<'_, '_>, figures: &Figures) {
    let Figures { used, active, resident, rss, .. } = *figures;
    integers(
        call,
        &[
            ("allocator.allocated", used as i64),
            ("allocator.active", active as i64),
            ("allocator.resident", resident as i64),
        ],
    );
    for (name, bytes_name, outer, inner) in [
        ("allocator-fragmentation.ratio", "allocator-fragmentation.bytes", active, used),
        ("allocator-rss.ratio", "allocator-rss.bytes", resident, active),
        ("rss-overhead.ratio", "rss-overhead.bytes", rss, resident),
        ("fragmentation", "fragmentation.bytes", rss, used),
    ] {
        ratios(call, name, ratio(outer, inner));
        integers(call, &[(bytes_name, difference(outer, inner))]);
    }
}

fn integers(call: &mut Call<'_, '_>, pairs: &[(&str, i64)]) {
    for (name, n) in pairs {
        call.reply.bulk(name);
        call.reply.int(*n);
    }
}

fn ratios(call: &mut Call<'_, '_>, name: &str, ratio: f64) {
    call.reply.bulk(name);
    call.reply.double(ratio);
}

fn doctor(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let figures = Figures::now(call.server);
    let clients = call.server.clients.all().len() as u64;
    call.reply.verbatim(diagnosis(&figures, clients).as_bytes());
    Ok(())
}

const TOO_SMALL: &str = "Hi Sam, this instance is empty or is using very little memory, my issues detector can't be used in these conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam and I will be back to our programming as soon as I finished rebooting.\n";
const HEALTHY: &str = "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this base.\n";
const PEAK: &str = " * Peak memory: In the past this instance used more than 150% the memory that is currently using. The allocator is normally not able to release memory after a peak, so you can expect to see a big fragmentation ratio, however this is actually harmless and is only due to the memory peak, and if the Redis instance Resident Set Size (RSS) is currently bigger than expected, the memory will be used as soon as you fill the Redis instance with more data. If the memory peak was only occasional and you want to try to reclaim memory, please try the MEMORY PURGE command, otherwise the only other option is to shutdown and restart the instance.\n\n";
const TOTAL_RSS: &str = " * High total RSS: This instance has a memory fragmentation and RSS overhead greater than 1.4 (this means that the Resident Set Size of the Redis process is much larger than the sum of the logical allocations Redis performed). This problem is usually due either to a large peak memory (check if there is a peak memory entry above in the report) or may result from a workload that causes the allocator to fragment memory a lot. If the problem is a large peak memory, then there is no issue. Otherwise, make sure you are using the Jemalloc allocator and not the default libc malloc. Note: The currently used allocator is \"jemalloc-5.3.0\".\n\n";
const FRAGMENTED: &str = " * High allocator fragmentation: This instance has an allocator external fragmentation greater than 1.1. This problem is usually due either to a large peak memory (check if there is a peak memory entry above in the report) or may result from a workload that causes the allocator to fragment memory a lot. You can try enabling 'activedefrag' config option.\n\n";
const ALLOCATOR_RSS: &str = " * High allocator RSS overhead: This instance has an RSS memory overhead is greater than 1.1 (this means that the Resident Set Size of the allocator is much larger than the sum what the allocator actually holds). This problem is usually due to a large peak memory (check if there is a peak memory entry above in the report), you can try the MEMORY PURGE command to reclaim it.\n\n";
const PROCESS_RSS: &str = " * High process RSS overhead: This instance has non-allocator RSS memory overhead is greater than 1.1 (this means that the Resident Set Size of the Redis process is much larger than the RSS the allocator holds). This problem may be due to Lua scripts or Modules.\n\n";
const CLIENTS: &str = " * Big client buffers: The clients output buffers in this instance are greater than 200K per client (on average). This may result from different causes, like Pub/Sub clients subscribed to channels bot not receiving data fast enough, so that data piles on the Redis instance output buffer, or clients sending commands with large replies or very large sequences of commands in the same pipeline. Please use the CLIENT LIST command in order to investigate the issue if it causes problems in your instance, or to understand better why certain clients are using a big amount of memory.\n\n";

/// Less than this is no subject, bytes.
const SUBJECT_BYTES: u64 = 5 << 20;
/// Waste below this is nobody's concern, bytes.
const CONCERN_BYTES: i64 = 10 << 20;
/// A client's buffers, bytes on average.
const CLIENT_BYTES: u64 = 200 << 10;

/// What Redis's doctor says about such figures.
fn diagnosis(figures: &Figures, clients: u64) -> String {
    let Figures { used, active, resident, rss, .. } = *figures;
    if used < SUBJECT_BYTES {
        return TOO_SMALL.to_owned();
    }
    let wasteful =
        |outer, inner, limit| ratio(outer, inner) > limit && difference(outer, inner) > CONCERN_BYTES;
    let issues = [
        (ratio(figures.peak, used) > 1.5, PEAK),
        (wasteful(rss, used, 1.4), TOTAL_RSS),
        (wasteful(active, used, 1.1), FRAGMENTED),
        (wasteful(resident, active, 1.1), ALLOCATOR_RSS),
        (wasteful(rss, resident, 1.1), PROCESS_RSS),
        (figures.clients.checked_div(clients).is_some_and(|bytes| bytes > CLIENT_BYTES), CLIENTS),
    ];
    let found: String = issues.iter().filter(|(is, _)| *is).map(|(_, text)| *text).collect();
    if found.is_empty() {
        return HEALTHY.to_owned();
    }
    format!(
        "Sam, I detected a few issues in this Redis instance memory implants:\n\n{found}\
         I'm here to keep you safe, Sam. I want to help you.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn a_key_weighs_what_its_entry_does() {
        let mut bench = Bench::new();
        bench.run("set k 12345");
        bench.check("memory usage k", ":25");
        bench.check("memory usage k samples 0", ":25");
        bench.check("memory usage k SAMPLES 3 samples 1", ":25");
        bench.check("memory usage nope", "$-1");
        bench.run(&format!("rpush l {}", "x".repeat(5_000)));
        let large = bench.run("memory usage l")[1..].parse::<usize>();
        assert!(large.is_ok_and(|bytes| (5_000..8_000).contains(&bytes)));
        for (wrong, text) in [
            ("samples", "-ERR syntax error"),
            ("samples -1", "-ERR syntax error"),
            ("foo 1", "-ERR syntax error"),
            ("samples x", "-ERR value is not an integer or out of range"),
        ] {
            bench.check(&format!("memory usage k {wrong}"), text);
        }
    }

    #[test]
    fn the_statistics_have_as_many_pairs_as_they_say() {
        let mut bench = Bench::new();
        bench.run("debug populate 100");
        bench.run("select 3");
        bench.run("set k v ex 100");
        let reply = bench.run("memory stats");
        assert!(reply.starts_with("*58 $14 peak.allocated :"), "{reply}");
        assert!(reply.contains(" $10 keys.count :101 $"), "{reply}");
        assert!(reply.contains(" $4 db.0 *6 $23 overhead.hashtable.main :"), "{reply}");
        let nested = 2 * (3 * 2);
        let words = reply.split(' ').filter(|word| word.starts_with(['$', ':'])).count();
        assert!(reply.contains(" $4 db.3 *6 ") && words == 58 - 2 + nested, "{words} {reply}");
    }

    #[test]
    fn the_doctor_looks_at_ratios() {
        const MB: u64 = 1 << 20;
        let well = || Figures {
            used: 100 * MB,
            peak: 100 * MB,
            startup: MB,
            rss: 101 * MB,
            active: 100 * MB,
            resident: 101 * MB,
            backlog: 0,
            replicas: 0,
            clients: 0,
        };
        let check = |figures: Figures, words: &[&str]| {
            let text = diagnosis(&figures, 2);
            let found = text.lines().filter_map(|line| line.strip_prefix(" * ")?.split(':').next());
            assert_eq!(found.collect::<Vec<_>>(), words, "{text}");
        };
        check(well(), &[]);
        assert_eq!(diagnosis(&well(), 0), HEALTHY);
        assert_eq!(diagnosis(&Figures { used: 4 * MB, ..well() }, 1), TOO_SMALL);
        check(Figures { peak: 151 * MB, ..well() }, &["Peak memory"]);
        check(Figures { rss: 141 * MB, ..well() }, &["High total RSS", "High process RSS overhead"]);
        let fragmented = Figures { active: 112 * MB, resident: 112 * MB, rss: 112 * MB, ..well() };
        check(fragmented, &["High allocator fragmentation"]);
        check(Figures { resident: 115 * MB, rss: 115 * MB, ..well() }, &["High allocator RSS overhead"]);
        check(Figures { clients: MB, ..well() }, &["Big client buffers"]);
    }

    #[test]
    fn the_others_answer() {
        let mut bench = Bench::new();
        bench.check("memory purge", "+OK");
        assert!(bench.run("memory doctor").contains("Hi Sam"));
        assert!(bench.run("memory help").starts_with("*14 +MEMORY <subcommand>"));
        assert!(bench.run("memory malloc-stats").contains("jemalloc statistics"));
        bench.check("memory", "-ERR wrong number of arguments for 'memory' command");
        bench.check("memory nosuch", "-ERR unknown subcommand 'nosuch'. Try MEMORY HELP.");
    }
}
