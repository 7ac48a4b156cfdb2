//! Keys to which clients of a writable replica gave a time to live. Their master does not know of it and will not delete them,
//! as it does with all others, so the replica must.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Such keys of one database, and when they are due. A key may have another time by now, or be gone.
#[derive(Default, Debug)]
pub struct OwnExpiries {
    times: HashMap<Arc<[u8]>, i64>,
    due: BTreeSet<(i64, Arc<[u8]>)>,
}

impl OwnExpiries {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// No keys?
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// A key is due at `at_ms`, whatever was said of it before. O(log n).
    pub fn insert(&mut self, key: &[u8], at_ms: i64) {
        let key: Arc<[u8]> = key.into();
        if let Some(before) = self.times.insert(key.clone(), at_ms) {
            self.due.remove(&(before, key.clone()));
        }
        self.due.insert((at_ms, key));
    }

    /// Takes out a key that was due before `now_ms`, and when it was.
    pub fn take_due(&mut self, now_ms: i64) -> Option<(i64, Arc<[u8]>)> {
        if self.due.first()?.0 >= now_ms {
            return None;
        }
        let (at_ms, key) = self.due.pop_first()?;
        self.times.remove(&key);
        Some((at_ms, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_time_of_a_key_counts() {
        let mut own = OwnExpiries::default();
        for (key, at_ms) in [("a", 50), ("b", 30), ("a", 20), ("c", 40), ("b", 60), ("b", 60)] {
            own.insert(key.as_bytes(), at_ms);
        }
        assert_eq!(own.len(), 3);
        let mut take = |now_ms| own.take_due(now_ms).map(|(at, key)| (at, key.to_vec()));
        assert_eq!(take(20), None);
        assert_eq!(take(61), Some((20, b"a".to_vec())));
        assert_eq!(take(61), Some((40, b"c".to_vec())));
        assert_eq!(take(60), None);
        assert_eq!(take(61), Some((60, b"b".to_vec())));
        assert_eq!(take(i64::MAX), None);
        assert!(own.is_empty());
    }
}
