//! Where Redpoll means to differ from the oracle: it announces 7.2, the oracle is 7.0.
//!
//! Every entry says why. An entry describes both replies as exactly as it can, so that it cannot hide
//! another difference in the same command. What is equal in 7.0 and 7.2 does not belong here, nor
//! what no two servers have in common (`compare`).

use crate::payload;
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
        reason: "small lists are listpacks since 7.2",
        holds: |args, oracle, tested| {
            name(args) == "OBJECT"
                && oracle.bytes() == Some(b"quicklist")
                && tested.bytes() == Some(b"listpack")
        },
    },
    Wanted {
        reason: "ZRANK and ZREVRANK take an option since 7.2",
        holds: |args, oracle, tested| {
            ["ZRANK", "ZREVRANK"].contains(&name(args).as_str())
                && args.len() == 4
                && oracle.text().starts_with("ERR wrong number of arguments")
                && (word(args, 3) == "WITHSCORE" || tested.text() == "ERR syntax error")
        },
    },
    Wanted {
        reason: "sizes beyond 64 bits are refused as such; the oracle takes the greatest instead, and refuses that if it may",
        holds: |args, oracle, tested| {
            name(args) == "CONFIG"
                && oracle.text().starts_with("ERR CONFIG SET failed")
                && oracle.text().ends_with(" inclusive")
                && tested.text().ends_with(" argument must be a memory value")
        },
    },
    Wanted {
        reason: "small sets of strings are listpacks since 7.2",
        holds: |args, oracle, tested| {
            name(args) == "OBJECT"
                && oracle.bytes() == Some(b"hashtable")
                && tested.bytes() == Some(b"listpack")
        },
    },
    Wanted {
        reason: "small numbers are shared objects in the oracle: one that nobody has used for a while has idled from the first moment",
        holds: |args, oracle, tested| {
            const LONGEST_RUN_S: i64 = 900;
            name(args) == "OBJECT"
                && word(args, 1) == "IDLETIME"
                && matches!(
                    (oracle.int(), tested.int()),
                    (Some(oracle @ ..=LONGEST_RUN_S), Some(tested @ 0..)) if tested < oracle
                )
        },
    },
    Wanted {
        reason: "SORT makes a skiplist of a packed sorted set in the oracle; here it stays as it is (it is never generated for z…)",
        holds: |args, oracle, tested| {
            name(args) == "OBJECT"
                && args.get(2).is_some_and(|key| !key.starts_with(b"z"))
                && oracle.bytes() == Some(b"skiplist")
                && tested.bytes() == Some(b"listpack")
        },
    },
    Wanted {
        reason: "DEBUG OBJECT names the encodings of 7.2 too, and of a small list no quicklist's fields",
        holds: |args, oracle, tested| {
            let oracle = oracle.text();
            let oracle = oracle.split(" ql_nodes:").next().unwrap_or_default();
            name(args) == "DEBUG"
                && word(args, 1) == "OBJECT"
                && ["hashtable", "quicklist"].iter().any(|old| {
                    let encoding = format!(" encoding:{old} ");
                    oracle.contains(&encoding)
                        && oracle.replace(&encoding, " encoding:listpack ") == tested.text()
                })
        },
    },
    Wanted {
        reason: "LPOS refuses the smallest RANK since 7.2; in 7.0 its negation overflows",
        holds: |args, _, tested| {
            const COMPLAINT: &str =
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
            name(args) == "LPOS"
                && args.iter().any(|arg| arg == b"-9223372036854775808")
                && tested.text() == COMPLAINT
        },
    },
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
        reason: "RESET turns off NO-EVICT since 7.2 (that NO-EVICT shows at all is asked in newer.txt)",
        holds: |args, oracle, tested| {
            let evictable = |text: &[u8]| {
                let text = String::from_utf8_lossy(text)
                    .replace(" flags=e ", " flags=N ")
                    .replace("e db=", " db=")
                    .replace("  db=", " db=");
                let mut lines: Vec<String> = text.lines().map(String::from).collect();
                lines.sort();
                lines
            };
            name(args) == "CLIENT"
                && ["INFO", "LIST"].contains(&word(args, 1).as_str())
                && oracle.bytes().map(evictable)
                    == tested.bytes().map(|text| evictable(&without_library(text)))
        },
    },
    Wanted {
        reason: "CLIENT HELP describes the subcommands that 7.2 added",
        holds: |args, oracle, tested| {
            name(args) == "CLIENT" && word(args, 1) == "HELP" && contains_all(tested, oracle)
        },
    },
    Wanted {
        reason: "XINFO shows consumers' active times since 7.2",
        holds: |args, oracle, tested| name(args) == "XINFO" && *oracle == without_active_times(tested),
    },
    Wanted {
        reason: "the text of this error names <proto> since 7.2",
        holds: |args, oracle, tested| {
            name(args) == "HELLO"
                && oracle.text().starts_with("NOAUTH ")
                && oracle.text().replace("HELLO AUTH", "HELLO <proto> AUTH") == tested.text()
        },
    },
    Wanted {
        reason: "there is a loglevel more since 7.2",
        holds: |args, oracle, tested| {
            name(args) == "CONFIG"
                && word(args, 2) == "LOGLEVEL"
                && format!("{}, nothing", oracle.text()) == tested.text()
        },
    },
    Wanted {
        reason: "a RESTORE whose value runs on into the payload's own footer is refused; the oracle reads the footer as data",
        holds: |args, oracle, tested| {
            name(args) == "RESTORE"
                && *oracle == Value::Simple(b"OK".to_vec())
                && tested.text() == "ERR Bad data format"
                && args.get(3).is_some_and(|payload| payload::is_cut_short(payload))
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
    Wanted {
        reason: "COMMAND INFO of these changed by 7.2: flags no_multi and blocking, tips, an arity",
        holds: |args, oracle, tested| {
            name(args) == "COMMAND" && word(args, 1) == "INFO" && same_but_redescribed(oracle, tested)
        },
    },
    Wanted {
        reason: "COMMAND GETKEYS and GETKEYSANDFLAGS take a command without arguments since 7.2",
        holds: |args, oracle, tested| {
            const COMPLAINTS: &[&str] = &[
                "ERR The command has no key arguments",
                "ERR Invalid number of arguments specified for command",
                "ERR Invalid command specified",
            ];
            name(args) == "COMMAND"
                && args.len() == 3
                && oracle.text().starts_with("ERR wrong number of arguments for 'command|getkeys")
                && COMPLAINTS.contains(&tested.text().as_str())
        },
    },
    Wanted {
        reason: "a pattern also finds directives that 7.0 does not have",
        holds: |args, oracle, tested| {
            let has_pattern = args.iter().skip(2).any(|arg| arg.contains(&b'*'));
            let (Some(ours), Some(theirs)) = (pairs(oracle), pairs(tested)) else { return false };
            name(args) == "CONFIG"
                && word(args, 1) == "GET"
                && has_pattern
                && std::mem::discriminant(oracle) == std::mem::discriminant(tested)
                && ours.iter().all(|pair| theirs.contains(pair))
        },
    },
    Wanted {
        reason: "COMMAND DOCS has texts, histories and argument names (display_text) of 7.2",
        holds: |args, oracle, tested| {
            let origins = (origins(oracle), origins(tested));
            name(args) == "COMMAND"
                && word(args, 1) == "DOCS"
                && origins.0.is_some()
                && origins.0 == origins.1
        },
    },
];

/// What the oracle has and Redpoll does not have yet: each entry goes when its commands come.
const NOT_BUILT: &[Wanted] = &[
    Wanted {
        reason: "commands of later stages are missing",
        holds: |args, oracle, tested| {
            name(args) == "COMMAND"
                && match word(args, 1).as_str() {
                    "COUNT" => oracle.int() > tested.int(),
                    "LIST" => contains_all(oracle, &without(tested, NEWER_COMMANDS)),
                    "" | "INFO" | "DOCS" => contains_all(oracle, &without(tested, NEWER_COMMANDS)),
                    _ => false,
                }
        },
    },
    Wanted {
        reason: "CLIENT CACHING, GETREDIR, TRACKING, TRACKINGINFO, PAUSE, UNPAUSE and UNBLOCK are missing",
        holds: |args, oracle, tested| {
            const NEWER: &[&str] = &[
                "SETINFO <option> <value>",
                "    Set client meta attr. Options are:",
                "    * LIB-NAME: the client lib name.",
                "    * LIB-VER: the client lib version.",
                "NO-TOUCH (ON|OFF)",
                "    Will not touch LRU/LFU stats when this mode is on.",
            ];
            name(args) == "CLIENT" && word(args, 1) == "HELP" && contains_all(oracle, &without(tested, NEWER))
        },
    },
];

/// Commands that came after the oracle.
const NEWER_COMMANDS: &[&str] = &[
    "client|setinfo",
    "client|no-touch",
    "waitaof",
    "cluster|myshardid",
    "delex",
    "digest",
    "msetex",
    "xackdel",
    "xdelex",
    "hexpire",
    "hpexpire",
    "hexpireat",
    "hpexpireat",
    "httl",
    "hpttl",
    "hexpiretime",
    "hpexpiretime",
    "hpersist",
    "hgetdel",
    "hgetex",
    "hsetex",
];

/// XINFO's reply without what 7.2 added to it.
fn without_active_times(value: &Value) -> Value {
    let is_new = |key: &Value| ["active-time", "inactive"].contains(&key.text().as_str());
    match value {
        Value::Map(pairs) => {
            let known = pairs.iter().filter(|(key, _)| !is_new(key));
            Value::Map(known.map(|(key, value)| (key.clone(), without_active_times(value))).collect())
        }
        Value::Array(items) => {
            let new = |at: usize| is_new(&items[at]) || at > 0 && is_new(&items[at - 1]);
            let known = (0..items.len()).filter(|at| !new(*at));
            Value::Array(known.map(|at| without_active_times(&items[at])).collect())
        }
        other => other.clone(),
    }
}

/// An array without the elements that have one of these texts.
fn without(value: &Value, texts: &[&str]) -> Value {
    let items = value.items().unwrap_or_default();
    Value::Array(items.iter().filter(|item| !texts.contains(&item.text().as_str())).cloned().collect())
}

/// Raw replies without the version of the server and the number of the client, as HELLO tells them.
pub fn without_identity(bytes: &[u8]) -> Vec<u8> {
    let text =
        String::from_utf8_lossy(bytes).replace("$6\r\n7.0.15\r\n", &format!("$5\r\n{ANNOUNCED_VERSION}\r\n"));
    let Some((before, after)) = text.split_once("$2\r\nid\r\n:") else { return bytes.to_vec() };
    let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
    [before, "(id)", after].concat().into_bytes()
}

/// A line (a header, or an inline request) of more than 64 KiB is refused as too long. Whether the oracle does that depends
/// on how the bytes happen to arrive.
pub fn refuses_a_long_line(bytes: &[u8], tested: &[u8]) -> bool {
    const LONG_BYTES: usize = 64 * 1024;
    let text = b"-ERR Protocol error: too big ";
    bytes.len() > LONG_BYTES && tested.starts_with(text)
}

/// After broken protocol behind CLIENT REPLY OFF the oracle sends nothing and, because it sends nothing, never
/// closes the connection either, which stays deaf until the client goes. Redpoll closes it.
pub fn closes_a_deaf_connection(bytes: &[u8], oracle_closed: bool, tested_closed: bool) -> bool {
    bytes.starts_with(b"CLIENT REPLY OFF\r\n") && !oracle_closed && tested_closed
}

/// Commands whose COMMAND INFO is not the same in 7.0 and 7.2.
const REDESCRIBED: &[&str] = &["multi", "watch", "wait", "msetnx", "scan", "randomkey", "command|getkeys"];

/// Whether the descriptions are the same, those of [`REDESCRIBED`] but for arity, flags, categories and tips.
fn same_but_redescribed(oracle: &Value, tested: &Value) -> bool {
    const NAME: usize = 0;
    const KEYS: std::ops::Range<usize> = 3..6;
    let (Some(ours), Some(theirs)) = (oracle.items(), tested.items()) else { return false };
    let same = |(ours, theirs): (&Value, &Value)| {
        let (Some(a), Some(b)) = (ours.items(), theirs.items()) else { return ours == theirs };
        let is_listed = a.first().is_some_and(|name| REDESCRIBED.contains(&name.text().as_str()));
        ours == theirs || is_listed && a.len() == b.len() && a[NAME] == b[NAME] && a[KEYS] == b[KEYS]
    };
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
}

/// What COMMAND DOCS says of each command's name, group and first version: these do not change.
fn origins(docs: &Value) -> Option<Vec<(String, Vec<String>)>> {
    let of = |(name, about): (Value, Value)| {
        let fields = pairs(&about)?.into_iter();
        let kept = fields.filter(|(field, _)| ["since", "group"].contains(&field.text().as_str()));
        Some((name.text(), kept.map(|(_, value)| value.text()).collect()))
    };
    pairs(docs)?.into_iter().map(of).collect()
}

/// A map's pairs, as RESP3 or RESP2 has it.
fn pairs(value: &Value) -> Option<Vec<(Value, Value)>> {
    match value {
        Value::Map(pairs) => Some(pairs.clone()),
        Value::Array(items) if items.len() % 2 == 0 => {
            Some(items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
        }
        _ => None,
    }
}

/// Whether one entry of the list explains the difference. The replies are in normal form.
pub fn allows(args: &[Vec<u8>], oracle: &Value, tested: &Value) -> bool {
    WANTED.iter().chain(NOT_BUILT).any(|wanted| (wanted.holds)(args, oracle, tested))
}

/// Whether all but the version is the same, and the version is the announced one.
fn hello_without_version(oracle: &Value, tested: &Value) -> bool {
    let (Some(mut ours), Some(theirs)) = (pairs(oracle), pairs(tested)) else { return false };
    let Some((_, version)) = ours.iter_mut().find(|(field, _)| field.text() == "version") else {
        return false;
    };
    *version = Value::Bulk(ANNOUNCED_VERSION.as_bytes().to_vec());
    ours == theirs && std::mem::discriminant(oracle) == std::mem::discriminant(tested)
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
        let reasons: Vec<_> = WANTED
            .iter()
            .chain(NOT_BUILT)
            .filter(|one| (one.holds)(&args, &oracle, &tested))
            .map(|one| one.reason)
            .collect();
        assert_eq!(!reasons.is_empty(), expected, "{command}: {oracle} {tested} {reasons:?}");
        assert_eq!(allows(&args, &oracle, &tested), expected);
    }

    #[test]
    fn entries_hide_nothing_else() {
        let error = |text: &str| Value::Error(text.as_bytes().to_vec());
        let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
        check("STRLEN k", Value::Int(0), error("ERR syntax error"), false);
        check("CLIENT INFO", bulk("db=0 resp=2\n"), bulk("db=0 resp=2 lib-name= lib-ver=\n"), true);
        check("CLIENT INFO", bulk("db=0 resp=2\n"), bulk("db=1 resp=2 lib-name= lib-ver=\n"), false);
        let object = |rest: &str| Value::Simple(format!("Value at=* encoding:{rest}").into_bytes());
        check("DEBUG OBJECT k", object("hashtable lru=*"), object("listpack lru=*"), true);
        check("DEBUG OBJECT k", object("quicklist lru=* ql_nodes:1"), object("listpack lru=*"), true);
        check("DEBUG OBJECT k", object("quicklist lru=* ql_nodes:1"), object("hashtable lru=*"), false);
        check("DEBUG OBJECT k", object("intset lru=*"), object("listpack lru=*"), false);
        let range =
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
        check("LPOS k a RANK -9223372036854775808", Value::Int(0), error(range), true);
        check("LPOS k a RANK -9223372036854775807", Value::Int(0), error(range), false);
        let hello = |version: &str, role: &str| {
            Value::Array(vec![bulk("version"), bulk(version), bulk("role"), bulk(role)])
        };
        check("HELLO", hello("7.0.15", "master"), hello("7.2.4", "master"), true);
        check("HELLO", hello("7.0.15", "master"), hello("7.2.5", "master"), false);
        check("HELLO", hello("7.0.15", "master"), hello("7.2.4", "replica"), false);
        check("COMMAND LIST", Value::Array(vec![bulk("get")]), Value::Array(vec![bulk("gett")]), false);
        check("COMMAND LIST", Value::Array(vec![bulk("get")]), Value::Array(vec![bulk("waitaof")]), true);
        let info = |name: &str, arity, first_key| {
            let rest = [Value::Array(vec![]), Value::Int(first_key), Value::Int(0), Value::Int(0)];
            Value::Array(vec![Value::Array([vec![bulk(name), Value::Int(arity)], rest.to_vec()].concat())])
        };
        check("COMMAND INFO multi", info("multi", 1, 0), info("multi", 2, 0), true);
        check("COMMAND INFO multi", info("multi", 1, 0), info("multi", 1, 1), false);
        check("COMMAND INFO get", info("get", 2, 1), info("get", 3, 1), false);
        let arity = error("ERR wrong number of arguments for 'command|getkeys' command");
        check("COMMAND GETKEYS PING", arity.clone(), error("ERR The command has no key arguments"), true);
        check("COMMAND GETKEYS GET k", arity, error("ERR The command has no key arguments"), false);
        let config =
            |names: &[&str]| Value::Array(names.iter().flat_map(|name| [bulk(name), bulk("1")]).collect());
        check("CONFIG GET a*", config(&["a1"]), config(&["a1", "a2"]), true);
        check("CONFIG GET a*", config(&["a1", "a2"]), config(&["a2"]), false);
        check("CONFIG GET a1", config(&["a1"]), config(&["a1", "a2"]), false);
        let docs = |since: &str, summary: &str| {
            let about = [bulk("summary"), bulk(summary), bulk("since"), bulk(since)];
            Value::Array(vec![bulk("get"), Value::Array(about.to_vec())])
        };
        check("COMMAND DOCS get", docs("1.0.0", "Gets"), docs("1.0.0", "Returns"), true);
        check("COMMAND DOCS get", docs("1.0.0", "Gets"), docs("7.0.0", "Gets"), false);
    }
}
