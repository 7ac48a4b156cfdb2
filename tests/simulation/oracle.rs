//! What must never happen: a replica that holds anything but a prefix of some master's history.
//!
//! The oracle writes down each master's history as it grows: its bytes, and after each change a digest of the data that
//! they stand for. A replica may have a piece of a history that a master has written, byte for byte, and at an offset
//! where the data is known, that data. Only masters make history; a replica that is ahead of its master is wrong, and so is
//! a master whose data changes and whose offset does not.

use super::contents::put_contents;
use redpoll::keyspace::Entry;
use redpoll::replication::log::{self, Ids, ReplId};
use redpoll::server::Server;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

/// The histories so far, and the first thing that was wrong.
#[derive(Default)]
pub struct Oracle {
    histories: BTreeMap<[u8; 40], History>,
    /// What each server was last seen with, by run id.
    seen: BTreeMap<[u8; 40], (ReplId, u64)>,
    wrong: Option<String>,
    /// Replicas' data sets that were compared with what their master had at the same offset.
    pub compared: u64,
    /// Data is kept, not only its digest, to show what differs.
    keeps_data: bool,
}

/// One id's history: bytes by offset (not all are known), data by offset.
#[derive(Clone, Default)]
struct History {
    base: u64,
    bytes: Vec<u16>,
    digests: BTreeMap<u64, u64>,
    data: BTreeMap<u64, Data>,
}

/// A data set: database and key, value and expiry (Unix ms).
pub type Data = BTreeMap<(u16, Vec<u8>), (Vec<u8>, Option<i64>)>;

const UNKNOWN: u16 = 0x100;

impl History {
    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// The part up to `end`, where another history begins.
    fn fork(&self, end: u64) -> History {
        let mut fork = self.clone();
        fork.bytes.truncate(end.saturating_sub(self.base) as usize);
        fork.digests.retain(|at, _| *at <= end);
        fork.data.retain(|at, _| *at <= end);
        fork
    }

    fn append(&mut self, at: u64, bytes: &[u8]) {
        self.bytes.resize((at - self.base) as usize, UNKNOWN);
        self.bytes.extend(bytes.iter().map(|byte| u16::from(*byte)));
    }

    /// The first offset at which `bytes`, which begin at `at`, are others than ours.
    fn difference(&self, at: u64, bytes: &[u8]) -> Option<u64> {
        let skipped = self.base.saturating_sub(at);
        let ours = self.bytes.get((at + skipped - self.base) as usize..)?;
        let theirs = bytes.get(skipped as usize..)?;
        let differs = |(ours, theirs): (&u16, &u8)| *ours != UNKNOWN && *ours != u16::from(*theirs);
        ours.iter().zip(theirs).position(differs).map(|n| at + skipped + n as u64)
    }
}

/// What a server's log shows.
struct Shown {
    ids: Ids,
    from: u64,
    end: u64,
    bytes: Vec<u8>,
}

impl Oracle {
    /// An oracle that knows no history. `keeps_data`: it can tell what differs, at the price of memory.
    pub fn new(keeps_data: bool) -> Oracle {
        Oracle { keeps_data, ..Oracle::default() }
    }

    /// Looks at a server that is a master (and at no other): what is new in its log is history.
    pub fn observe_master(&mut self, server: &Server) {
        if server.is_replica() || !server.log.is_wanted() || server.is_loading() {
            return;
        }
        let shown = self.show(server);
        let id = shown.ids.id.0;
        if !self.histories.contains_key(&id) {
            let history = self.fork_for(&shown);
            self.histories.insert(id, history);
        }
        let history = self.histories.get_mut(&id).expect("made above");
        if shown.end < history.end() {
            self.accuse(server, &shown, "a master's history has become shorter");
            return;
        }
        let new = history.end().max(shown.from);
        history.append(new, &shown.bytes[(new - shown.from) as usize..]);
        self.check_bytes(server, &shown);
        self.check_data(server, &shown, true);
    }

    /// Looks at a replica: nothing of what it has may be its own.
    pub fn observe_replica(&mut self, server: &Server) {
        if !server.is_replica() || !server.log.is_wanted() {
            return;
        }
        let shown = self.show(server);
        if server.stats.unexpected_errors.load(Relaxed) > 0 {
            self.accuse(server, &shown, "a replica cannot run what its master has run");
        }
        match self.histories.get(&shown.ids.id.0) {
            None => self.accuse(server, &shown, "a replica follows a history that no master has written"),
            Some(history) if shown.end > history.end() => {
                self.accuse(server, &shown, "a replica is ahead of its master's history")
            }
            Some(_) => {
                self.check_bytes(server, &shown);
                self.check_data(server, &shown, false);
            }
        }
    }

    /// What was wrong first, if anything.
    pub fn wrong(&self) -> Option<&str> {
        self.wrong.as_deref()
    }

    /// A new history's beginning: that of the former id, as far as that is valid.
    fn fork_for(&mut self, shown: &Shown) -> History {
        let empty = History { base: shown.from, ..History::default() };
        if shown.ids.id2 == ReplId::NONE {
            return empty;
        }
        let parted = shown.ids.second_offset as u64 - 1;
        self.histories.get(&shown.ids.id2.0).map_or(empty, |former| former.fork(parted))
    }

