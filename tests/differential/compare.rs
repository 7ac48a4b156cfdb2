//! When two replies are the same.
//!
//! The rule is: to the last byte. The exceptions are named here, each with the part of the reply that no
//! two servers can have in common (an order that nothing defines, a clock, an identity of the process). A rule
//! rewrites only that part, so that everything around it is still compared. What differs because Redpoll
//! follows a later version than the oracle is another matter: see `wanted`.

use crate::payload;
use crate::support::client::Value;
use crate::syntax::{Args, name, word};
use crate::wanted;

/// What a rule does with a reply before it is compared.
enum Form {
    /// Rewrites the undefined part; the arguments are the command's.
    Blank(fn(&[Vec<u8>], &mut Value)),
    /// Two numbers may be this far apart, unless both are absolute times; see [`FIXED_TIMES_S`].
    Near { distance: i64, per_second: i64 },
}

/// A command (or command and subcommand) whose reply is not compared to the last byte.
struct Rule {
    command: &'static str,
    form: Form,
}

/// Absolute expiry times lie in here (seconds since 1970), and nothing relative reaches it: these are compared
/// exactly.
const FIXED_TIMES_S: std::ops::Range<i64> = 4_000_000_000..4_200_000_000;

/// How far the clocks of two servers may be apart when they run the same command: seconds of slack for a
/// machine under load.
const SLACK_S: i64 = 3;

const fn blank(command: &'static str, form: fn(&[Vec<u8>], &mut Value)) -> Rule {
    Rule { command, form: Form::Blank(form) }
}

const fn near(command: &'static str, per_second: i64) -> Rule {
    Rule { command, form: Form::Near { distance: SLACK_S * per_second, per_second } }
}

const RULES: &[Rule] = &[
    // Orders that nothing defines.
    blank("KEYS", |_, reply| sort_items(reply)),
    blank("SCAN", blank_scan),
    blank("HGETALL", |_, reply| sort_pairs(reply)),
    blank("HKEYS", |_, reply| sort_items(reply)),
    blank("HVALS", |_, reply| sort_items(reply)),
    blank("HSCAN", blank_scan),
    blank("HRANDFIELD", |_, reply| blank_bulks(reply)),
    blank("SSCAN", blank_scan),
    blank("SMEMBERS", |_, reply| sort_items(reply)),
    blank("SINTER", |_, reply| sort_items(reply)),
    blank("SUNION", |_, reply| sort_items(reply)),
    blank("SDIFF", |_, reply| sort_items(reply)),
    blank("SPOP", |_, reply| sort_items(reply)),
    blank("CONFIG GET", |_, reply| sort_pairs(reply)),
    blank("PUBSUB CHANNELS", |_, reply| sort_items(reply)),
    blank("COMMAND LIST", |_, reply| sort_items(reply)),
    blank("COMMAND", blank_commands),
    blank("UNSUBSCRIBE", sort_channels),
    blank("PUNSUBSCRIBE", sort_channels),
    // Clocks and chance.
    blank("RANDOMKEY", |_, reply| blank_bulks(reply)),
    blank("SRANDMEMBER", blank_chosen),
    blank("TIME", |_, reply| blank_bulks(reply)),
    blank("OBJECT FREQ", |_, reply| blank_ints(reply)),
    near("OBJECT IDLETIME", 1),
    blank("XINFO", |_, reply| blank_moments(reply)),
    blank("XPENDING", |_, reply| blank_idle_times(reply)),
    near("TTL", 1),
    near("PTTL", 1000),
    near("EXPIRETIME", 1),
    near("PEXPIRETIME", 1000),
    // Identities of processes, addresses, ages.
    blank("CLIENT ID", |_, reply| blank_ints(reply)),
    blank("CLIENT INFO", |_, reply| blank_client_lines(reply)),
    blank("CLIENT LIST", |_, reply| blank_client_lines(reply)),
    blank("HELLO", |_, reply| blank_hello(reply)),
    blank("DEBUG OBJECT", |_, reply| blank_fields(reply, DEBUG_FIELDS)),
    // The oracle counts the references of its queue, and forgets those of an integer that was copied.
    blank("OBJECT REFCOUNT", |_, reply| blank_ints(reply)),
    blank("SORT", blank_sorted),
    blank("SORT_RO", blank_sorted),
    // What a compressor makes of it is its own choice, and a table has no order.
    blank("DUMP", |_, reply| unpack(reply)),
];

