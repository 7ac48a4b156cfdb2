//! The command table: every row of every family, found by name.
//!
//! Built once, at first use, and never changed: a `&'static Command` is what clients, statistics and the monitors keep. The
//! errors that name what is unknown are made here as well, because only here is it known what was looked for.

use super::index::NameIndex;
use super::{Begin, Find, KeyFlags, Row};
use crate::commands::FAMILIES;
use crate::error::Error;
use crate::resp::parser::Arg;
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
    by_subname: NameIndex,
}

/// All commands.
pub struct Table {
    by_name: NameIndex,
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
#[inline]
pub fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(Table::build)
}

impl Table {
    fn build() -> Table {
        let mut count = 0;
        let top: Vec<_> = FAMILIES
            .iter()
            .flat_map(|family| family.iter())
            .map(|row| Command::of(row, &mut count))
            .collect();
        let names: Vec<_> = top.iter().map(|command| (command.row.name, *command)).collect();
        Table { by_name: NameIndex::new(&names), top, count }
    }

    /// The commands, subcommands within them.
    pub fn commands(&self) -> &[&'static Command] {
        &self.top
    }

    /// All commands and subcommands, each container before its own.
    pub fn all(&self) -> impl Iterator<Item = &'static Command> {
        self.top
            .iter()
            .flat_map(|command| std::iter::once(*command).chain(command.subcommands.iter().copied()))
    }

    /// The highest command id.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The command of a name, in any case; a container's subcommand is not looked at.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&'static Command> {
        self.by_name.get(name)
    }

    /// The command or subcommand of a full name (`get`, `config|set`), in any case.
    pub fn get_full(&self, name: &[u8]) -> Option<&'static Command> {
        let Some(bar) = name.iter().position(|byte| *byte == b'|') else { return self.get(name) };
        self.get(&name[..bar])?.subcommand(&name[bar + 1..])
    }

    /// The command or subcommand that a request names. A container without a subcommand is itself.
    #[inline]
    pub fn lookup(&self, args: &[Arg<'_>]) -> Lookup {
        let Some(command) = self.get(args[0].bytes()) else { return Lookup::Unknown(unknown_command(args)) };
        if command.subcommands.is_empty() || args.len() < 2 {
            return Lookup::Found(command);
        }
        let wanted = args[1].bytes();
        match command.subcommand(wanted) {
            Some(sub) => Lookup::Found(sub),
            None => Lookup::Unknown(unknown_subcommand(command, wanted)),
        }
    }
}

impl Command {
    fn of(row: &'static Row, count: &mut usize) -> &'static Command {
        *count += 1;
        let id = *count;
        let subcommands: Vec<_> = row.subcommands.iter().map(|sub| Command::of(sub, count)).collect();
        let names: Vec<_> = subcommands.iter().map(|sub| (sub.row.subname(), *sub)).collect();
        let single_key = match row.keys {
            [spec] if !spec.flags.contains(KeyFlags::NOT_KEY) => match (spec.begin, spec.find) {
                (Begin::Index(at), Find::Range { last: 0, .. }) => Some(at),
                _ => None,
            },
            _ => None,
        };
        let by_subname = NameIndex::new(&names);
        Box::leak(Box::new(Command { row, id, subcommands, single_key, by_subname }))
    }

    /// The subcommand of a name, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Command> {
        self.by_subname.get(name)
    }
}

/// How much of a name, and of all arguments together, the error for an unknown command repeats.
const SHOWN_BYTES: usize = 128;

