//! Connections whose client waits for something, or goes while it does; what the server tells of its clients and their traffic.

mod support;

use std::io::ErrorKind;
use std::time::{Duration, Instant};
use support::client::{Client, Value, encode_command};
use support::server::Server;
use support::wait_until;

const DEADLINE: Duration = Duration::from_secs(10);

fn connected(client: &mut Client) -> usize {
    client.line("CLIENT LIST").text().lines().count()
}

/// WAIT without a time limit watched for acknowledgements only: a client that went away stayed for ever.
#[test]
fn a_client_that_goes_while_it_waits_is_forgotten() {
    let server = Server::redpoll(&[]);
    let mut watcher = server.connect();
    let mut waiting = server.connect();
    waiting.send(&["WAIT", "1", "0"]).expect("sent");
    wait_until("the other waits", DEADLINE, || watcher.line("CLIENT LIST").text().contains("cmd=wait"));
    drop(waiting);
    wait_until("it is forgotten", DEADLINE, || connected(&mut watcher) == 1);
}

/// What a client sends behind a WAIT is run when the wait is over, in order.
#[test]
fn requests_behind_a_wait_follow_its_reply() {
    let server = Server::redpoll(&[]);
    let mut client = server.connect();
    client.send(&["WAIT", "1", "100"]).expect("sent");
    client.send(&["ECHO", "first"]).expect("sent");
    client.send(&["ECHO", "second"]).expect("sent");
    let replies: Vec<String> = (0..3)
        .map(|_| String::from_utf8_lossy(&client.read_reply().expect("a reply").raw).into_owned())
        .collect();
    assert_eq!(replies, [":0\r\n", "$5\r\nfirst\r\n", "$6\r\nsecond\r\n"]);
}

/// Replies wait for the other connections' turns before they are sent; the end of the stream must not overtake them.
#[test]
fn a_client_that_says_no_more_still_gets_its_replies() {
    let server = Server::redpoll(&[]);
    let mut client = server.connect();
    client.send_raw(b"ECHO a\r\nECHO b\r\n").expect("sent");
    client.finish_sending();
    for expected in ["$1\r\na\r\n", "$1\r\nb\r\n"] {
        assert_eq!(String::from_utf8_lossy(&client.read_reply().expect("a reply").raw), expected);
    }
    assert_eq!(client.read_reply().expect_err("the end").kind(), ErrorKind::UnexpectedEof);
}

/// Large values that follow each other are read in another way than small ones; the ways change in the middle of a stream.
#[test]
fn large_and_small_values_in_one_pipeline() {
    let server = Server::redpoll(&[]);
    let mut client = server.connect();
    let value = |n: usize, len: usize| -> Vec<u8> { (0..len).map(|at| (at * 7 + n) as u8).collect() };
    let lens =
        [16 * 1024, 16 * 1024, 3, 100_000, 16 * 1024 + 1, 600, 600, 2_000_000, 16 * 1024, 1, 70_000, 16_383];
    let mut requests = Vec::new();
    for (n, len) in lens.into_iter().enumerate() {
        requests.extend(encode_command(&[b"SET", format!("k{n}").as_bytes(), &value(n, len)]));
        requests.extend(encode_command(&[b"STRLEN", format!("k{n}").as_bytes()]));
        requests.extend(b"PING\r\n");
    }
    for step in [requests.len(), 1_000, 16_385, 70_000] {
        client.line("FLUSHALL");
        for piece in requests.chunks(step) {
            client.send_raw(piece).expect("sent");
        }
        for len in lens {
            for expected in ["+OK\r\n", &format!(":{len}\r\n"), "+PONG\r\n"] {
                let reply = client.read_reply().expect("a reply").raw;
                assert_eq!(String::from_utf8_lossy(&reply), expected, "in steps of {step}");
            }
        }
        for (n, len) in lens.into_iter().enumerate() {
            let stored = client.call(&["GET", &format!("k{n}")]);
            assert!(stored == Value::Bulk(value(n, len)), "k{n} in steps of {step}");
        }
    }
}

