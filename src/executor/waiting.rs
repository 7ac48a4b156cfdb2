//! The executor's part in blocking commands: enough locks to serve those who wait, and serving them.
//!
//! A command that may make an awaited key ready needs the shards of the waiters' commands too, so that these can run before
//! anybody else gets at the key. What else changes keys (expiry, a data set that is exchanged) lets the waiters try
//! afterwards, under locks of their own.

use super::{Effects, Unit, key_positions, moment, propagate, run, tell_events};
use crate::blocked::{Request, Waiter};
use crate::client::{Client, OwnedArg};
use crate::command::{Command, Flags};
use crate::keyspace::ShardSet;
use crate::keyspace::waiting::Ticket;
use crate::keyspace::{Held, View, shard_of};
use crate::resp::Out;
use crate::resp::parser::Arg;
use crate::server::Server;
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A command with its arguments.
type Line<'r> = (&'static Command, &'r [Arg<'r>]);

/// The keys of a request.
fn keys_of(command: &Command, args: &[Arg<'_>], into: &mut Vec<Box<[u8]>>) {
    into.extend(key_positions(command.row, args).iter().flatten().map(|at| args[*at].bytes().into()));
}

/// Locks the shards of waiters whom the command may serve, in addition to its own. Usually there are none.
pub(super) fn with_waiters<'k>(
    client: &Client,
    server: &'k Server,
    (command, args): Line<'_>,
    mut held: Held<'k>,
) -> Held<'k> {
    let writes = command.row.is_write() || command.row.flags.contains(Flags::QUEUED_SHARDS);
    if server.blocked.is_empty()
        || !writes
        || held.is_all()
        || held.shards().all(|shard| shard.waiting.is_empty())
    {
        return held;
    }
    let mut keys = Vec::new();
    keys_of(command, args, &mut keys);
    if command.row.flags.contains(Flags::QUEUED_SHARDS) {
        for queued in client.transaction.iter().flat_map(|transaction| &transaction.queued) {
            let args: SmallVec<[Arg<'_>; 8]> = queued.args.iter().map(OwnedArg::as_arg).collect();
            keys_of(queued.command, &args, &mut keys);
        }
    }
    grow(server, held, &keys)
}

/// Adds the shards that serving the waiters of these keys may need. What is held is let go of while more is locked.
fn grow<'k>(server: &'k Server, mut held: Held<'k>, keys: &[Box<[u8]>]) -> Held<'k> {
    loop {
        let wanted = shards_for(server, &mut held, keys.to_vec());
        if wanted.iter().all(|shard| held.has(*shard)) {
            return held;
        }
        let mut all: ShardSet = wanted.into_iter().chain(held.numbers()).collect();
        all.sort_unstable();
        all.dedup();
        drop(held);
        held = Held::many(&server.keyspace, &all);
    }
}

/// The shards of these keys, of the commands that wait for them, of the commands that wait for what those write, and so on,
/// as far as the held shards tell.
fn shards_for(server: &Server, held: &mut Held<'_>, mut keys: Vec<Box<[u8]>>) -> ShardSet {
    let (mut shards, mut seen) = (ShardSet::new(), BTreeSet::new());
    while let Some(key) = keys.pop() {
        let shard = shard_of(server.keyspace.hash(&key));
        if !shards.contains(&shard) {
            shards.push(shard);
        }
        if !held.has(shard) {
            continue;
        }
        let tickets: Vec<Ticket> = held.shard(shard).waiting.tickets_anywhere(&key).collect();
        for ticket in tickets.into_iter().filter(|ticket| seen.insert(*ticket)) {
            keys.extend(server.blocked.get(ticket).iter().flat_map(|waiter| waiter.touches.iter().cloned()));
        }
    }
    shards
}

/// Enters a client whose command has found nothing among those who wait. The command's shards are held.
pub(super) fn block(
    client: &mut Client,
    server: &Server,
    view: &mut View<'_>,
    (command, args): Line<'_>,
    mut request: Request,
) {
    if client.stands_in {
        client.blocking = Some(Box::new(request));
        return;
    }
    let args = request.args.take().unwrap_or_else(|| args.iter().map(OwnedArg::from).collect());
    let mut touches = Vec::new();
    keys_of(command, &args.iter().map(OwnedArg::as_arg).collect::<Vec<_>>(), &mut touches);
    let who = (client.shared.clone(), client.db, client.proto, client.reply_mode);
    let waiter = server.blocked.waiter(who, command, (args, touches), request);
    for key in &waiter.request.keys {
        let shard = shard_of(server.keyspace.hash(key));
        view.held().shard(shard).waiting.add(waiter.db, key, waiter.ticket);
    }
    client.waiter = Some(waiter);
    client.takeover = Some(crate::client::Takeover::Block);
}

/// Serves those who wait for keys that have become ready. Returns who must be served later because their shards are not held.
pub(super) fn serve(client: &mut Client, server: &Arc<Server>, view: &mut View<'_>) -> Vec<Ticket> {
    let mut later = Vec::new();
    if server.blocked.is_empty() {
        return later;
    }
    loop {
        let ready = view.take_ready();
        if ready.is_empty() {
            return later;
        }
        for (db, key) in ready {
            let shard = shard_of(server.keyspace.hash(&key));
            for ticket in view.held().shard(shard).waiting.tickets(db, &key) {
                let Some(waiter) = server.blocked.get(ticket) else { continue };
                let shard_held = |key: &[u8], view: &mut View<'_>| {
                    let shard = shard_of(server.keyspace.hash(key));
                    view.held().has(shard)
                };
                if waiter.touches.iter().all(|key| shard_held(key, view)) {
                    try_again(client, server, view, &waiter, &key);
                } else {
                    later.push(ticket);
                }
            }
        }
    }
}

