//! The commands, a file per family: each command's row and function stand together.

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
    connection::ROWS,
    debug::ROWS,
    generic::keys::ROWS,
    generic::expire::ROWS,
    generic::scan::ROWS,
    generic::database::ROWS,
    generic::object::ROWS,
    generic::dump::ROWS,
    string::ROWS,
    transaction::ROWS,
];