/// A batch on one large collection is prepared for together: what is asked for ahead changes nothing.
#[test]
fn pipelines_on_large_collections() {
    let server = Server::redpoll(&[]);
    let mut client = server.connect();
    let request = |line: String| encode_command(&line.split(' ').collect::<Vec<_>>());
    for n in 0..30_000 {
        let adds = [format!("SADD s m{n}"), format!("HSET h f{n} {n}"), format!("ZADD z {n} m{n}")];
        client.send_raw(&adds.map(request).concat()).expect("sent");
        if n % 100 == 99 {
            (0..300).for_each(|_| assert_eq!(client.read_reply().expect("a reply").raw, b":1\r\n"));
        }
    }
    for n in (0..60_000).step_by(1_000) {
        let batch: Vec<u8> = (n..n + 16).flat_map(|n| request(format!("HGET h f{n}"))).collect();
        client.send_raw(&batch).expect("sent");
        for n in n..n + 16 {
            let expected = if n < 30_000 { Value::Bulk(n.to_string().into()) } else { Value::NullBulk };
            assert_eq!(client.read_reply().expect("a reply").value, expected, "f{n}");
        }
    }
    let mixed =
        ["SREM s m5", "HGET s m5", "DEL s", "SADD s m5", "SISMEMBER s m5", "ZSCORE h f1", "ZSCORE z m7"];
    client.send_raw(&mixed.map(|line| request(line.into())).concat()).expect("sent");
    let replies: Vec<String> = mixed
        .iter()
        .map(|_| String::from_utf8_lossy(&client.read_reply().expect("a reply").raw).into_owned())
        .collect();
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    assert_eq!(replies, [":1\r\n", wrong, ":1\r\n", ":1\r\n", ":1\r\n", wrong, "$1\r\n7\r\n"]);
}

/// Whether a client has no reply yet; if it has, that is read.
fn still_waits(client: &mut Client) -> bool {
    client.set_deadline(Duration::from_millis(1));
    let waits = client.read_reply().is_err();
    client.set_deadline(DEADLINE);
    waits
}

/// A request that waits for its shard tries again and again; meanwhile the thread's other clients are answered.
#[test]
fn a_request_that_waits_for_a_lock_holds_up_no_replies() {
    let server = Server::redpoll(&["--io-threads", "2"]);
    let mut slow = server.connect();
    let mut push = vec!["RPUSH", "list"];
    push.resize(1_000_000, "x");
    (0..5).for_each(|_| drop(slow.call(&push)));
    // While `slow` searches the list: sends to another client, and tells whether that one is answered before.
    let mut while_searching = |act: &mut dyn FnMut() -> bool| {
        slow.send(&["LPOS", "list", "y"]).expect("sent");
        let acted = act();
        let before = still_waits(&mut slow);
        if before {
            slow.read_reply().expect("a reply");
        }
        acted && before
    };
    // A new connection goes to the thread that has fewest, so all are kept.
    let (mut elsewhere, mut beside) = (Vec::new(), Vec::new());
    wait_until("two are on the other thread", DEADLINE, || {
        let mut client = server.connect();
        let answered = while_searching(&mut || client.line("PING").text() == "PONG");
        if answered { &mut elsewhere } else { &mut beside }.push(client);
        elsewhere.len() == 2
    });
    let [waiting, other] = &mut elsewhere[..] else { unreachable!("two were looked for") };
    let mut answered_meanwhile = || {
        let mut waits = false;
        let done = while_searching(&mut || {
            waiting.send(&["LLEN", "list"]).expect("sent");
            other.line("PING");
            waits = still_waits(waiting);
            true
        });
        if waits {
            waiting.read_reply().expect("a reply");
        }
        done && waits
    };
    wait_until("PING is answered while LLEN waits", DEADLINE, &mut answered_meanwhile);
}

/// Who was accepted counted for `maxclients` only when its thread had begun to serve it.
#[test]
fn connections_that_come_at_once_are_not_more_than_allowed() {
    const ALLOWED: usize = 12;
    let server = Server::redpoll(&["--maxclients", "12"]);
    let mut clients: Vec<Client> =
        (0..60).map(|_| Client::connect(server.addr()).expect("the socket is accepted")).collect();
    let is_served = |client: &mut Client| {
        client.send(&["PING"]).is_ok() && client.read_reply().is_ok_and(|reply| reply.raw == b"+PONG\r\n")
    };
    let served = clients.iter_mut().filter_map(|client| is_served(client).then_some(())).count();
    assert!((1..=ALLOWED).contains(&served), "{served} of {ALLOWED} are served");
}

