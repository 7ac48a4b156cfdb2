//! Redpoll: a drop-in replacement for `redis-server` with PSYNC replication at its heart.
#![deny(unsafe_code)]

pub mod config;
pub mod glob;
pub mod logging;
