//! The request parser: bytes in, requests out, no I/O.
//!
//! It works on the read buffer where it lies and keeps only positions, relative to the request's first byte; so a request
//! that arrives in many pieces is looked at once, not once per piece, and its arguments are slices. An argument of
//! [`BLOB_MIN_BYTES`] or more is gathered in a buffer of its own, the one that is stored later: [`Parser::large`] hands it
//! to the reader, so that the socket's bytes go straight there (and a few more, which the reader gets back).
//!
//! Limits and error texts are Redis's (observed: redis-server 7.0.15). Memory follows what has arrived, never what
//! a header promises.

use crate::keyspace::{BLOB_MIN_BYTES, Blob};
/// How the protocol reads numbers, as Redis's `string2ll` does.
pub use crate::types::element::canonical_int as number;
use crate::types::packed::size_class;
use smallvec::SmallVec;
use std::fmt;

/// Longest inline request and longest header line, bytes (`PROTO_INLINE_MAX_SIZE`).
pub const INLINE_MAX_BYTES: usize = 64 * 1024;
/// Before authentication: most arguments, longest argument.
const UNAUTHENTICATED_ARGS: i64 = 10;
const UNAUTHENTICATED_BULK_BYTES: i64 = 16_384;
/// What is reserved for a large argument before its bytes have come.
const LARGE_RESERVE_BYTES: usize = 1024 * 1024;
/// What may be read behind a large argument into its buffer, where the allocation has room for it anyway: the head of the next
/// request, so that a run of large arguments takes one read each.
const LARGE_BEYOND_BYTES: usize = 256;

/// What the connection allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `proto-max-bulk-len`.
    pub max_bulk_bytes: i64,
    /// Has the client still to authenticate?
    pub unauthenticated: bool,
}

/// A protocol error: the text after `ERR Protocol error: `. Bytes, for it may quote one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProtocolError(pub Vec<u8>);

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

fn fail<T>(text: impl Into<Vec<u8>>) -> Result<T, ProtocolError> {
    Err(ProtocolError(text.into()))
}

/// How far the parser came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// A request is complete; it took this many bytes of the buffer. It may have no arguments.
    Complete(usize),
    /// More bytes are needed; of these, the first so many must stay at the buffer's front, the rest were taken.
    Incomplete(usize),
}

