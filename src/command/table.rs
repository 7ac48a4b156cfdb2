//! The command table: every row of every family, found by name.

use super::{Begin, Find, Row};
use crate::commands::FAMILIES;
use crate::error::Error;
use crate::resp::parser::Arg;
use std::collections::HashMap;
use std::sync::OnceLock;

/// A row with what is derived from it once.
#[derive(Debug)]
pub struct Command {
    pub row: &'static Row,
    /// Dense number, from 1 on; subcommands have their own.
    pub id: usize,
    pub subcommands: Vec<&'static Command>,
    /// Where the key stands, for commands whose specs always give exactly this one.
    pub single_key: Option<usize>,
}

/// All commands.
pub struct Table {
    by_name: HashMap<&'static str, &'static Command>,
    top: Vec<&'static Command>,
    count: usize,
}

/// What a request names.
pub enum Lookup {
    Found(&'static Command),
    /// The error that names what is unknown.
    Unknown(Error),
}

/// The table, built at first use.
pub fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(Table::build)
}

/// Names longer than this are not looked up (no command's is).
const NAME_MAX_BYTES: usize = 32;

impl Table {
    fn build() -> Table {
        let mut count = 0;
        let top: Vec<_> = FAMILIES
            .iter()
            .flat_map(|family| family.iter())
            .map(|row| Command::of(row, &mut count))
            .collect();
        let by_name = top.iter().map(|command| (command.row.name, *command)).collect();
        Table { by_name, top, count }
    }

    /// The commands, subcommands within them.
    pub fn commands(&self) -> &[&'static Command] {
        &self.top
    }

    /// The highest command id.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The command of a name, in any case; a container's subcommand is not looked at.
    pub fn get(&self, name: &[u8]) -> Option<&'static Command> {
        let mut lower = [0; NAME_MAX_BYTES];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        self.by_name.get(std::str::from_utf8(lower).ok()?).copied()
    }

    /// The command or subcommand that a request names.
    pub fn lookup(&self, args: &[Arg<'_>]) -> Lookup {
        let name = args[0].bytes();
        let Some(command) = self.get(name) else { return Lookup::Unknown(unknown_command(args)) };
        if command.subcommands.is_empty() || args.len() < 2 {
            return Lookup::Found(command);
        }
        let wanted = args[1].bytes();
        let names = |sub: &&&'static Command| {
            sub.row.name.rsplit('|').next().is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(wanted))
        };
        match command.subcommands.iter().find(names) {
            Some(sub) => Lookup::Found(sub),
            None => Lookup::Unknown(unknown_subcommand(command, wanted)),
        }
    }
}

impl Command {
    fn of(row: &'static Row, count: &mut usize) -> &'static Command {
        *count += 1;
        let id = *count;
        let subcommands = row.subcommands.iter().map(|sub| Command::of(sub, count)).collect();
        let single_key = match row.keys {
            [spec] => match (spec.begin, spec.find) {
                (Begin::Index(at), Find::Range { last: 0, .. }) => Some(at),
                _ => None,
            },
            _ => None,
        };
        Box::leak(Box::new(Command { row, id, subcommands, single_key }))
    }
}

/// Longest part of an unknown command that its error repeats.
const SHOWN_BYTES: usize = 128;

fn unknown_command(args: &[Arg<'_>]) -> Error {
    let shown =
        |bytes: &[u8], most: usize| String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned();
    let mut list = String::new();
    for arg in &args[1..] {
        if list.len() >= SHOWN_BYTES {
            break;
        }
        list += &format!("'{}' ", shown(arg.bytes(), SHOWN_BYTES - list.len()));
    }
    Error::err(format!(
        "unknown command '{}', with args beginning with: {list}",
        shown(args[0].bytes(), SHOWN_BYTES)
    ))
}

fn unknown_subcommand(container: &Command, name: &[u8]) -> Error {
    Error::err(format!(
        "unknown subcommand '{}'. Try {} HELP.",
        String::from_utf8_lossy(&name[..name.len().min(SHOWN_BYTES)]),
        container.row.name.to_ascii_uppercase()
    ))
}
