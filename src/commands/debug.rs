//! DEBUG: what tests of clients and of replication ask a server for.
//!
//! What crashes, leaks or restarts a server is left out.

mod digest;
mod inside;

use super::generic::dump::{payload_of, payload_options};
use super::generic::object::{encoding_name, reference_count};
use crate::client::{Kind, Reload, Takeover};
use crate::command::{Flags, Group, Row};
use crate::config::enums::Allow;
use crate::config::memory;
use crate::error::{self, Error};
use crate::executor::Call;
use crate::glob;
use crate::keyspace::access::idle_secs;
use crate::keyspace::{NewValue, Ttl};
use crate::replication::log::ReplId;
use crate::resp::Proto;
use crate::types::Limits;
use crate::types::list::{List, NodeRef};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The family's rows.
pub const ROWS: &[Row] = &[DEBUG];

const DEBUG: Row = Row::new("debug", -2, Group::Server, "1.0.0", debug).flags(
    Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE).union(Flags::ALL_SHARDS),
);

fn debug(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if !debug_allowed(call) {
        return Err(error::DEBUG_NOT_ALLOWED);
    }
    let name = call.args.at(1).to_ascii_lowercase();
    match (name.as_slice(), call.args.len()) {
        (b"help", 2) => help(call),
        (b"change-repl-id", 2) => change_repl_id(call),
        (b"clusterlink", 3..) => {
            Err(Error::err("Debug option only available for cluster mode enabled setup!"))
        }
        (b"digest", 2) => digest::digest(call),
        (b"digest-value", _) => digest::digest_value(call),
        (b"drop-cluster-packet-filter", 3) => drop_cluster_packet_filter(call),
        (b"error", 3) => Err(Error::made(call.args.at(2))),
        (b"htstats", 3) => inside::htstats(call),
        (b"htstats-key", 3) => inside::htstats_key(call),
        (b"listpack", 3) => inside::listpack(call),
        (b"log", 3) => log(call),
        (b"object", 3) => object(call),
        (b"pause-cron", 3) => pause_cron(call),
        (b"populate", 3..=5) => populate(call),
        (b"protocol", 3) => protocol(call),
        (b"quicklist", 3..=4) => inside::quicklist(call),
        (b"quicklist-packed-threshold", 3) => quicklist_packed_threshold(call),
        (b"reload", _) => reload(call),
        (b"replicate", 3..) => replicate(call),
        (b"replybuffer", 4) => replybuffer(call),
        (b"sdslen", 3) => inside::sdslen(call),
        (b"set-active-expire", 3) => set_active_expire(call),
        (b"set-skip-checksum-validation", 3) => set_skip_checksums(call),
        (b"sleep", 3) => sleep(call),
        (b"stringmatch-test", 2) => stringmatch_test(call),
        (b"structsize", 2) => inside::structsize(call),
        _ => Err(unknown(call.args.at(1))),
    }
}

fn unknown(name: &[u8]) -> Error {
    Error::subcommand_syntax("DEBUG", name)
}

/// May this client use DEBUG (`enable-debug-command`)?
fn debug_allowed(call: &Call<'_, '_>) -> bool {
    match call.server.config.load().enable_debug_command {
        Allow::Yes => true,
        Allow::Local => call.client.shared.is_local(),
        Allow::No => call.client.kind == Kind::Master,
    }
}

/// Saves, and loads what was saved; the client waits, nobody else does.
fn reload(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let mut order = Reload { save: true, flush: true, merge: false };
    for option in call.args.from(2) {
        match option.to_ascii_lowercase().as_slice() {
            b"nosave" => order.save = false,
            b"noflush" => order.flush = false,
            b"merge" => order.merge = true,
            _ => return Err(error::RELOAD_OPTIONS),
        }
    }
    call.client.takeover = Some(Takeover::Reload(order));
    Ok(())
}

/// The log, and so the replicas, get a request of the client's choice. A replica's log is its master's.
fn replicate(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if !call.server.is_replica() {
        let request: Vec<&[u8]> = call.args.from(2).collect();
        call.propagate_instead(&request);
    }
    call.reply.ok();
    Ok(())
}