/// The beginning of an argument as an error shows it: cut at a zero byte, as C does.
fn shown(arg: &[u8], most_bytes: usize) -> &[u8] {
    let arg = &arg[..arg.len().min(most_bytes)];
    arg.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn unknown_command(args: &[Arg<'_>]) -> Error {
    let mut list = Vec::new();
    for arg in &args[1..] {
        if list.len() >= SHOWN_BYTES {
            break;
        }
        let arg = shown(arg.bytes(), SHOWN_BYTES - list.len());
        list.extend_from_slice(&[b"'", arg, b"' "].concat());
    }
    let name = shown(args[0].bytes(), SHOWN_BYTES);
    Error::err([b"unknown command '", name, b"', with args beginning with: ", &list].concat())
}

fn unknown_subcommand(container: &Command, name: &[u8]) -> Error {
    let container = container.row.name.to_ascii_uppercase();
    let name = shown(name, SHOWN_BYTES);
    Error::err([b"unknown subcommand '", name, b"'. Try ", container.as_bytes(), b" HELP."].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&[u8]], expected: Result<&str, &[u8]>) {
        let args: Vec<Arg<'_>> = args.iter().map(|arg| Arg::Slice(arg)).collect();
        match table().lookup(&args) {
            Lookup::Found(command) => assert_eq!(Ok(command.row.name), expected),
            Lookup::Unknown(error) => {
                let expected = expected.expect_err("should be known");
                let expected = [b"ERR ", expected].concat();
                assert_eq!(error.text(), String::from_utf8_lossy(&expected));
                assert_eq!(*error.0, *expected);
            }
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        check(&[b"get"], Ok("get"));
        check(&[b"GeT", b"k"], Ok("get"));
        check(&[b"command"], Ok("command"));
        check(&[b"COMMAND", b"GetKeysAndFlags"], Ok("command|getkeysandflags"));
        for command in table().all() {
            let upper = command.row.name.to_ascii_uppercase();
            let found = table().get_full(upper.as_bytes()).map(|found| found.id);
            assert_eq!(found, Some(command.id), "{upper}");
            for other in
                [format!("{upper}x"), upper[1..].to_string(), format!("{upper}|"), format!("|{upper}")]
            {
                let found = table().get_full(other.as_bytes());
                assert!(found.is_none_or(|found| found.row.name.eq_ignore_ascii_case(&other)), "{other}");
            }
        }
    }

    #[test]
    fn subcommands_are_no_commands() {
        check(&[b"command|get"], Err(b"unknown command 'command|get', with args beginning with: "));
        check(&[b"cOmmand", b"x\r\ny", b"z"], Err(b"unknown subcommand 'x  y'. Try COMMAND HELP."));
        check(&[b"command", b""], Err(b"unknown subcommand ''. Try COMMAND HELP."));
        check(&[b"command", b"a\0b"], Err(b"unknown subcommand 'a'. Try COMMAND HELP."));
        check(&[b"command", b"\xff\xfe"], Err(b"unknown subcommand '\xff\xfe'. Try COMMAND HELP."));
        let long = [b"unknown subcommand '", &[b'x'; 128][..], b"'. Try COMMAND HELP."].concat();
        check(&[b"command", &[b'x'; 200]], Err(&long));
    }

    #[test]
    fn unknown_commands_are_repeated_as_observed() {
        // redis-server 7.0.15: raw bytes, line ends as spaces, cut at a zero byte and after 128 bytes.
        let rest = |args: &[&[u8]], list: &[u8]| {
            let expected = [b"unknown command 'x', with args beginning with: ", list].concat();
            check(&[&[&b"x"[..]], args].concat(), Err(&expected));
        };
        rest(&[], b"");
        rest(&[b""], b"'' ");
        rest(&[b"a\rb", b"\xfe\xe2"], b"'a b' '\xfe\xe2' ");
        rest(&[b"a\0b", b"c"], b"'a' 'c' ");
        rest(&[&[b'a'; 200]], &[b"'", &[b'a'; 128][..], b"' "].concat());
        rest(&[&[b'a'; 124], b"b"], &[b"'", &[b'a'; 124][..], b"' 'b' "].concat());
        rest(&[&[b'a'; 126], b"b"], &[b"'", &[b'a'; 126][..], b"' "].concat());
        rest(
            &[&[b'a'; 100], &[b'b'; 100]],
            &[b"'", &[b'a'; 100][..], b"' '", &[b'b'; 25][..], b"' "].concat(),
        );
        rest(&[&b"y"[..]; 60], &b"'y' ".repeat(32));
        let name = [b"unknown command '", &[b'n'; 128][..], b"', with args beginning with: "].concat();
        check(&[&[b'n'; 200]], Err(&name));
    }
}