/// One argument of a request.
#[derive(Clone, Debug)]
pub enum Arg<'a> {
    Slice(&'a [u8]),
    Large(&'a Blob),
    Inline(&'a [u8]),
}

impl<'a> Arg<'a> {
    /// The argument's bytes.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Arg::Slice(bytes) | Arg::Inline(bytes) => bytes,
            Arg::Large(blob) => blob,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Span {
    Buffer { start: usize, len: usize },
    Large(usize),
    Inline(usize),
}

#[derive(Debug)]
struct Large {
    bytes: Vec<u8>,
    len: usize,
}

/// The state of one connection's request parser.
#[derive(Default, Debug)]
pub struct Parser {
    /// Arguments still to come; `None` between requests.
    args_left: Option<i64>,
    /// A bulk header was read: its argument's length.
    bulk_len: Option<usize>,
    /// Where parsing goes on, from the request's first byte.
    pos: usize,
    spans: SmallVec<[Span; 8]>,
    blobs: Vec<Blob>,
    inline: Vec<Vec<u8>>,
    large: Option<Large>,
    done: bool,
}

impl Parser {
    /// Is no request begun, so that the next may be read by [`plain`]?
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.done || (self.args_left.is_none() && self.large.is_none() && self.pos == 0)
    }

    /// Is a large argument being received (all of it, perhaps, but not yet looked at)?
    pub fn is_gathering(&self) -> bool {
        self.large.is_some()
    }

    /// Bytes that the parser itself holds (large arguments).
    pub fn held_bytes(&self) -> usize {
        self.blobs.iter().map(Blob::capacity).sum::<usize>()
            + self.large.as_ref().map_or(0, |large| large.bytes.capacity())
    }

    /// The large argument that is being received, and for how many bytes there is room. The reader may append at most that many,
    /// and has [`Parser::take_beyond`] given back then what was not the argument's.
    pub fn large(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let large = self.large.as_mut()?;
        let missing = large.len - large.bytes.len();
        if missing == 0 {
            return None;
        }
        if large.bytes.len() == large.bytes.capacity() {
            // All that was reserved has arrived: the sender means it.
            large.bytes.reserve_exact(missing.min(large.bytes.len().max(LARGE_RESERVE_BYTES)));
        }
        let room = (missing + LARGE_BEYOND_BYTES).min(large.bytes.capacity() - large.bytes.len());
        Some((&mut large.bytes, room))
    }

    /// Appends to `rest` what was read behind the large argument.
    pub fn take_beyond(&mut self, rest: &mut Vec<u8>) {
        if let Some(large) = &mut self.large
            && large.bytes.len() > large.len
        {
            rest.extend_from_slice(&large.bytes[large.len..]);
            large.bytes.truncate(large.len);
        }
    }

    /// Parses on. `buf` begins with the current request's first byte (and holds all of it that was not taken).
    ///
    /// # Errors
    /// The connection is to be closed after the error's text was sent.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits) -> Result<Progress, ProtocolError> {
        if self.done {
            self.reset();
        }
        if self.args_left.is_none() && self.large.is_none() {
            match buf.first() {
                None => return Ok(Progress::Incomplete(0)),
                Some(b'*') => {}
                Some(_) => return self.parse_inline(buf),
            }
            let Some((_, count)) = self.header(buf, "too big mbulk count string")? else {
                return Ok(Progress::Incomplete(buf.len()));
            };
            let Some(count) = number(count).filter(|count| *count <= i64::from(i32::MAX)) else {
                return fail("invalid multibulk length");
            };
            if count > UNAUTHENTICATED_ARGS && limits.unauthenticated {
                return fail("unauthenticated multibulk length");
            }
            self.args_left = Some(count.max(0));
        }
        self.parse_args(buf, limits)
    }

    fn reset(&mut self) {
        self.spans.clear();
        self.blobs.clear();
        self.inline.clear();
        (self.args_left, self.bulk_len, self.pos, self.large, self.done) = (None, None, 0, None, false);
    }

    /// A line from `pos` on, without its end: its mark (the first byte) and the rest. Moves `pos` past it.
    fn header<'b>(&mut self, buf: &'b [u8], too_long: &str) -> Result<Option<(u8, &'b [u8])>, ProtocolError> {
        let rest = &buf[self.pos..];
        let Some(end) = line_end(b'\r', rest) else {
            return if rest.len() > INLINE_MAX_BYTES { fail(too_long) } else { Ok(None) };
        };
        if rest.len() < end + 2 {
            return Ok(None);
        }
        self.pos += end + 2;
        Ok(Some((rest[0], rest.get(1..end).unwrap_or_default())))
    }

    fn parse_args(&mut self, buf: &[u8], limits: &Limits) -> Result<Progress, ProtocolError> {
        while let Some(left @ 1..) = self.args_left {
            if self.bulk_len.is_none() {
                let Some((mark, len)) = self.header(buf, "too big bulk count string")? else {
                    return Ok(Progress::Incomplete(buf.len()));
                };
                if mark != b'$' {
                    return fail([b"expected '$', got '", &[mark][..], b"'"].concat());
                }
                self.bulk_len = Some(bulk_len(len, limits)?);
            }
            let len = self.bulk_len.expect("set above");
            let span = if len < BLOB_MIN_BYTES {
                let start = self.pos;
                if buf.len() - start < len + 2 {
                    return Ok(Progress::Incomplete(buf.len()));
                }
                self.pos += len + 2;
                Span::Buffer { start, len }
            } else {
                match self.parse_large(buf, len) {
                    Ok(span) => span,
                    Err(progress) => return Ok(progress),
                }
            };
            self.spans.push(span);
            self.bulk_len = None;
            self.args_left = Some(left - 1);
        }
        self.done = true;
        Ok(Progress::Complete(self.pos))
    }

    /// Gathers a large argument and its line end; `Err` says that more is needed.
    fn parse_large(&mut self, buf: &[u8], len: usize) -> Result<Span, Progress> {
        let with_end = len + 2;
        let rest = &buf[self.pos..];
        if self.large.is_none() && rest.len() >= with_end {
            self.blobs.push(Blob::new(rest[..len].to_vec()));
            self.pos += with_end;
            return Ok(Span::Large(self.blobs.len() - 1));
        }
        let large = self.large.get_or_insert_with(|| {
            let beyond = with_end + LARGE_BEYOND_BYTES;
            let has_room = beyond <= LARGE_RESERVE_BYTES && size_class(beyond) == size_class(with_end);
            let reserved = if has_room { beyond } else { with_end.min(LARGE_RESERVE_BYTES) };
            Large { bytes: Vec::with_capacity(reserved), len: with_end }
        });
        let missing = large.len - large.bytes.len();
        let taken = missing.min(rest.len());
        large.bytes.extend_from_slice(&rest[..taken]);
        if taken < missing {
            return Err(Progress::Incomplete(self.pos));
        }
        self.pos += taken;
        let mut bytes = self.large.take().expect("set above").bytes;
        bytes.truncate(len);
        self.blobs.push(Blob::new(bytes));
        Ok(Span::Large(self.blobs.len() - 1))
    }

    fn parse_inline(&mut self, buf: &[u8]) -> Result<Progress, ProtocolError> {
        // A longer line is refused even if its end has come with it: what is right must not depend on how bytes are cut.
        let Some(end) = line_end(b'\n', buf) else {
            return if buf.len() > INLINE_MAX_BYTES {
                fail("too big inline request")
            } else {
                Ok(Progress::Incomplete(buf.len()))
            };
        };
        let line = buf[..end].strip_suffix(b"\r").unwrap_or(&buf[..end]);
        let Some(args) = crate::words::split_args(line) else {
            return fail("unbalanced quotes in request");
        };
        self.spans.extend((0..args.len()).map(Span::Inline));
        self.inline = args;
        self.done = true;
        Ok(Progress::Complete(end + 1))
    }

    /// The arguments of the request that [`Parser::parse`] has just completed, in the same buffer.
    pub fn args<'a>(&'a self, buf: &'a [u8]) -> SmallVec<[Arg<'a>; 8]> {
        self.spans
            .iter()
            .map(|span| match *span {
                Span::Buffer { start, len } => Arg::Slice(&buf[start..start + len]),
                Span::Large(at) => Arg::Large(&self.blobs[at]),
                Span::Inline(at) => Arg::Inline(&self.inline[at]),
            })
            .collect()
    }
}