fn log(call: &mut Call<'_, '_>) -> Result<(), Error> {
    tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(call.args.at(2)));
    call.reply.ok();
    Ok(())
}

fn pause_cron(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.server.cron_paused.store(call.args.int(2).is_ok_and(|paused| paused != 0), Relaxed);
    call.reply.ok();
    Ok(())
}

/// There is no cluster whose packets could be dropped.
fn drop_cluster_packet_filter(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.args.int(2)?;
    call.reply.ok();
    Ok(())
}

/// Replies are in buffers that fit them: nothing is to be resized.
fn replybuffer(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    if args.is(2, "peak-reset-time") {
        if !args.is(3, "never") && !args.is(3, "reset") {
            args.int(3)?;
        }
    } else if !args.is(2, "resizing") {
        return Err(unknown(args.at(1)));
    }
    call.reply.ok();
    Ok(())
}

/// Patterns and texts by chance: what would be wrong is a panic, or a match that takes for ever.
fn stringmatch_test(call: &mut Call<'_, '_>) -> Result<(), Error> {
    const ROUNDS: usize = 20_000;
    for _ in 0..ROUNDS {
        let [pattern, text] = [(); 2].map(|()| call.view.random().to_ne_bytes());
        glob::matches(&pattern, &text, false);
    }
    call.reply.simple("Apparently Redis did not crash: test passed");
    Ok(())
}

fn help(call: &mut Call<'_, '_>) -> Result<(), Error> {
    const LINES: &[&str] = &[
        "CHANGE-REPL-ID",
        "    Change the replication IDs of the instance.",
        "    Dangerous: should be used only for testing the replication subsystem.",
        "CLUSTERLINK KILL <to|from|all> <node-id>",
        "    Kills the link based on the direction to/from (both) with the provided node.",
        "DIGEST",
        "    Output a hex signature representing the current DB content.",
        "DIGEST-VALUE <key> [<key> ...]",
        "    Output a hex signature of the values of all the specified keys.",
        "DROP-CLUSTER-PACKET-FILTER <packet-type>",
        "    Drop all packets that match the filtered type. Set to -1 allow all packets.",
        "ERROR <string>",
        "    Return a Redis protocol error with <string> as message. Useful for clients",
        "    unit tests to simulate Redis errors.",
        "HTSTATS <dbid>",
        "    Return hash table statistics of the specified Redis database.",
        "HTSTATS-KEY <key>",
        "    Like HTSTATS but for the hash table stored at <key>'s value.",
        "LISTPACK <key>",
        "    Show low level info about the listpack encoding of <key>.",
        "LOG <message>",
        "    Write <message> to the server log.",
        "OBJECT <key>",
        "    Show low level info about `key` and associated value.",
        "PAUSE-CRON <0|1>",
        "    Stop periodic cron job processing.",
        "POPULATE <count> [<prefix>] [<size>]",
        "    Create <count> string keys named key:<num>. If <prefix> is specified then",
        "    it is used instead of the 'key' prefix. These are not propagated to",
        "    replicas.",
        "PROTOCOL <type>",
        "    Reply with a test value of the specified type. <type> can be: string,",
        "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
        "    true, false.",
        "QUICKLIST <key> [<0|1>]",
        "    Show low level info about the quicklist encoding of <key>.",
        "    The optional argument (0 by default) sets the level of detail",
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "    Sets the threshold for elements to be inserted as plain vs packed nodes",
        "    Default value is 1GB, allows values up to 4GB. Setting to 0 restores to default.",
        "RELOAD [option ...]",
        "    Save the RDB on disk and reload it back to memory. Valid <option> values:",
        "    * MERGE: conflicting keys will be loaded from RDB.",
        "    * NOFLUSH: the existing database will not be removed before load; conflicting",
        "      keys are an error.",
        "    * NOSAVE: the database will be loaded from an existing RDB file.",
        "REPLICATE <string>",
        "    Replicates the provided string to replicas, allowing data divergence.",
        "REPLYBUFFER PEAK-RESET-TIME <NEVER||RESET|time>",
        "    Changes nothing: replies are in buffers that fit them.",
        "REPLYBUFFER RESIZING <0|1>",
        "    Changes nothing, either.",
        "SDSLEN <key>",
        "    Show low level SDS string info representing `key` and value.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    Setting it to 0 disables expiring keys in background when they are not",
        "    accessed (otherwise the Redis behavior). Setting it to 1 reenables back the",
        "    default.",
        "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
        "    Enables or disables checksum checks for RDB files and RESTORE's payload.",
        "SLEEP <seconds>",
        "    Stop the server for <seconds>. Decimals allowed.",
        "STRINGMATCH-TEST",
        "    Run a fuzz tester against the stringmatchlen() function.",
        "STRUCTSIZE",
        "    Return the size of different Redis core C structures.",
    ];
    call.reply.help("debug", LINES);
    Ok(())
}

