//! Redpoll: a drop-in replacement for `redis-server` with PSYNC replication at its heart.
#![deny(unsafe_code)]

pub mod client;
pub mod clock;
pub mod command;
pub mod commands;
pub mod config;
pub mod error;
pub mod executor;
pub mod glob;
pub mod keyspace;
pub mod logging;
pub mod monitor;
pub mod rdb;
pub mod replication;
pub mod resp;
pub mod server;
pub mod stats;
