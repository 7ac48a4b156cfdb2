//! How many nodes Redis's radix tree would have for the keys of a stream's nodes: XINFO STREAM shows that number.
//!
//! The tree holds keys of 16 bytes, all of one length, and is always as compressed as it can be: a leaf for each key, a fork
//! for each place where keys part, and a node for each run of bytes that leaves no choice. A fork takes one byte of each key
//! below it. Redpoll has no such tree; counting what it would be takes one look at each key. Observed: redis-server 7.0.15.

use super::id::StreamId;

const KEY_BYTES: usize = 16;

/// The number of nodes for ascending keys. O(keys).
pub fn nodes(keys: impl Iterator<Item = StreamId>) -> usize {
    let mut count = 0;
    // Depths of the forks on the way from the root to the key at hand.
    let mut forks: Vec<usize> = Vec::new();
    let mut keys = keys.map(StreamId::to_bytes);
    let Some(mut key) = keys.next() else { return 1 };
    for next in keys {
        let common = key.iter().zip(&next).take_while(|(a, b)| a == b).count();
        // The key's leaf hangs at the deeper of the forks that part it from its neighbours.
        count += below(Some(forks.last().copied().unwrap_or(0).max(common)), KEY_BYTES);
        while let Some(depth) = forks.pop_if(|depth| *depth > common) {
            count += below(Some(forks.last().copied().unwrap_or(0).max(common)), depth);
        }
        if forks.last() != Some(&common) {
            forks.push(common);
        }
        key = next;
    }
    count += below(forks.last().copied(), KEY_BYTES);
    while let Some(depth) = forks.pop() {
        count += below(forks.last().copied(), depth);
    }
    count
}

/// A node at `depth` and the run between it and the fork above, if there is one.
fn below(fork: Option<usize>, depth: usize) -> usize {
    1 + usize::from(depth > fork.map_or(0, |fork| fork + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(keys: &[(u64, u64)], expected: usize) {
        assert_eq!(nodes(keys.iter().map(|(ms, seq)| StreamId { ms: *ms, seq: *seq })), expected, "{keys:?}");
    }

    #[test]
    fn as_many_as_redis_has() {
        check(&[], 1);
        check(&[(1, 1)], 2);
        // A run, a fork at the last byte, two leaves.
        check(&[(1, 1), (1, 2)], 4);
        // The fork is higher up: a run below it before each leaf.
        check(&[(1, 0), (2, 0)], 6);
        check(&[(1, 0), (2, 0), (3, 0)], 8);
        check(&[(1, 0), (1, 1), (2, 0)], 8);
        check(&[(1, 0), (2, 0), (2, 1)], 8);
    }
}
