//! Replication, both ways.
//!
//! As a master: [`psync`] decides what a replica gets, [`master`] serves it on its own connection, [`hub`] knows all replicas,
//! [`wait`] is WAIT. As a replica: [`handshake`] is the protocol as a state machine without I/O, [`link`] drives it, [`apply`] runs
//! the master's stream. [`log`] is what both have in common; [`spill`] is its part on disk.

pub mod apply;
pub mod handshake;
pub mod hub;
pub mod link;
pub mod log;
pub mod master;
pub mod psync;
pub mod spill;
pub mod wait;

pub use hub::Hub;
pub use psync::SyncRequest;