/// Messages came when the WAIT was over.
#[test]
fn messages_reach_a_client_that_waits_for_replicas() {
    let server = Server::redpoll(&[]);
    let (mut waiting, mut other) = (server.connect(), server.connect());
    waiting.line("HELLO 3");
    waiting.line("SUBSCRIBE x");
    waiting.send(&["WAIT", "1", "0"]).expect("sent");
    wait_until("it waits", DEADLINE, || other.line("CLIENT LIST").text().contains("cmd=wait"));
    assert_eq!(other.line("PUBLISH x hello").int(), Some(1));
    let push = waiting.read_reply().expect("the message");
    assert_eq!(String::from_utf8_lossy(&push.raw), ">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$5\r\nhello\r\n");
}

/// A command that CLIENT UNBLOCK ended was never counted.
#[test]
fn an_unblocked_command_is_counted() {
    let server = Server::redpoll(&[]);
    let (mut waiting, mut other) = (server.connect(), server.connect());
    let id = waiting.line("CLIENT ID").int().expect("a number");
    waiting.send(&["BLPOP", "k", "0"]).expect("sent");
    wait_until("it waits", DEADLINE, || other.info("blocked_clients") == "1");
    assert_eq!(other.line(&format!("CLIENT UNBLOCK {id} ERROR")).int(), Some(1));
    let text = other.line("INFO commandstats").text();
    let counted = text.lines().find(|line| line.starts_with("cmdstat_blpop:")).expect("it has run");
    assert!(counted.contains("calls=1,") && counted.contains("failed_calls=1"), "{counted}");
    assert_eq!(other.info("errorstat_UNBLOCKED"), "count=1");
}

/// What became of a group was not to be saved.
#[test]
fn a_groups_state_is_to_be_saved() {
    let server = Server::redpoll(&[]);
    let mut client = server.connect();
    client.line("XADD s 1-1 a b");
    let mut unsaved = client.info("rdb_changes_since_last_save");
    for line in [
        "XGROUP CREATE s g 0",
        "XGROUP CREATECONSUMER s g d",
        "XREADGROUP GROUP g c STREAMS s >",
        "XCLAIM s g d 0 1-1",
        "XACK s g 1-1",
        "XGROUP SETID s g 0",
        "XGROUP DELCONSUMER s g d",
        "XGROUP DESTROY s g",
    ] {
        client.line(line);
        let now = client.info("rdb_changes_since_last_save");
        assert_ne!(now, unsaved, "{line}");
        unsaved = now;
    }
}

/// The events of a command that was woken came before its reply.
#[test]
fn a_woken_clients_own_events_come_behind_its_reply() {
    let server = Server::redpoll(&["--notify-keyspace-events", "El"]);
    let (mut waiting, mut other) = (server.connect(), server.connect());
    waiting.line("HELLO 3");
    waiting.line("PSUBSCRIBE __key*");
    waiting.send(&["BLPOP", "k", "0"]).expect("sent");
    wait_until("it waits", DEADLINE, || other.info("blocked_clients") == "1");
    other.line("RPUSH k x y");
    let replies: Vec<String> = (0..3)
        .map(|_| String::from_utf8_lossy(&waiting.read_reply().expect("a reply").raw).into_owned())
        .collect();
    assert!(replies[0].contains("rpush"), "{replies:?}");
    assert_eq!(replies[1], "*2\r\n$1\r\nk\r\n$1\r\nx\r\n");
    assert!(replies[2].contains("lpop"), "{replies:?}");
}