/// Whether the replies to `args` are the same; `queued` are the commands whose replies EXEC's holds.
pub fn same(args: &[Vec<u8>], queued: &[Args], oracle: &Value, tested: &Value) -> bool {
    if oracle == tested {
        return true;
    }
    if let (Value::Array(ours), Value::Array(theirs)) = (oracle, tested)
        && name(args) == "EXEC"
    {
        return ours.len() == theirs.len()
            && ours.len() == queued.len()
            && queued.iter().zip(ours.iter().zip(theirs)).all(|(args, (a, b))| same(args, &[], a, b));
    }
    let (oracle, tested) = (normal_form(args, oracle), normal_form(args, tested));
    oracle == tested || is_near(args, &oracle, &tested) || wanted::allows(args, &oracle, &tested)
}

fn rule_for(args: &[Vec<u8>]) -> Option<&'static Rule> {
    let (command, both) = (name(args), format!("{} {}", name(args), word(args, 1)));
    RULES.iter().find(|rule| rule.command == command || rule.command == both)
}

/// The reply with what its rule blanks blanked.
pub fn normal_form(args: &[Vec<u8>], reply: &Value) -> Value {
    let mut reply = reply.clone();
    if let Some(Rule { form: Form::Blank(form), .. }) = rule_for(args) {
        form(args, &mut reply);
    }
    reply
}

fn is_near(args: &[Vec<u8>], oracle: &Value, tested: &Value) -> bool {
    let Some(Rule { form: Form::Near { distance, per_second }, .. }) = rule_for(args) else { return false };
    let (Some(oracle), Some(tested)) = (oracle.int(), tested.int()) else { return false };
    let fixed = |number: i64| FIXED_TIMES_S.contains(&(number / per_second));
    oracle >= 0 && tested >= 0 && !fixed(oracle) && !fixed(tested) && (oracle - tested).abs() <= *distance
}

fn sort_values(values: &mut [Value]) {
    values.sort_by_cached_key(Value::encode);
}

fn sort_items(reply: &mut Value) {
    if let Value::Array(items) | Value::Set(items) = reply {
        sort_values(items);
    }
}

/// Sorts what is a map: as RESP3 has it, or as RESP2's flat array.
fn sort_pairs(reply: &mut Value) {
    match reply {
        Value::Map(pairs) => pairs.sort_by_cached_key(|(key, _)| key.encode()),
        Value::Array(items) if items.len() % 2 == 0 => {
            let mut pairs: Vec<Vec<Value>> = items.chunks(2).map(<[Value]>::to_vec).collect();
            pairs.sort_by_cached_key(|pair| pair[0].encode());
            *items = pairs.concat();
        }
        _ => {}
    }
}

/// COMMAND and its subcommands: a description of all commands comes down to their names, in one order.
fn blank_commands(args: &[Vec<u8>], reply: &mut Value) {
    match (word(args, 1).as_str(), args.len()) {
        ("", 1) | ("INFO" | "DOCS", 2) => {
            keep_names(reply);
            sort_items(reply);
        }
        ("DOCS", _) => sort_pairs(reply),
        ("INFO", _) => sort_sets(reply),
        _ => {}
    }
}

/// Leaves the names of an array of descriptions (INFO) or of a map of them (DOCS).
fn keep_names(reply: &mut Value) {
    let names = match reply {
        Value::Map(pairs) => pairs.iter().map(|(name, _)| name.clone()).collect(),
        Value::Array(items) if items.iter().all(|item| item.items().is_some()) => {
            items.iter().filter_map(|item| item.items()?.first().cloned()).collect()
        }
        Value::Array(items) => items.iter().step_by(2).cloned().collect(),
        _ => return,
    };
    *reply = Value::Array(names);
}

/// Sorts the arrays of simple strings (flags, categories; sets in RESP3) anywhere in the reply.
fn sort_sets(reply: &mut Value) {
    match reply {
        Value::Array(items) | Value::Set(items) => {
            items.iter_mut().for_each(sort_sets);
            if items.iter().all(|item| matches!(item, Value::Simple(_))) {
                sort_values(items);
            }
        }
        _ => {}
    }
}

