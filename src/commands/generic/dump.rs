//! DUMP and RESTORE: one value as an RDB payload, out and in.

use super::OVERWRITES;
use super::expire::is_past;
use crate::client::Kind;
use crate::command::{Acl, Flags, Group, KeySpec, Row};
use crate::commands::string::RO_ACCESS;
use crate::config::enums::Sanitize;
use crate::error::{self, Error};
use crate::executor::{Call, string_value};
use crate::keyspace::access::{access_of_frequency, access_of_idle};
use crate::keyspace::events::{self, Class, Event};
use crate::keyspace::{AccessPolicy, BLOB_MIN_BYTES, Blob, NewValue, Stored, Ttl};
use crate::rdb;
use crate::rdb::dump::{OwnedValue, PayloadError, decode_counting, encode_payload};
use crate::server::Server;
use crate::snapshot::walk::with_written;
use std::sync::atomic::Ordering::Relaxed;

/// The rows of this file.
pub const ROWS: &[Row] = &[DUMP, RESTORE, RESTORE_ASKING];

const DUMP: Row = Row::new("dump", 2, Group::Generic, "2.6.0", dump)
    .flags(Flags::READONLY)
    .categories(Acl::KEYSPACE)
    .keys(&[KeySpec::one(1, RO_ACCESS)])
    .tips(&["nondeterministic_output"]);

fn dump(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let options = payload_options(call.server);
    match call.view.read(call.args.at(1)) {
        Some(entry) => call.reply.bulk(payload_of(entry.stored(), options)),
        None => call.reply.null(),
    }
    Ok(())
}

/// How payloads are written: `rdbcompression` holds for them too.
pub fn payload_options(server: &Server) -> rdb::Options {
    rdb::Options { compress: server.config.load().rdbcompression, ..rdb::Options::default() }
}

/// A value as a DUMP payload.
pub fn payload_of(value: Stored<'_>, options: rdb::Options) -> Vec<u8> {
    with_written(value, |value| encode_payload(value, options))
}

const RESTORE: Row = Row::new("restore", -4, Group::Generic, "2.6.0", restore)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::KEYSPACE.union(Acl::DANGEROUS))
    .keys(&[KeySpec::one(1, OVERWRITES)]);

/// RESTORE as a cluster's node sends it; without a cluster there is no difference.
const RESTORE_ASKING: Row = Row::new("restore-asking", -4, Group::Server, "3.0.0", restore)
    .flags(Flags::WRITE.union(Flags::DENYOOM).union(Flags::ASKING))
    .categories(Acl::KEYSPACE.union(Acl::DANGEROUS))
    .keys(&[KeySpec::one(1, OVERWRITES)]);

/// What stands after RESTORE's payload.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_secs: Option<u64>,
    frequency: Option<u8>,
}

