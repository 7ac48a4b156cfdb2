//! The stream applier under arbitrary bytes: our log is a prefix of what came, byte for byte and up to the end of a whole unit, and it is the
//! same, with the same data, however the bytes are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redpoll::config::Config;
use redpoll::net::stream::Ends;
use redpoll::replication::apply::Applier;
use redpoll::resp::parser::{Arg, Limits, Parser, Progress};
use redpoll::server::Server;
use redpoll_fuzz::{expand, pieces, split};
use std::sync::Arc;

/// A frozen time, Unix milliseconds.
const NOW_MS: i64 = 1_700_000_000_000;
/// Commands that change the process or its files rather than the data set, or that make as much data as they are told.
const NOT_HERE: &[&[u8]] = &[b"debug", b"config", b"shutdown", b"acl", b"module"];

#[derive(PartialEq, Debug)]
struct Applied {
    log: Vec<u8>,
    stopped: bool,
    data: Vec<(u16, Vec<u8>, Vec<u8>, Option<i64>)>,
}

fuzz_target!(|data: &[u8]| {
    let Some((seed, rest)) = split(data) else { return };
    let input = expand(rest);
    let lower = input.to_ascii_lowercase();
    if NOT_HERE.iter().any(|name| lower.windows(name.len()).any(|word| word == *name)) {
        return;
    }
    let (whole, cut) = (apply(0, &input), apply(seed | 1, &input));
    assert_eq!(whole.log.len(), cut.log.len());
    assert!(whole == cut, "the data depends on the cuts");
    let (ends, canonical) = request_ends(&input);
    assert!(whole.log.is_empty() || ends.contains(&whole.log.len()), "{} of {ends:?}", whole.log.len());
    assert!(!canonical || input.starts_with(&whole.log), "the log is not what came");
});

fn apply(seed: u32, input: &[u8]) -> Applied {
    let config = Config {
        databases: 4,
        proto_max_bulk_len: 1 << 20,
        repl_backlog_size: 64 << 20,
        ..Config::default()
    };
    let server = Server::new(config);
    server.clock.freeze(NOW_MS);
    server.log.want();
    server.mark_replica();
    let mut applier = Applier::new(&server, Ends { addr: "master".into(), laddr: String::new(), fd: -1 }, 0);
    let stopped = pieces(seed, input).any(|piece| applier.apply(&server, piece).is_err());
    drop(applier);
    // What is freed elsewhere counts as leaked until it is: pointers to entries carry a tag, so that the leak detector does not see them.
    while server.keyspace.reaper().pending() > 0 {
        std::thread::yield_now();
    }
    Applied { log: log(&server), stopped, data: contents(&server) }
}

fn log(server: &Server) -> Vec<u8> {
    let mut ring = server.log.lock();
    let start = ring.start();
    assert_eq!(start, 0, "the log keeps all of it");
    let pin = ring.pin(start).expect("the start is kept");
    let pieces = ring.read(pin, usize::MAX >> 1).expect("what is pinned is kept");
    let bytes = redpoll::replication::log::concat(pieces).expect("in memory");
    ring.unpin(pin);
    assert_eq!(bytes.len() as u64, ring.end());
    bytes
}

fn contents(server: &Arc<Server>) -> Vec<(u16, Vec<u8>, Vec<u8>, Option<i64>)> {
    let mut all = Vec::new();
    server.keyspace.for_each_shard(|shard| {
        for db in 0..4 {
            shard.db(db).table().for_each(|entry| {
                let value = format!("{:?}", entry.stored()).into_bytes();
                all.push((db, entry.key().to_vec(), value, entry.expiry_ms()));
            });
        }
    });
    all.sort_unstable();
    all
}

/// Where requests end, and whether all of them have the form in which they are passed on (large arguments are framed anew).
fn request_ends(input: &[u8]) -> (Vec<usize>, bool) {
    let limits = Limits { max_bulk_bytes: i64::MAX, unauthenticated: false };
    let (mut parser, mut at, mut ends, mut canonical) = (Parser::default(), 0, Vec::new(), true);
    while let Ok(Progress::Complete(n)) = parser.parse(&input[at..], &limits) {
        canonical &= !parser.args(&input[at..]).iter().any(|arg| matches!(arg, Arg::Large(_)));
        at += n;
        ends.push(at);
    }
    (ends, canonical)
}