fn change_repl_id(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let mut ring = call.server.log.lock();
    ring.ids.id = ReplId::random(&call.server.entropy);
    ring.ids.id2 = ReplId::NONE;
    ring.ids.second_offset = -1;
    drop(ring);
    call.reply.ok();
    Ok(())
}

fn set_active_expire(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.server.active_expire.store(call.args.at(2) != b"0", Relaxed);
    call.reply.ok();
    Ok(())
}

/// The largest threshold, in bytes: somewhat below 4 GiB.
const PACKED_THRESHOLD_MAX: u64 = (1 << 32) - (1 << 20);

fn quicklist_packed_threshold(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let bytes = memory(call.args.at(2)).filter(|bytes| *bytes <= PACKED_THRESHOLD_MAX);
    call.server.set_list_packed_threshold(bytes.ok_or(error::PACKED_THRESHOLD)? as usize);
    call.reply.ok();
    Ok(())
}

fn set_skip_checksums(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.server.skip_checksums.store(call.args.at(2) != b"0", Relaxed);
    call.reply.ok();
    Ok(())
}

/// Sleeps, holding all shards: what this command is for is a server that does not answer.
fn sleep(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let secs: f64 =
        std::str::from_utf8(call.args.at(2)).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let micros = secs * 1e6;
    // What no clock can count is not slept, as in Redis.
    if (0.0..i64::MAX as f64).contains(&micros) {
        std::thread::sleep(Duration::from_micros(micros as u64));
    }
    call.reply.ok();
    Ok(())
}

/// Lengths in bytes of what a DUMP payload holds beside the value: the type, and version and checksum.
const PAYLOAD_FRAME_BYTES: usize = 1 + 10;

fn object(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let now_ms = call.view.now_ms();
    let options = payload_options(call.server);
    let entry = call.view.stored(call.args.at(2)).ok_or(error::NO_SUCH_KEY)?;
    let (value, access) = (entry.stored(), entry.access());
    let mut text = format!(
        "Value at:{:p} refcount:{} encoding:{} serializedlength:{} lru:{access} lru_seconds_idle:{}",
        entry.key().as_ptr(),
        reference_count(value),
        encoding_name(value),
        payload_of(value, options).len() - PAYLOAD_FRAME_BYTES,
        idle_secs(access, now_ms),
    );
    if let Some(list) = entry.read_as::<List>()
        && let List::Quick(_) = *list
    {
        text.push_str(&quicklist_facts(&list, &call.server.limits()));
    }
    call.reply.simple(&text);
    Ok(())
}

/// Redis keeps `list-max-listpack-size` in 16 bits, and there are five sizes in bytes.
const QUICKLIST_FILL_MIN: i64 = -5;
const QUICKLIST_FILL_MAX: i64 = i16::MAX as i64;

/// What DEBUG OBJECT adds about a quicklist.
fn quicklist_facts(list: &List, limits: &Limits) -> String {
    let mut bytes = 0;
    list.for_each_node(|node| {
        bytes += match node {
            NodeRef::Packed(pack) => pack.byte_len(),
            NodeRef::Plain(item) => item.len(),
            NodeRef::Squeezed(squeezed) => squeezed.byte_len,
        };
    });
    let nodes = list.nodes();
    format!(
        " ql_nodes:{nodes} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:{} ql_uncompressed_size:{bytes}",
        list.len() as f64 / nodes as f64,
        limits.list_max_listpack_size.clamp(QUICKLIST_FILL_MIN, QUICKLIST_FILL_MAX),
        u8::from(limits.list_compress_depth > 0),
    )
}