/// CLIENT REPLY OFF holds for MONITOR's lines, too.
#[test]
fn a_silent_monitor_is_shown_nothing() {
    let server = Server::redpoll(&[]);
    let (mut monitor, mut client) = (server.connect(), server.connect());
    assert_eq!(monitor.line("MONITOR").text(), "OK");
    monitor.send(&["CLIENT", "REPLY", "OFF"]).expect("sent");
    wait_until("it is off", DEADLINE, || {
        client.line("INFO commandstats").text().contains("client|reply:calls=1,")
    });
    client.line("SET unseen v");
    monitor.send(&["CLIENT", "REPLY", "ON"]).expect("sent");
    wait_until("it is on", DEADLINE, || {
        client.line("INFO commandstats").text().contains("client|reply:calls=2,")
    });
    client.line("SET seen v");
    let mut lines = String::new();
    while !lines.contains("seen") {
        lines += &monitor.read_reply().expect("a line").value.text();
        lines.push('\n');
    }
    assert!(!lines.contains("unseen"), "{lines}");
}

/// What a client is told of itself counts the request that asks, as in redis-server: 26 bytes.
#[test]
fn a_client_sees_its_own_request_in_the_query_buffer() {
    let server = Server::redpoll(&[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    for command in ["LIST", "INFO"] {
        let line = client.call(&["CLIENT", command]).text();
        assert_eq!(line.matches(" qbuf=26 ").count(), 1, "{line}");
    }
    let lines = other.line("CLIENT LIST").text();
    assert_eq!((lines.matches(" qbuf=0 ").count(), lines.matches(" qbuf=26 ").count()), (1, 1), "{lines}");
}

/// What the system would refuse as a time is no reason to refuse clients.
#[test]
fn any_keepalive_lets_clients_in() {
    let server = Server::redpoll(&[]);
    let mut client = server.connect();
    for seconds in ["1", "32768", "100000", "2147483647"] {
        assert_eq!(client.call(&["CONFIG", "SET", "tcp-keepalive", seconds]).text(), "OK");
        assert_eq!(server.connect().line("PING").text(), "PONG", "{seconds}");
    }
}

/// The soft limit of normal clients never acted, that of the others at the next message only; who listened was cut off silently.
#[test]
fn who_does_not_read_is_cut_off_and_the_log_tells() {
    let server = Server::redpoll(&["--client-output-buffer-limit", "normal 0 100kb 1 pubsub 0 100kb 1"]);
    let (mut watcher, mut reader) = (server.connect(), server.connect());
    let value = "x".repeat(1_000_000);
    watcher.call(&["SET", "big", &value]);
    let mut deaf = [server.connect(), server.connect(), server.connect()];
    assert_eq!(deaf[1].line("MONITOR").text(), "OK");
    deaf[2].line("SUBSCRIBE news");
    let gets = "GET big\r\n".repeat(20);
    deaf[0].send_raw(gets.as_bytes()).expect("sent");
    (0..20).for_each(|_| assert_eq!(reader.call(&["PUBLISH", "news", &value]).int(), Some(1)));
    wait_until("those who do not read are gone", DEADLINE, || connected(&mut watcher) == 2);
    let told = " scheduled to be closed ASAP for overcoming of output buffer limits.";
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.ends_with(told)).collect();
    assert_eq!(lines.len(), 3, "{log}");
    for command in [" cmd=get ", " cmd=monitor ", " cmd=subscribe "] {
        assert!(lines.iter().any(|line| line.contains(command)), "{command} in {lines:?}");
    }
}

/// Replies that wait were nobody's in CLIENT LIST, and in INFO more than there was: no byte was left for the data set.
#[test]
fn replies_that_wait_are_counted_once() {
    const GETS: usize = 20;
    let server = Server::redpoll(&[]);
    let mut watcher = server.connect();
    let value = "x".repeat(1_000_000);
    watcher.call(&["SET", "big", &value]);
    let mut deaf: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    for client in &mut deaf {
        client.send_raw("GET big\r\n".repeat(GETS).as_bytes()).expect("sent");
    }
    let field = |line: &str, name: &str| -> usize {
        let found = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.and_then(|number| number.parse().ok()).expect("a number")
    };
    wait_until("they all wait", DEADLINE, || {
        let lines = watcher.line("CLIENT LIST").text();
        let waiting = lines.lines().filter(|line| field(line, "omem") > GETS * value.len() / 3);
        let all = waiting.map(|line| assert!(field(line, "tot-mem") > field(line, "omem"), "{line}"));
        all.count() == deaf.len()
    });
    let bytes = |watcher: &mut Client, name: &str| -> usize { watcher.info(name).parse().expect("a number") };
    assert!(bytes(&mut watcher, "mem_clients_normal") < value.len());
    assert!(bytes(&mut watcher, "used_memory_dataset") >= value.len());
}

/// The totals of INFO left replication out, and a replica did not count the snapshot.
#[test]
fn replicated_bytes_are_in_the_totals() {
    const VALUE_BYTES: u64 = 1_000_000;
    let (master, replica) = (Server::redpoll(&["--rdbcompression", "no"]), Server::redpoll(&[]));
    let (mut on_master, mut on_replica) = (master.connect(), replica.connect());
    let value = "x".repeat(VALUE_BYTES as usize);
    on_master.call(&["SET", "snapshot", &value]);
    on_replica.line(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    let counted = |on_master: &mut Client, on_replica: &mut Client, values: u64| {
        let number = |client: &mut Client, field: &str| client.info(field).parse().unwrap_or(0);
        for (client, way) in [(on_master, "output"), (on_replica, "input")] {
            let (total, replicated) =
                (format!("total_net_{way}_bytes"), format!("total_net_repl_{way}_bytes"));
            wait_until(&replicated, DEADLINE, || number(client, &replicated) > values * VALUE_BYTES);
            let replicated = number(client, &replicated);
            assert!(number(client, &total) > replicated, "{total}");
        }
    };
    counted(&mut on_master, &mut on_replica, 1);
    on_master.call(&["SET", "stream", &value]);
    counted(&mut on_master, &mut on_replica, 2);
}

/// The master was shown without its socket, and as idle for as long as it was there.
#[test]
fn a_replica_shows_its_master_among_the_clients() {
    let (master, replica) = (Server::redpoll(&[]), Server::redpoll(&[]));
    let (mut on_master, mut on_replica) = (master.connect(), replica.connect());
    on_replica.line(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    wait_until("the link is up", DEADLINE, || on_replica.info("master_link_status") == "up");
    let field = |line: &str, name: &str| -> String {
        let found = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().to_string()
    };
    let theirs = on_master.line("CLIENT LIST TYPE replica").text();
    let ours = on_replica.line("CLIENT LIST TYPE master").text();
    assert_eq!(
        [field(&ours, "addr"), field(&ours, "laddr")],
        [field(&theirs, "laddr"), field(&theirs, "addr")]
    );
    assert!(field(&ours, "fd").parse::<i32>().is_ok_and(|fd| fd > 2), "{ours}");
    assert_eq!(field(&ours, "user"), "(superuser)");
}

/// Neither one reply nor many of one pipeline outgrow the hard limit of a client that does not read.
#[test]
fn the_hard_output_limit_holds_within_a_batch() {
    const ELEMENT_BYTES: usize = 56_000;
    let server = Server::redpoll(&["--client-output-buffer-limit", "normal 10mb 0 0"]);
    let mut client = server.connect();
    client.line("SADD s member");
    client.line("HSET h field value");
    client.line("ZADD z 1 member");
    for _ in 0..10 {
        client.call(&["RPUSH", "l", &"x".repeat(ELEMENT_BYTES)]);
    }
    let endless = ["SRANDMEMBER s -100000000", "HRANDFIELD h -100000000", "ZRANDMEMBER z -100000000"];
    let mut requests: Vec<String> = endless.iter().map(|line| format!("{line}\r\n")).collect();
    requests.push("LRANGE l 0 -1\r\n".repeat(500));
    for (ended, request) in requests.iter().enumerate() {
        let mut deaf = server.connect();
        deaf.send_raw(request.as_bytes()).expect("sent");
        wait_until("it is cut off", DEADLINE, || {
            let log = server.log();
            log.matches("closed ASAP for overcoming of output buffer limits").count() > ended
        });
        wait_until("it is forgotten", DEADLINE, || connected(&mut client) == 1);
    }
    let peak: usize = client.info("used_memory_peak").parse().expect("a number");
    assert!(peak < 40 << 20, "{peak} bytes");
}

/// What is large passes by the buffers in which INFO looked for it; it shows for a few seconds, as in redis-server.
#[test]
fn a_large_request_is_told_of() {
    let server = Server::redpoll(&[]);
    let mut client = server.connect();
    client.call(&["SET", "k", &"x".repeat(1_000_000)]);
    let largest = |client: &mut Client| client.info("client_recent_max_input_buffer").parse::<usize>();
    assert!(largest(&mut client).is_ok_and(|bytes| bytes >= 1_000_000));
    // Eight seconds, by the clockwork.
    let deadline = 3 * DEADLINE;
    wait_until("it is forgotten", deadline, || largest(&mut client).is_ok_and(|bytes| bytes < 1_000_000));
}

/// Keys expired in no time, and the acknowledgements of replicas were no commands.
#[test]
fn work_in_the_background_is_counted() {
    let (master, replica) = (Server::redpoll(&[]), Server::redpoll(&[]));
    let mut client = master.connect();
    replica.connect().line(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    wait_until("it is attached", DEADLINE, || client.info("slave0").contains("state=online"));
    let calls = |client: &mut Client| -> u64 {
        let counted = client.info("cmdstat_replconf");
        let calls = counted.split(',').next().and_then(|calls| calls.strip_prefix("calls="));
        calls.and_then(|calls| calls.parse().ok()).unwrap_or(0)
    };
    let before = calls(&mut client);
    wait_until("acknowledgements are counted", DEADLINE, || calls(&mut client) > before);
    let sets: Vec<u8> =
        (0..20_000).flat_map(|n| encode_command(&["SET", &format!("k{n}"), "v", "PX", "1"])).collect();
    wait_until("expiry has taken time", DEADLINE, || {
        client.send_raw(&sets).expect("sent");
        (0..20_000).for_each(|_| drop(client.read_reply().expect("a reply")));
        client.info("expire_cycle_cpu_milliseconds") != "0"
    });
}

/// How many pieces of its payload RESTORE says to have sanitized.
#[test]
fn sanitized_payloads_are_counted_as_redis_server_counts() {
    let args = ["--sanitize-dump-payload", "yes"];
    let (ours, Some(theirs)) = (Server::redpoll(&args), Server::redis(&args)) else { return };
    let (mut ours, mut theirs) = (ours.connect(), theirs.connect());
    let long = vec!["y".repeat(100); 1000].join(" ");
    let wide = "b".repeat(100);
    for line in [
        "SET k x",
        "RPUSH k a b",
        &format!("RPUSH k {long}"),
        "SADD k 1 2",
        "SADD k a b",
        "ZADD k 1 a",
        &format!("ZADD k 1 {wide}"),
        "HSET k a b",
        &format!("HSET k a {wide}"),
        "XADD k * a b",
    ] {
        theirs.line("DEL k");
        theirs.line(line);
        let payload = theirs.line("DUMP k").bytes().expect("a payload").to_vec();
        let restored = |client: &mut Client| {
            let before: u64 = client.info("dump_payload_sanitizations").parse().expect("a number");
            let restore = [&b"RESTORE"[..], b"k", b"0", &payload, b"REPLACE"];
            assert_eq!(client.call(&restore).text(), "OK", "{line}");
            client.info("dump_payload_sanitizations").parse::<u64>().expect("a number") - before
        };
        assert_eq!(restored(&mut ours), restored(&mut theirs), "{line}");
    }
}

/// Who accepts clients does not wait for the shard in which a command takes its time.
#[test]
fn clients_are_let_in_while_a_command_takes_its_time() {
    const SLEEP: Duration = Duration::from_secs(6);
    let server = Server::redpoll(&["--io-threads", "2", "--enable-debug-command", "yes", "--save", "3600 1"]);
    let mut sleeper = server.connect();
    let begun = Instant::now();
    sleeper.send(&["DEBUG", "SLEEP", "6"]).expect("sent");
    let answered = || {
        let mut client = server.connect();
        client.set_deadline(Duration::from_secs(1));
        client.send(&["PING"]).is_ok() && client.read_reply().is_ok()
    };
    // Several turns of the clockwork later; one of the two threads sleeps.
    while begun.elapsed() < SLEEP / 10 {
        answered();
    }
    assert!((0..4).any(|_| answered()));
    assert!(begun.elapsed() < SLEEP, "{:?}", begun.elapsed());
    assert!(sleeper.read_reply().is_ok_and(|reply| reply.value.text() == "OK"));
}
