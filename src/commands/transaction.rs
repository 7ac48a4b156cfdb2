//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Queueing is the executor's; EXEC finds the shards of all queued and all watched keys locked, so that between its look at
//! the watches and its last command nobody else is there. A client watches with one flag for all its keys; the flag is
//! lowered only after the last of them is struck out, under the locks of their shards.

use crate::client::{Client, ClientFlags, Kind, Transaction, Watched};
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::keyspace::{Keyspace, shard_of};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

/// The family's rows.
pub const ROWS: &[Row] = &[MULTI, EXEC, DISCARD, WATCH, UNWATCH];

const ANYTIME: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE);
const QUICK: Flags = ANYTIME.union(Flags::FAST).union(Flags::ALLOW_BUSY);

const MULTI: Row = Row::new("multi", 1, Group::Transactions, "1.2.0", multi)
    .flags(QUICK.union(Flags::NO_MULTI).union(Flags::NOT_QUEUED))
    .categories(Acl::TRANSACTION);

fn multi(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if call.client.transaction.is_some() {
        return Err(error::NESTED_MULTI);
    }
    call.client.transaction = Some(Transaction::default());
    call.client.shared.set_flag(ClientFlags::MULTI, true);
    call.client.shared.queued.store(0, Relaxed);
    call.reply.ok();
    Ok(())
}

const EXEC: Row = Row::new("exec", 1, Group::Transactions, "1.2.0", exec)
    .flags(
        ANYTIME
            .union(Flags::SKIP_SLOWLOG)
            .union(Flags::NOT_QUEUED)
            .union(Flags::QUEUED_SHARDS)
            .union(Flags::WATCHED_SHARDS),
    )
    .categories(Acl::TRANSACTION);

fn exec(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let transaction = call.client.transaction.take().ok_or(error::EXEC_WITHOUT_MULTI)?;
    let result = run_all(call, &transaction);
    // Until now CLIENT INFO has shown that a transaction runs.
    call.client.end_transaction();
    result
}

fn run_all(call: &mut Call<'_, '_>, transaction: &Transaction) -> Result<(), Error> {
    let changed = watched_has_changed(call);
    unwatch_all(call);
    admit(call, transaction)?;
    if transaction.aborted {
        return Err(error::EXEC_ABORT);
    }
    if changed {
        call.reply.null_array();
        return Ok(());
    }
    if !call.client.is_silent() {
        call.reply.array(transaction.queued.len());
    }
    transaction.queued.iter().for_each(|queued| call.run_queued(queued));
    call.client.reply_is_settled = call.client.is_silent();
    Ok(())
}

/// Has anything watched changed, or run out while it was watched?
fn watched_has_changed(call: &mut Call<'_, '_>) -> bool {
    let (view, flag) = (&mut *call.view, &call.client.watch_flag);
    flag.load(Relaxed)
        || call.client.watched.iter().any(|Watched { db, key }| {
            view.is_logically_expired(*db, key) && !view.watches(key).is_known_expired(*db, key, flag)
        })
}

/// The server's state may have changed since the commands were queued.
fn admit(call: &Call<'_, '_>, transaction: &Transaction) -> Result<(), Error> {
    if call.client.kind == Kind::Master {
        return Ok(());
    }
    let admitted = transaction.queued.iter().try_for_each(|queued| call.server.admits(queued.command.row));
    admitted.map_err(|error| Error::exec_aborted(&error))
}

const DISCARD: Row = Row::new("discard", 1, Group::Transactions, "2.0.0", discard)
    .flags(QUICK.union(Flags::NOT_QUEUED).union(Flags::WATCHED_SHARDS))
    .categories(Acl::TRANSACTION);

fn discard(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.client.end_transaction().ok_or(error::DISCARD_WITHOUT_MULTI)?;
    unwatch_all(call);
    call.reply.ok();
    Ok(())
}

const WATCH: Row = Row::new("watch", -2, Group::Transactions, "2.2.0", watch)
    .flags(QUICK.union(Flags::NO_MULTI).union(Flags::NOT_QUEUED))
    .categories(Acl::TRANSACTION)
    .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RO)]);

fn watch(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if call.client.transaction.is_some() {
        return Err(error::WATCH_INSIDE_MULTI);
    }
    call.reply.ok();
    // A flag that is up already will not come down before EXEC: more keys would tell nothing new.
    if call.client.watch_flag.load(Relaxed) {
        return Ok(());
    }
    let db = call.view.db;
    let mut known: BTreeSet<&[u8]> =
        call.client.watched.iter().filter(|watched| watched.db == db).map(|watched| &*watched.key).collect();
    let new: Vec<&[u8]> = call.args.from(1).filter(|key| known.insert(key)).collect();
    for key in new {
        let was_expired = call.view.is_logically_expired(db, key);
        call.view.watches(key).add(db, key, &call.client.watch_flag, was_expired);
        call.client.watched.push(Watched { db, key: key.into() });
    }
    call.client.shared.watched.store(call.client.watched.len(), Relaxed);
    Ok(())
}

