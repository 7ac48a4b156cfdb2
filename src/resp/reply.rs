//! Replies, in the protocol that the client chose: each method writes one reply type as RESP2 or RESP3 has it.

use super::out::Out;
use crate::error::Error;
use crate::keyspace::{BLOB_MIN_BYTES, Blob, ValueRef};
use crate::types::double;
use crate::types::element::Element;

/// Protocol version of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Proto {
    #[default]
    Resp2,
    Resp3,
}

/// Writes replies to an output buffer.
pub struct Reply<'o> {
    out: &'o mut Out,
    pub proto: Proto,
}

impl<'o> Reply<'o> {
    /// A writer at the end of `out`.
    pub fn new(out: &'o mut Out, proto: Proto) -> Reply<'o> {
        Reply { out, proto }
    }

    /// The buffer.
    pub fn out(&mut self) -> &mut Out {
        self.out
    }

    /// The same buffer for another writer.
    pub fn reborrow(&mut self) -> Reply<'_> {
        Reply { out: self.out, proto: self.proto }
    }

    /// Does the client speak RESP3?
    pub fn resp3(&self) -> bool {
        self.proto == Proto::Resp3
    }

    /// Bytes that are already RESP.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.bytes().extend_from_slice(bytes);
    }

    #[inline]
    fn header(&mut self, mark: u8, n: i64) {
        let bytes = self.out.bytes();
        bytes.push(mark);
        bytes.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A simple string.
    pub fn simple(&mut self, text: &str) {
        self.raw(b"+");
        self.raw(text.as_bytes());
        self.raw(b"\r\n");
    }

    /// An error.
    pub fn error(&mut self, error: &Error) {
        self.raw(b"-");
        self.raw(&error.0);
        self.raw(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, n: i64) {
        match n {
            0 => self.raw(b":0\r\n"),
            1 => self.raw(b":1\r\n"),
            _ => self.header(b':', n),
        }
    }

    /// Bytes that wait for the client, with all that was written here.
    pub fn waiting(&self) -> usize {
        self.out.len()
    }

    /// An integer from a size.
    #[inline]
    pub fn len(&mut self, n: usize) {
        self.int(n as i64);
    }

    /// A bulk string, copied.
    #[inline]
    pub fn bulk(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        self.header(b'$', text.len() as i64);
        let bytes = self.out.bytes();
        bytes.extend_from_slice(text);
        bytes.extend_from_slice(b"\r\n");
    }

    /// An integer as a bulk string.
    pub fn bulk_int(&mut self, n: i64) {
        self.bulk(itoa::Buffer::new().format(n));
    }

    /// A part of a shared value as a bulk string, without a copy where it is large.
    pub fn bulk_blob(&mut self, blob: &Blob, range: std::ops::Range<usize>) {
        if range.len() < BLOB_MIN_BYTES {
            return self.bulk(&blob[range]);
        }
        self.header(b'$', range.len() as i64);
        self.out.push_blob(blob, range);
        self.raw(b"\r\n");
    }

    /// A stored string as a bulk string.
    #[inline]
    pub fn value(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Int(n) => self.bulk_int(n),
            ValueRef::Inline { bytes, .. } => self.bulk(bytes),
            ValueRef::Blob(blob) => self.bulk_blob(blob, 0..blob.len()),
        }
    }

    /// An element of a collection as a bulk string.
    #[inline]
    pub fn element(&mut self, element: Element<'_>) {
        match element {
            Element::Int(n) => self.bulk_int(n),
            Element::Str(bytes) => self.bulk(bytes),
        }
    }

    /// A double; in RESP2 a bulk string.
    pub fn double(&mut self, value: f64) {
        let mut text = double::Buffer::default();
        let text = text.format(value);
        if !self.resp3() {
            return self.bulk(text);
        }
        self.raw(b",");
        self.raw(text);
        self.raw(b"\r\n");
    }

    /// A double with all its digits behind the point, up to seventeen; in RESP2 a bulk string.
    pub fn exact_double(&mut self, value: f64) {
        let text = format!("{value:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        let text = if text == "-0" { "0" } else { text };
        if !self.resp3() {
            return self.bulk(text);
        }
        self.raw(b",");
        self.raw(text.as_bytes());
        self.raw(b"\r\n");
    }

    /// The null of a missing value (`$-1`, `_`).
    #[inline]
    pub fn null(&mut self) {
        let bytes: &[u8] = if self.resp3() { b"_\r\n" } else { b"$-1\r\n" };
        self.raw(bytes);
    }

    /// The null of a missing array (`*-1`, `_`).
    pub fn null_array(&mut self) {
        let bytes: &[u8] = if self.resp3() { b"_\r\n" } else { b"*-1\r\n" };
        self.raw(bytes);
    }

    /// The head of an array of `n` replies.
    pub fn array(&mut self, n: usize) {
        self.header(b'*', n as i64);
    }

    /// The head of a map of `n` pairs; in RESP2 an array of twice as many.
    pub fn map(&mut self, n: usize) {
        if self.resp3() { self.header(b'%', n as i64) } else { self.header(b'*', 2 * n as i64) }
    }

    /// The head of a set; in RESP2 an array.
    pub fn set(&mut self, n: usize) {
        self.header(if self.resp3() { b'~' } else { b'*' }, n as i64);
    }

    /// A set whose number of members is known when `fill` has written them all, as it returns. They are moved once.
    pub fn set_of(&mut self, fill: impl FnOnce(&mut Reply<'o>) -> usize) {
        let start = self.out.bytes().len();
        let members = fill(self);
        let bytes = self.out.bytes();
        let end = bytes.len();
        self.set(members);
        let bytes = self.out.bytes();
        let head = bytes.len() - end;
        bytes[start..].rotate_right(head);
    }

    /// The head of an out-of-band push; in RESP2 an array.
    pub fn push(&mut self, n: usize) {
        self.header(if self.resp3() { b'>' } else { b'*' }, n as i64);
    }

    /// A boolean; in RESP2 the integers 1 and 0.
    pub fn boolean(&mut self, value: bool) {
        match (self.resp3(), value) {
            (true, true) => self.raw(b"#t\r\n"),
            (true, false) => self.raw(b"#f\r\n"),
            (false, value) => self.int(i64::from(value)),
        }
    }

    /// Text for people; in RESP2 a bulk string.
    pub fn verbatim(&mut self, text: &[u8]) {
        if !self.resp3() {
            return self.bulk(text);
        }
        self.header(b'=', text.len() as i64 + 4);
        self.raw(b"txt:");
        self.raw(text);
        self.raw(b"\r\n");
    }

    /// A HELP reply: the usage line of `command`, then `lines`, then how to get HELP itself.
    pub fn help(&mut self, command: &str, lines: &[&str]) {
        self.array(lines.len() + 3);
        self.simple(&format!(
            "{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            command.to_ascii_uppercase()
        ));
        lines.iter().for_each(|line| self.simple(line));
        self.simple("HELP");
        self.simple("    Prints this help.");
    }
}