fn populate(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let positive = |at: usize| -> Result<usize, Error> {
        call.args.int(at).ok().and_then(|n| usize::try_from(n).ok()).ok_or(error::NOT_POSITIVE)
    };
    let count = positive(2)?;
    let prefix = call.args.get(3).unwrap_or(b"key");
    let size = if call.args.len() > 4 { Some(positive(4)?) } else { None };
    for n in 0..count {
        let key = [prefix, b":", itoa::Buffer::new().format(n).as_bytes()].concat();
        if !call.view.exists(&key) {
            let mut value = format!("value:{n}").into_bytes();
            value.resize(size.unwrap_or(value.len()), 0);
            call.view.set(&key, NewValue::Bytes { bytes: &value, raw: false }, Ttl::Clear);
            call.view.count_less(&key, 1);
        }
    }
    call.reply.ok();
    Ok(())
}

fn protocol(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let resp3 = call.reply.proto == Proto::Resp3;
    let reply = &mut call.reply;
    match call.args.at(2).to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk("Hello World"),
        b"integer" => reply.int(12_345),
        b"double" if resp3 => reply.raw(b",3.141\r\n"),
        b"double" => reply.bulk("3.141"),
        b"bignum" if resp3 => reply.raw(b"(1234567999999999999999999999999999999\r\n"),
        b"bignum" => reply.bulk("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.int(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.int(n));
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.int(n);
                reply.boolean(n == 1);
            }
        }
        b"attrib" => {
            if resp3 {
                reply.raw(b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
            }
            reply.bulk("Some real reply following the attribute");
        }
        b"push" if !resp3 => return Err(error::RESP2_UNSUPPORTED),
        b"push" => {
            reply.push(2);
            reply.bulk("server-cpu-usage");
            reply.int(42);
            reply.bulk("Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim(b"This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        _ => return Err(error::PROTOCOL_TYPE),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[track_caller]
    fn check(line: &str, reply: &str) {
        Bench::new().check(line, reply);
    }

    #[test]
    fn objects_are_described() {
        for (value, fixed) in [
            ("1", "refcount:2147483647 encoding:int serializedlength:2 lru:"),
            ("hello", "refcount:1 encoding:embstr serializedlength:6 lru:"),
            (
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
                "refcount:1 encoding:raw serializedlength:53 lru:",
            ),
        ] {
            let mut bench = Bench::new();
            bench.run(&format!("set k {value}"));
            let reply = bench.run("debug object k");
            assert!(reply.starts_with("+Value at:0x") && reply.contains(fixed), "{reply}");
            assert!(reply.ends_with(" lru_seconds_idle:0"), "{reply}");
        }
        check("debug object nope", "-ERR no such key");
    }

    #[test]
    fn keys_are_made_without_a_trace_in_the_log() {
        let mut bench = Bench::new();
        bench.check("debug populate 3", "+OK");
        bench.check("get key:1", "$7 value:1");
        bench.check("debug populate 3 foo 10", "+OK");
        bench.check("get foo:2", "$10 value:2\0\0\0");
        bench.check("debug populate 3 bar 2", "+OK");
        bench.check("get bar:2", "$2 va");
        bench.check("dbsize", ":9");
        assert_eq!(bench.logged(), "");
        for wrong in ["abc", "-1", "3 bar abc"] {
            bench.check(&format!("debug populate {wrong}"), "-ERR value is out of range, must be positive");
        }
    }

    #[test]
    fn every_type_of_the_protocol_has_a_sample() {
        for (name, resp2, resp3) in [
            ("string", "$11 Hello World", "$11 Hello World"),
            ("integer", ":12345", ":12345"),
            ("double", "$5 3.141", ",3.141"),
            ("bignum", "$37 1234567999999999999999999999999999999", "(1234567999999999999999999999999999999"),
            ("null", "$-1", "_"),
            ("array", "*3 :0 :1 :2", "*3 :0 :1 :2"),
            ("set", "*3 :0 :1 :2", "~3 :0 :1 :2"),
            ("map", "*6 :0 :0 :1 :1 :2 :0", "%3 :0 #f :1 #t :2 #f"),
            ("true", ":1", "#t"),
            ("false", ":0", "#f"),
            ("verbatim", "$25 This is a verbatim\nstring", "=29 txt:This is a verbatim\nstring"),
            (
                "push",
                "-ERR RESP2 is not supported by this command",
                ">2 $16 server-cpu-usage :42 $40 Some real reply following the push reply",
            ),
            (
                "attrib",
                "$39 Some real reply following the attribute",
                "|1 $14 key-popularity *2 $7 key:123 :90 $39 Some real reply following the attribute",
            ),
        ] {
            check(&format!("debug protocol {name}"), resp2);
            Bench::new().resp3().check(&format!("debug protocol {name}"), resp3);
        }
        assert!(Bench::new().run("debug protocol foo").starts_with("-ERR Wrong protocol type name."));
    }

    /// Observed: redis-server 7.0.15. From 7.2 on, so large an element is no listpack's.
    #[test]
    fn large_elements_are_packed_as_before_7_2() {
        let mut bench = Bench::new();
        bench.run("config set compatible-encodings 7.0");
        let large = "x".repeat(70_000);
        for (line, nodes, per_node, bytes) in [
            (format!("rpush l a {large} b"), 3, "1.00", 70_035),
            (format!("lset l 0 {large}"), 3, "1.00", 140_040),
            ("linsert l after b c".into(), 3, "1.33", 140_043),
            (format!("lset l 3 {large}"), 3, "1.33", 210_048),
            ("lpop l".into(), 2, "1.50", 140_033),
            (format!("linsert l after b {large}"), 3, "1.33", 210_048),
            ("ltrim l 1 1".into(), 1, "1.00", 10),
            ("lmove l l left left".into(), 1, "1.00", 10),
        ] {
            bench.run(&line);
            let facts = format!(
                " ql_nodes:{nodes} ql_avg_node:{per_node} ql_listpack_max:-2 ql_compressed:0 ql_uncompressed_size:{bytes}"
            );
            let reply = bench.run("debug object l");
            assert!(reply.contains(" encoding:quicklist ") && reply.ends_with(&facts), "{line:.20}: {reply}");
        }
        bench.run("config set list-max-listpack-size 70000");
        assert!(bench.run("debug object l").contains(" ql_listpack_max:32767 "));
    }

    #[test]
    fn replicas_get_what_is_asked_for() {
        let mut bench = Bench::new();
        bench.run("set k v");
        bench.logged();
        bench.check("debug replicate set k w", "+OK");
        assert_eq!(bench.logged(), "set k w");
        bench.check("get k", "$1 v");
        bench.check("debug stringmatch-test", "+Apparently Redis did not crash: test passed");
        bench.check("debug pause-cron 1", "+OK");
        assert!(bench.server.cron_paused.load(Relaxed));
    }

    #[test]
    fn switches_and_mistakes() {
        let mut bench = Bench::new();
        let ids = bench.server.log.lock().ids;
        bench.check("debug change-repl-id", "+OK");
        assert_ne!(bench.server.log.lock().ids.id, ids.id);
        bench.check("debug set-active-expire 0", "+OK");
        assert!(!bench.server.active_expire.load(Relaxed));
        let before = bench.server.clock.instant();
        bench.check("debug sleep 0.05", "+OK");
        assert!(before.elapsed() >= Duration::from_millis(50));
        for no_time in ["nan", "inf", "-inf", "1e300", "-1", "x"] {
            bench.check(&format!("debug sleep {no_time}"), "+OK");
        }
        bench.check("debug error \"a\\nb c\"", "-a b c");
        for wrong in ["nosuch", "sleep", "digest foo", "populate 1 2 3 4"] {
            let name = wrong.split(' ').next().unwrap_or_default();
            let text =
                format!("-ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP.");
            bench.check(&format!("debug {wrong}"), &text);
        }
    }
}
