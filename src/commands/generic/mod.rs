//! Commands about keys, whatever they hold: a file per idea.

pub mod database;
pub mod dump;
pub mod expire;
pub mod keys;
pub mod migrate;
pub mod object;
pub mod scan;