/// A scan with room for everything must end at once, in any order; of any other only the shape is defined.
fn blank_scan(args: &[Vec<u8>], reply: &mut Value) {
    const EVERYTHING: u64 = 1000;
    let count = args.iter().rposition(|arg| arg.eq_ignore_ascii_case(b"COUNT")).map(|at| word(args, at + 1));
    let cursor = if name(args) == "SCAN" { 1 } else { 2 };
    let whole = word(args, cursor) == "0"
        && count.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count >= EVERYTHING);
    let Value::Array(parts) = reply else { return };
    match parts.get_mut(1) {
        Some(fields) if whole && name(args) == "HSCAN" => sort_pairs(fields),
        Some(keys) if whole => sort_items(keys),
        Some(keys @ Value::Array(_)) => {
            *keys = Value::Array(Vec::new());
            blank_bulks(&mut parts[0]);
        }
        _ => {}
    }
}

/// Without STORE, ALPHA compares as C's strings: what agrees up to a NUL comes in any order, and so does what GET finds for it.
fn blank_sorted(args: &[Vec<u8>], reply: &mut Value) {
    let says = |option: &[u8]| args.iter().any(|arg| arg.eq_ignore_ascii_case(option));
    cut_at_nul(reply);
    if !says(b"ALPHA") || !says(b"GET") {
        return;
    }
    match reply {
        Value::Array(items) if says(b"LIMIT") => items.fill(Value::Null),
        _ => sort_items(reply),
    }
}

fn cut_at_nul(reply: &mut Value) {
    match reply {
        Value::Bulk(text) => text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len())),
        Value::Array(items) => items.iter_mut().for_each(cut_at_nul),
        _ => {}
    }
}

/// All members come in any order; some are any.
fn blank_chosen(args: &[Vec<u8>], reply: &mut Value) {
    const EVERYTHING: i64 = 1000;
    match word(args, 2).parse::<i64>() {
        Ok(count) if count >= EVERYTHING => sort_items(reply),
        _ => blank_bulks(reply),
    }
}

/// Several replies of one UNSUBSCRIBE: the names in any order, the counts in theirs.
fn sort_channels(args: &[Vec<u8>], reply: &mut Value) {
    let Value::Array(replies) = reply else { return };
    if args.len() > 1 {
        return;
    }
    let channel = |one: &Value| one.items().and_then(|items| items.get(1).cloned());
    let Some(mut channels) = replies.iter().map(channel).collect::<Option<Vec<_>>>() else { return };
    sort_values(&mut channels);
    for (one, channel) in replies.iter_mut().zip(channels) {
        if let Value::Array(items) | Value::Push(items) = one {
            items[1] = channel;
        }
    }
}

fn blank_bulks(reply: &mut Value) {
    match reply {
        Value::Bulk(content) => *content = b"*".to_vec(),
        Value::Array(items) => items.iter_mut().for_each(blank_bulks),
        _ => {}
    }
}

fn blank_ints(reply: &mut Value) {
    if let Value::Int(number) = reply {
        *number = 0;
    }
}

/// XINFO's idle times, and its times of today.
fn blank_moments(reply: &mut Value) {
    let is_idle = |key: &Value| key.text() == "idle";
    match reply {
        Value::Int(number) if NOW_MS.contains(number) => *number = 0,
        Value::Map(pairs) => {
            for (key, value) in pairs {
                if is_idle(key) { blank_ints(value) } else { blank_moments(value) }
            }
        }
        Value::Array(items) => {
            for at in 0..items.len() {
                if at > 0 && is_idle(&items[at - 1]) {
                    blank_ints(&mut items[at])
                } else {
                    blank_moments(&mut items[at])
                }
            }
        }
        _ => {}
    }
}

/// Milliseconds since 1970 at which this may run.
const NOW_MS: std::ops::Range<i64> = 1_500_000_000_000..3_900_000_000_000;

/// XPENDING's entries: ID, consumer, idle time, deliveries.
fn blank_idle_times(reply: &mut Value) {
    let Value::Array(entries) = reply else { return };
    for entry in entries {
        if let Value::Array(parts) = entry
            && let [Value::Bulk(_), Value::Bulk(_), idle, Value::Int(_)] = parts.as_mut_slice()
        {
            blank_ints(idle);
        }
    }
}

