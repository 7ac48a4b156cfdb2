//! The commands, a file per family: each command's row and function stand together.

pub mod client;
pub mod connection;
pub mod pubsub;
pub mod string;
#[cfg(test)]
pub mod testing;

use crate::command::Row;
use crate::error::Error;
use crate::executor::Call;

/// Every family's rows.
pub const FAMILIES: &[&[Row]] = &[connection::ROWS, client::ROWS, pubsub::ROWS, string::ROWS];

/// The handler of a container's own row, which is asked only when the subcommand is missing.
fn container(call: &mut Call<'_, '_>) -> Result<(), Error> {
    Err(Error::arity(call.command.row.name))
}
