//! The commands, a file per family: each command's row and function stand together.

pub mod bitmap;
mod chance;
pub mod client;
pub mod cluster;
pub mod command;
pub mod config;
pub mod connection;
pub mod debug;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod info;
pub mod list;
pub mod memory;
mod mpop;
pub mod persistence;
pub mod pubsub;
pub mod replication;
pub mod set;
pub mod sort;
pub mod stream;
pub mod string;
#[cfg(test)]
pub mod testing;
pub mod transaction;
pub mod zset;

use crate::command::Row;
use crate::error::Error;
use crate::executor::Call;

/// Every family's rows.
pub const FAMILIES: &[&[Row]] = &[
    bitmap::ROWS,
    client::ROWS,
    cluster::ROWS,
    command::ROWS,
    config::ROWS,
    connection::ROWS,
    debug::ROWS,
    generic::keys::ROWS,
    generic::expire::ROWS,
    generic::scan::ROWS,
    generic::database::ROWS,
    generic::object::ROWS,
    generic::dump::ROWS,
    generic::migrate::ROWS,
    hash::ROWS,
    geo::ROWS,
    hyperloglog::ROWS,
    info::ROWS,
    list::ROWS,
    memory::ROWS,
    persistence::ROWS,
    pubsub::ROWS,
    replication::ROWS,
    stream::ROWS,
    set::ROWS,
    sort::ROWS,
    string::ROWS,
    transaction::ROWS,
    zset::ROWS,
];

/// The handler of a container's own row, which is asked only when the subcommand is missing.
fn container(call: &mut Call<'_, '_>) -> Result<(), Error> {
    Err(Error::arity(call.command.row.name))
}
