//! WATCH: who wants to know whether a key changes before their EXEC.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A client's flag: set when one of its watched keys changed.
pub type WatchFlag = Arc<AtomicBool>;

/// The watched keys of a shard.
#[derive(Default)]
pub struct Watches {
    keys: HashMap<(u16, Box<[u8]>), Vec<WatchFlag>>,
}

impl Watches {
    /// Nobody watches anything here?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Number of watched keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// `flag` is to be set when the key changes.
    pub fn add(&mut self, db: u16, key: &[u8], flag: &WatchFlag) {
        self.keys.entry((db, key.into())).or_default().push(flag.clone());
    }

    /// Undoes one `add`.
    pub fn remove(&mut self, db: u16, key: &[u8], flag: &WatchFlag) {
        let key = (db, Box::from(key));
        let Some(flags) = self.keys.get_mut(&key) else { return };
        if let Some(at) = flags.iter().position(|other| Arc::ptr_eq(other, flag)) {
            flags.swap_remove(at);
        }
        if flags.is_empty() {
            self.keys.remove(&key);
        }
    }

    /// A key has changed.
    pub fn touch(&self, db: u16, key: &[u8]) {
        if let Some(flags) = self.keys.get(&(db, Box::from(key))) {
            flags.iter().for_each(|flag| flag.store(true, Ordering::Relaxed));
        }
    }

    /// All watched keys of a database for which `present` holds have changed.
    pub fn touch_present(&self, db: u16, present: impl Fn(&[u8]) -> bool) {
        for ((watched_db, key), flags) in &self.keys {
            if *watched_db == db && present(key) {
                flags.iter().for_each(|flag| flag.store(true, Ordering::Relaxed));
            }
        }
    }
}
