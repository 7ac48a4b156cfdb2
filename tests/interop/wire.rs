//! The replication protocol's bytes, as a bystander reads them: whole commands with their exact length, and lines.
//!
//! The tests' ordinary client deals in replies; a replication stream is made of requests, and its offsets count their
//! bytes. So this is the other half: it never interprets, and it says how many bytes each thing took.

use std::io::ErrorKind::{TimedOut, WouldBlock};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A request as it stands in the stream.
pub type Command = Vec<Vec<u8>>;

/// One connection read as a sequence of lines, payloads and commands; everything read is counted.
pub struct Wire {
    reader: BufReader<TcpStream>,
    patience: Duration,
    read_bytes: u64,
}

impl Wire {
    /// Reads give up after `patience`: with an error, so that a test fails instead of hanging.
    pub fn new(stream: TcpStream, patience: Duration) -> Wire {
        stream.set_read_timeout(Some(patience)).expect("a read timeout");
        let _ = stream.set_nodelay(true);
        Wire { reader: BufReader::new(stream), patience, read_bytes: 0 }
    }

    /// Bytes read so far.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Whether there is something to read within `time`; a closed connection counts, it ends the next read at once.
    pub fn has_bytes_within(&mut self, time: Duration) -> bool {
        self.reader.get_ref().set_read_timeout(Some(time)).expect("a read timeout");
        let waiting = self.reader.fill_buf().is_err_and(|e| matches!(e.kind(), WouldBlock | TimedOut));
        self.reader.get_ref().set_read_timeout(Some(self.patience)).expect("a read timeout");
        !waiting
    }

    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    pub fn send_command(&mut self, arguments: &[&str]) -> std::io::Result<()> {
        let arguments: Vec<&[u8]> = arguments.iter().map(|a| a.as_bytes()).collect();
        self.send(&encode(&arguments))
    }

    /// One line without its end. Lone newlines (a master's sign of life) come back as empty lines.
    pub fn line(&mut self) -> std::io::Result<String> {
        let mut line = Vec::new();
        let length = self.reader.read_until(b'\n', &mut line)?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.read_bytes += length as u64;
        while line.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            line.pop();
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// The next line that is not empty.
    pub fn full_line(&mut self) -> std::io::Result<String> {
        loop {
            let line = self.line()?;
            if !line.is_empty() {
                return Ok(line);
            }
        }
    }

    /// Exactly `length` bytes.
    pub fn payload(&mut self, length: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes)?;
        self.read_bytes += length as u64;
        Ok(bytes)
    }

    /// Everything up to and including `mark`.
    pub fn payload_until(&mut self, mark: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(mark) {
            let mut one = [0];
            self.reader.read_exact(&mut one)?;
            bytes.push(one[0]);
        }
        self.read_bytes += bytes.len() as u64;
        Ok(bytes)
    }

    /// One command in RESP or inline form; lone newlines before it are passed over.
    pub fn command(&mut self) -> std::io::Result<Command> {
        let head = self.full_line()?;
        let Some(count) = head.strip_prefix('*') else {
            return Ok(head.split_ascii_whitespace().map(|word| word.as_bytes().to_vec()).collect());
        };
        (0..number(count)?).map(|_| self.argument()).collect()
    }

    fn argument(&mut self) -> std::io::Result<Vec<u8>> {
        let head = self.line()?;
        let length = number(head.strip_prefix('$').ok_or_else(|| malformed(&head))?)?;
        let mut bytes = self.payload(length + 2)?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// A request in RESP.
pub fn encode(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The words of a command as text, for comparing and for messages.
pub fn words(command: &Command) -> Vec<String> {
    command.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn number(digits: &str) -> std::io::Result<usize> {
    digits.parse().map_err(|_| malformed(digits))
}

fn malformed(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("not RESP: {what:?}"))
}