impl Options {
    fn parse(call: &Call<'_, '_>) -> Result<Options, Error> {
        let args = call.args;
        let (mut options, mut at) = (Options::default(), 4);
        while at < args.len() {
            let has_value = at + 1 < args.len();
            if args.is(at, "replace") {
                options.replace = true;
            } else if args.is(at, "absttl") {
                options.absolute = true;
            } else if args.is(at, "idletime") && has_value && options.frequency.is_none() {
                at += 1;
                options.idle_secs = Some(args.int(at)?.try_into().map_err(|_| error::RESTORE_IDLE_TIME)?);
            } else if args.is(at, "freq") && has_value && options.idle_secs.is_none() {
                at += 1;
                options.frequency = Some(args.int(at)?.try_into().map_err(|_| error::RESTORE_FREQUENCY)?);
            } else {
                return Err(error::SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }

    /// The access bits of the restored key: what the options ask for, if the policy keeps what they tell; else those of a new
    /// key, whatever was replaced.
    fn access(&self, policy: AccessPolicy, now_ms: i64) -> u32 {
        let asked = match policy {
            AccessPolicy::Lru => self.idle_secs.map(|secs| access_of_idle(secs, now_ms)),
            AccessPolicy::Lfu { .. } => {
                self.frequency.map(|frequency| access_of_frequency(frequency, now_ms))
            }
        };
        asked.unwrap_or_else(|| policy.initial(now_ms))
    }
}

fn restore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let options = Options::parse(call)?;
    let key = call.args.at(1);
    let there = call.view.exists(key);
    if there && !options.replace {
        return Err(error::BUSY_KEY);
    }
    let ttl_ms = call.args.int(2)?;
    if ttl_ms < 0 {
        return Err(error::RESTORE_TTL);
    }
    let value = decode(call)?;
    let now_ms = call.view.now_ms();
    let at_ms = match (ttl_ms, options.absolute) {
        (0, _) => None,
        (at_ms, true) => Some(at_ms),
        // A time past the end of time wraps into the past, as in Redis.
        (ttl_ms, false) => Some(ttl_ms.wrapping_add(now_ms)),
    };
    call.reply.ok();
    if at_ms.is_some_and(|at_ms| is_past(call, at_ms)) {
        if call.view.remove(key) {
            call.view.notify(events::DEL, key);
            call.propagate_instead(&[b"DEL", key]);
        }
        return Ok(());
    }
    let small;
    let value = match value {
        OwnedValue::Int(n) => NewValue::Int(n),
        OwnedValue::Str(bytes) if bytes.len() >= BLOB_MIN_BYTES => NewValue::Blob(Blob::new(bytes)),
        OwnedValue::Str(bytes) => {
            small = bytes;
            string_value(&small)
        }
        OwnedValue::Object(object) => NewValue::Object(object),
    };
    if there {
        // The old value is removed first, and nobody hears of that.
        call.view.notify(events::NEW, key);
    }
    call.view.set(key, value, at_ms.map_or(Ttl::Clear, Ttl::At));
    call.view.set_access(key, options.access(call.view.moment.access, now_ms));
    call.view.notify(Event::new(Class::GENERIC, "restore"), key);
    if let (Some(at_ms), false) = (at_ms, options.absolute) {
        propagate_absolute(call, at_ms);
    }
    Ok(())
}

/// The payload's value. What is wrong with one is told in the log: the client hears only that it is bad.
fn decode(call: &Call<'_, '_>) -> Result<OwnedValue, Error> {
    let verify = !call.server.skip_checksums.load(Relaxed);
    let mut blocks = 0;
    let value = decode_counting(call.args.at(3), verify, &call.server.limits(), &mut blocks);
    if is_distrusted(call) {
        call.server.stats.sanitized_blocks.fetch_add(blocks, Relaxed);
    }
    value.map_err(|error| {
        if let PayloadError::Data(fault) = error {
            tracing::warn!("Bad data format in the payload of RESTORE: {fault}");
        }
        Error::err(error.to_string())
    })
}

/// Would Redis look closely at the payload (`sanitize-dump-payload`)? Here that is always done; who asked for it is told how often.
fn is_distrusted(call: &Call<'_, '_>) -> bool {
    match call.server.config.load().sanitize_dump_payload {
        Sanitize::No => false,
        Sanitize::Yes => true,
        Sanitize::Clients => call.client.kind != Kind::Master,
    }
}

/// The log gets the same command with the time at which the TTL ends.
fn propagate_absolute(call: &mut Call<'_, '_>, at_ms: i64) {
    let mut buffer = itoa::Buffer::new();
    let mut args: Vec<&[u8]> = call.args.from(0).collect();
    args[2] = buffer.format(at_ms).as_bytes();
    args.push(b"ABSTTL");
    call.propagate_instead(&args);
}

#[cfg(test)]
mod tests {
    use super::Sanitize;
    use crate::commands::testing::{Bench, NOW_MS};
    use crate::config::Config;
    use std::sync::atomic::Ordering::Relaxed;

    /// DUMP of a key set to "v", as redis-server 7.0.15 replies.
    const PAYLOAD: &str = r#""\x00\x01v\n\x00\x91\x08\xce\xb2\x198\x8a\xce""#;

    /// Restores to `k`, which exists if `there`; `%` stands for the payload. The log's text ends before the payload's bytes and
    /// goes on after them.
    #[track_caller]
    fn check(there: bool, line: &str, reply: &str, logged: (&str, &str)) -> Bench {
        let mut bench = Bench::new();
        if there {
            bench.run("set k old");
            bench.run("expire k 1000");
        } else {
            bench.run("set other 1");
        }
        bench.logged();
        bench.check(&line.replace('%', PAYLOAD), reply);
        let log = bench.logged();
        assert!(log.starts_with(logged.0) && log.ends_with(logged.1), "{line}: {log}");
        assert_eq!(log.is_empty(), logged.0.is_empty(), "{line}: {log}");
        bench
    }

    const NOTHING: (&str, &str) = ("", "");

    /// Packed blocks are counted, sound or not, as redis-server 7.0.15 does.
    #[test]
    fn sanitized_blocks_are_counted() {
        const FOOTER: &str = r"\n\x00\x00\x00\x00\x00\x00\x00\x00\x00";
        for (mode, counted) in [(Sanitize::No, 0), (Sanitize::Yes, 2), (Sanitize::Clients, 2)] {
            let mut bench = Bench::with(Config { sanitize_dump_payload: mode, ..Config::default() });
            bench.server.skip_checksums.store(true, Relaxed);
            bench.check(&format!(r#"restore string 0 "\x00\x01v{FOOTER}""#), "+OK");
            let intset = |count: &str| {
                format!(r#"restore intset 0 "\x0b\x0a\x02\x00\x00\x00{count}\x00\x00\x00\x05\x00{FOOTER}""#)
            };
            bench.check(&intset(r"\x01"), "+OK");
            bench.run("del intset");
            bench.check(&intset(r"\x02"), "-ERR Bad data format");
            let stats = bench.run("info stats");
            assert!(stats.contains(&format!("dump_payload_sanitizations:{counted} ")), "{mode:?} {stats}");
        }
    }

    #[test]
    fn a_value_comes_back() {
        let mut bench = Bench::new();
        let large = "x".repeat(100_000);
        for value in ["v", "12", "-7", "70000", "9223372036854775807", "007", "\"\"", &large] {
            bench.run(&format!("set a {value}"));
            let payload = super::payload_of(bench_value(&mut bench).stored(), crate::rdb::Options::default());
            let quoted: String = payload.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            bench.check(&format!("restore b 0 \"{quoted}\" replace"), "+OK");
            assert_eq!(bench.run("get b"), bench.run("get a"));
            assert_eq!(bench.run("object encoding b"), bench.run("object encoding a"), "{value:.20}");
        }
        bench.check("dump missing", "$-1");
    }

    fn bench_value(bench: &mut Bench) -> crate::keyspace::Entry {
        let keyspace = &bench.server.keyspace;
        let hash = keyspace.hash(b"a");
        let shard = keyspace.slot(crate::keyspace::shard_of(hash)).lock();
        shard.at(0, shard.find(0, hash, b"a").expect("set before")).clone()
    }

    #[test]
    fn ttls_are_logged_as_absolute_times() {
        check(false, "restore k 0 %", "+OK", ("restore k 0 ", "\u{fffd}")).check("ttl k", ":-1");
        let logged = ("restore k 1700000005000 ", " ABSTTL");
        check(false, "restore k 5000 %", "+OK", logged).check("pttl k", ":5000");
        let logged = ("restore k 1700000005000 ", " replace ABSTTL");
        check(true, "restore k 5000 % replace", "+OK", logged).check("get k", "$1 v");
        let logged = ("restore k 33333333333333 ", " absttl idletime 10");
        check(false, "restore k 33333333333333 % absttl idletime 10", "+OK", logged)
            .check("object idletime k", ":10");
        let logged = ("restore k 1700000001000 ", " freq 10 ABSTTL");
        check(false, "restore k 1000 % freq 10", "+OK", logged);
        check(true, "restore k 0 % replace", "+OK", ("restore k 0 ", "replace")).check("ttl k", ":-1");
    }

    #[test]
    fn a_ttl_in_the_past_restores_nothing() {
        check(true, "restore k 1 % replace absttl", "+OK", ("DEL k", "DEL k")).check("exists k", ":0");
        check(false, "restore k 1 % absttl", "+OK", NOTHING).check("exists k", ":0");
    }

    #[test]
    fn mistakes_are_refused_in_order() {
        let busy = "-BUSYKEY Target key name already exists.";
        check(true, "restore k 0 %", busy, NOTHING);
        check(true, "restore k abc xx", busy, NOTHING);
        check(false, "restore k -1 %", "-ERR Invalid TTL value, must be >= 0", NOTHING);
        check(false, "restore k abc xx", "-ERR value is not an integer or out of range", NOTHING);
        check(true, "restore k 0 xx replace", "-ERR DUMP payload version or checksum are wrong", NOTHING)
            .check("get k", "$3 old");
        check(false, "restore k 0 % idletime -1", "-ERR Invalid IDLETIME value, must be >= 0", NOTHING);
        check(false, "restore k 0 % idletime a", "-ERR value is not an integer or out of range", NOTHING);
        check(false, "restore k 0 % freq 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255", NOTHING);
        for options in ["freq 1 idletime 1", "idletime", "foo"] {
            check(false, &format!("restore k 0 % {options}"), "-ERR syntax error", NOTHING);
        }
    }

    #[test]
    fn an_expired_key_is_no_obstacle() {
        let mut bench = check(true, "pexpire k 10", ":1", ("PEXPIREAT k", ""));
        bench.server.clock.freeze(NOW_MS + 11);
        bench.check(&format!("restore k 0 {PAYLOAD}"), "+OK");
        assert!(bench.logged().starts_with("MULTI DEL k restore k 0 "));
    }
}
