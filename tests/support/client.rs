//! A raw RESP client: what is sent is exactly what was given, what came is there byte for byte and as a
//! tree.
//!
//! [`Value`] keeps every distinction that the wire makes (null bulk, null array and RESP3 null are three
//! things; a double stays its text), so that `Value::encode` gives back the bytes it was parsed from. Tests
//! may therefore change a tree (sort a set, blank a clock) and still compare to the last byte.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a read waits for bytes unless [`Client::set_deadline`] says otherwise.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// One reply as a tree; bytes are kept as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Simple(Vec<u8>),
    Error(Vec<u8>),
    Int(i64),
    Bulk(Vec<u8>),
    /// RESP2 `$-1`.
    NullBulk,
    Array(Vec<Value>),
    /// RESP2 `*-1`.
    NullArray,
    /// RESP3 `_`.
    Null,
    /// RESP3 `,`: the text of the number.
    Double(Vec<u8>),
    Bool(bool),
    BigNumber(Vec<u8>),
    BulkError(Vec<u8>),
    /// RESP3 `=`: with the format's three letters and the colon in front.
    Verbatim(Vec<u8>),
    Map(Vec<(Value, Value)>),
    Set(Vec<Value>),
    Push(Vec<Value>),
    /// RESP3 `|` and the value that follows it.
    Attribute(Vec<(Value, Value)>, Box<Value>),
}

/// A reply: its bytes and its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub raw: Vec<u8>,
    pub value: Value,
}

/// A connection with blocking reads that end at a deadline.
pub struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
    consumed: usize,
}

impl Client {
    /// Connects; reads and writes get a deadline of ten seconds.
    pub fn connect(addr: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&addr, DEFAULT_DEADLINE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(DEFAULT_DEADLINE))?;
        stream.set_read_timeout(Some(DEFAULT_DEADLINE))?;
        Ok(Client { stream, inbox: Vec::new(), consumed: 0 })
    }

    /// Sets how long one read waits for bytes before it fails with `TimedOut`.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.stream.set_read_timeout(Some(deadline)).expect("a deadline above zero");
    }

    /// This end's address, as the server's CLIENT LIST shows it.
    pub fn local_addr(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// Sends one command as an array of bulk strings.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        self.send_raw(&encode_command(args))
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent; replies can still be read.
    pub fn finish_sending(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads one reply (or push).
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the server has closed the connection, `TimedOut` at the deadline, `InvalidData`
    /// for bytes that are not RESP.
    pub fn read_reply(&mut self) -> io::Result<Reply> {
        loop {
            let pending = &self.inbox[self.consumed..];
            let parsed = parse(pending).map_err(|problem| {
                let shown = pending[..pending.len().min(200)].escape_ascii();
                io::Error::new(ErrorKind::InvalidData, format!("{problem} in \"{shown}\""))
            })?;
            if let Some((value, length)) = parsed {
                let raw = pending[..length].to_vec();
                self.consume(length);
                return Ok(Reply { raw, value });
            }
            self.fill()?;
        }
    }

    /// Sends a command and reads one reply.
    ///
    /// # Panics
    ///
    /// On an I/O error.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        let shown =
            || args.iter().map(|arg| arg.as_ref().escape_ascii().to_string()).collect::<Vec<_>>().join(" ");
        self.send(args)
            .and_then(|()| self.read_reply())
            .unwrap_or_else(|error| panic!("{}: {error}", shown()))
            .value
    }

    /// [`Client::call`] with the words of a line (no quoting): `client.line("SET key value")`.
    pub fn line(&mut self, line: &str) -> Value {
        self.call(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// A field of INFO as text, empty if there is none of that name.
    pub fn info(&mut self, field: &str) -> String {
        let reply = self.line("INFO everything");
        assert!(!reply.is_error(), "INFO: {reply}");
        let all = reply.text();
        let value = all.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_default().to_owned()
    }

    /// Reads exactly `count` bytes: the payload of a full sync, say.
    pub fn read_exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.inbox.len() - self.consumed < count {
            self.fill()?;
        }
        let bytes = self.inbox[self.consumed..self.consumed + count].to_vec();
        self.consume(count);
        Ok(bytes)
    }

    /// Reads up to and including the next `\n`.
    pub fn read_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.inbox[self.consumed..].iter().position(|byte| *byte == b'\n') {
                return self.read_exact(at + 1);
            }
            self.fill()?;
        }
    }

    /// Everything that comes until the server closes or `silence` passes without a byte, and whether it
    /// closed.
    pub fn read_until_closed(&mut self, silence: Duration) -> (Vec<u8>, bool) {
        self.set_deadline(silence);
        let closed = loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) => break error.kind() == ErrorKind::UnexpectedEof,
            }
        };
        self.set_deadline(DEFAULT_DEADLINE);
        let bytes = self.inbox.split_off(self.consumed);
        self.inbox.clear();
        self.consumed = 0;
        (bytes, closed)
    }

    /// Goes on with what [`Client::read_until_closed`] gave, for another `silence`.
    pub fn read_on(&mut self, so_far: &mut (Vec<u8>, bool), silence: Duration) {
        let (more, closed) = self.read_until_closed(silence);
        so_far.0.extend(more);
        so_far.1 = closed;
    }

    /// What has been read from the socket and not yet been asked for.
    pub fn unread(&self) -> &[u8] {
        &self.inbox[self.consumed..]
    }

    fn consume(&mut self, count: usize) {
        self.consumed += count;
        if self.consumed == self.inbox.len() {
            self.inbox.clear();
            self.consumed = 0;
        }
    }

    /// Appends what the socket has to the inbox; a reset counts as a close.
    fn fill(&mut self) -> io::Result<()> {
        let mut block = [0; 64 * 1024];
        match self.stream.read(&mut block) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.inbox.extend_from_slice(&block[..count]);
                Ok(())
            }
            Err(error) if is_closed(&error) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::TimedOut.into()),
            // A process that was stopped and goes on: the system does not take reads with a deadline up again.
            Err(error) if error.kind() == ErrorKind::Interrupted => self.fill(),
            Err(error) => Err(error),
        }
    }
}

