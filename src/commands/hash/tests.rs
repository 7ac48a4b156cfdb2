//! The family's replies, and what it leaves in the log.

use crate::commands::testing::{Bench, NOW_MS};
use crate::config::Config;
use std::collections::BTreeSet;

/// Runs lines on an empty server, each followed by its reply.
#[track_caller]
fn check(lines: &[(&str, &str)]) {
    let mut bench = Bench::new();
    lines.iter().for_each(|(line, reply)| bench.check(line, reply));
}

/// Runs lines on a server with the hash `h` (`a` 1, `b` two, `c` expiring in 100 s); the last for its reply and its log.
#[track_caller]
fn check_log(lines: &str, reply: &str, logged: &str) {
    let mut bench = Bench::new();
    ["hset h a 1 b two c 3", "hexpire h 100 fields 1 c"].iter().for_each(|line| {
        bench.run(line);
    });
    let (before, last) = lines.rsplit_once("; ").unwrap_or(("select 0", lines));
    before.split("; ").for_each(|line| {
        bench.run(line);
    });
    bench.logged();
    bench.check(last, reply);
    assert_eq!(bench.logged(), logged, "{lines}");
}

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const WRONG_NUMBER: &str = "-ERR wrong number of arguments for";

#[test]
fn fields_come_and_go() {
    check(&[
        ("hset h a 1 b two a 3", ":2"),
        ("hget h a", "$1 3"),
        ("hget h none", "$-1"),
        ("hget none a", "$-1"),
        ("hmget h b none a", "*3 $3 two $-1 $1 3"),
        ("hmget none a", "*1 $-1"),
        ("hlen h", ":2"),
        ("hstrlen h b", ":3"),
        ("hstrlen h none", ":0"),
        ("hexists h a", ":1"),
        ("hexists h none", ":0"),
        ("hsetnx h a 9", ":0"),
        ("hsetnx h c 9", ":1"),
        ("hgetall h", "*6 $1 a $1 3 $1 b $3 two $1 c $1 9"),
        ("hkeys h", "*3 $1 a $1 b $1 c"),
        ("hvals h", "*3 $1 3 $3 two $1 9"),
        ("hgetall none", "*0"),
        ("hkeys none", "*0"),
        ("hdel h a a none", ":1"),
        ("hdel h b c", ":2"),
        ("exists h", ":0"),
        ("hdel h a", ":0"),
        ("hmset h a 1", "+OK"),
        ("object encoding h", "$8 listpack"),
    ]);
    Bench::new().resp3().check("hgetall none", "%0");
}

#[test]
fn pairs_must_be_whole() {
    for name in ["hset", "hmset"] {
        check(&[(&format!("{name} h a 1 b"), &format!("{WRONG_NUMBER} '{name}' command"))]);
    }
}

#[test]
fn other_types_are_refused() {
    let lines = ["hset k a 1", "hsetnx k a 1", "hget k a", "hmget k a", "hdel k a", "hlen k", "hstrlen k a"];
    let more = ["hexists k a", "hgetall k", "hkeys k", "hvals k", "hscan k 0 foo", "hincrby k a 1"];
    let last = ["hincrbyfloat k a 1", "hrandfield k", "hexpire k x fields 1 a", "httl k foo 1 a"];
    let new = ["hpersist k fields 0 a", "hgetdel k x 1 a", "hgetex k fields 0 a", "hsetex k fields 0 a 1"];
    for line in lines.iter().chain(&more).chain(&last).chain(&new) {
        check(&[("set k v", "+OK"), (line, WRONG_TYPE)]);
    }
}