/// Runs a waiter's command again; `client` is whose doing it is that there may be something for it.
fn try_again(client: &mut Client, server: &Arc<Server>, view: &mut View<'_>, waiter: &Waiter, key: &[u8]) {
    if !waiter.begin() {
        return;
    }
    let (db, before) = (view.db, view.moment);
    let mut again = Client::new(waiter.client.clone(), true);
    (again.db, again.proto, again.stands_in) = (waiter.db, waiter.proto, true);
    view.db = waiter.db;
    // What came may have expired since: a transaction may have taken its time.
    view.moment = moment(&again, server, server.clock.now_ms());
    let fits = view.peek(key).map(|entry| entry.type_name()) == Some(waiter.request.wanted);
    if fits || waiter.request.or_gone {
        run_again(client, &mut again, server, view, waiter);
    } else {
        // What was there may have been found expired.
        let mut effects = Effects::new(server.log.is_wanted());
        effects.add_expired(view, server.lazy_expire());
        propagate(&mut again, server, effects);
        tell(client, &mut again, server, view);
        waiter.wait_on();
    }
    (view.db, view.moment) = (db, before);
}

/// Logs and tells what a waiter's try has done, be it in vain; the listeners are left to `client`.
fn tell(client: &mut Client, again: &mut Client, server: &Server, view: &mut View<'_>) {
    tell_events(again, server, view);
    client.log_grew |= again.log_grew;
    client.called.append(&mut again.called);
}

fn run_again(
    client: &mut Client,
    again: &mut Client,
    server: &Arc<Server>,
    view: &mut View<'_>,
    waiter: &Waiter,
) {
    let since = server.clock.instant();
    let args: SmallVec<[Arg<'_>; 8]> = waiter.args.iter().map(OwnedArg::as_arg).collect();
    let (mut out, mut effects) = (Out::default(), Effects::new(server.log.is_wanted()));
    let unit = Unit { client: again, server, view, effects: &mut effects };
    let result = run(unit, waiter.command, &args, &mut out, false);
    propagate(again, server, effects);
    if again.blocking.take().is_some() {
        tell(client, again, server, view);
        waiter.wait_on();
        return;
    }
    waiter.seen_offset.store(server.log.end(), Relaxed);
    for key in &waiter.request.keys {
        let shard = shard_of(server.keyspace.hash(key));
        view.held().shard(shard).waiting.remove(waiter.db, key, waiter.ticket);
    }
    server.blocked.remove(waiter.ticket);
    server.stats.ran(waiter.command, since.elapsed(), result.as_ref().err());
    waiter.post(view.now_ms(), |to| out.append_to(to));
    // If it listens to events: behind its reply.
    tell(client, again, server, view);
    waiter.served();
    client.called.push(Arc::new(vec![waiter.client.clone()]));
}

/// Lets waiters try again, each under its own locks. None may be held.
pub(super) fn serve_each(server: &Arc<Server>, tickets: Vec<Ticket>) {
    for ticket in tickets {
        if let Some(waiter) = server.blocked.get(ticket) {
            let ready = waiter.request.keys.iter().map(|key| (waiter.db, key.clone())).collect();
            serve_ready(server, ready);
        }
    }
}

/// Serves those who wait for these keys. No lock may be held.
pub fn serve_ready(server: &Arc<Server>, ready: Vec<(u16, Box<[u8]>)>) {
    for (db, key) in ready {
        let shard = shard_of(server.keyspace.hash(&key));
        let held = Held::one(&server.keyspace, shard);
        let mut held = grow(server, held, std::slice::from_ref(&key));
        held.shard(shard).waiting.touch(db, &key);
        let shared = crate::client::Shared::new(0, String::new(), String::new(), -1, server.clock.now_ms());
        let mut client = Client::new(Arc::new(shared), true);
        let moment = moment(&client, server, server.clock.now_ms());
        let mut view = View::new(&server.keyspace, held, db, moment);
        serve(&mut client, server, &mut view);
        drop(view);
        client.call_listeners();
        if client.log_grew {
            server.wake_replicas();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, NOW_MS};

    /// The replicas have the key too: that it is gone must reach them although nobody was served.
    #[test]
    fn a_key_that_a_vain_try_finds_expired_is_deleted_in_the_log() {
        let mut bench = Bench::new();
        ["select 1", "rpush k hello", "pexpire k 100"].iter().for_each(|line| {
            bench.run(line);
        });
        let mut other = Bench::client(&bench.server);
        Bench::run_as(&bench.server, &mut other, "select 9");
        assert_eq!(Bench::run_as(&bench.server, &mut other, "brpop k 0"), "");
        bench.logged();
        bench.server.clock.freeze(NOW_MS + 101);
        bench.check("swapdb 1 9", "+OK");
        assert_eq!(bench.logged(), "swapdb 1 9 SELECT 9 DEL k");
        bench.run("select 9");
        bench.check("rpush k again", ":1");
        assert_eq!(Bench::mail(&other), "*2 $1 k $5 again");
    }
}
