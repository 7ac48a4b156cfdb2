//! The walk over a shard in short locked slices: entries are copied out under the lock, encoded outside.

use crate::keyspace::shard::WalkStep;
use crate::keyspace::{Blob, Entry, Stored, ValueRef};
use crate::rdb;
use crate::server::Server;
use crate::types::Object;

/// Entries per slice: some 20 to 50 microseconds with the lock.
const SLICE_ENTRIES: usize = 128;

/// Copies of the entries of one slice.
#[derive(Default)]
pub struct Slice {
    bytes: Vec<u8>,
    entries: Vec<Copied>,
}

struct Copied {
    db: u16,
    expiry_ms: Option<i64>,
    access: u32,
    key_end: usize,
    value: CopiedValue,
}

enum CopiedValue {
    Int(i64),
    /// Ends here in `bytes`.
    Inline(usize),
    Large(Blob),
    Object(Object),
}

/// One entry of a slice.
pub struct Record<'s> {
    pub db: u16,
    pub expiry_ms: Option<i64>,
    pub access: u32,
    pub key: &'s [u8],
    pub value: rdb::ValueRef<'s>,
}

impl Slice {
    /// Forgets the entries and has room for a usual slice's, so that none is made while the shard is locked.
    fn clear(&mut self) {
        const ROOM_BYTES: usize = 64 * 1024;
        self.bytes.clear();
        self.bytes.reserve(ROOM_BYTES);
        self.entries.clear();
        self.entries.reserve(2 * SLICE_ENTRIES);
    }

    /// Copies an entry, and tells how many bytes that were.
    fn push(&mut self, db: u16, entry: &Entry) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(entry.key());
        let key_end = self.bytes.len();
        let mut object_bytes = 0;
        let value = match entry.stored() {
            Stored::String(ValueRef::Int(n)) => CopiedValue::Int(n),
            Stored::String(ValueRef::Inline { bytes, .. }) => {
                self.bytes.extend_from_slice(bytes);
                CopiedValue::Inline(self.bytes.len())
            }
            Stored::String(ValueRef::Blob(blob)) => CopiedValue::Large(blob.clone()),
            // A small one is copied, a large one shared.
            Stored::Object(object) => {
                let object = object.read();
                object_bytes = object.copied_bytes();
                CopiedValue::Object(object.clone())
            }
        };
        self.entries.push(Copied {
            db,
            expiry_ms: entry.expiry_ms(),
            access: entry.access(),
            key_end,
            value,
        });
        self.bytes.len() - start + object_bytes
    }

    /// The entries, in the order of the walk.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut start = 0;
        self.entries.iter().map(move |copied| {
            let key = &self.bytes[start..copied.key_end];
            start = copied.key_end;
            let value = match &copied.value {
                CopiedValue::Int(n) => rdb::ValueRef::Int(*n),
                CopiedValue::Inline(end) => {
                    start = *end;
                    rdb::ValueRef::Str(&self.bytes[copied.key_end..*end])
                }
                CopiedValue::Large(blob) => rdb::ValueRef::Str(blob),
                CopiedValue::Object(object) => rdb::ValueRef::Object(object),
            };
            Record { db: copied.db, expiry_ms: copied.expiry_ms, access: copied.access, key, value }
        })
    }
}

/// Gives a stored value to `f` in the form in which it is written.
pub fn with_written<R>(value: Stored<'_>, f: impl FnOnce(rdb::ValueRef<'_>) -> R) -> R {
    match value {
        Stored::String(ValueRef::Int(n)) => f(rdb::ValueRef::Int(n)),
        Stored::String(ValueRef::Inline { bytes, .. }) => f(rdb::ValueRef::Str(bytes)),
        Stored::String(ValueRef::Blob(blob)) => f(rdb::ValueRef::Str(blob)),
        Stored::Object(object) => f(rdb::ValueRef::Object(&object.read())),
    }
}

/// Walks one slice of a shard on: its entries are in `slice` then.
pub fn walk_slice(server: &Server, shard: usize, slice: &mut Slice) -> WalkStep {
    slice.clear();
    let mut locked = server.keyspace.slot(shard).lock();
    let since = server.clock.instant();
    crate::hold::mark(since);
    let step = locked.walk(SLICE_ENTRIES, |db, entry| slice.push(db, entry));
    drop(locked);
    server.stats.record_lock(since.elapsed());
    step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::shard::{Shard, Ttl};
    use crate::keyspace::{Hasher, NewValue, Reaper};
    use crate::types::list::List;
    use crate::types::listpack::Listpack;
    use std::sync::mpsc::channel;

    const VALUES: usize = 200;
    const VALUE_BYTES: usize = 8000;

    /// How many slices it takes to walk over the values.
    fn slices(value: impl Fn() -> NewValue<'static>) -> usize {
        let hasher = Hasher::new((1, 2));
        let mut shard = Shard::new(1, hasher, Reaper::start());
        for n in 0..VALUES {
            let key = n.to_string().into_bytes();
            shard.put(0, hasher.hash(&key), &key, value(), Ttl::Clear, 0);
        }
        let (sender, _captured) = channel();
        shard.begin_snapshot(sender);
        let mut slice = Slice::default();
        let mut walked = 0;
        for slices in 1.. {
            slice.clear();
            let step = shard.walk(SLICE_ENTRIES, |db, entry| slice.push(db, entry));
            walked += slice.records().count();
            if step == WalkStep::Done {
                assert_eq!(walked, VALUES);
                return slices;
            }
        }
        unreachable!("a walk ends")
    }

    #[test]
    fn slices_are_short_where_values_are_long() {
        const TEXT: &[u8] = &[b'x'; VALUE_BYTES];
        let of_integers = slices(|| NewValue::Int(1));
        let of_strings = slices(|| NewValue::Bytes { bytes: TEXT, raw: true });
        let of_packed = slices(|| {
            let mut pack = Listpack::new();
            pack.push_back(TEXT);
            NewValue::Object(Object::List(List::Packed(pack)))
        });
        assert!(of_integers <= 3, "{of_integers}");
        assert!(of_strings >= 5 * of_integers, "{of_strings}");
        assert!(of_packed >= 5 * of_integers, "{of_packed}");
    }
}
