//! MIGRATE between this server and a real one, both ways.

mod support;

use support::client::{Client, Value};
use support::server::Server;

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

/// Makes a value of every type under a key of its name. Returns the keys.
fn fill(client: &mut Client) -> Vec<&'static str> {
    let lines = [
        "SET string value",
        "RPUSH list a 1 b",
        "SADD set a b 1",
        "HSET hash f v g 2",
        "ZADD zset 1 a 2.5 b",
        "XADD stream 1-1 f v",
        "XGROUP CREATE stream group 0",
        "PEXPIRE list 100000000",
    ];
    for line in lines {
        let reply = client.line(line);
        assert!(!reply.is_error(), "{line}: {}", reply.text());
    }
    vec!["string", "list", "set", "hash", "zset", "stream"]
}

fn digests(client: &mut Client, keys: &[&str]) -> Vec<String> {
    let reply = client.call(&[&["DEBUG", "DIGEST-VALUE"], keys].concat());
    reply.items().expect("an array").iter().map(Value::text).collect()
}

/// MIGRATE of several keys to database 3 of a server.
fn order(to: &Server, rest: &[&str]) -> Vec<String> {
    let port = to.port().to_string();
    let first = ["MIGRATE", "127.0.0.1", &port, "", "3", "5000"];
    first.iter().chain(rest).map(|word| word.to_string()).collect()
}

/// Values of every type go from the real server to this one and back.
#[test]
fn keys_move_between_this_server_and_a_real_one() {
    let Some(redis) = Server::redis(&DEBUG) else { return };
    let redpoll = Server::redpoll(&DEBUG);
    let (mut theirs, mut ours) = (redis.connect(), redpoll.connect());
    theirs.line("SELECT 3");
    ours.line("SELECT 3");
    let keys = fill(&mut theirs);
    let before = digests(&mut theirs, &keys);
    let all = [&["KEYS", "missing"], &keys[..]].concat();
    assert_eq!(theirs.call(&order(&redpoll, &all)).text(), "OK");
    assert_eq!(digests(&mut ours, &keys), before);
    assert_eq!(ours.call(&order(&redis, &all)).text(), "OK");
    assert_eq!(ours.line("DBSIZE").int(), Some(0));
    assert_eq!(digests(&mut theirs, &keys), before);
    assert!(theirs.line("PTTL list").int().is_some_and(|ttl| ttl > 99_000_000));
    assert_eq!(ours.call(&order(&redis, &all)).text(), "NOKEY");
    // What is there already is not replaced unless that is asked for; then a copy may stay.
    ours.line("SET string other");
    let busy = ours.call(&order(&redis, &["KEYS", "string"]));
    assert_eq!(
        busy.text(),
        "ERR Target instance replied with error: BUSYKEY Target key name already exists."
    );
    assert_eq!(ours.call(&order(&redis, &["COPY", "REPLACE", "KEYS", "string"])).text(), "OK");
    assert_eq!(ours.line("GET string").text(), "other");
    assert_eq!(theirs.line("GET string").text(), "other");
}

#[test]
fn a_server_that_is_not_there_or_asks_for_a_password() {
    let (from, locked) = (Server::redpoll(&[]), Server::redpoll(&[]));
    locked.connect().line("CONFIG SET requirepass secret");
    let mut client = from.connect();
    client.line("SET k v");
    let mut migrate = |rest: &str, port: u16| -> Value {
        client.line(&format!("MIGRATE 127.0.0.1 {port} k 0 1000 {rest}"))
    };
    let closed =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    assert_eq!(migrate("", closed).text(), "IOERR error or timeout writing to target instance");
    let port = locked.port();
    let refused = migrate("", port).text();
    assert!(refused.starts_with("ERR Target instance replied with error: NOAUTH"), "{refused}");
    let refused = migrate("AUTH wrong", port).text();
    assert!(refused.starts_with("ERR Target instance replied with error: WRONGPASS"), "{refused}");
    assert_eq!(migrate("AUTH secret", port).text(), "OK");
    assert_eq!(client.line("EXISTS k").int(), Some(0));
}

/// The replica follows: what has moved away is deleted there too.
#[test]
fn what_moved_is_deleted_on_replicas() {
    let (from, to, mut replica) = (Server::redpoll(&[]), Server::redpoll(&[]), Server::redpoll(&[]));
    let (mut client, mut follower) = (from.connect(), replica.connect());
    follower.line(&format!("REPLICAOF 127.0.0.1 {}", from.port()));
    let deadline = std::time::Duration::from_secs(20);
    support::wait_until("the replica is in step", deadline, || {
        client.line("SET k v");
        follower.line("GET k").text() == "v"
    });
    assert_eq!(client.line(&format!("MIGRATE 127.0.0.1 {} k 0 1000", to.port())).text(), "OK");
    support::wait_until("the key is gone", deadline, || follower.line("EXISTS k").int() == Some(0));
    replica.stop();
}

/// A connection is kept for the next key, per place and password; where the other side has closed it, another is made.
#[test]
fn connections_are_kept() {
    let (from, to) = (Server::redpoll(&[]), Server::redpoll(&[]));
    let (mut client, mut other) = (from.connect(), to.connect());
    let mut migrate = |key: &str, rest: &str| {
        client.line(&format!("SET {key} v"));
        let reply = client.line(&format!("MIGRATE 127.0.0.1 {} {key} {rest}", to.port()));
        (reply.text(), client.info("migrate_cached_sockets"))
    };
    let mut connections = || other.info("total_connections_received").parse::<u64>().expect("a number");
    let ok = |kept: &str| ("OK".to_owned(), kept.to_owned());
    let before = connections();
    assert_eq!(migrate("a", "0 10000"), ok("1"));
    assert_eq!(migrate("b", "5 10000"), ok("1"));
    assert_eq!(migrate("c", "0 10000"), ok("1"));
    let (refused, kept) = migrate("d", "99 10000");
    assert_eq!(refused, "ERR Target instance replied with error: ERR DB index is out of range");
    assert_eq!(kept, "1");
    assert_eq!(migrate("d", "5 10000"), ok("1"));
    assert_eq!(connections(), before + 1);

    let mut killer = to.connect();
    killer.line("CLIENT KILL TYPE normal SKIPME yes");
    support::wait_until("the killed are gone", std::time::Duration::from_secs(20), || {
        killer.line("CLIENT LIST").text().lines().count() == 1
    });
    assert_eq!(migrate("e", "5 10000"), ok("1"));
    killer.line("CONFIG SET requirepass secret");
    assert_eq!(migrate("f", "0 10000 AUTH secret"), ok("2"));
    killer.line("CONFIG SET requirepass changed");
    let (refused, _) = migrate("g", "0 10000 AUTH secret");
    assert!(refused.starts_with("ERR Target instance replied with error: WRONGPASS"), "{refused}");
    for (db, keys) in [("0", vec!["a", "c", "f"]), ("5", vec!["b", "d", "e"])] {
        killer.line(&format!("SELECT {db}"));
        let mut found: Vec<String> =
            killer.line("KEYS *").items().expect("keys").iter().map(Value::text).collect();
        found.sort();
        assert_eq!(found, keys);
    }
}
