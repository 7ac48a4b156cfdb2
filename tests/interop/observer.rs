//! A third replica that keeps no data: it asks for PSYNC, throws the RDB file away, and looks at the stream.
//!
//! What two servers agree on may still be wrong in the same way; the observer sees what really went over the wire:
//! that a DEL was sent for an expired key, that MULTI … EXEC came in one piece, at which offset.

use super::wire::{Command, Wire, words};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long the observer waits for the next command of the stream.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it acknowledges while nothing comes. A real Redis that has sent its file from memory overlooks an ACK that
/// arrives before it has noted the end of its child, and sends no stream until the next one.
const ACK_INTERVAL: Duration = Duration::from_millis(100);

/// An attached observer.
pub struct Observer {
    wire: Wire,
    /// The master's replication ID as FULLRESYNC gave it.
    pub replid: String,
    /// The offset of the full sync.
    pub start_offset: i64,
    stream_start_bytes: u64,
    seen: Vec<(i64, Command)>,
}

impl Observer {
    /// Attaches to the server at `port` with a full sync.
    pub fn attach(port: u16) -> Observer {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect to the master");
        let mut wire = Wire::new(stream, PATIENCE);
        for (request, reply) in [
            (&["PING"][..], "+PONG"),
            (&["REPLCONF", "listening-port", "1"], "+OK"),
            (&["REPLCONF", "capa", "eof", "capa", "psync2"], "+OK"),
        ] {
            wire.send_command(request).expect("send the handshake");
            assert_eq!(wire.full_line().expect("a reply to the handshake"), reply, "{request:?}");
        }
        wire.send_command(&["PSYNC", "?", "-1"]).expect("send PSYNC");
        let reply = wire.full_line().expect("a reply to PSYNC");
        let mut parts = reply.strip_prefix("+FULLRESYNC ").expect("a full resync").split(' ');
        let replid = parts.next().expect("an ID").to_owned();
        let start_offset = parts.next().and_then(|offset| offset.parse().ok()).expect("an offset");
        skip_rdb(&mut wire);
        let stream_start_bytes = wire.read_bytes();
        Observer { wire, replid, start_offset, stream_start_bytes, seen: Vec::new() }
    }

    /// The offset of the last byte read.
    pub fn offset(&self) -> i64 {
        self.start_offset + (self.wire.read_bytes() - self.stream_start_bytes) as i64
    }

    /// Everything seen so far, each command with the offset at its end.
    pub fn seen(&self) -> &[(i64, Command)] {
        &self.seen
    }

    /// The words of the command before the last one.
    pub fn previous(&self) -> Vec<String> {
        self.seen.iter().rev().nth(1).map(|(_, command)| words(command)).unwrap_or_default()
    }

    /// The next command. GETACKs are answered; they and PINGs are seen, but not returned.
    pub fn next(&mut self) -> Command {
        loop {
            self.wait_for_bytes();
            let command = self.wire.command().expect("the next command of the stream");
            self.seen.push((self.offset(), command.clone()));
            match words(&command).first().map(|name| name.to_ascii_uppercase()).as_deref() {
                Some("PING") => {}
                Some("REPLCONF") => self.acknowledge(),
                _ => return command,
            }
        }
    }

    /// Reads on until `wanted` says yes; the words of that command.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let command = words(&self.next());
            if wanted(&command) {
                return command;
            }
        }
        panic!("the stream never showed {what}");
    }

    /// Tells the master how far this replica is.
    fn acknowledge(&mut self) {
        let offset = self.offset().to_string();
        self.wire.send_command(&["REPLCONF", "ACK", &offset]).expect("send an ACK");
    }

    fn wait_for_bytes(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.wire.has_bytes_within(ACK_INTERVAL) {
            assert!(Instant::now() < deadline, "the stream has been silent for {PATIENCE:?}");
            self.acknowledge();
        }
    }
}

/// Either form: `$<length>` and the bytes, or `$EOF:<mark>`, bytes, mark.
fn skip_rdb(wire: &mut Wire) {
    let head = wire.full_line().expect("the head of the RDB file");
    match head.strip_prefix("$EOF:") {
        Some(mark) => drop(wire.payload_until(mark.as_bytes()).expect("an RDB file up to its mark")),
        None => {
            let length = head.strip_prefix('$').and_then(|digits| digits.parse().ok()).expect("a length");
            wire.payload(length).expect("an RDB file");
        }
    }
}