fn blank_hello(reply: &mut Value) {
    let blank = |key: &Value, value: &mut Value| {
        if key.text() == "id" {
            blank_ints(value);
        }
    };
    match reply {
        Value::Map(pairs) => pairs.iter_mut().for_each(|(key, value)| blank(key, value)),
        Value::Array(items) => items.chunks_exact_mut(2).for_each(|pair| {
            let (key, value) = pair.split_at_mut(1);
            blank(&key[0], &mut value[0]);
        }),
        _ => {}
    }
}

/// What a verbatim string opens with: its format.
const VERBATIM: &[u8] = b"txt:";

/// CLIENT LIST's fields that show this process, this socket, the clock, or the sizes of buffers.
const CLIENT_FIELDS: &[&str] = &[
    "id",
    "addr",
    "laddr",
    "fd",
    "age",
    "idle",
    "qbuf",
    "qbuf-free",
    "argv-mem",
    "multi-mem",
    "rbs",
    "rbp",
    "obl",
    "oll",
    "omem",
    "tot-mem",
    "events",
];

/// Besides: Redis turns its list of clients round and round as it looks after them, so lines come in any order.
fn blank_client_lines(reply: &mut Value) {
    blank_fields(reply, CLIENT_FIELDS);
    if let Value::Bulk(text) | Value::Verbatim(text) = reply {
        let format = if text.starts_with(VERBATIM) { VERBATIM } else { b"" };
        let mut lines: Vec<&[u8]> = text[format.len()..].split_inclusive(|byte| *byte == b'\n').collect();
        lines.sort();
        *text = [format, &lines.concat()].concat();
    }
}

/// DEBUG OBJECT's fields that are an address, a count of references, a clock, or the success of a compressor.
const DEBUG_FIELDS: &[&str] = &["at", "refcount", "lru", "lru_seconds_idle", "serializedlength"];

fn unpack(reply: &mut Value) {
    if let Value::Bulk(content) = reply
        && let Some(plain) = payload::plain(content)
    {
        *content = plain;
    }
}

/// Blanks the values of `fields` in a text of `field=value` or `field:value` words.
fn blank_fields(reply: &mut Value, fields: &[&str]) {
    let (Value::Simple(text) | Value::Bulk(text) | Value::Verbatim(text)) = reply else { return };
    let lines = text.split_inclusive(|byte| *byte == b'\n').map(|line| blank_line(line, fields));
    *text = lines.collect::<Vec<_>>().concat();
}

