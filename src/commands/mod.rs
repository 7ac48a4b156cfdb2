//! The commands, a file per family: each command's row and function stand together.

pub mod bitmap;
pub mod command;
pub mod connection;
pub mod string;
#[cfg(test)]
pub mod testing;

use crate::command::Row;

/// Every family's rows.
pub const FAMILIES: &[&[Row]] = &[
    bitmap::ROWS,
    command::ROWS,
    connection::ROWS,
    string::ROWS,
];
