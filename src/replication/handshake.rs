//! The replica's side of the protocol as a state machine: bytes and time in, bytes and events out, no I/O.
//!
//! ```text
//! PING → AUTH → REPLCONF listening-port, ip-address, capa → PSYNC → +CONTINUE ─────────────────────→ stream
//!                                                                 → +FULLRESYNC → $len | $EOF:mark → RDB → stream
//! ```
//!
//! The RDB itself is decoded by its own decoder, which knows where it ends; the machine only frames it. A master may
//! send newlines as signs of life wherever an answer is awaited.

use super::log::{OFFSET_MAX, ReplId};
use crate::resp::encode;

/// Longest line that a master may send, bytes.
const LINE_MAX_BYTES: usize = 64 * 1024;
/// Length of the mark behind a transfer of unknown length.
pub const MARK_BYTES: usize = 40;

/// What a replica says of itself.
#[derive(Clone, Debug, Default)]
pub struct Introduction {
    pub user: Vec<u8>,
    /// Empty: no AUTH.
    pub password: Vec<u8>,
    pub listening_port: u16,
    /// `replica-announce-ip`; empty: the master looks at the socket.
    pub announce_ip: String,
    /// The history and the next byte wanted, counted from 1; `None`: a full resync.
    pub resume: Option<(ReplId, i64)>,
}

/// What the master has decided or sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A line was understood; nothing else happened.
    Progress,
    /// The stream goes on; with another id if the master had changed its own.
    Continue(Option<ReplId>),
    /// A snapshot of this history at this offset will come.
    FullResync { id: ReplId, offset: u64 },
    /// The snapshot's bytes begin.
    Transfer(Framing),
    /// The master cannot serve us now; come back later.
    Later(String),
}

/// How the end of a transfer is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Framing {
    /// So many bytes.
    Length(u64),
    /// These bytes follow the RDB.
    Mark([u8; MARK_BYTES]),
}

/// The link cannot go on; the text is for the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused(pub String);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Awaiting {
    Pong,
    Auth,
    Port,
    Ip,
    Capa,
    Psync,
    Transfer,
    Nothing,
}

/// The handshake's state.
#[derive(Debug)]
pub struct Handshake {
    introduction: Introduction,
    awaiting: Awaiting,
}

impl Handshake {
    /// Begins; `out` gets the first request.
    pub fn new(introduction: Introduction, out: &mut Vec<u8>) -> Handshake {
        encode::request(out, &["PING"]);
        Handshake { introduction, awaiting: Awaiting::Pong }
    }

