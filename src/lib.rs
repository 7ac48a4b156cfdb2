//! Redpoll: a drop-in replacement for `redis-server` with PSYNC replication at its heart.
//!
//! This page is the map of the code. It lists what holds everywhere, where things are, and where they depart from what
//! one might expect.
//!
//! # The way of a request
//!
//! ```text
//! socket → net::Connection → resp::parser → executor → commands::… (a View of the held shards) → effects → replication::log
//! ```
//!
//! # What holds everywhere
//!
//! - **Layers.** net → resp → command → keyspace → types. `rdb` knows bytes in, bytes out. Types know no clients, time or
//!   replies. Only `net`, `blocked`, `replication::{link, master, wait}`, `migrate`, `control` and `cron` await. Nobody matches on a command's name
//!   outside its row; nobody but [`clock`] asks the time, nobody but [`world`] the operating system for chance. An I/O thread's
//!   runtime has no timers: [`clock::sleep`] and the like have them kept by the control thread's (clippy.toml watches over it).
//! - **One gate.** A stored value changes in [`keyspace::shard`] alone: there the running snapshot gets the old value first, WATCH
//!   hears of it, the expiry index follows. An object changes through a [`keyspace::Edit`], which does the same when it is dropped.
//! - **A turn.** A connection reads once, runs what came and posts its replies; they are sent when the thread has nothing else to run
//!   ([`net::outbox`]). Whoever goes on without waiting gives way by [`net::outbox::yield_now`], which sends them too. Of a pipeline, names and hashes are looked up ahead and memory is asked for ([`executor::prepare`]); a
//!   command with several keys, and a file that is loaded, ask for some at once too.
//! - **Large objects are persistent**: nodes behind reference counts, cloned in O(1), copied one by one when they change while
//!   somebody (a snapshot) shares them. So neither the walk nor a writer ever pays for the whole.
//! - **One way to run a command.** Clients, EXEC and the master's stream enter [`executor::execute`] with another kind of
//!   [`client::Client`].
//! - **One door out.** Effects reach the log through [`executor::propagate`], while the unit's shards are held, so that any two
//!   commands that share a key are in the log in the order in which they took effect.
//! - **Locks**, in this order: shards ascending, then the log, then leaf locks (client registry, pub/sub, the running snapshot, a
//!   mailbox, counters), which never take another. None is held across an await or a system call. Outermost of all are
//!   `Snapshots::starting` and `Server::config_changes`, taken where no shard is held or only all of them.
//! - **Who is let in is asked twice**: before a command waits for its locks, and again when it holds them, since the role may have
//!   changed in between.
//! - **`unsafe`** stands in [`keyspace::entry`] (allocation layout, prefetch hints) and [`types::packed`] (a buffer one pointer
//!   wide) and [`types::object`] (an owner as a pointer and a tag) alone, and in tests of them under AddressSanitizer
//!   (`.ci/sanitize`). `main.rs` exports the string that configures the allocator.
//!
//! # Where things are
//!
//! | module | what |
//! | --- | --- |
//! | [`net`] | listening, I/O threads, connections; sockets may be simulated |
//! | [`resp`] | requests in, replies out, requests for the log |
//! | [`command`], [`commands`] | the table of commands and what COMMAND tells; a file per family, row and function together |
//! | [`executor`] | gates → keys → shards → locks → handler → effects → log |
//! | [`blocked`] | clients that wait, for keys or for replicas; serving those of keys is `executor::waiting` |
//! | [`types`] | the values: listpack, intset, hash trie (`map`), counted B+tree (`tree`), lists, streams, sketches; encodings and their limits |
//! | [`keyspace`] | shards, the linear-hashing table, entries, the expiry index, SCAN's cursor, views |
//! | [`replication`] | the log, PSYNC as a master, the link as a replica, WAIT |
//! | [`migrate`] | keys that move to another server, on the connection of the client that asked |
//! | [`snapshot`], [`rdb`], [`loader`], [`persistence`] | the data set as it was at one moment; its bytes; loading beside; the file |
//! | [`config`], [`config_apply`], [`logging`] | one table of directives and all that follows from it; log lines |
//! | [`server`], [`control`], [`cron`], [`expire`] | what is shared; start, signals and shutdown; the clockwork; active expiry |
//! | [`client`], [`auth`], [`pubsub`], [`monitor`], [`stats`], [`memory`], [`hold`] | clients and their mailboxes; who may come in; counters; how long locks are held |
//! | [`words`] | lines of quoted words: redis.conf, inline requests, MONITOR |
//! | [`bio`] | files that are closed in the background |
//! | [`title`] | what `ps` shows |
//! | [`world`], [`clock`] | time, chance, network, threads: the real ones, or a simulation's |
//!
//! A command goes to its family's file; a directive is one row of `config::table`; an INFO field one line of
//! `commands::info`; an error text one line of [`error`]; what is promised by a directive and not kept yet one row of
//! `config::not_built`.
//!
//! # Departures from the first design, and why
//!
//! - The table is **linear hashing** over buckets of one cache line, not extendible hashing: it never pauses either, and its load,
//!   so its memory per key, is the same at every size. A large table's buckets are split by bits of the entries' fingerprints.
//! - A snapshot's **mark is one bit** per entry, not an epoch number: the walk leaves all bits equal at its end, and a snapshot that
//!   nobody needs any more is walked to its end without output.
//! - The expiry index is **exact**, 8 to 16 bytes a key; expiry never samples.
//! - A full resync begins at once: `repl-diskless-sync-delay` is not waited for, as replicas that come later join the running
//!   snapshot from its first byte.
//! - Arguments from 16 KiB on are received into the buffer that is stored; shorter ones live in the entry's own allocation.
//! - What a replica has not read yet counts for `client-output-buffer-limit replica` only as far as it is in memory.
//! - Heavy commands run on their I/O thread; other threads go on, its other connections wait.
#![deny(unsafe_code)]

pub mod auth;
pub mod bio;
pub mod blocked;
pub mod client;
pub mod clock;
pub mod command;
pub mod commands;
pub mod config;
pub mod config_apply;
pub mod control;
pub mod cron;
pub mod error;
pub mod executor;
pub mod expire;
pub mod glob;
pub mod hold;
pub mod keyspace;
pub mod loader;
pub mod logging;
pub mod memory;
pub mod migrate;
pub mod monitor;
pub mod net;
pub mod persistence;
pub mod pubsub;
pub mod rdb;
pub mod replication;
pub mod resp;
pub mod server;
pub mod snapshot;
pub mod stats;
pub mod title;
pub mod types;
pub mod words;
pub mod world;
