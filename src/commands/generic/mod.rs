//! Commands about keys, whatever they hold: a file per idea.

pub mod database;
pub mod dump;
pub mod expire;
pub mod keys;
pub mod migrate;
pub mod object;
pub mod scan;

use crate::command::{Flags, KeyFlags};

const QUICK_READ: Flags = Flags::READONLY.union(Flags::FAST);
const QUICK_WRITE: Flags = Flags::WRITE.union(Flags::FAST);
const OVERWRITES: KeyFlags = KeyFlags::OW.union(KeyFlags::UPDATE);