    /// Takes a line from `input`. Returns how many bytes it took and what it means; `None`: more bytes are needed.
    /// After [`Event::Continue`] and [`Event::Transfer`] the bytes that follow are not for the handshake any more.
    ///
    /// # Errors
    /// The master refuses, or says something that makes no sense.
    pub fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<(usize, Event)>, Refused> {
        // A longer line is refused even if its end has come with it, so that it does not matter how the bytes are cut.
        let Some(end) = memchr::memchr(b'\n', &input[..input.len().min(LINE_MAX_BYTES + 1)]) else {
            let too_long = input.len() > LINE_MAX_BYTES;
            return if too_long { Err(self.unexpected(&input[..128])) } else { Ok(None) };
        };
        let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
        if line.is_empty() {
            return Ok(Some((end + 1, Event::Progress)));
        }
        self.line(line, out).map(|event| Some((end + 1, event)))
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<Event, Refused> {
        let is_error = line.starts_with(b"-");
        match self.awaiting {
            Awaiting::Pong => {
                let known = [&b"-NOAUTH"[..], b"-NOPERM", b"-ERR operation not permitted"];
                if !line.starts_with(b"+") && !known.iter().any(|text| line.starts_with(text)) {
                    return Err(Refused(format!("Error reply to PING from master: '{}'", shown(line))));
                }
                self.introduce(out);
                Ok(Event::Progress)
            }
            Awaiting::Auth if is_error => Err(Refused(format!("Unable to AUTH to MASTER: {}", shown(line)))),
            Awaiting::Auth => self.next(Awaiting::Port),
            // Old masters know no REPLCONF: that is no reason to stop.
            Awaiting::Port if self.introduction.announce_ip.is_empty() => self.next(Awaiting::Capa),
            Awaiting::Port => self.next(Awaiting::Ip),
            Awaiting::Ip => self.next(Awaiting::Capa),
            Awaiting::Capa => {
                self.ask(out);
                self.next(Awaiting::Psync)
            }
            Awaiting::Psync => self.decided(line),
            Awaiting::Transfer => self.transfer(line),
            Awaiting::Nothing => Err(self.unexpected(line)),
        }
    }

    fn next(&mut self, awaiting: Awaiting) -> Result<Event, Refused> {
        self.awaiting = awaiting;
        Ok(Event::Progress)
    }

    fn introduce(&mut self, out: &mut Vec<u8>) {
        let me = &self.introduction;
        self.awaiting = if me.password.is_empty() { Awaiting::Port } else { Awaiting::Auth };
        if !me.password.is_empty() && me.user.is_empty() {
            encode::request(out, &[b"AUTH", &me.password[..]]);
        } else if !me.password.is_empty() {
            encode::request(out, &[b"AUTH", &me.user[..], &me.password]);
        }
        encode::request(out, &["REPLCONF", "listening-port", itoa::Buffer::new().format(me.listening_port)]);
        if !me.announce_ip.is_empty() {
            encode::request(out, &["REPLCONF", "ip-address", &me.announce_ip]);
        }
        encode::request(out, &["REPLCONF", "capa", "eof", "capa", "psync2"]);
    }

    fn ask(&self, out: &mut Vec<u8>) {
        match self.introduction.resume {
            Some((id, offset)) => {
                encode::request(out, &["PSYNC", id.as_str(), itoa::Buffer::new().format(offset)]);
            }
            None => encode::request(out, &["PSYNC", "?", "-1"]),
        }
    }

    fn decided(&mut self, line: &[u8]) -> Result<Event, Refused> {
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_ascii_whitespace();
        match words.next() {
            Some("+CONTINUE") => {
                self.awaiting = Awaiting::Nothing;
                Ok(Event::Continue(words.next().and_then(|id| ReplId::parse(id.as_bytes()))))
            }
            Some("+FULLRESYNC") => {
                let id = words.next().and_then(|id| ReplId::parse(id.as_bytes()));
                let offset = words.next().and_then(|offset| offset.parse().ok());
                let offset = offset.filter(|offset| *offset <= OFFSET_MAX);
                let (Some(id), Some(offset)) = (id, offset) else {
                    return Err(Refused(format!(
                        "Master replied with wrong +FULLRESYNC syntax: {}",
                        shown(line)
                    )));
                };
                self.awaiting = Awaiting::Transfer;
                Ok(Event::FullResync { id, offset })
            }
            Some("-NOMASTERLINK" | "-LOADING") => Ok(Event::Later(format!(
                "Master is currently unable to PSYNC but should be in the future: {}",
                shown(line)
            ))),
            _ => Err(Refused(format!("Unexpected reply to PSYNC from master: {}", shown(line)))),
        }
    }

    fn transfer(&mut self, line: &[u8]) -> Result<Event, Refused> {
        if line.starts_with(b"-") {
            return Err(Refused(format!("MASTER aborted replication with an error: {}", shown(&line[1..]))));
        }
        let framing = match line.strip_prefix(b"$EOF:") {
            Some(mark) => mark.try_into().ok().map(Framing::Mark),
            None => line
                .strip_prefix(b"$")
                .and_then(|len| std::str::from_utf8(len).ok()?.parse().ok())
                .map(Framing::Length),
        };
        let Some(framing) = framing else {
            return Err(Refused(format!(
                "Bad protocol from MASTER, the first byte is not '$' (we received '{}'), are you sure the host and port are right?",
                shown(line)
            )));
        };
        self.awaiting = Awaiting::Nothing;
        Ok(Event::Transfer(framing))
    }

    fn unexpected(&self, line: &[u8]) -> Refused {
        Refused(format!(
            "Unexpected bytes from MASTER while waiting for {:?}: '{}'",
            self.awaiting,
            shown(line)
        ))
    }
}

/// A master's line for the log: short and printable.
fn shown(line: &[u8]) -> String {
    const SHOWN_BYTES: usize = 256;
    String::from_utf8_lossy(&line[..line.len().min(SHOWN_BYTES)]).escape_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let words: Vec<_> =
            text.split("\r\n").filter(|w| !w.starts_with(['*', '$']) && !w.is_empty()).collect();
        words.join(" ")
    }

