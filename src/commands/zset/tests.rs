use crate::commands::testing::{Bench, check};

#[test]
fn members_are_added_under_conditions() {
    check(&[
        ("zadd z 1 a 2 b", ":2"),
        ("zadd z nx 5 a 3 c", ":1"),
        ("zadd z xx ch 5 a 9 nosuch", ":1"),
        ("zadd z gt ch 4 a 6 b", ":1"),
        ("zadd z incr lt 1 a", "$-1"),
        ("zadd z incr 1.5 a", "$3 6.5"),
        ("zrange z 0 -1 withscores", "*6 $1 c $1 3 $1 b $1 6 $1 a $3 6.5"),
        ("zadd none xx 1 a", ":0"),
        ("exists none", ":0"),
        ("zadd z nx xx 1 a", "-ERR XX and NX options at the same time are not compatible"),
        ("zadd z nx gt 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("zadd z incr 1 a 2 b", "-ERR INCR option supports a single increment-element pair"),
        ("zadd z 1 a x b", "-ERR value is not a valid float"),
        ("zincrby z inf a", "$3 inf"),
        ("zincrby z -inf a", "-ERR resulting score is not a number (NaN)"),
    ]);
}

#[test]
fn ranks_and_counts() {
    check(&[
        ("zadd z 1 a 2 b 2 c 3 d", ":4"),
        ("zrank z c", ":2"),
        ("zrevrank z c withscore", "*2 :1 $1 2"),
        ("zrank z nosuch withscore", "*-1"),
        ("zrank z a foo", "-ERR syntax error"),
        ("zcount z (1 2", ":2"),
        ("zcount z \"\" 1", ":1"),
        ("zcount z x 1", "-ERR min or max is not a float"),
        ("zlexcount z [b (d", ":2"),
        ("zlexcount z + -", ":0"),
        ("zmscore z a nosuch", "*2 $1 1 $-1"),
    ]);
}

#[test]
fn ranges_go_both_ways_and_are_stored_or_removed() {
    check(&[
        ("zadd z 1 a 2 b 3 c 4 d 5 e", ":5"),
        ("zrange z 1 -2 rev", "*3 $1 d $1 c $1 b"),
        ("zrange z 4 (1 byscore rev limit 1 5", "*2 $1 c $1 b"),
        ("zrangebyscore z -inf +inf limit -1 5", "*0"),
        ("zrevrangebylex z (d [b", "*2 $1 c $1 b"),
        (
            "zrange z 0 1 limit 0 1",
            "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ),
        (
            "zrange z - + bylex withscores",
            "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ),
        ("zrangestore out z 2 4 byscore", ":3"),
        ("zremrangebyrank out 0 0", ":1"),
        ("zremrangebyscore out (3 inf", ":1"),
        ("zremrangebylex out - +", ":1"),
        ("exists out", ":0"),
        ("set out x", "+OK"),
        ("zrangestore out nosuch 0 -1", ":0"),
        ("exists out", ":0"),
    ]);
}

#[test]
fn pops_are_logged_as_what_they_came_to() {
    let mut bench = Bench::new();
    bench.check("zadd z 1 a 2 b 3 c 4 d 5 e", ":5");
    bench.logged();
    bench.check("zpopmin z", "*2 $1 a $1 1");
    bench.check("bzpopmax nosuch z 0", "*3 $1 z $1 e $1 5");
    bench.check("zmpop 2 nosuch z min count 2", "*2 $1 z *2 *2 $1 b $1 2 *2 $1 c $1 3");
    bench.check("zpopmax z 5", "*2 $1 d $1 4");
    bench.check("zmpop 1 z max", "*-1");
    assert_eq!(bench.logged(), "zpopmin z ZPOPMAX z ZPOPMIN z 2 zpopmax z 5");
}

#[test]
fn combinations() {
    check(&[
        ("zadd a 1 x 2 y", ":2"),
        ("zadd b 10 y 20 z", ":2"),
        ("zunion 2 a b withscores", "*6 $1 x $1 1 $1 y $2 12 $1 z $2 20"),
        ("zinterstore out 2 a b weights 2 3 aggregate max", ":1"),
        ("zscore out y", "$2 30"),
        ("zdiff 2 a b", "*1 $1 x"),
        ("zintercard 2 a b limit 0", ":1"),
        ("zdiffstore out 2 a a", ":0"),
        ("exists out", ":0"),
        ("zunion 0 a", "-ERR at least 1 input key is needed for 'zunion' command"),
        ("zunion 3 a", "-ERR syntax error"),
        ("zunion x a", "-ERR value is not an integer or out of range"),
        ("set s x", "+OK"),
        ("zunion 2 a s foo", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn resp3_has_doubles_and_pairs() {
    let mut bench = Bench::new().resp3();
    bench.check("zadd z 1.5 a inf b", ":2");
    bench.check("zscore z b", ",inf");
    bench.check("zrange z 0 -1 withscores", "*2 *2 $1 a ,1.5 *2 $1 b ,inf");
    bench.check("zpopmin z 1", "*1 *2 $1 a ,1.5");
    bench.check("zpopmin z", "*2 $1 b ,inf");
}

#[test]
fn random_members_and_scans() {
    let mut bench = Bench::new();
    bench.check("zrandmember z", "$-1");
    bench.check("zadd z 1 a 2 b", ":2");
    bench.check("zrandmember z 5 withscores", "*4 $1 a $1 1 $1 b $1 2");
    assert!(bench.run("zrandmember z -30").starts_with("*30 "));
    assert!(["*1 $1 a", "*1 $1 b"].contains(&bench.run("zrandmember z 1").as_str()));
    bench.check("zscan z 0 match b* count 1", "*2 $1 0 *2 $1 b $1 2");
    bench.check("zscan nosuch 0 count x", "*2 $1 0 *0");
    let members = (0..1000).map(|n| format!("{n} m{n}")).collect::<Vec<_>>().join(" ");
    bench.check(&format!("zadd big {members}"), ":1000");
    bench.check("object encoding big", "$8 skiplist");
    let reply = bench.run("zrandmember big 500");
    let distinct: std::collections::HashSet<_> =
        reply.split(' ').filter(|word| word.starts_with('m')).collect();
    assert_eq!(distinct.len(), 500);
}
