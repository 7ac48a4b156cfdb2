//! Connections whose client waits for something, or goes while it does.

mod support;

use std::time::Duration;
use support::client::Client;
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
