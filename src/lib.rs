//! Redpoll: a drop-in replacement for `redis-server` with PSYNC replication at its heart.
#![deny(unsafe_code)]

pub mod auth;
pub mod client;
pub mod clock;
pub mod command;
pub mod commands;
pub mod config;
pub mod config_apply;
pub mod control;
pub mod cron;
pub mod error;
pub mod executor;
pub mod expire;
pub mod glob;
pub mod keyspace;
pub mod loader;
pub mod logging;
pub mod memory;
pub mod monitor;
pub mod net;
pub mod persistence;
pub mod pubsub;
pub mod rdb;
pub mod replication;
pub mod resp;
pub mod server;
pub mod snapshot;
pub mod stats;
pub mod types;
pub mod world;
