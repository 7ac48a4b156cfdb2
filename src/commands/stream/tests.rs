//! Stream commands. Replies are those of redis-server 7.0.15 to the same lines, unless a test says otherwise.

use crate::commands::testing::{Bench, NOW_MS, check};

/// Runs the lines, then compares what the log gets of the last one.
#[track_caller]
fn check_log(lines: &[&str], logged: &str) {
    let mut bench = Bench::new();
    bench.run("set other 1");
    for line in lines {
        bench.logged();
        let reply = bench.run(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
    assert_eq!(bench.logged(), logged.replace("NOW", &NOW_MS.to_string()), "{lines:?}");
}

#[test]
fn entries_are_added_read_and_deleted() {
    check(&[
        ("xadd s 1-1 a 1 b two", "$3 1-1"),
        ("xadd s 1-* a 2 b three", "$3 1-2"),
        ("xadd s 2 c 3", "$3 2-0"),
        ("xadd s 2 c 3", "-ERR The ID specified in XADD is equal or smaller than the target stream top item"),
        ("xadd s 0-0 c 3", "-ERR The ID specified in XADD must be greater than 0-0"),
        ("xadd s 3-0 c", "-ERR wrong number of arguments for 'xadd' command"),
        ("xadd s 3-0", "-ERR wrong number of arguments for 'xadd' command"),
        ("xadd none nomkstream 1-1 a 1", "$-1"),
        ("exists none", ":0"),
        ("xlen s", ":3"),
        (
            "xrange s - +",
            "*3 *2 $3 1-1 *4 $1 a $1 1 $1 b $3 two *2 $3 1-2 *4 $1 a $1 2 $1 b $5 three *2 $3 2-0 *2 $1 c $1 3",
        ),
        ("xrange s (1-1 2 count 1", "*1 *2 $3 1-2 *4 $1 a $1 2 $1 b $5 three"),
        ("xrange s - + count 0", "*-1"),
        ("xrange s - + count x", "-ERR value is not an integer or out of range"),
        ("xrange s - + limit 1", "-ERR syntax error"),
        ("xrange none - +", "*0"),
        ("xrange s (18446744073709551615-18446744073709551615 +", "-ERR invalid start ID for the interval"),
        ("xrevrange s + (1-1", "*2 *2 $3 2-0 *2 $1 c $1 3 *2 $3 1-2 *4 $1 a $1 2 $1 b $5 three"),
        ("xrevrange s - (0-0", "*0"),
        ("xrevrange s 1 1", "*2 *2 $3 1-2 *4 $1 a $1 2 $1 b $5 three *2 $3 1-1 *4 $1 a $1 1 $1 b $3 two"),
        ("xrange s 1 1", "*2 *2 $3 1-1 *4 $1 a $1 1 $1 b $3 two *2 $3 1-2 *4 $1 a $1 2 $1 b $5 three"),
        ("xdel s 1-2 9-9", ":1"),
        ("xdel s x", "-ERR Invalid stream ID specified as stream command argument"),
        ("xdel none x", ":0"),
        ("xlen s", ":2"),
        ("object encoding s", "$6 stream"),
        ("set str 1", "+OK"),
        ("xadd str * a 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("xlen str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn trimming_and_last_ids() {
    check(&[
        ("xadd t 1-0 a 1", "$3 1-0"),
        ("xadd t 2-0 a 1", "$3 2-0"),
        ("xadd t 3-0 a 1", "$3 3-0"),
        ("xadd t maxlen 2 4-0 a 1", "$3 4-0"),
        ("xtrim t maxlen ~ 1", ":0"),
        ("xtrim t minid 4-0", ":1"),
        ("xtrim t maxlen 0 limit 1", "-ERR syntax error, LIMIT cannot be used without the special ~ option"),
        ("xtrim t limit 1", "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"),
        (
            "xtrim t maxlen 1 minid 1",
            "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        ),
        ("xtrim t maxlen -1", "-ERR The MAXLEN argument must be >= 0."),
        ("xtrim t maxlen ~ 1 limit -1", "-ERR The LIMIT argument must be >= 0."),
        ("xtrim t foo 1", "-ERR syntax error"),
        (
            "xadd t limit 1 5-0 a 1",
            "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
        ),
        ("xadd t limit 0 5-0 a 1", "-ERR syntax error, LIMIT cannot be used without the special ~ option"),
        ("xtrim t maxlen 0", ":1"),
        ("xlen t", ":0"),
        (
            "xinfo stream t",
            "*20 $6 length :0 $15 radix-tree-keys :0 $16 radix-tree-nodes :1 $17 last-generated-id $3 4-0 $20 max-deleted-entry-id $3 0-0 $13 entries-added :4 $23 recorded-first-entry-id $3 0-0 $6 groups :0 $11 first-entry $-1 $10 last-entry $-1",
        ),
        ("xsetid t 3-0", "+OK"),
        ("xsetid t 9-0 entriesadded 20 maxdeletedid 8-0", "+OK"),
        ("xsetid t 7-0", "+OK"),
        ("xsetid t 9-0 entriesadded -1", "-ERR entries_added must be positive"),
        (
            "xsetid t 9-0 maxdeletedid 10-0",
            "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
        ),
        ("xsetid t 9-0 foo", "-ERR syntax error"),
        ("xsetid none 1-0", "-ERR no such key"),
        ("xadd t 10-0 a 1", "$4 10-0"),
        ("xsetid t 9-5", "-ERR The ID specified in XSETID is smaller than the target stream top item"),
        ("xadd t 11-0 a 1", "$4 11-0"),
        (
            "xsetid t 11-0 entriesadded 1",
            "-ERR The entries_added specified in XSETID is smaller than the target stream length",
        ),
        ("xsetid t 18446744073709551615-18446744073709551615", "+OK"),
        ("xadd t * a 1", "-ERR The stream has exhausted the last possible ID, unable to add more items"),
        (
            "xadd t 18446744073709551615-* a 1",
            "-ERR The stream has exhausted the last possible ID, unable to add more items",
        ),
    ]);
}

#[test]
fn reading_several_streams() {
    check(&[
        ("xadd s 1-1 a 1 b two", "$3 1-1"),
        ("xadd s 2-0 c 3", "$3 2-0"),
        ("xadd t 10-0 a 1", "$4 10-0"),
        ("xadd t 11-0 a 1", "$4 11-0"),
        (
            "xread streams s t 1-1 0",
            "*2 *2 $1 s *1 *2 $3 2-0 *2 $1 c $1 3 *2 $1 t *2 *2 $4 10-0 *2 $1 a $1 1 *2 $4 11-0 *2 $1 a $1 1",
        ),
        ("xread count 1 streams s t $ 11-0", "*-1"),
        ("xread streams s none 9 0", "*-1"),
        ("xread streams s", "-ERR wrong number of arguments for 'xread' command"),
        ("xread count x streams s 0", "-ERR value is not an integer or out of range"),
        (
            "xread streams s >",
            "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        ),
        ("xread streams s x", "-ERR Invalid stream ID specified as stream command argument"),
        (
            "xread group g c streams s 0",
            "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
        ),
        (
            "xread noack streams s 0",
            "-ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
        ),
        ("xread count 1 foo streams s 0", "-ERR syntax error"),
        ("xread block -1 streams s $", "-ERR timeout is negative"),
        ("xread block x streams s $", "-ERR timeout is not an integer or out of range"),
        (
            "xreadgroup group g c streams s >",
            "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
        ),
        ("xreadgroup noack count 1 streams s > ", "-ERR Missing GROUP option for XREADGROUP"),
        (
            "xreadgroup count 1 noack streams s > x ",
            "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        ),
    ]);
}

#[test]
fn groups_from_creation_to_destruction() {
    check(&[
        ("xadd s 1-1 a 1 b two", "$3 1-1"),
        ("xadd s 1-2 x y", "$3 1-2"),
        ("xadd s 2-0 c 3", "$3 2-0"),
        ("xdel s 1-2", ":1"),
        (
            "xgroup create none g 0",
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
        ),
        ("xgroup create m g $ mkstream", "+OK"),
        ("xgroup create s g 0", "+OK"),
        ("xgroup create s g 0", "-BUSYGROUP Consumer Group name already exists"),
        ("xgroup create s h - ", "-ERR Invalid stream ID specified as stream command argument"),
        ("xgroup create s h $ entriesread -2", "-ERR value for ENTRIESREAD must be positive or -1"),
        ("xgroup create s h $ entriesread 1", "+OK"),
        ("xreadgroup group g alice count 1 streams s >", "*1 *2 $1 s *1 *2 $3 1-1 *4 $1 a $1 1 $1 b $3 two"),
        ("xreadgroup group g bob noack streams s >", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 c $1 3"),
        ("xreadgroup group g bob streams s >", "*-1"),
        ("xreadgroup group g alice streams s 0", "*1 *2 $1 s *1 *2 $3 1-1 *4 $1 a $1 1 $1 b $3 two"),
        (
            "xreadgroup group g alice streams s $",
            "-ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
        ),
        (
            "xreadgroup group none alice streams s 0",
            "-NOGROUP No such key 's' or consumer group 'none' in XREADGROUP with GROUP option",
        ),
        ("xpending s g", "*4 :1 $3 1-1 $3 1-1 *1 *2 $5 alice $1 1"),
        ("xpending s g - + 10 bob", "*0"),
        ("xpending s g - + 10 carl", "*0"),
        ("xpending s g - +", "-ERR syntax error"),
        ("xpending s none", "-NOGROUP No such key 's' or consumer group 'none'"),
        (
            "xinfo groups s",
            "*2 *12 $4 name $1 g $9 consumers :2 $7 pending :1 $17 last-delivered-id $3 2-0 $12 entries-read :3 $3 lag :0 *12 $4 name $1 h $9 consumers :0 $7 pending :0 $17 last-delivered-id $3 2-0 $12 entries-read :1 $3 lag :2",
        ),
        ("xclaim s g bob 0 1-1 2-0 force justid", "*2 $3 1-1 $3 2-0"),
        ("xclaim s g bob x 1-1", "-ERR Invalid min-idle-time argument for XCLAIM"),
        ("xclaim s g bob 0 1-1 foo", "-ERR Unrecognized XCLAIM option 'foo'"),
        ("xclaim s none bob 0 1-1", "-NOGROUP No such key 's' or consumer group 'none'"),
        ("xpending s g", "*4 :2 $3 1-1 $3 2-0 *1 *2 $3 bob $1 2"),
        ("xdel s 1-1", ":1"),
        ("xreadgroup group g bob streams s 0", "*1 *2 $1 s *2 *2 $3 1-1 *-1 *2 $3 2-0 *2 $1 c $1 3"),
        ("xautoclaim s g alice 0 0", "*3 $3 0-0 *1 *2 $3 2-0 *2 $1 c $1 3 *1 $3 1-1"),
        ("xautoclaim s g alice 0 0 count 0", "-ERR COUNT must be > 0"),
        ("xautoclaim s g alice 0 (2-0 justid", "*3 $3 0-0 *0 *0"),
        ("xack s g 2-0 7-7", ":1"),
        ("xack s none 2-0", ":0"),
        ("xack s g x", "-ERR Invalid stream ID specified as stream command argument"),
        ("xgroup delconsumer s g bob", ":0"),
        ("xgroup delconsumer s g bob", ":0"),
        ("xgroup createconsumer s g bob", ":1"),
        ("xgroup createconsumer s g bob", ":0"),
        ("xgroup createconsumer s none bob", "-NOGROUP No such consumer group 'none' for key name 's'"),
        ("xgroup setid s g 0 entriesread 1", "+OK"),
        (
            "xgroup setid s g 0 foo",
            "-ERR unknown subcommand or wrong number of arguments for 'setid'. Try XGROUP HELP.",
        ),
        ("xgroup destroy s g", ":1"),
        ("xgroup destroy s g", ":0"),
        (
            "xgroup destroy none g",
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
        ),
        (
            "xinfo groups s",
            "*1 *12 $4 name $1 h $9 consumers :0 $7 pending :0 $17 last-delivered-id $3 2-0 $12 entries-read :1 $3 lag :2",
        ),
        ("xinfo stream none", "-ERR no such key"),
        ("xinfo consumers s none", "-NOGROUP No such consumer group 'none' for key name 's'"),
        ("xinfo consumers s h", "*0"),
        (
            "xinfo stream s full count 1",
            "*18 $6 length :1 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 2-0 $20 max-deleted-entry-id $3 1-2 $13 entries-added :3 $23 recorded-first-entry-id $3 2-0 $7 entries *1 *2 $3 2-0 *2 $1 c $1 3 $6 groups *1 *14 $4 name $1 h $17 last-delivered-id $3 2-0 $12 entries-read :1 $3 lag :2 $9 pel-count :0 $7 pending *0 $9 consumers *0",
        ),
        (
            "xinfo stream s foo",
            "-ERR unknown subcommand or wrong number of arguments for 'stream'. Try XINFO HELP.",
        ),
    ]);
}

#[test]
fn replies_in_resp3() {
    let mut bench = Bench::new();
    bench.run("xadd s 1-0 a b");
    bench.run("xgroup create s g 0");
    let mut bench = bench.resp3();
    bench.check("xreadgroup group g c streams s >", "%1 $1 s *1 *2 $3 1-0 *2 $1 a $1 b");
    bench.check("xread streams s 0", "%1 $1 s *1 *2 $3 1-0 *2 $1 a $1 b");
    bench.check("xread streams s $", "_");
    bench.check("xrange s - + count 0", "_");
    bench.check(
        "xinfo groups s",
        "*1 %6 $4 name $1 g $9 consumers :1 $7 pending :1 $17 last-delivered-id $3 1-0 $12 entries-read :1 $3 lag :0",
    );
    bench.check("xack s g 1-0", ":1");
    bench.check("xpending s g", "*4 :0 _ _ _");
}

/// Known by their documentation: active times (7.2) and XREAD's `+` (7.4).
#[test]
fn what_is_newer() {
    check(&[
        ("xadd s 1-0 a b", "$3 1-0"),
        ("xadd s 2-0 a b", "$3 2-0"),
        ("xread streams s none + +", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 a $1 b"),
        ("xgroup create s g 0", "+OK"),
        ("xgroup createconsumer s g idle", ":1"),
        ("xreadgroup group g busy count 1 streams s >", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 b"),
        (
            "xinfo consumers s g",
            "*2 *8 $4 name $4 busy $7 pending :1 $4 idle :0 $8 inactive :0 \
             *8 $4 name $4 idle $7 pending :0 $4 idle :0 $8 inactive :-1",
        ),
        ("xreadgroup group g busy streams s +", &format!("-{}", crate::error::XREADGROUP_LAST.text())),
    ]);
}

/// XREAD's `+` is one entry for who has waited, too: the last one there is then.
#[test]
fn the_last_entry_of_what_comes() {
    let mut bench = Bench::new();
    let mut waiting = Bench::client(&bench.server);
    assert_eq!(Bench::run_as(&bench.server, &mut waiting, "xread block 0 streams s +"), "");
    ["multi", "xadd s 1-0 a b", "xadd s 2-0 a b", "exec"].iter().for_each(|line| {
        bench.run(line);
    });
    assert_eq!(Bench::mail(&waiting), "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 a $1 b");
}

/// Known by their documentation (8.2).
#[test]
fn deleting_with_an_eye_on_groups() {
    let shared = [
        ("xadd s 1-0 a b", "$3 1-0"),
        ("xadd s 2-0 a b", "$3 2-0"),
        ("xdelex s acked ids 1 1-0", "*1 :2"),
        ("xgroup create s g 0", "+OK"),
        ("xgroup create s h 0", "+OK"),
        ("xreadgroup group g c streams s >", "*1 *2 $1 s *2 *2 $3 1-0 *2 $1 a $1 b *2 $3 2-0 *2 $1 a $1 b"),
        ("xreadgroup group h c streams s >", "*1 *2 $1 s *2 *2 $3 1-0 *2 $1 a $1 b *2 $3 2-0 *2 $1 a $1 b"),
    ];
    let check = |script: &[(&str, &str)]| check(&[&shared[..], script].concat());
    check(&[
        ("xackdel s g acked ids 2 1-0 2-0", "*2 :2 :2"),
        ("xlen s", ":2"),
        ("xackdel s h acked ids 3 1-0 2-0 3-0", "*3 :1 :1 :-1"),
        ("xlen s", ":0"),
        ("xackdel s h ids 1 1-0", "*1 :-1"),
    ]);
    check(&[
        ("xackdel s g delref ids 2 1-0 2-0", "*2 :1 :1"),
        ("xpending s h", "*4 :0 $-1 $-1 *-1"),
        ("xlen s", ":0"),
    ]);
    check(&[
        ("xackdel s g ids 2 1-0 2-0", "*2 :1 :1"),
        ("xpending s h", "*4 :2 $3 1-0 $3 2-0 *1 *2 $1 c $1 2"),
        ("xackdel s h keepref ids 1 1-0", "*1 :1"),
        ("xdelex s delref ids 1 2-0", "*1 :-1"),
        ("xpending s h", "*4 :0 $-1 $-1 *-1"),
    ]);
    check(&[
        ("xack s g 1-0 2-0", ":2"),
        ("xdel s 1-0", ":1"),
        ("xackdel s g delref ids 2 1-0 2-0", "*2 :-1 :-1"),
        ("xpending s h", "*4 :1 $3 2-0 $3 2-0 *1 *2 $1 c $1 1"),
        ("xlen s", ":1"),
    ]);
    check(&[
        ("xack s g 1-0", ":1"),
        ("xtrim s maxlen 0 acked", ":0"),
        ("xack s h 1-0", ":1"),
        ("xtrim s acked maxlen 0", ":1"),
        ("xtrim s maxlen 0 delref", ":1"),
        ("xpending s h", "*4 :0 $-1 $-1 *-1"),
    ]);
    check(&[
        ("xdelex none ids 2 1-0 2-0", "*2 :-1 :-1"),
        ("xackdel s none ids 1 1-0", "*1 :-1"),
        ("xdelex s ids 0 1-0", "-ERR Number of IDs must be a positive integer"),
        ("xdelex s ids 3 1-0 2-0", "-ERR The `numids` parameter must match the number of arguments"),
        ("xdelex s ids 1 1-0 2-0", "-ERR syntax error"),
        ("xdelex s keepref acked ids 1 1-0", "-ERR syntax error"),
        ("xdelex s keepref 1 1-0", "-ERR syntax error"),
        ("xdelex s ids 1 1-0 delref", "*1 :1"),
    ]);
}

/// The log of redis-server 7.0.15 for the same lines.
#[test]
fn the_log_says_what_it_came_to() {
    check_log(&["xadd s * a b"], "xadd s NOW-0 a b");
    check_log(&["xadd s 5-* a b"], "xadd s 5-0 a b");
    check_log(&["xadd s 5-1 a b"], "xadd s 5-1 a b");
    check_log(&["xadd s maxlen ~ 1 5-1 a b"], "xadd s maxlen = 1 5-1 a b");
    check_log(&["xadd s 1-1 a b", "xadd s minid ~ 1 limit 5 5-1 a b"], "xadd s minid = 1-1 limit 5 5-1 a b");
    check_log(&["xadd s 1-0 a b", "xtrim s maxlen ~ 0"], "xtrim s maxlen = 0");
    check_log(&["xadd s 1-0 a b", "xtrim s maxlen ~ 1"], "");
    check_log(&["xadd s 1-0 a b", "xdel s 2-0"], "");
    let group = ["xadd s 1-0 a b", "xadd s 2-0 a b", "xgroup create s g 0"];
    let read = [&group[..], &["xreadgroup group g c count 1 streams s >"]].concat();
    check_log(&read, "XCLAIM s g c 0 1-0 TIME NOW RETRYCOUNT 1 FORCE JUSTID LASTID 1-0");
    check_log(
        &[&group[..], &["xreadgroup group g c count 1 noack streams s >"]].concat(),
        "MULTI XGROUP CREATECONSUMER s g c XGROUP SETID s g 1-0 ENTRIESREAD 1 EXEC",
    );
    let after = |line| [&read[..], &[line]].concat();
    check_log(&after("xreadgroup group g c streams s 0"), "");
    check_log(
        &after("xclaim s g d 0 1-0"),
        "XCLAIM s g d 0 1-0 TIME NOW RETRYCOUNT 2 FORCE JUSTID LASTID 1-0",
    );
    check_log(&after("xclaim s g c 0 7-0 lastid 5-0"), "XGROUP SETID s g 5-0 ENTRIESREAD 1");
    check_log(
        &after("xautoclaim s g d 0 - justid"),
        "XCLAIM s g d 0 1-0 TIME NOW RETRYCOUNT 1 FORCE JUSTID LASTID 1-0",
    );
    check_log(&after("xgroup createconsumer s g c"), "");
    check_log(&after("xack s g 1-0"), "xack s g 1-0");
    check_log(&after("xack s g 7-0"), "");
}

/// Since 7.2 a consumer is created even if there is nothing for it. No other request tells a replica of it.
#[test]
fn a_consumer_without_entries_is_created() {
    let empty = ["xgroup create s g $ mkstream"];
    let after = |line| [&empty[..], &[line]].concat();
    check_log(&after("xreadgroup group g c streams s >"), "XGROUP CREATECONSUMER s g c");
    check_log(&after("xreadgroup group g c streams s 0"), "XGROUP CREATECONSUMER s g c");
    check_log(&after("xclaim s g c 0 1-0"), "XGROUP CREATECONSUMER s g c");
    check_log(&after("xautoclaim s g c 0 0"), "XGROUP CREATECONSUMER s g c");
    let pending =
        ["xadd s 1-0 a b", "xgroup create s g 0", "xreadgroup group g c count 1 streams s >", "xdel s 1-0"];
    let after = |line| [&pending[..], &[line]].concat();
    for line in ["xclaim s g d 0 1-0", "xautoclaim s g d 0 0"] {
        check_log(
            &after(line),
            "MULTI XCLAIM s g c 0 1-0 TIME NOW RETRYCOUNT 1 FORCE JUSTID LASTID 1-0 XGROUP CREATECONSUMER s g d EXEC",
        );
    }
    check_log(
        &after("xclaim s g d 0 7-0 lastid 5-0"),
        "MULTI XGROUP SETID s g 5-0 ENTRIESREAD 1 XGROUP CREATECONSUMER s g d EXEC",
    );
}

/// In commands that older servers know.
#[test]
fn the_log_knows_no_new_commands() {
    let read = [
        "xadd s 1-0 a b",
        "xadd s 2-0 a b",
        "xgroup create s g 0",
        "xgroup create s h 0",
        "xreadgroup group g c count 2 streams s >",
        "xreadgroup group h c count 2 streams s >",
        "xack s g 1-0",
    ];
    let after = |line| [&read[..], &[line]].concat();
    check_log(&after("xdelex s delref ids 1 2-0"), "MULTI XACK s g 2-0 XACK s h 2-0 XDEL s 2-0 EXEC");
    check_log(&after("xdelex s acked ids 1 2-0"), "");
    check_log(&after("xackdel s h acked ids 2 1-0 2-0"), "MULTI XACK s h 1-0 2-0 XDEL s 1-0 EXEC");
    check_log(&after("xtrim s maxlen 0 keepref"), "xtrim s maxlen 0");
    check_log(&after("xtrim s maxlen 1 delref"), "MULTI xtrim s maxlen 1 XACK s h 1-0 EXEC");
    check_log(&[&after("xack s h 1-0")[..], &["xtrim s maxlen 0 acked"]].concat(), "XDEL s 1-0");
    check_log(&after("xadd s acked maxlen ~ 1 limit 9 3-0 a b"), "xadd s 3-0 a b");
    check_log(&["xadd s 1-0 a b", "xadd s acked maxlen 1 3-0 a b"], "xadd s maxlen 1 3-0 a b");
}

#[test]
fn a_name_like_the_keyword_finds_no_key() {
    check(&[
        ("xadd k 1-0 a b", "$3 1-0"),
        ("xgroup create k streams 0", "+OK"),
        ("xreadgroup count 1 group streams c streams k >", "-ERR syntax error"),
        ("xreadgroup group streams c streams k >", "*1 *2 $1 k *1 *2 $3 1-0 *2 $1 a $1 b"),
    ]);
}

#[test]
fn a_group_read_by_a_consumer_touches_no_watch() {
    let mut bench = Bench::new();
    bench.run("xadd s 1-0 a b");
    bench.run("xgroup create s g 0");
    let mut other = Bench::client(&bench.server);
    let server = bench.server.clone();
    Bench::run_as(&server, &mut other, "watch s");
    bench.run("xreadgroup group g c streams s >");
    bench.run("xack s g 1-0");
    Bench::run_as(&server, &mut other, "multi");
    assert_eq!(Bench::run_as(&server, &mut other, "exec"), "*0");
    Bench::run_as(&server, &mut other, "watch s");
    bench.run("xadd s 2-0 a b");
    Bench::run_as(&server, &mut other, "multi");
    assert_eq!(Bench::run_as(&server, &mut other, "exec"), "*-1");
}
