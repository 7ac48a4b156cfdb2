//! OBJECT: how a value is kept.

use crate::command::{Acl, Flags, Group, Handler, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::keyspace::access::idle_secs;
use crate::keyspace::{AccessPolicy, Stored, ValueRef};

/// The rows of this file.
pub const ROWS: &[Row] = &[OBJECT];

/// Integers from 0 up to this (excluded) are shared objects in Redis, with a reference count of their own.
const SHARED_INTEGERS: i64 = 10_000;
/// The reference count of a shared object (Redis: INT_MAX).
const SHARED_REFCOUNT: i64 = i32::MAX as i64;

const OBJECT: Row = Row::new("object", -2, Group::Generic, "2.2.3", help).subcommands(&[
    sub("object|encoding", "2.2.3", encoding),
    sub("object|freq", "4.0.0", freq),
    Row::new("object|help", 2, Group::Generic, "6.2.0", help)
        .flags(Flags::LOADING.union(Flags::STALE))
        .categories(Acl::KEYSPACE),
    sub("object|idletime", "2.2.3", idletime),
    sub("object|refcount", "2.2.3", refcount),
]);

const ASKED: &[KeySpec] = &[KeySpec::one(2, KeyFlags::RO)];

/// A row for a question about one key.
const fn sub(name: &'static str, since: &'static str, handler: Handler) -> Row {
    Row::new(name, 3, Group::Generic, since, handler)
        .flags(Flags::READONLY)
        .categories(Acl::KEYSPACE)
        .keys(ASKED)
        .tips(&["nondeterministic_output"])
}

fn help(call: &mut Call<'_, '_>) -> Result<(), Error> {
    const LINES: &[&str] = &[
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
    ];
    call.reply.help("object", LINES);
    Ok(())
}

/// The name of a value's encoding.
pub fn encoding_name(value: Stored<'_>) -> &'static str {
    match value {
        Stored::String(ValueRef::Int(_)) => "int",
        Stored::String(ValueRef::Inline { raw: false, .. }) => "embstr",
        Stored::String(ValueRef::Inline { raw: true, .. } | ValueRef::Blob(_)) => "raw",
        Stored::Object(object) => object.read().encoding(),
    }
}

fn encoding(call: &mut Call<'_, '_>) -> Result<(), Error> {
    match call.view.look_silently(call.args.at(2)) {
        Some(entry) => call.reply.bulk(encoding_name(entry.stored())),
        None => call.reply.null(),
    }
    Ok(())
}

fn freq(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (policy, now_ms) = (call.view.moment.access, call.view.now_ms());
    match call.view.look_silently(call.args.at(2)) {
        None => call.reply.null(),
        Some(_) if policy == AccessPolicy::Lru => return Err(error::NO_FREQUENCY),
        Some(entry) => call.reply.int(i64::from(policy.frequency(entry.access(), now_ms))),
    }
    Ok(())
}

fn idletime(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (policy, now_ms) = (call.view.moment.access, call.view.now_ms());
    match call.view.look_silently(call.args.at(2)) {
        None => call.reply.null(),
        Some(_) if policy != AccessPolicy::Lru => return Err(error::NO_IDLE_TIME),
        Some(entry) => call.reply.int(idle_secs(entry.access(), now_ms) as i64),
    }
    Ok(())
}

/// The reference count that Redis would show.
pub fn reference_count(value: Stored<'_>) -> i64 {
    match value {
        Stored::String(ValueRef::Int(n)) if (0..SHARED_INTEGERS).contains(&n) => SHARED_REFCOUNT,
        _ => 1,
    }
}

fn refcount(call: &mut Call<'_, '_>) -> Result<(), Error> {
    match call.view.look_silently(call.args.at(2)) {
        Some(entry) => call.reply.int(reference_count(entry.stored())),
        None => call.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, NOW_MS};
    use crate::config::enums::MaxmemoryPolicy;

    #[track_caller]
    fn check(value: &str, question: &str, reply: &str) {
        let mut bench = Bench::new();
        bench.run(&format!("set k {value}"));
        bench.server.clock.freeze(NOW_MS + 7_000);
        bench.check(&format!("object {question}"), reply);
    }

    #[test]
    fn encodings_are_named_as_in_redis() {
        check("12", "encoding k", "$3 int");
        check("0012", "encoding k", "$6 embstr");
        check(&"x".repeat(44), "encoding k", "$6 embstr");
        check(&"x".repeat(45), "encoding k", "$3 raw");
        check(&"x".repeat(70_000), "encoding k", "$3 raw");
    }

    #[test]
    fn the_encodings_of_7_0_may_be_asked_for() {
        let mut bench = Bench::new();
        for (line, reply) in [
            ("rpush before a", ":1"),
            ("object encoding before", "$8 listpack"),
            ("config set compatible-encodings 7.0", "+OK"),
            ("rpush before b", ":2"),
            ("object encoding before", "$9 quicklist"),
            ("rpush l a", ":1"),
            ("object encoding l", "$9 quicklist"),
            ("sadd s 1 2", ":2"),
            ("object encoding s", "$6 intset"),
            ("sadd s a", ":1"),
            ("object encoding s", "$9 hashtable"),
            ("sort nothing store l", ":0"),
            ("exists l", ":0"),
            ("config get compatible-encodings", "*2 $20 compatible-encodings $3 7.0"),
        ] {
            bench.check(line, reply);
        }
    }

    #[test]
    fn small_integers_are_shared() {
        check("9999", "refcount k", ":2147483647");
        check("10000", "refcount k", ":1");
        check("-1", "refcount k", ":1");
        check("hello", "refcount k", ":1");
    }

    #[test]
    fn the_policy_decides_what_is_known() {
        check("1", "idletime k", ":7");
        let text = "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
            switching between policies at runtime LRU and LFU data will take some time to adjust.";
        check("1", "freq k", text);
    }

    /// With a log factor of 0 each access counts one.
    #[test]
    fn an_overwritten_value_hands_its_frequency_on() {
        let mut bench = Bench::new();
        let mut config = (**bench.server.config.load()).clone();
        config.maxmemory_policy = MaxmemoryPolicy::AllkeysLfu;
        config.lfu_log_factor = 0;
        bench.server.config.store(config.into());
        bench.server.config_changed();
        for (line, frequency) in [
            ("set k v", 5),
            ("set k v", 6),
            ("set k w xx", 7),
            ("set k w nx", 8),
            ("mset k a", 9),
            ("restore k 0 x", 10),
            ("client no-touch on", 10),
            ("set k v", 10),
            ("touch k", 11),
            ("get k", 11),
        ] {
            bench.run(line);
            bench.check("object freq k", &format!(":{frequency}"));
        }
        bench.run("client no-touch off");
        bench.run("pexpireat k 1");
        bench.run("set k v");
        bench.check("object freq k", ":5");
    }

    #[test]
    fn nothing_and_mistakes() {
        for question in ["encoding", "freq", "idletime", "refcount"] {
            check("1", &format!("{question} missing"), "$-1");
            check("1", question, &format!("-ERR wrong number of arguments for 'object|{question}' command"));
        }
        check("1", "nosuch", "-ERR unknown subcommand 'nosuch'. Try OBJECT HELP.");
        let mut bench = Bench::new();
        bench.check("object", "-ERR wrong number of arguments for 'object' command");
        assert!(bench.run("object help").starts_with("*15 +OBJECT <subcommand>"));
    }
}