const UNWATCH: Row = Row::new("unwatch", 1, Group::Transactions, "2.2.0", unwatch)
    .flags(QUICK.union(Flags::WATCHED_SHARDS))
    .categories(Acl::TRANSACTION);

fn unwatch(call: &mut Call<'_, '_>) -> Result<(), Error> {
    unwatch_all(call);
    call.reply.ok();
    Ok(())
}

/// Ends all of a client's watches. The command's row has `WATCHED_SHARDS`.
pub fn unwatch_all(call: &mut Call<'_, '_>) {
    for watched in std::mem::take(&mut call.client.watched) {
        call.view.watches(&watched.key).remove(watched.db, &watched.key, &call.client.watch_flag);
    }
    lower_flag(call.client);
}

/// Ends all of a client's watches while no command of its runs (its connection ends). Locks one shard after the other.
pub fn forget_watches(client: &mut Client, keyspace: &Keyspace) {
    for watched in std::mem::take(&mut client.watched) {
        let mut shard = keyspace.slot(shard_of(keyspace.hash(&watched.key))).lock();
        shard.watches.remove(watched.db, &watched.key, &client.watch_flag);
    }
    lower_flag(client);
}

fn lower_flag(client: &Client) {
    client.watch_flag.store(false, Relaxed);
    client.shared.watched.store(0, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::{Bench, NOW_MS};

    /// Runs lines; one that begins with `2:` is another client's, `+50` moves the clock by 50 ms. Returns the last reply and
    /// what the log has got.
    fn run(lines: &[&str]) -> (String, String) {
        let mut bench = Bench::new();
        let mut other = Bench::client(&bench.server);
        let (mut now_ms, mut reply) = (NOW_MS, String::new());
        for line in lines {
            if let Some(ms) = line.strip_prefix('+') {
                now_ms += ms.parse::<i64>().expect("milliseconds");
                bench.server.clock.freeze(now_ms);
            } else if let Some(line) = line.strip_prefix("2:") {
                Bench::run_as(&bench.server, &mut other, line);
            } else {
                reply = bench.run(line);
            }
        }
        (reply, bench.logged())
    }

    #[track_caller]
    fn check(lines: &[&str], reply: &str) {
        assert_eq!(run(lines).0, reply, "{lines:?}");
    }

    /// As observed on redis-server 7.0.15.
    #[track_caller]
    fn check_logged(lines: &[&str], logged: &str) {
        let (reply, log) = run(lines);
        assert!(!reply.starts_with('-'), "{reply}");
        assert_eq!(log, logged, "{lines:?}");
    }

    #[test]
    fn queued_commands_run_together() {
        check(&["multi", "set a 1", "get a", "exec"], "*2 +OK $1 1");
        check(&["multi", "exec"], "*0");
        check(&["multi", "set a 1"], "+QUEUED");
        check(&["multi", "set a 1", "discard", "get a"], "$-1");
        check(&["multi", "unwatch", "select 3", "exec"], "*2 +OK +OK");
        check(
            &["multi", "expire a abc", "set a 1", "exec"],
            "*2 -ERR value is not an integer or out of range +OK",
        );
    }

    #[test]
    fn errors_are_those_of_redis() {
        check(&["exec"], "-ERR EXEC without MULTI");
        check(&["discard"], "-ERR DISCARD without MULTI");
        check(&["multi", "multi"], "-ERR MULTI calls can not be nested");
        check(&["multi", "watch a"], "-ERR WATCH inside MULTI is not allowed");
        check(&["multi", "multi", "watch a", "ping", "exec"], "*1 +PONG");
        let aborted = "-EXECABORT Transaction discarded because of previous errors.";
        check(&["multi", "set a 1", "nosuch", "exec"], aborted);
        check(&["multi", "set", "exec"], aborted);
        check(&["multi", "set", "exec", "get a"], "$-1");
        check(&["multi", "ping", "discard foo", "exec"], aborted);
        let arity =
            "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
        check(&["multi", "exec foo"], arity);
        check(&["multi", "exec foo", "exec"], "-ERR EXEC without MULTI");
        check(&["exec foo"], arity);
    }

    #[test]
    fn a_change_of_a_watched_key_is_noticed() {
        for change in [
            "set a 2",
            "del a",
            "expire a 100",
            "rename a b",
            "rename b a",
            "flushall",
            "flushdb",
            "swapdb 0 1",
        ] {
            let change = format!("2:{change}");
            check(&["set a 1", "set b 1", "watch a", &change, "multi", "ping", "exec"], "*-1");
            check(&["set a 1", "set b 1", "watch c", &change, "multi", "ping", "exec"], "*1 +PONG");
            check(
                &["set a 1", "set b 1", "watch a", "unwatch", &change, "multi", "ping", "exec"],
                "*1 +PONG",
            );
            check(
                &["set a 1", "set b 1", "watch a", "multi", "discard", &change, "multi", "ping", "exec"],
                "*1 +PONG",
            );
        }
        for reading in ["get a", "exists a", "touch a", "copy a c", "expire a abc", "set a", "persist a"] {
            let reading = format!("2:{reading}");
            check(&["set a 1", "watch a", &reading, "multi", "ping", "exec"], "*1 +PONG");
        }
        check(&["watch a", "2:set a 1", "multi", "ping", "exec"], "*-1");
        check(&["watch a", "2:set b 1", "2:copy b a", "multi", "ping", "exec"], "*-1");
        check(&["watch a", "2:debug populate 1 a", "multi", "ping", "exec"], "*1 +PONG");
        check(&["select 3", "watch a", "2:set a 1", "multi", "ping", "exec"], "*1 +PONG");
        check(&["select 3", "watch a", "2:set a 1", "2:move a 3", "multi", "ping", "exec"], "*-1");
        check(&["watch a", "set a 1", "multi", "ping", "exec"], "*-1");
        check(&["watch a b a", "2:set b 1", "multi", "exec", "multi", "exec"], "*0");
    }

    #[test]
    fn a_watched_key_that_runs_out_fails_exec_unless_it_was_out_already() {
        check(&["set k v", "pexpire k 10", "watch k", "+50", "multi", "ping", "exec"], "*-1");
        check(&["set k v", "pexpire k 10", "watch k", "+50", "2:get k", "multi", "ping", "exec"], "*-1");
        check(&["set k v", "pexpire k 10", "+50", "watch k", "multi", "ping", "exec"], "*1 +PONG");
        check(&["set k v", "pexpire k 10", "+50", "watch k", "2:get k", "multi", "ping", "exec"], "*1 +PONG");
        check(&["set k v", "pexpire k 10", "+50", "watch k", "2:del k", "multi", "ping", "exec"], "*1 +PONG");
        check(
            &["set k v", "pexpire k 10", "+50", "watch k", "2:flushall", "multi", "ping", "exec"],
            "*1 +PONG",
        );
        check(&["set k v", "pexpire k 10", "+50", "watch k", "2:set k 2", "multi", "ping", "exec"], "*-1");
    }

    #[test]
    fn a_swap_that_leaves_a_watched_key_gone_or_expired_is_no_change() {
        let old = ["set k v", "pexpire k 10", "+50", "select 1"];
        let swapped = ["watch k", "2:swapdb 0 1", "multi", "ping", "exec"];
        check(&[&old[..], &swapped].concat(), "*1 +PONG");
        let both = ["set k v", "pexpire k 10", "select 1", "set k w", "pexpire k 10", "+50"];
        check(&[&both[..], &swapped].concat(), "*1 +PONG");
        let live = ["set k v", "pexpire k 10", "+50", "select 1", "set k w"];
        check(&[&live[..], &swapped].concat(), "*-1");
    }

    #[test]
    fn a_unit_with_one_effect_goes_bare_into_the_log() {
        check_logged(&["multi", "exec"], "");
        check_logged(&["set a 1", "multi", "get a", "exec"], "SELECT 0 set a 1");
        check_logged(&["multi", "get a", "set a 2", "get a", "exec"], "SELECT 0 set a 2");
        check_logged(&["multi", "set a 1", "set b 1", "exec"], "SELECT 0 MULTI set a 1 set b 1 EXEC");
        check_logged(&["multi", "select 3", "set a 1", "exec"], "SELECT 3 set a 1");
        check_logged(
            &["select 3", "multi", "set a 2", "select 0", "set a 3", "exec"],
            "SELECT 3 MULTI set a 2 SELECT 0 set a 3 EXEC",
        );
        check_logged(&["multi", "set a 2", "expire a -1", "exec"], "SELECT 0 MULTI set a 2 DEL a EXEC");
        check_logged(&["multi", "flushall", "exec"], "SELECT 0 flushall");
        check_logged(
            &["set k v", "pexpireat k 1700000000010", "+50", "multi", "get k", "exec"],
            "SELECT 0 set k v pexpireat k 1700000000010 DEL k",
        );
        check_logged(
            &["set k v", "pexpireat k 1700000000010", "+50", "multi", "get k", "set z 1", "exec"],
            "SELECT 0 set k v pexpireat k 1700000000010 MULTI DEL k set z 1 EXEC",
        );
    }

    #[test]
    fn a_connection_that_ends_watches_nothing() {
        let mut bench = Bench::new();
        bench.check("watch a b", "+OK");
        let watched = |bench: &Bench| {
            let mut keys = 0;
            bench.server.keyspace.for_each_shard(|shard| keys += shard.watches.len());
            keys
        };
        assert_eq!((watched(&bench), bench.client.shared.watched.load(Relaxed)), (2, 2));
        forget_watches(&mut bench.client, &bench.server.keyspace);
        assert_eq!((watched(&bench), bench.client.shared.watched.load(Relaxed)), (0, 0));
    }
}