    /// Plays `lines` of a master and returns what was sent, and the last event or refusal.
    fn play(introduction: Introduction, lines: &[&str]) -> (String, Result<Event, Refused>) {
        let mut out = Vec::new();
        let mut handshake = Handshake::new(introduction, &mut out);
        let mut last = Ok(Event::Progress);
        for line in lines {
            let bytes = line.as_bytes();
            assert_eq!(handshake.receive(&bytes[..bytes.len() - 1], &mut out), Ok(None), "half a line");
            match handshake.receive(bytes, &mut out) {
                Ok(event) => last = Ok(event.expect("a whole line").1),
                Err(refused) => return (words(&out), Err(refused)),
            }
        }
        (words(&out), last)
    }

    #[test]
    fn a_full_resync() {
        let introduction = Introduction { listening_port: 6380, ..Introduction::default() };
        let id = "a".repeat(40);
        let full = format!("+FULLRESYNC {id} 17\r\n");
        let (sent, event) = play(
            introduction,
            &[
                "+PONG\r\n",
                "+OK\r\n",
                "\n",
                "+OK\r\n",
                "\n",
                &full,
                "$EOF:0123456789012345678901234567890123456789\r\n",
            ],
        );
        assert_eq!(sent, "PING REPLCONF listening-port 6380 REPLCONF capa eof capa psync2 PSYNC ? -1");
        assert_eq!(event, Ok(Event::Transfer(Framing::Mark(*b"0123456789012345678901234567890123456789"))));
    }

    #[test]
    fn a_partial_resync_with_everything_announced() {
        let id = ReplId([b'b'; 40]);
        let introduction = Introduction {
            user: b"u".to_vec(),
            password: b"p".to_vec(),
            listening_port: 1,
            announce_ip: "10.0.0.1".into(),
            resume: Some((id, 18)),
        };
        let new = format!("+CONTINUE {}\r\n", "c".repeat(40));
        let (sent, event) =
            play(introduction, &["-NOAUTH x\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n", "-ERR old\r\n", &new]);
        assert_eq!(
            sent,
            format!(
                "PING AUTH u p REPLCONF listening-port 1 REPLCONF ip-address 10.0.0.1 REPLCONF capa eof capa psync2 PSYNC {id} 18"
            )
        );
        assert_eq!(event, Ok(Event::Continue(Some(ReplId([b'c'; 40])))));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_text() {
        let refused = |lines: &[&str]| play(Introduction::default(), lines).1.expect_err("refused").0;
        assert!(refused(&["HTTP/1.1 400\r\n"]).contains("HTTP/1.1 400"));
        let endless = format!("+{}\n", "x".repeat(LINE_MAX_BYTES));
        let mut handshake = Handshake::new(Introduction::default(), &mut Vec::new());
        assert!(handshake.receive(endless.as_bytes(), &mut Vec::new()).is_err());
        let greeted = ["+PONG\r\n", "+OK\r\n", "+OK\r\n"];
        let after = |line: &str| refused(&[&greeted[..], &[line]].concat());
        let far = format!("+FULLRESYNC {} {}\r\n", "a".repeat(40), u64::MAX);
        assert!(after(&far).contains("Master replied with wrong +FULLRESYNC syntax"));
        assert!(after("+FULLRESYNC abc 1\r\n").contains("+FULLRESYNC abc 1"));
        assert!(after("+WHAT\r\n").contains("+WHAT"));
        let full = format!("+FULLRESYNC {} 1\r\n", "a".repeat(40));
        let transfer = |line: &str| refused(&[&greeted[..], &[&full, line]].concat());
        assert!(transfer("$-5\r\n").contains("$-5"));
        assert!(transfer("-ERR full disk\r\n").contains("full disk"));
    }
}
