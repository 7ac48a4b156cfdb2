//! Where Redpoll means to differ from the oracle: it announces 7.2, the oracle is 7.0.
//!
//! Every entry says why. An entry describes both replies as exactly as it can, so that it cannot hide
//! another difference in the same command. What is equal in 7.0 and 7.2 does not belong here, nor
//! what no two servers have in common (`compare`).

use crate::support::client::Value;
use crate::syntax::{name, word};

/// One wanted difference.
struct Wanted {
    /// Why the replies differ.
    reason: &'static str,
    /// Whether this is that difference: the arguments, the oracle's reply, the tested server's.
    holds: fn(&[Vec<u8>], &Value, &Value) -> bool,
}

/// The version that Redpoll announces.
pub const ANNOUNCED_VERSION: &str = "7.2.4";

const WANTED: &[Wanted] = &[
    Wanted {
        reason: "HELLO names the version of the server",
        holds: |args, oracle, tested| name(args) == "HELLO" && hello_without_version(oracle, tested),
    },
    Wanted {
        reason: "CLIENT LIST and INFO have shown lib-name and lib-ver since 7.2 (CLIENT SETINFO)",
        holds: |args, oracle, tested| {
            name(args) == "CLIENT"
                && ["INFO", "LIST"].contains(&word(args, 1).as_str())
                && oracle.bytes().is_some()
                && oracle.bytes() == tested.bytes().map(without_library).as_deref()
        },
    },
    Wanted {
        reason: "CLIENT HELP describes the subcommands that 7.2 added",
        holds: |args, oracle, tested| {
            name(args) == "CLIENT" && word(args, 1) == "HELP" && contains_all(tested, oracle)
        },
    },
    Wanted {
        reason: "BITCOUNT and BITPOS look at their arguments before they look for the key since 7.2",
        holds: |args, oracle, tested| {
            let nothing = match name(args).as_str() {
                "BITCOUNT" => *oracle == Value::Int(0),
                "BITPOS" => *oracle == Value::Int(-1) || *oracle == Value::Int(0),
                _ => false,
            };
            let complaint = tested.text();
            nothing
                && tested.is_error()
                && (complaint == "ERR syntax error"
                    || complaint == "ERR value is not an integer or out of range")
        },
    },
    Wanted {
        reason: "7.2 has more commands than 7.0",
        holds: |args, oracle, tested| {
            name(args) == "COMMAND"
                && match word(args, 1).as_str() {
                    "COUNT" => oracle.int() < tested.int(),
                    "LIST" => contains_all(tested, oracle),
                    "" => args.len() == 1 && contains_all(tested, oracle),
                    "INFO" | "DOCS" => args.len() == 2 && contains_all(tested, oracle),
                    _ => false,
                }
        },
    },
];

/// Whether one entry of the list explains the difference. The replies are in normal form.
pub fn allows(args: &[Vec<u8>], oracle: &Value, tested: &Value) -> bool {
    WANTED.iter().any(|wanted| (wanted.holds)(args, oracle, tested))
}

/// Whether all but the version is the same, and the version is the announced one.
fn hello_without_version(oracle: &Value, tested: &Value) -> bool {
    let flat = |value: &Value| match value {
        Value::Map(pairs) => {
            Some(pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect())
        }
        Value::Array(items) => Some(items.clone()),
        _ => None,
    };
    let (Some(ours), Some(theirs)): (Option<Vec<Value>>, Option<Vec<Value>>) = (flat(oracle), flat(tested))
    else {
        return false;
    };
    let Some(at) = ours.iter().position(|item| item.text() == "version") else { return false };
    let mut expected = ours.clone();
    expected[at + 1] = Value::Bulk(ANNOUNCED_VERSION.as_bytes().to_vec());
    expected == theirs && std::mem::discriminant(oracle) == std::mem::discriminant(tested)
}

/// A CLIENT LIST without the two fields of CLIENT SETINFO.
fn without_library(text: &[u8]) -> Vec<u8> {
    let keep = |word: &&str| !word.starts_with("lib-name=") && !word.starts_with("lib-ver=");
    let text = String::from_utf8_lossy(text);
    let lines = text.split('\n').map(|line| line.split(' ').filter(keep).collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

/// Whether every element of `some` is in `all`.
fn contains_all(all: &Value, some: &Value) -> bool {
    match (all.items(), some.items()) {
        (Some(all), Some(some)) => some.iter().all(|item| all.contains(item)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax;

    #[track_caller]
    fn check(command: &str, oracle: Value, tested: Value, expected: bool) {
        let args = syntax::parse(command).unwrap();
        let reasons: Vec<_> =
            WANTED.iter().filter(|one| (one.holds)(&args, &oracle, &tested)).map(|one| one.reason).collect();
        assert_eq!(!reasons.is_empty(), expected, "{command}: {oracle} {tested} {reasons:?}");
        assert_eq!(allows(&args, &oracle, &tested), expected);
    }

    #[test]
    fn entries_hide_nothing_else() {
        let error = |text: &str| Value::Error(text.as_bytes().to_vec());
        let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
        check("BITCOUNT k 1", Value::Int(0), error("ERR syntax error"), true);
        check("BITCOUNT k 1", Value::Int(0), error("ERR other"), false);
        check("BITCOUNT k 1", Value::Int(3), error("ERR syntax error"), false);
        check("STRLEN k", Value::Int(0), error("ERR syntax error"), false);
        check("CLIENT INFO", bulk("db=0 resp=2\n"), bulk("db=0 resp=2 lib-name= lib-ver=\n"), true);
        check("CLIENT INFO", bulk("db=0 resp=2\n"), bulk("db=1 resp=2 lib-name= lib-ver=\n"), false);
        let hello = |version: &str, role: &str| {
            Value::Array(vec![bulk("version"), bulk(version), bulk("role"), bulk(role)])
        };
        check("HELLO", hello("7.0.15", "master"), hello("7.2.4", "master"), true);
        check("HELLO", hello("7.0.15", "master"), hello("7.2.5", "master"), false);
        check("HELLO", hello("7.0.15", "master"), hello("7.2.4", "replica"), false);
        check("COMMAND COUNT", Value::Int(241), Value::Int(5), false);
    }
}
