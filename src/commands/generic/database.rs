//! Whole databases: their size, emptying them, exchanging them.

use super::keys::{known_database, small_int};
use super::{QUICK_READ, QUICK_WRITE};
use crate::client::Takeover;
use crate::command::{Acl, Flags, Group, Row};
use crate::error::{self, Error};
use crate::executor::Call;

/// The rows of this file.
pub const ROWS: &[Row] = &[DBSIZE, FLUSHDB, FLUSHALL, SWAPDB];

const DBSIZE: Row = Row::new("dbsize", 1, Group::Server, "1.0.0", dbsize)
    .flags(QUICK_READ.union(Flags::ALL_SHARDS))
    .categories(Acl::KEYSPACE)
    .tips(&["request_policy:all_shards", "response_policy:agg_sum"]);

fn dbsize(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let keys = call.view.key_count();
    call.reply.len(keys);
    Ok(())
}

/// A row of the FLUSH kind.
const fn flusher(name: &'static str, handler: crate::command::Handler) -> Row {
    Row::new(name, -1, Group::Server, "1.0.0", handler)
        .flags(Flags::WRITE.union(Flags::ALL_SHARDS))
        .categories(Acl::KEYSPACE.union(Acl::DANGEROUS))
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
}

const FLUSHDB: Row = flusher("flushdb", flushdb);
const FLUSHALL: Row = flusher("flushall", flushall);

fn flushdb(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let db = call.view.db;
    flush(call, db..db + 1)?;
    call.reply.ok();
    Ok(())
}

fn flushall(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let databases = call.view.databases();
    flush(call, 0..databases)?;
    let saves = !call.server.config.load().save.is_empty();
    let answered = call.in_transaction || !saves;
    if answered {
        call.reply.ok();
    }
    if saves {
        // A restart is not to bring back what was flushed: the file follows at once, and OK comes when it has.
        call.client.takeover = Some(Takeover::SaveFlushed { answered });
    }
    Ok(())
}

/// Empties databases; SYNC and ASYNC make no difference, as the data is freed in the background either way. Goes to the log
/// even when there was nothing: the replicas may know more keys than we do.
fn flush(call: &mut Call<'_, '_>, databases: std::ops::Range<u16>) -> Result<(), Error> {
    let known = call.args.len() == 2 && (call.args.is(1, "sync") || call.args.is(1, "async"));
    if call.args.len() > 1 && !known {
        return Err(error::SYNTAX);
    }
    for db in databases {
        call.view.flush(db);
    }
    call.propagate_always();
    Ok(())
}

const SWAPDB: Row = Row::new("swapdb", 3, Group::Server, "4.0.0", swapdb)
    .flags(QUICK_WRITE.union(Flags::ALL_SHARDS))
    .categories(Acl::KEYSPACE.union(Acl::DANGEROUS));

fn swapdb(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let first = small_int(call, 1).ok_or(error::INVALID_FIRST_DB)?;
    let second = small_int(call, 2).ok_or(error::INVALID_SECOND_DB)?;
    let (first, second) = (known_database(call, first)?, known_database(call, second)?);
    call.view.swap_databases(first, second);
    call.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;
    use crate::config::Config;
    use std::sync::Arc;

    #[track_caller]
    fn check(lines: &str, reply: &str, logged: &str) {
        let mut bench = Bench::new();
        let without_save_points = Config { save: Vec::new(), ..Config::clone(&bench.server.config.load()) };
        bench.server.config.store(Arc::new(without_save_points));
        ["set a 1", "set b 1", "select 1", "set c 1", "select 0", "ping"].iter().for_each(|line| {
            bench.run(line);
        });
        bench.check_logged(lines, reply, logged);
    }

    #[test]
    fn flushing_is_logged_as_it_came_even_when_there_is_nothing() {
        check("flushdb", "+OK", "flushdb");
        check("flushdb; dbsize", ":0", "");
        check("flushdb; select 1; dbsize", ":1", "");
        check("flushall; flushall async", "+OK", "flushall async");
        check("flushall; select 1; dbsize", ":0", "");
        check("flushdb SYNC", "+OK", "flushdb SYNC");
        check("flushdb foo", "-ERR syntax error", "");
        check("flushall sync async", "-ERR syntax error", "");
    }

    #[test]
    fn with_save_points_the_file_is_emptied_before_the_answer() {
        let mut bench = Bench::new();
        bench.check("flushall", "");
        assert_eq!(bench.client.takeover.take(), Some(Takeover::SaveFlushed { answered: false }));
        bench.run("multi");
        bench.run("flushall");
        bench.check("exec", "*1 +OK");
        assert_eq!(bench.client.takeover.take(), Some(Takeover::SaveFlushed { answered: true }));
        bench.check("flushdb", "+OK");
        assert_eq!(bench.client.takeover, None);
    }

    #[test]
    fn databases_are_exchanged() {
        check("swapdb 0 1", "+OK", "swapdb 0 1");
        check("swapdb 0 1; keys *", "*1 $1 c", "");
        check("swapdb 1 0; select 1; dbsize", ":2", "");
        check("swapdb 0 0", "+OK", "swapdb 0 0");
        check("expire a 100; swapdb 0 5; select 5; ttl a", ":100", "");
        check("swapdb 0 99", "-ERR DB index is out of range", "");
        check("swapdb -1 0", "-ERR DB index is out of range", "");
        check("swapdb abc 1", "-ERR invalid first DB index", "");
        check("swapdb 99 abc", "-ERR invalid second DB index", "");
    }
}