#[test]
fn counting() {
    check(&[
        ("hincrby h n 5", ":5"),
        ("hincrby h n -7", ":-2"),
        ("hincrby h n x", "-ERR value is not an integer or out of range"),
        ("hset h t text m 9223372036854775807", ":2"),
        ("hincrby h t 1", "-ERR hash value is not an integer"),
        ("hincrby h m 1", "-ERR increment or decrement would overflow"),
        ("hincrbyfloat h t 1", "-ERR hash value is not a float"),
        ("hincrbyfloat h n x", "-ERR value is not a valid float"),
        ("hincrbyfloat h n inf", "-ERR value is NaN or Infinity"),
        ("hincrbyfloat h n 0.1", "$4 -1.9"),
        ("hincrby h n 1", "-ERR hash value is not an integer"),
        ("hincrby none m x", "-ERR value is not an integer or out of range"),
        ("exists none", ":0"),
    ]);
    check_log("hincrby h a 1", ":2", "hincrby h a 1");
    check_log("hincrbyfloat h a 1.5", "$3 2.5", "HSET h a 2.5");
    check_log(
        "hincrbyfloat h c 1.5",
        "$3 4.5",
        "MULTI HSET h c 4.5 HPEXPIREAT h 1700000100000 FIELDS 1 c EXEC",
    );
    check_log("hincrby h c 1; httl h fields 1 c", "*1 :100", "");
}

