//! The commands, a file per family: each command's row and function stand together.

pub mod bitmap;
pub mod command;
pub mod connection;
pub mod debug;
pub mod generic;
pub mod string;
#[cfg(test)]
pub mod testing;
pub mod transaction;

use crate::command::Row;

/// Every family's rows.
pub const FAMILIES: &[&[Row]] = &[
    bitmap::ROWS,
    command::ROWS,
    connection::ROWS,
    debug::ROWS,
    generic::database::ROWS,
    generic::dump::ROWS,
    generic::expire::ROWS,
    generic::keys::ROWS,
    generic::object::ROWS,
    generic::scan::ROWS,
    string::ROWS,
    transaction::ROWS,
];
