//! The commands, a file per family: each command's row and function stand together.

pub mod config;
pub mod connection;
pub mod info;
pub mod string;
#[cfg(test)]
pub mod testing;

use crate::command::Row;

/// Every family's rows.
pub const FAMILIES: &[&[Row]] = &[config::ROWS, connection::ROWS, info::ROWS, string::ROWS];