/// Where the line ends, if it is not too long. A line with a NUL never does: Redis looks for the end with `strchr`.
fn line_end(end: u8, bytes: &[u8]) -> Option<usize> {
    let bytes = &bytes[..bytes.len().min(INLINE_MAX_BYTES + 1)];
    memchr::memchr2(end, 0, bytes).filter(|at| bytes[*at] == end)
}

/// Appends the arguments of the request at the beginning of `buf` to `args`, if it is there as a whole and plain: an array of
/// a few short bulk strings. Returns how many bytes it takes; `None` leaves it, and `args` as it was, to a [`Parser`].
#[inline]
pub fn plain<'b, A: smallvec::Array<Item = Arg<'b>>>(buf: &'b [u8], args: &mut SmallVec<A>) -> Option<usize> {
    const ARGS_MAX: usize = 64;
    let before = args.len();
    let (count, mut at) = small_number(buf, 0, b'*')?;
    if count == 0 || count > ARGS_MAX {
        return None;
    }
    for _ in 0..count {
        let (len, start) = small_number(buf, at, b'$').unwrap_or((BLOB_MIN_BYTES, 0));
        if len >= BLOB_MIN_BYTES || buf.len() - start < len + 2 {
            args.truncate(before);
            return None;
        }
        args.push(Arg::Slice(&buf[start..start + len]));
        at = start + len + 2;
    }
    Some(at)
}

/// A number of up to five digits behind `mark`, and where its line ends.
#[inline]
fn small_number(buf: &[u8], at: usize, mark: u8) -> Option<(usize, usize)> {
    const DIGITS_MAX: usize = 5;
    let rest = buf.get(at..)?;
    if *rest.first()? != mark || (*rest.get(1)? == b'0' && *rest.get(2)? != b'\r') {
        return None;
    }
    let mut n = 0;
    for (position, byte) in rest.iter().enumerate().skip(1).take(DIGITS_MAX + 1) {
        match byte {
            b'0'..=b'9' => n = n * 10 + usize::from(byte - b'0'),
            b'\r' if position > 1 && rest.get(position + 1) == Some(&b'\n') => {
                return Some((n, at + position + 2));
            }
            _ => return None,
        }
    }
    None
}