/// Whether an error means that the other side has closed the connection.
pub fn is_closed(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// A command as it goes over the wire.
pub fn encode_command<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        put_bulk(&mut out, b'$', arg.as_ref());
    }
    out
}

/// The first value in `bytes` and its length, or `None` while it is incomplete.
///
/// # Errors
///
/// What is not RESP about it.
pub fn parse(bytes: &[u8]) -> Result<Option<(Value, usize)>, String> {
    let mut at = 0;
    Ok(parse_at(bytes, &mut at)?.map(|value| (value, at)))
}

fn parse_at(bytes: &[u8], at: &mut usize) -> Result<Option<Value>, String> {
    let Some(line) = take_line(bytes, at) else { return Ok(None) };
    let Some((kind, text)) = line.split_first() else { return Err("an empty line".into()) };
    let value = match kind {
        b'+' => Value::Simple(text.to_vec()),
        b'-' => Value::Error(text.to_vec()),
        b':' => Value::Int(integer(text)?),
        b',' => Value::Double(text.to_vec()),
        b'(' => Value::BigNumber(text.to_vec()),
        b'_' if text.is_empty() => Value::Null,
        b'#' if text == b"t" || text == b"f" => Value::Bool(text == b"t"),
        b'$' if text == b"-1" => Value::NullBulk,
        b'*' if text == b"-1" => Value::NullArray,
        b'$' | b'!' | b'=' => return take_bulk(bytes, at, *kind, length(text)?),
        b'*' | b'~' | b'>' => return take_items(bytes, at, *kind, length(text)?),
        b'%' | b'|' => return take_pairs(bytes, at, *kind, length(text)?),
        _ => return Err(format!("the type byte {:?}", *kind as char)),
    };
    Ok(Some(value))
}

fn take_line<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = &bytes[*at..];
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    *at += end + 2;
    Some(&rest[..end])
}

fn take_bulk(bytes: &[u8], at: &mut usize, kind: u8, length: usize) -> Result<Option<Value>, String> {
    let rest = &bytes[*at..];
    if rest.len() < length + 2 {
        return Ok(None);
    }
    if &rest[length..length + 2] != b"\r\n" {
        return Err("a bulk string of another length than announced".into());
    }
    *at += length + 2;
    let content = rest[..length].to_vec();
    Ok(Some(match kind {
        b'$' => Value::Bulk(content),
        b'!' => Value::BulkError(content),
        _ => Value::Verbatim(content),
    }))
}

fn take_items(bytes: &[u8], at: &mut usize, kind: u8, count: usize) -> Result<Option<Value>, String> {
    let mut items = Vec::new();
    for _ in 0..count {
        let Some(item) = parse_at(bytes, at)? else { return Ok(None) };
        items.push(item);
    }
    Ok(Some(match kind {
        b'*' => Value::Array(items),
        b'~' => Value::Set(items),
        _ => Value::Push(items),
    }))
}

fn take_pairs(bytes: &[u8], at: &mut usize, kind: u8, count: usize) -> Result<Option<Value>, String> {
    let mut pairs = Vec::new();
    for _ in 0..count {
        let Some(key) = parse_at(bytes, at)? else { return Ok(None) };
        let Some(value) = parse_at(bytes, at)? else { return Ok(None) };
        pairs.push((key, value));
    }
    if kind == b'%' {
        return Ok(Some(Value::Map(pairs)));
    }
    Ok(parse_at(bytes, at)?.map(|value| Value::Attribute(pairs, Box::new(value))))
}

