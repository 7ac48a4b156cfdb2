//! WATCH: who wants to know whether a key changes before their EXEC.
//!
//! A watcher is told when the key it watches changes, with one exception: a key that was logically expired already when it
//! was watched was gone for the watcher, so that its deletion is no change. From then on it is watched like any
//! other absent key.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A client's flag: set when one of its watched keys changed.
pub type WatchFlag = Arc<AtomicBool>;

/// One client's interest in one key.
struct Watcher {
    db: u16,
    flag: WatchFlag,
    /// The key was there but expired, and still is.
    expired: bool,
}

/// What happened to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// It holds something else now.
    Changed,
    /// It is gone.
    Deleted,
    /// A key that is logically expired took its place, in which there was one or not.
    Outdated { was_there: bool },
}

/// The watched keys of a shard.
#[derive(Default)]
pub struct Watches {
    keys: HashMap<Box<[u8]>, Vec<Watcher>>,
}

impl Watcher {
    fn tell(&mut self, event: Event) {
        match event {
            Event::Deleted if self.expired => self.expired = false,
            Event::Outdated { was_there } if self.expired || !was_there => self.expired = true,
            _ => self.flag.store(true, Ordering::Relaxed),
        }
    }
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

    /// `flag` is to be set when the key changes; `expired` says that it is there but logically expired.
    pub fn add(&mut self, db: u16, key: &[u8], flag: &WatchFlag, expired: bool) {
        let watcher = Watcher { db, flag: flag.clone(), expired };
        self.keys.entry(key.into()).or_default().push(watcher);
    }

    /// Does this watcher know the key as one that is there but expired?
    pub fn is_known_expired(&self, db: u16, key: &[u8], flag: &WatchFlag) -> bool {
        let watchers = self.keys.get(key).map_or(&[][..], Vec::as_slice);
        let mine = watchers.iter().find(|watcher| watcher.db == db && Arc::ptr_eq(&watcher.flag, flag));
        mine.is_some_and(|watcher| watcher.expired)
    }

    /// Undoes one `add`.
    pub fn remove(&mut self, db: u16, key: &[u8], flag: &WatchFlag) {
        let Some(watchers) = self.keys.get_mut(key) else { return };
        if let Some(at) = watchers.iter().position(|other| other.db == db && Arc::ptr_eq(&other.flag, flag)) {
            watchers.swap_remove(at);
        }
        if watchers.is_empty() {
            self.keys.remove(key);
        }
    }

    /// Something happened to a key.
    pub fn touch(&mut self, db: u16, key: &[u8], event: Event) {
        if let Some(watchers) = self.keys.get_mut(key) {
            watchers.iter_mut().filter(|watcher| watcher.db == db).for_each(|watcher| watcher.tell(event));
        }
    }

    /// Something happened to a whole database: `event` says what to each key, `None` for nothing.
    pub fn touch_all(&mut self, db: u16, event: impl Fn(&[u8]) -> Option<Event>) {
        for (key, watchers) in &mut self.keys {
            for watcher in watchers.iter_mut().filter(|watcher| watcher.db == db) {
                if let Some(event) = event(key) {
                    watcher.tell(event);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expired: bool, events: &[(u16, &[u8], Event)], told: bool) {
        let (mut watches, flag) = (Watches::default(), WatchFlag::default());
        watches.add(1, b"k", &flag, expired);
        events.iter().for_each(|(db, key, event)| watches.touch(*db, key, *event));
        assert_eq!(flag.load(Ordering::Relaxed), told, "{expired} {events:?}");
        watches.remove(0, b"k", &flag);
        assert_eq!(watches.len(), 1);
        watches.remove(1, b"k", &flag);
        assert!(watches.is_empty());
    }

    #[test]
    fn a_watcher_hears_of_its_own_key_alone() {
        check(false, &[(0, b"k", Event::Changed), (1, b"j", Event::Deleted)], false);
        check(false, &[(1, b"k", Event::Changed)], true);
        check(false, &[(1, b"k", Event::Deleted)], true);
    }

    #[test]
    fn the_end_of_an_expired_key_is_no_change_but_what_follows_is() {
        check(true, &[(1, b"k", Event::Deleted)], false);
        check(true, &[(1, b"k", Event::Changed)], true);
        check(true, &[(1, b"k", Event::Deleted), (1, b"k", Event::Changed)], true);
    }

    #[test]
    fn an_expired_key_in_the_place_of_another_or_of_none_is_no_change() {
        let outdated = |was_there| (1, &b"k"[..], Event::Outdated { was_there });
        check(false, &[outdated(false)], false);
        check(false, &[outdated(false), (1, b"k", Event::Deleted)], false);
        check(true, &[outdated(true)], false);
        check(false, &[outdated(true)], true);
    }
}