    /// Reads what is new in a server's log since the last look, or all of it after a change of history.
    fn show(&mut self, server: &Server) -> Shown {
        let mut ring = server.log.lock();
        let (ids, start, end) = (ring.ids, ring.start(), ring.end());
        let from = match self.seen.insert(server.run_id.0, (ids.id, end)) {
            Some((id, seen)) if id == ids.id && seen <= end => seen.max(start),
            _ => start,
        };
        let mut bytes = Vec::with_capacity((end - from) as usize);
        if from < end {
            let pin = ring.pin(from).expect("what is kept can be read");
            while bytes.len() < (end - from) as usize {
                let pieces = ring.read(pin, usize::MAX >> 1).expect("what is pinned is kept");
                bytes.extend(log::concat(pieces).expect("no disk fails"));
            }
            ring.unpin(pin);
        }
        Shown { ids, from, end, bytes }
    }

    fn check_bytes(&mut self, server: &Server, shown: &Shown) {
        let history = &self.histories[&shown.ids.id.0];
        if let Some(at) = history.difference(shown.from, &shown.bytes) {
            let ours = &history.bytes[(at.saturating_sub(40).max(history.base) - history.base) as usize..];
            let ours: Vec<u8> = ours.iter().take(100).map(|byte| *byte as u8).collect();
            let theirs = &shown.bytes[(at.saturating_sub(40).max(shown.from) - shown.from) as usize..];
            let theirs = &theirs[..theirs.len().min(100)];
            let text = format!(
                "the log differs from its history at {at}: {:?} should be {:?}",
                String::from_utf8_lossy(theirs),
                String::from_utf8_lossy(&ours)
            );
            self.accuse(server, shown, &text);
        }
        let parted = shown.ids.second_offset as u64;
        if shown.ids.id2 != ReplId::NONE
            && let Some(former) = self.histories.get(&shown.ids.id2.0)
            && parted > former.end() + 1
        {
            self.accuse(server, shown, "the former id is said to be valid beyond its history");
        }
    }

    fn check_data(&mut self, server: &Server, shown: &Shown, is_master: bool) {
        let history = self.histories.get_mut(&shown.ids.id.0).expect("looked at before");
        if !is_master && !history.digests.contains_key(&shown.end) {
            return;
        }
        let digest = digest(server);
        match history.digests.get(&shown.end) {
            Some(known) if *known != digest => {
                let differences = match history.data.get(&shown.end) {
                    Some(known) => differences(known, &data(server)),
                    None => "replay the seed to see where".into(),
                };
                let text = format!("the data is not that of its history at this offset: {differences}");
                self.accuse(server, shown, &text);
            }
            Some(_) => self.compared += u64::from(!is_master),
            None if is_master => {
                history.digests.insert(shown.end, digest);
                if self.keeps_data {
                    history.data.insert(shown.end, data(server));
                }
            }
            None => {}
        }
    }

    fn accuse(&mut self, server: &Server, shown: &Shown, text: &str) {
        let role = if server.is_replica() { "replica" } else { "master" };
        let Shown { ids, from, end, .. } = shown;
        let text = format!("{text} ({role}, {ids:?}, bytes from {from}, offset {end})");
        tracing::error!("WRONG: {text}");
        self.wrong.get_or_insert(text);
    }
}

/// A digest of all keys with type, value and expiry, independent of their order.
pub fn digest(server: &Server) -> u64 {
    let (mut sum, mut bytes) = (0_u64, Vec::new());
    for_each_entry(server, |db, entry| {
        bytes.clear();
        put_contents(&mut bytes, entry);
        let head = mix(mix(u64::from(db), entry.expiry_ms().unwrap_or(-1) as u64), hash(entry.key()));
        sum = sum.wrapping_add(mix(head, hash(&bytes)));
    });
    sum
}

/// A quick hash: the data is looked at after every write.
fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(bytes.len() as u64, |sum, word| mix(sum, u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| mix(sum, u64::from(*byte)))
}

fn mix(sum: u64, word: u64) -> u64 {
    let product = u128::from(sum ^ 0x9e37_79b9_7f4a_7c15) * u128::from(word ^ 0xd1b5_4a32_d192_ed03);
    (product as u64) ^ ((product >> 64) as u64)
}

/// All keys of a server.
pub fn data(server: &Server) -> Data {
    let mut data = Data::new();
    for_each_entry(server, |db, entry| {
        let mut contents = Vec::new();
        put_contents(&mut contents, entry);
        data.insert((db, entry.key().to_vec()), (contents, entry.expiry_ms()));
    });
    data
}

/// Visits all keys with the numbers of their databases.
pub fn for_each_entry(server: &Server, mut visit: impl FnMut(u16, &Entry)) {
    server.keyspace.for_each_shard(|shard| {
        for db in 0..server.keyspace.databases() {
            shard.db(db).table().for_each(|entry| visit(db, entry));
        }
    });
}

/// The keys that are not the same in two data sets.
pub fn differences(expected: &Data, found: &Data) -> String {
    let mut keys: Vec<_> = expected.keys().chain(found.keys()).collect();
    keys.sort();
    keys.dedup();
    let differing = keys.into_iter().filter(|key| expected.get(*key) != found.get(*key));
    let lines = differing.take(5).map(|key| {
        let name = String::from_utf8_lossy(&key.1);
        let (expected, found) = (expected.get(key), found.get(key));
        let value = |of: Option<&(Vec<u8>, Option<i64>)>| of.map(|of| of.0.clone()).unwrap_or_default();
        let (one, other) = (value(expected), value(found));
        let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
        let from = same.saturating_sub(60);
        let show = |of: Option<&(Vec<u8>, Option<i64>)>| match of {
            None => "missing".to_string(),
            Some((value, expiry)) => {
                let text = value[from..].iter().take(160).copied().collect::<Vec<_>>();
                format!("\"{}\" from {from} of {} bytes, expiry {expiry:?}", text.escape_ascii(), value.len())
            }
        };
        format!("db {} {name}: {} should be {}", key.0, show(found), show(expected))
    });
    lines.collect::<Vec<_>>().join("; ")
}