#[test]
fn random_fields() {
    check(&[
        ("hset h a 1", ":1"),
        ("hrandfield h", "$1 a"),
        ("hrandfield h 5", "*1 $1 a"),
        ("hrandfield h 5 withvalues", "*2 $1 a $1 1"),
        ("hrandfield h -2 withvalues", "*4 $1 a $1 1 $1 a $1 1"),
        ("hrandfield h 0", "*0"),
        ("hrandfield none", "$-1"),
        ("hrandfield none 5", "*0"),
        ("hrandfield h x", "-ERR value is not an integer or out of range"),
        ("hrandfield none 5 foo", "-ERR syntax error"),
        ("hrandfield h 5 withvalues x", "-ERR syntax error"),
        ("hrandfield h 9223372036854775807 withvalues", "-ERR value is out of range"),
        (
            "hrandfield h -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
    ]);
    let mut bench = Bench::new().resp3();
    bench.run("hset h a 1");
    bench.check("hrandfield h 1 withvalues", "*1 *2 $1 a $1 1");
    for fields in [100, 1000] {
        let mut bench = Bench::new();
        (0..fields).for_each(|n| drop(bench.run(&format!("hset h f{n} {n}"))));
        for count in [1, 10, 90, fields - 1, fields, fields + 1] {
            let reply = bench.run(&format!("hrandfield h {count}"));
            let picked: BTreeSet<&str> = reply.split(' ').filter(|word| word.starts_with('f')).collect();
            assert_eq!(picked.len(), count.min(fields), "{count} of {fields}");
        }
    }
}

#[test]
fn scanning() {
    check(&[
        ("hset h a 1 b 2", ":2"),
        ("hscan h 0", "*2 $1 0 *4 $1 a $1 1 $1 b $1 2"),
        ("hscan h 0 novalues", "*2 $1 0 *2 $1 a $1 b"),
        ("hscan h 0 match b novalues count 3", "*2 $1 0 *1 $1 b"),
        ("hscan h 0 match b", "*2 $1 0 *2 $1 b $1 2"),
        ("hscan h 0 type string", "-ERR syntax error"),
        ("hscan h 0 count 0", "-ERR syntax error"),
        ("hscan h x", "-ERR invalid cursor"),
        ("hscan none 0 foo", "*2 $1 0 *0"),
    ]);
    let mut bench = Bench::new();
    (0..1000).for_each(|n| drop(bench.run(&format!("hset h f{n} {n}"))));
    let (mut cursor, mut seen) = ("0".to_string(), BTreeSet::new());
    loop {
        let reply = bench.run(&format!("hscan h {cursor}"));
        seen.extend(reply.split(' ').filter(|word| word.starts_with('f')).map(str::to_string));
        cursor = reply.split(' ').nth(2).expect("a cursor").to_string();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
}

#[test]
fn encodings_follow_the_limits() {
    let config = Config { hash_max_listpack_entries: 2, ..Config::default() };
    let server = crate::server::Server::new(config);
    let mut client = Bench::client(&server);
    for (line, encoding) in [
        ("hset h a 1 b 2", "$8 listpack"),
        ("hexpire h 100 fields 1 a", "$10 listpackex"),
        ("hset h c 3", "$9 hashtable"),
        ("hdel h c", "$9 hashtable"),
    ] {
        Bench::run_as(&server, &mut client, line);
        assert_eq!(Bench::run_as(&server, &mut client, "object encoding h"), encoding, "{line}");
    }
    assert_eq!(Bench::run_as(&server, &mut client, "httl h fields 1 a"), "*1 :100");
}

#[test]
fn expiries_are_set_and_logged_as_absolute_times() {
    for (line, logged) in [
        ("hexpire h 10 fields 2 a b", "HPEXPIREAT h 1700000010000 FIELDS 2 a b"),
        ("hpexpire h 10 fields 1 a", "HPEXPIREAT h 1700000000010 FIELDS 1 a"),
        ("hexpireat h 1700000005 fields 1 a", "HPEXPIREAT h 1700000005000 FIELDS 1 a"),
        ("hpexpireat h 1700000005000 fields 2 a none", "HPEXPIREAT h 1700000005000 FIELDS 1 a"),
        ("hexpire h 10 nx fields 2 a c", "HPEXPIREAT h 1700000010000 FIELDS 1 a"),
        ("hexpire h 10 xx fields 2 a c", "HPEXPIREAT h 1700000010000 FIELDS 1 c"),
        ("hexpire h 101 gt fields 2 a c", "HPEXPIREAT h 1700000101000 FIELDS 1 c"),
        ("hexpire h 99 LT fields 2 a c", "HPEXPIREAT h 1700000099000 FIELDS 2 a c"),
        ("hexpire h 0 fields 2 a none", "HDEL h a"),
        ("hpexpireat h 1700000000000 fields 1 a", "HDEL h a"),
        ("hexpire none 10 fields 1 a", ""),
        ("hpersist h fields 2 a c", "hpersist h fields 2 a c"),
        ("hpersist h fields 1 a", ""),
    ] {
        let mut bench = Bench::new();
        bench.run("hset h a 1 b two c 3");
        bench.run("hexpire h 100 fields 1 c");
        bench.logged();
        bench.run(line);
        assert_eq!(bench.logged(), logged, "{line}");
    }
    check_log("hexpire h 10 nx fields 3 a c none", "*3 :1 :0 :-2", "HPEXPIREAT h 1700000010000 FIELDS 1 a");
    check_log("hpersist h fields 3 a c none", "*3 :-1 :1 :-2", "hpersist h fields 3 a c none");
    check_log("hexpire h 0 fields 3 a b none", "*3 :2 :2 :-2", "HDEL h a b");
    check_log("hexpire h 0 fields 3 a b c; exists h", ":0", "");
    check_log("hexpire none 10 fields 2 a b", "*2 :-2 :-2", "");
}

#[test]
fn expiries_are_shown() {
    check_log("httl h fields 3 a c none", "*3 :-1 :100 :-2", "");
    check_log("hpttl h fields 1 c", "*1 :100000", "");
    check_log("hexpiretime h fields 1 c", "*1 :1700000100", "");
    check_log("hpexpiretime h fields 1 c", "*1 :1700000100000", "");
    check_log("hpexpire h 1001 fields 1 a; httl h fields 1 a", "*1 :2", "");
    check_log("httl none fields 2 a b", "*2 :-2 :-2", "");
    check_log("hset h c 4; httl h fields 1 c", "*1 :-1", "");
    check_log("hpersist h fields 1 c; httl h fields 1 c", "*1 :-1", "");
}

#[test]
fn wrong_expiries_are_refused() {
    let missing = "-ERR Mandatory argument FIELDS is missing or not at the right position";
    let mismatch = "-ERR The `numfields` parameter must match the number of arguments";
    let negative = "-ERR invalid expire time, must be >= 0";
    for (line, reply) in [
        ("hexpire h x fields 1 a", "-ERR value is not an integer or out of range"),
        ("hexpire h -1 fields 1 a", negative),
        ("hexpire h 70368744178 fields 1 a", "-ERR invalid expire time in 'hexpire' command"),
        ("hpexpireat h 70368744177664 fields 1 a", "-ERR invalid expire time in 'hpexpireat' command"),
        ("hpexpireat h 70368744177663 fields 1 none", "*1 :-2"),
        ("hexpire h 1 foo fields 1 a", missing),
        ("hexpire h 1 fields 0 a", "-ERR Parameter `numFields` should be greater than 0"),
        ("hexpire h 1 fields 2 a", mismatch),
        ("httl h foo 1 a", missing),
        ("httl h fields x a", "-ERR Number of fields must be a positive integer"),
        ("httl h fields 1 a b", mismatch),
        ("hpersist h fields 1", "-ERR wrong number of arguments for 'hpersist' command"),
        ("hgetdel h foo 1 a", missing),
        ("hgetdel h fields 0 a", "-ERR Number of fields must be a positive integer"),
        ("hgetdel h fields 2 a", mismatch),
        ("hgetex h foo fields 1 a", "-ERR unknown argument: foo"),
        (
            "hgetex h ex 1 persist fields 1 a",
            "-ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified",
        ),
        ("hgetex h ex -1 fields 1 a", negative),
        ("hgetex h fields 0 a", "-ERR invalid number of fields"),
        ("hgetex h fields 2 a", "-ERR wrong number of arguments for 'hgetex' command"),
        ("hsetex h fnx fxx fields 1 a 1", "-ERR Only one of FXX or FNX arguments can be specified"),
        (
            "hsetex h ex 1 keepttl fields 1 a 1",
            "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
        ),
        ("hsetex h persist fields 1 a 1", "-ERR unknown argument: persist"),
        ("hsetex h fields 1 a 1 b", "-ERR wrong number of arguments for 'hsetex' command"),
    ] {
        check_log(line, reply, "");
    }
}

#[test]
fn due_fields_are_gone_and_deleted() {
    for limit in [0, 100] {
        let config = Config { hash_max_listpack_entries: limit, ..Config::default() };
        let mut bench = Bench::with(config);
        bench.run("hset h a 1 b two c 3");
        bench.run("hexpire h 10 fields 1 a");
        bench.run("hexpire h 20 fields 1 b");
        bench.server.clock.freeze(NOW_MS + 10_000);
        bench.check("hlen h", ":3");
        bench.server.clock.freeze(NOW_MS + 10_001);
        bench.logged();
        bench.check("hget h a", "$-1");
        assert_eq!(bench.logged(), "HDEL h a");
        bench.server.clock.freeze(NOW_MS + 20_001);
        bench.check("hset h b 5", ":1");
        assert_eq!(bench.logged(), "MULTI HDEL h b hset h b 5 EXEC");
        bench.check("hmget h a b c", "*3 $-1 $1 5 $1 3");
        bench.run("hpexpire h 1 fields 2 b c");
        bench.server.clock.freeze(NOW_MS + 30_000);
        bench.logged();
        bench.check("hlen h", ":0");
        assert!(["HDEL h b c", "HDEL h c b"].contains(&bench.logged().as_str()));
        bench.check("exists h", ":0");
    }
}

#[test]
fn expired_fields_and_hashes_that_have_such_are_counted() {
    let mut bench = Bench::new();
    bench.run("hset h a 1 b 2 c 3");
    bench.run("hpexpire h 10 fields 2 a b");
    assert!(bench.run("info keyspace").contains("db0:keys=1,expires=0,avg_ttl=0,subexpiry=1"));
    bench.server.clock.freeze(NOW_MS + 11);
    bench.check("hlen h", ":1");
    assert!(bench.run("info stats").contains(" expired_subkeys:2 "));
    assert!(bench.run("info keyspace").contains("db0:keys=1,expires=0,avg_ttl=0,subexpiry=0"));
}

/// What only a write asks for is no hit, no miss and no read that misses.
#[test]
fn one_look_up_is_counted_for_what_is_read() {
    let reads = [
        "hgetex h fields 1 a",
        "hgetex h ex 10 fields 1 a",
        "hgetex h persist fields 1 a",
        "httl h fields 1 a",
    ];
    let writes = [
        "hexpire h 100 fields 1 a",
        "hpersist h fields 1 a",
        "hgetdel h fields 1 none",
        "hsetex h fnx fields 1 a 1",
        "hsetex h fxx fields 1 a 1",
    ];
    for (lines, counted) in [(&reads[..], 1), (&writes[..], 0)] {
        for line in lines {
            let mut bench = Bench::new();
            let counts = |bench: &mut Bench| {
                let stats = bench.run("info stats");
                ["keyspace_hits:", "keyspace_misses:"].map(|name| {
                    let at = stats.find(name).expect("it is there") + name.len();
                    stats[at..].split(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a number")
                })
            };
            bench.run(line);
            assert_eq!(counts(&mut bench), [0, counted], "{line}");
            bench.run("hset h a 1");
            bench.run(line);
            assert_eq!(counts(&mut bench), [counted, counted], "{line}");
        }
    }
}

#[test]
fn getting_and_deleting() {
    check_log("hgetdel h fields 3 a none b", "*3 $1 1 $-1 $3 two", "HDEL h a b");
    check_log("hgetdel h fields 3 a b c; exists h", ":0", "");
    check_log("hgetdel none fields 1 a", "*1 $-1", "");
    check_log("hgetdel h fields 1 none", "*1 $-1", "");
}

#[test]
fn getting_and_expiring() {
    check_log("hgetex h fields 2 a none", "*2 $1 1 $-1", "");
    check_log("hgetex h ex 5 fields 2 a none", "*2 $1 1 $-1", "HPEXPIREAT h 1700000005000 FIELDS 1 a");
    check_log("hgetex h px 5 fields 1 a", "*1 $1 1", "HPEXPIREAT h 1700000000005 FIELDS 1 a");
    check_log("hgetex h exat 1700000005 fields 1 a", "*1 $1 1", "HPEXPIREAT h 1700000005000 FIELDS 1 a");
    check_log("hgetex h pxat 5 fields 2 a b", "*2 $1 1 $3 two", "HDEL h a b");
    check_log("hgetex h persist fields 2 a c", "*2 $1 1 $1 3", "HPERSIST h FIELDS 1 c");
    check_log("hgetex none ex 5 fields 1 a", "*1 $-1", "");
}

#[test]
fn setting_and_expiring() {
    let expiring = "MULTI HSET h a 2 d 4 HPEXPIREAT h 1700000005000 FIELDS 2 a d EXEC";
    check_log("hsetex h ex 5 fields 2 a 2 d 4", ":1", expiring);
    check_log("hsetex h fields 2 a 2 c 4", ":1", "HSET h a 2 c 4");
    check_log("hsetex h fields 1 c 4; httl h fields 1 c", "*1 :-1", "");
    check_log(
        "hsetex h keepttl fields 2 a 2 c 4",
        ":1",
        "MULTI HSET h a 2 c 4 HPEXPIREAT h 1700000100000 FIELDS 1 c EXEC",
    );
    check_log("hsetex h fnx fields 2 d 1 a 2", ":0", "");
    check_log("hsetex h fnx fields 1 d 1", ":1", "HSET h d 1");
    check_log("hsetex h fxx fields 2 a 1 d 2", ":0", "");
    check_log("hsetex h fxx fields 2 a 1 b 2", ":1", "HSET h a 1 b 2");
    check_log("hsetex h pxat 5 fields 2 a 1 d 2", ":1", "HDEL h a");
    check_log("hsetex none pxat 5 fields 1 d 2; exists none", ":0", "");
}
