//! What a replica that asks for the stream gets: a pure decision.

use super::log::{Ids, ReplId};

/// What a replica asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyncRequest {
    /// SYNC: a bare RDB with its length, then the stream.
    Sync,
    /// PSYNC with the id and the first byte wanted, counted from 1 (`?` and -1 for a full resync).
    Psync { id: Vec<u8>, offset: i64 },
}

/// The answer to a [`SyncRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The stream goes on with the byte of this number (counted from 0).
    Continue { from: u64 },
    /// A full resync, and why.
    Full(Reason),
}

/// Why a partial resync is impossible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The replica wanted it so.
    Asked,
    /// The id is not of our history, or the offset lies behind the point where histories parted.
    OtherHistory,
    /// The bytes are not kept any more, or not written yet.
    NotKept,
}

/// Decides. `kept` is the range of bytes that the log holds, counted from 0, the end included as a position.
pub fn decide(request: &SyncRequest, ids: &Ids, kept: std::ops::RangeInclusive<u64>) -> Decision {
    let SyncRequest::Psync { id, offset } = request else { return Decision::Full(Reason::Asked) };
    if id == b"?" {
        return Decision::Full(Reason::Asked);
    }
    let id = ReplId::parse(&id.to_ascii_lowercase());
    let current = id == Some(ids.id);
    let former = id == Some(ids.id2) && ids.id2 != ReplId::NONE && *offset <= ids.second_offset;
    if !current && !former {
        return Decision::Full(Reason::OtherHistory);
    }
    match offset.checked_sub(1).map(u64::try_from) {
        Some(Ok(from)) if kept.contains(&from) => Decision::Continue { from },
        _ => Decision::Full(Reason::NotKept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions() {
        let (a, b, c) = (ReplId([b'a'; 40]), ReplId([b'b'; 40]), ReplId([b'c'; 40]));
        let ids = Ids { id: a, id2: b, second_offset: 51 };
        let alone = Ids { id: a, id2: ReplId::NONE, second_offset: -1 };
        let full = Decision::Full;
        let table = [
            (ids, &a.0[..], 101, Decision::Continue { from: 100 }),
            (ids, &a.0, 41, Decision::Continue { from: 40 }),
            (ids, &[b'A'; 40], 41, Decision::Continue { from: 40 }),
            (ids, &a.0, 40, full(Reason::NotKept)),
            (ids, &a.0, 102, full(Reason::NotKept)),
            (ids, &b.0, 51, Decision::Continue { from: 50 }),
            (ids, &b.0, 52, full(Reason::OtherHistory)),
            (ids, &c.0, 51, full(Reason::OtherHistory)),
            (ids, b"?", -1, full(Reason::Asked)),
            (ids, b"short", 50, full(Reason::OtherHistory)),
            (ids, &a.0, i64::MIN, full(Reason::NotKept)),
            (alone, &ReplId::NONE.0, -1, full(Reason::OtherHistory)),
        ];
        for (ids, id, offset, expected) in table {
            let request = SyncRequest::Psync { id: id.to_vec(), offset };
            assert_eq!(decide(&request, &ids, 40..=100), expected, "{request:?}");
        }
        assert_eq!(decide(&SyncRequest::Sync, &ids, 40..=100), full(Reason::Asked));
    }
}