fn integer(text: &[u8]) -> Result<i64, String> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    number.filter(|number| number.to_string().as_bytes() == text).ok_or_else(|| "an integer".to_string())
}

fn length(text: &[u8]) -> Result<usize, String> {
    usize::try_from(integer(text)?).map_err(|_| "a negative length".to_string())
}

impl Value {
    /// The bytes that [`parse`] makes this value of.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_to(&mut out);
        out
    }

    fn encode_to(&self, out: &mut Vec<u8>) {
        match self {
            Value::Simple(text) => put_line(out, b'+', text),
            Value::Error(text) => put_line(out, b'-', text),
            Value::Int(number) => put_line(out, b':', number.to_string().as_bytes()),
            Value::Double(text) => put_line(out, b',', text),
            Value::BigNumber(text) => put_line(out, b'(', text),
            Value::Bool(truth) => put_line(out, b'#', if *truth { b"t" } else { b"f" }),
            Value::Null => put_line(out, b'_', b""),
            Value::NullBulk => put_line(out, b'$', b"-1"),
            Value::NullArray => put_line(out, b'*', b"-1"),
            Value::Bulk(content) => put_bulk(out, b'$', content),
            Value::BulkError(content) => put_bulk(out, b'!', content),
            Value::Verbatim(content) => put_bulk(out, b'=', content),
            Value::Array(items) => put_items(out, b'*', items),
            Value::Set(items) => put_items(out, b'~', items),
            Value::Push(items) => put_items(out, b'>', items),
            Value::Map(pairs) => put_pairs(out, b'%', pairs),
            Value::Attribute(pairs, value) => {
                put_pairs(out, b'|', pairs);
                value.encode_to(out);
            }
        }
    }

    /// The bytes of a string of any kind (also of an error), if it is one.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Simple(text) | Value::Error(text) | Value::Bulk(text) | Value::BulkError(text) => {
                Some(text)
            }
            Value::Verbatim(content) => content.get(4..),
            _ => None,
        }
    }

    /// [`Value::bytes`] as text, lossy; empty for what is not a string.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes().unwrap_or_default()).into_owned()
    }

    /// The number, if it is one.
    pub fn int(&self) -> Option<i64> {
        if let Value::Int(number) = self { Some(*number) } else { None }
    }

    /// The elements of an array, a set or a push.
    pub fn items(&self) -> Option<&[Value]> {
        match self {
            Value::Array(items) | Value::Set(items) | Value::Push(items) => Some(items),
            _ => None,
        }
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Value::Error(_) | Value::BulkError(_))
    }
}

fn put_line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn put_bulk(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    put_line(out, kind, content.len().to_string().as_bytes());
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
}

fn put_items(out: &mut Vec<u8>, kind: u8, items: &[Value]) {
    put_line(out, kind, items.len().to_string().as_bytes());
    items.iter().for_each(|item| item.encode_to(out));
}

fn put_pairs(out: &mut Vec<u8>, kind: u8, pairs: &[(Value, Value)]) {
    put_line(out, kind, pairs.len().to_string().as_bytes());
    for (key, value) in pairs {
        key.encode_to(out);
        value.encode_to(out);
    }
}

/// The wire's bytes with escapes, a line break after each line: for messages to people.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_BYTES: usize = 2000;
        let bytes = self.encode();
        write!(f, "{}", bytes[..bytes.len().min(SHOWN_BYTES)].escape_ascii())?;
        if bytes.len() > SHOWN_BYTES { write!(f, "… ({} bytes)", bytes.len()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encode_gives_back_what_was_parsed() {
        let streams: [&[u8]; 8] = [
            b"*3\r\n$-1\r\n*-1\r\n:-5\r\n",
            b"$5\r\na\r\nbc\r\n",
            b"%1\r\n+a\r\n~2\r\n#t\r\n#f\r\n",
            b">2\r\n_\r\n,1.5e+10\r\n",
            b"=7\r\ntxt:abc\r\n",
            b"|1\r\n+ttl\r\n:5\r\n$1\r\nx\r\n",
            b"!5\r\nERR x\r\n",
            b"(123456789012345678901234567890\r\n",
        ];
        for bytes in streams {
            let (value, length) = parse(bytes).unwrap().unwrap();
            assert_eq!((length, value.encode().as_slice()), (bytes.len(), bytes));
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{} cut at {cut}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_not_resp_is_refused() {
        for bytes in [&b"PONG\r\n"[..], b":1x\r\n", b":+1\r\n", b"$-2\r\n", b"$1\r\nabc\r\n", b"#x\r\n"] {
            assert!(parse(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
