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
    let transaction = call.client.end_transaction().ok_or(error::EXEC_WITHOUT_MULTI)?;
    let changed = watched_has_changed(call);
    unwatch_all(call);
    admit(call, &transaction)?;
    if transaction.aborted {
        return Err(error::EXEC_ABORT);
    }
    if changed {
        call.reply.null_array();
        return Ok(());
    }
    call.reply.array(transaction.queued.len());
    transaction.queued.iter().for_each(|queued| call.run_queued(queued));
    Ok(())
}

/// Has anything watched changed, or run out while it was watched?
fn watched_has_changed(call: &mut Call<'_, '_>) -> bool {
    let view = &mut *call.view;
    call.client.watch_flag.load(Relaxed)
        || call
            .client
            .watched
            .iter()
            .any(|watched| !watched.was_expired && view.is_logically_expired(watched.db, &watched.key))
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
    for key in call.args.from(1) {
        if call.client.watched.iter().any(|watched| watched.db == db && *watched.key == *key) {
            continue;
        }
        let was_expired = call.view.is_logically_expired(db, key);
        call.view.watches(key).add(db, key, &call.client.watch_flag, was_expired);
        call.client.watched.push(Watched { db, key: key.into(), was_expired });
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