fn blank_line(line: &[u8], fields: &[&str]) -> Vec<u8> {
    if let Some(line) = line.strip_prefix(VERBATIM) {
        return [VERBATIM, &blank_line(line, fields)].concat();
    }
    let words = line.split(|byte| *byte == b' ').map(|word| {
        let name = word.split(|byte| b"=:".contains(byte)).next().unwrap_or_default();
        if name.len() < word.len() && fields.iter().any(|field| field.as_bytes() == name) {
            [name, b"=*"].concat()
        } else {
            word.to_vec()
        }
    });
    words.collect::<Vec<_>>().join(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::client;
    use crate::syntax;

    /// Whether the comparer calls two replies to a command the same.
    #[track_caller]
    fn check(command: &str, oracle: &str, tested: &str, expected: bool) {
        let value = |text: &str| client::parse(text.as_bytes()).expect(text).expect(text).0;
        let args = syntax::parse(command).unwrap();
        assert_eq!(
            same(&args, &[], &value(oracle), &value(tested)),
            expected,
            "{command}: {oracle:?} {tested:?}"
        );
    }

    #[test]
    fn doctored_replies_are_found() {
        check("GET k", "$1\r\na\r\n", "$1\r\nb\r\n", false);
        check("GET k", "$-1\r\n", "_\r\n", false);
        check("GET k", "$-1\r\n", "*-1\r\n", false);
        check("GET k", "+a\r\n", "$1\r\na\r\n", false);
        check("GET k", "-ERR a\r\n", "-ERR a \r\n", false);
        check("INCR k", ":1\r\n", ":2\r\n", false);
        check("KEYS *", "*2\r\n+a\r\n+b\r\n", "*2\r\n+a\r\n+c\r\n", false);
        check("KEYS *", "*2\r\n+a\r\n+b\r\n", "*1\r\n+a\r\n", false);
        check("TTL k", ":100\r\n", ":-1\r\n", false);
        check("TTL k", ":-2\r\n", ":-1\r\n", false);
        check("TTL k", ":100\r\n", ":110\r\n", false);
        check("XINFO GROUPS k", "*2\r\n+lag\r\n:3\r\n", "*2\r\n+lag\r\n:5\r\n", false);
        check("EXPIRETIME k", ":4000000001\r\n", ":4000000002\r\n", false);
        check("SCAN 0 COUNT 1000", "*2\r\n$1\r\n0\r\n*0\r\n", "*2\r\n$1\r\n7\r\n*0\r\n", false);
        let fields = |key: &str| format!("*2\r\n$1\r\n0\r\n*2\r\n+{key}\r\n+1\r\n");
        check("HSCAN k 0 COUNT 1000", &fields("a"), &fields("b"), false);
        check("SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n", "*2\r\n:7\r\n*0\r\n", false);
        check("CLIENT LIST", "$10\r\nid=3 db=1\n\r\n", "$10\r\nid=4 db=2\n\r\n", false);
        check("RANDOMKEY", "$1\r\na\r\n", "$-1\r\n", false);
        let (ab, ba) = ("*2\r\n$1\r\na\r\n$1\r\nb\r\n", "*2\r\n$1\r\nb\r\n$1\r\na\r\n");
        check("SORT k ALPHA", ab, ba, false);
        check("SORT k GET #", ab, ba, false);
        check("SORT k ALPHA GET k*", ab, "*2\r\n$1\r\na\r\n$1\r\nc\r\n", false);
        check("SORT k ALPHA GET k* LIMIT 0 2", ab, "*1\r\n$1\r\na\r\n", false);
    }

    #[test]
    fn undefined_parts_are_let_through() {
        check("keys *", "*2\r\n+a\r\n+b\r\n", "*2\r\n+b\r\n+a\r\n", true);
        check("TTL k", ":100\r\n", ":101\r\n", true);
        check("XINFO GROUPS k", "*2\r\n+idle\r\n:3\r\n", "*2\r\n+idle\r\n:5\r\n", true);
        check("PEXPIRETIME k", ":1700000000000\r\n", ":1700000000400\r\n", true);
        check("SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n", "*2\r\n$1\r\n7\r\n*1\r\n+a\r\n", true);
        check("SORT k ALPHA", "*2\r\n$0\r\n\r\n$1\r\n\0\r\n", "*2\r\n$1\r\n\0\r\n$0\r\n\r\n", true);
        check("SORT k alpha GET k*", "*2\r\n$-1\r\n$1\r\na\r\n", "*2\r\n$1\r\na\r\n$-1\r\n", true);
        check("SORT k alpha GET k* LIMIT 0 1", "*1\r\n$-1\r\n", "*1\r\n$1\r\na\r\n", true);
        check("HSCAN k 0 COUNT 2", "*2\r\n$1\r\n0\r\n*0\r\n", "*2\r\n$1\r\n7\r\n*2\r\n+a\r\n+1\r\n", true);
        check("CLIENT LIST", "$10\r\nid=3 db=1\n\r\n", "$11\r\nid=44 db=1\n\r\n", true);
        check("DEBUG OBJECT k", "+Value at:0x1 encoding:int\r\n", "+Value at:0x2 encoding:int\r\n", true);
        check("CONFIG GET *", "*4\r\n+a\r\n+1\r\n+b\r\n+2\r\n", "*4\r\n+b\r\n+2\r\n+a\r\n+1\r\n", true);
    }

    #[test]
    fn elements_of_exec_are_compared_by_their_commands() {
        let args = |line| syntax::parse(line).unwrap();
        let reply = |ttl, value| Value::Array(vec![Value::Int(ttl), Value::Int(value)]);
        let queued = [args("TTL k"), args("STRLEN k")];
        assert!(same(&args("EXEC"), &queued, &reply(100, 5), &reply(101, 5)));
        assert!(!same(&args("EXEC"), &queued, &reply(100, 5), &reply(100, 6)));
    }
}