fn bulk_len(text: &[u8], limits: &Limits) -> Result<usize, ProtocolError> {
    let Some(len) = number(text).filter(|len| (0..=limits.max_bulk_bytes).contains(len)) else {
        return fail("invalid bulk length");
    };
    if len > UNAUTHENTICATED_BULK_BYTES && limits.unauthenticated {
        return fail("unauthenticated bulk length");
    }
    Ok(len as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_bulk_bytes: 512 * 1024 * 1024, unauthenticated: false };

    /// Feeds `input` in pieces of `step` bytes, as a connection does, and collects the requests.
    fn requests(input: &[u8], step: usize, limits: &Limits) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let (mut parser, mut pending, mut all) = (Parser::default(), Vec::new(), Vec::new());
        for piece in input.chunks(step) {
            let mut piece = piece;
            if let Some((large, room)) = parser.large() {
                let taken = room.min(piece.len());
                large.extend_from_slice(&piece[..taken]);
                piece = &piece[taken..];
            }
            parser.take_beyond(&mut pending);
            pending.extend_from_slice(piece);
            loop {
                match parser.parse(&pending, limits)? {
                    Progress::Complete(n) => {
                        all.push(parser.args(&pending).iter().map(|arg| arg.bytes().to_vec()).collect());
                        pending.drain(..n);
                    }
                    Progress::Incomplete(keep) => {
                        pending.truncate(keep);
                        break;
                    }
                }
            }
        }
        Ok(all)
    }

    #[test]
    fn requests_come_out_however_the_bytes_are_cut() {
        let large = vec![b'v'; BLOB_MIN_BYTES + 5];
        let mut input = Vec::new();
        let expected: Vec<Vec<Vec<u8>>> = vec![
            vec![b"GET".to_vec(), b"k".to_vec()],
            vec![b"SET".to_vec(), b"k".to_vec(), large.clone(), b"".to_vec()],
            vec![large.clone(), large],
            vec![b"PING".to_vec(), b"a b".to_vec()],
            vec![],
            vec![b"a\r\nb".to_vec()],
        ];
        for request in &expected {
            match request.as_slice() {
                [ping, _] if ping == b"PING" => input.extend_from_slice(b"PING 'a b'\r\n"),
                request => super::super::encode::request(&mut input, request),
            }
        }
        for step in [1, 2, 3, 7, 1_000, 16_390, 16_391, 16_392, 1 << 20] {
            assert_eq!(requests(&input, step, &LIMITS).as_ref(), Ok(&expected), "in steps of {step}");
        }
    }

    #[track_caller]
    fn check(input: &[u8], error: &str) {
        assert_eq!(requests(input, 1, &LIMITS), Err(ProtocolError(error.into())));
        assert_eq!(requests(input, 1 << 20, &LIMITS), Err(ProtocolError(error.into())));
    }

    #[test]
    fn protocol_errors() {
        check(b"*x\r\n", "invalid multibulk length");
        check(b"*2147483648\r\n", "invalid multibulk length");
        check(b"*1\r\nPING\r\n", "expected '$', got 'P'");
        check(b"*1\r\n$-1\r\n", "invalid bulk length");
        check(b"*1\r\n$536870913\r\n", "invalid bulk length");
        check(b"\"abc\r\n", "unbalanced quotes in request");
        check(&[b'a'; INLINE_MAX_BYTES + 2], "too big inline request");
        check(&[&[b'a'; INLINE_MAX_BYTES + 1][..], b"\n"].concat(), "too big inline request");
        check(&[&b"*"[..], &[b'1'; INLINE_MAX_BYTES + 2]].concat(), "too big mbulk count string");
    }

    #[test]
    fn plain_requests_are_read_as_the_parser_reads_them() {
        let check = |input: &[u8], taken: Option<usize>| {
            let mut args = SmallVec::<[Arg<'_>; 8]>::new();
            assert_eq!(plain(input, &mut args), taken, "{}", String::from_utf8_lossy(input));
            if let Some(n) = taken {
                let expected = requests(&input[..n], 1 << 20, &LIMITS).unwrap().remove(0);
                assert_eq!(args.iter().map(|arg| arg.bytes().to_vec()).collect::<Vec<_>>(), expected);
            } else {
                assert!(args.is_empty());
            }
        };
        check(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n", Some(20));
        check(b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", Some(19));
        for cut in 0..20 {
            check(&b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"[..cut], None);
        }
        for other in [
            "PING\r\n",
            "*0\r\n",
            "*-1\r\n",
            "*1\r\n$-1\r\n",
            "*01\r\n$1\r\na\r\n",
            "*1\r\n$01\r\na\r\n",
            "*65\r\n",
            "*1\n$1\na\n",
        ] {
            check(other.as_bytes(), None);
        }
        check(&[&b"*1\r\n$16384\r\n"[..], &[b'x'; 16_386]].concat(), None);
    }

    #[test]
    fn who_is_not_authenticated_may_say_little() {
        let limits = Limits { unauthenticated: true, ..LIMITS };
        let many = requests(b"*11\r\n", 100, &limits);
        assert_eq!(many, Err(ProtocolError("unauthenticated multibulk length".into())));
        let long = requests(b"*1\r\n$16385\r\n", 100, &limits);
        assert_eq!(long, Err(ProtocolError("unauthenticated bulk length".into())));
    }

    #[test]
    fn a_promise_of_bytes_allocates_little() {
        let mut parser = Parser::default();
        let promise = b"*1000000\r\n$536870912\r\nabc";
        assert!(matches!(parser.parse(promise, &LIMITS), Ok(Progress::Incomplete(_))));
        assert!(parser.held_bytes() <= LARGE_RESERVE_BYTES);
    }

    #[test]
    fn numbers_are_canonical() {
        for (text, value) in [("0", Some(0)), ("-1", Some(-1)), ("9223372036854775807", Some(i64::MAX))] {
            assert_eq!(number(text.as_bytes()), value);
        }
        assert_eq!(number(b"-9223372036854775808"), Some(i64::MIN));
        for text in
            ["", "-", "-0", "01", "+1", " 1", "1 ", "9223372036854775808", "1e3", "99999999999999999999"]
        {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }
}
