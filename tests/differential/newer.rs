//! What came after the oracle's version, held against its documentation.
//!
//! `newer.txt` has one case a line: a script as in `edge`, then `=>` and the last reply's bytes, or `~>` and
//! bytes that must be somewhere in it. They come from the command pages and the release notes of 7.2.

use crate::support::client::Client;
use crate::support::server::Server;
use crate::support::wait_until;
use crate::syntax;
use crate::wanted::ANNOUNCED_VERSION;
use std::time::Duration;

/// How long a server may take to notice that a connection is closed.
const DEADLINE: Duration = Duration::from_secs(10);

/// What the last reply of a case must be.
enum Expected {
    Is(Vec<u8>),
    Contains(Vec<u8>),
}

/// Runs all lines; a server of an older version (the oracle in the place of the tested one) is skipped.
///
/// # Panics
///
/// With every line that got another reply.
pub fn run(text: &str) {
    let server = Server::redpoll(&[]);
    let greeting = server.connect().line("HELLO 3").encode();
    if !contains(&greeting, ANNOUNCED_VERSION.as_bytes()) && std::env::var_os("REDPOLL_TEST_BINARY").is_some()
    {
        println!("SKIPPED: the server under test is not {ANNOUNCED_VERSION}");
        return;
    }
    let mut report = String::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    {
        let (script, expected) = parse(line).unwrap_or_else(|problem| panic!("line {}: {problem}", at + 1));
        let mut client = server.connect();
        let alone = || client.line("CLIENT LIST").text().lines().count() == 1;
        wait_until("the server has forgotten the last line's connection", DEADLINE, alone);
        client.line("FLUSHALL");
        let reply = run_script(&mut client, script);
        let holds = match &expected {
            Expected::Is(bytes) => reply == *bytes,
            Expected::Contains(bytes) => contains(&reply, bytes),
        };
        if !holds {
            report += &format!("newer.txt:{}: {line}\n  got: {}\n", at + 1, reply.escape_ascii());
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

fn parse(line: &str) -> Result<(&str, Expected), String> {
    let one = |text: &str| Ok::<_, String>(syntax::parse(text)?.concat());
    if let Some((script, reply)) = line.split_once(" => ") {
        return Ok((script, Expected::Is(one(reply)?)));
    }
    let (script, part) = line.split_once(" ~> ").ok_or("neither => nor ~>")?;
    Ok((script, Expected::Contains(one(part)?)))
}

/// The bytes of the last command's reply.
fn run_script(client: &mut Client, script: &str) -> Vec<u8> {
    let commands = script.split(" ; ").map(|command| syntax::parse(command).expect(command));
    commands.map(|args| client.call(&args).encode()).last().unwrap_or_default()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
