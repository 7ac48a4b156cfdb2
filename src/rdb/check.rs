//! What `redis-check-rdb` does: reads an RDB to its end and reports what it meets.
//!
//! The lines are those of redis-check-rdb 7.0.15, offsets included. It differs where the real one knows less: it reads
//! newer versions, and it names value types that it cannot look into yet. Input and output are the caller's, and so is
//! the time, which decides what has already expired.

use std::io::{self, Read, Write};

use super::decode::{Checksum, Decoder, Item};
use super::error::{Error, Fault};
use crate::types::Limits;

/// Read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The RDB is whole and right: the process exits with 0, otherwise with 1.
    pub ok: bool,
    /// Keys read.
    pub keys: u64,
    /// Keys with an expiry among them.
    pub expires: u64,
    /// Keys among those whose expiry lies before now.
    pub already_expired: u64,
}

/// Checks the RDB called `name`. `input` is the result of opening it: as the real one does, a file that cannot be opened
/// is announced and then simply not found in order. `now_ms` is Unix time in milliseconds.
///
/// # Errors
/// What `out` or `input` fail with.
pub fn check<R: Read>(
    name: &str,
    input: io::Result<R>,
    limits: &Limits,
    now_ms: i64,
    out: &mut impl Write,
) -> io::Result<Report> {
    let mut report = Report::default();
    writeln!(out, "[offset 0] Checking RDB file {name}")?;
    let Ok(mut input) = input else { return Ok(report) };
    match read_all(&mut input, limits, now_ms, out, &mut report)? {
        Ok(()) => report.ok = true,
        Err(error) => {
            write_error(out, &error, report.keys == 0)?;
            // A key counts as read even if its value could not be.
            report.keys += u64::from(error.key.is_some());
        }
    }
    writeln!(out, "[info] {} keys read", report.keys)?;
    writeln!(out, "[info] {} expires", report.expires)?;
    writeln!(out, "[info] {} already expired", report.already_expired)?;
    Ok(report)
}

fn read_all(
    input: &mut impl Read,
    limits: &Limits,
    now_ms: i64,
    out: &mut impl Write,
    report: &mut Report,
) -> io::Result<Result<(), Error>> {
    let mut decoder = Decoder::new(true, *limits);
    let mut chunk = vec![0; CHUNK_BYTES];
    while !decoder.is_done() {
        let len = match input.read(&mut chunk) {
            Ok(0) => return Ok(decoder.finish()),
            Ok(len) => len,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let mut feed = decoder.feed(&chunk[..len]);
        loop {
            // The offset of an item is that of its end.
            let (line, end) = match feed.next() {
                Ok(Some(item)) => (note(&item, now_ms, report), matches!(item, Item::Eof(_))),
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            };
            if let Some(line) = line {
                writeln!(out, "[offset {}] {line}", feed.offset())?;
            }
            if end {
                writeln!(out, "[offset {}] \\o/ RDB looks OK! \\o/", feed.offset())?;
            }
        }
    }
    Ok(Ok(()))
}

/// Counts an item, and returns what is said of it.
fn note(item: &Item<'_>, now_ms: i64, report: &mut Report) -> Option<String> {
    match item {
        Item::Record { expire_ms, .. } => {
            report.keys += 1;
            report.expires += u64::from(expire_ms.is_some());
            report.already_expired += u64::from(expire_ms.is_some_and(|at| at < now_ms));
            None
        }
        Item::Aux { key, value } => {
            Some(format!("AUX FIELD {} = '{}'", String::from_utf8_lossy(key), String::from_utf8_lossy(value)))
        }
        Item::SelectDb(db) => Some(format!("Selecting DB ID {db}")),
        Item::Eof(Checksum::Verified | Checksum::NotVerified) => Some("Checksum OK".to_string()),
        Item::Eof(Checksum::Disabled) => {
            Some("RDB file was saved with checksum disabled: no check performed.".to_string())
        }
        Item::Eof(Checksum::Absent) | Item::Version(_) | Item::ResizeDb { .. } | Item::Function(_) => None,
    }
}

/// `before_keys`: the real one then says that it reads a string, which is what its state starts with.
fn write_error(out: &mut impl Write, error: &Error, before_keys: bool) -> io::Result<()> {
    let text = match error.fault {
        Fault::UnknownType(byte) => format!("Invalid object type: {byte}"),
        Fault::WrongChecksum { .. } => "RDB CRC error".to_string(),
        fault => fault.to_string(),
    };
    writeln!(out, "--- RDB ERROR DETECTED ---")?;
    writeln!(out, "[offset {}] {text}", error.offset)?;
    writeln!(out, "[additional info] While doing: {}", error.doing)?;
    if let Some(key) = &error.key {
        writeln!(out, "[additional info] Reading key '{}'", String::from_utf8_lossy(key))?;
    }
    if let Some(byte) = error.value_type.or(before_keys.then_some(0)) {
        writeln!(out, "[additional info] Reading type {byte} ({})", type_word(byte))?;
    }
    Ok(())
}

/// What redis-check-rdb 7.0.15 calls a value type.
fn type_word(value_type: u8) -> &'static str {
    const WORDS: [&str; 20] = [
        "string",
        "list-linked",
        "set-hashtable",
        "zset-v1",
        "hash-hashtable",
        "zset-v2",
        "module-value",
        "module-value",
        "",
        "hash-zipmap",
        "list-ziplist",
        "set-intset",
        "zset-ziplist",
        "hash-ziplist",
        "quicklist",
        "stream",
        "hash-listpack",
        "zset-listpack",
        "quicklist-v2",
        "stream-v2",
    ];
    WORDS.get(usize::from(value_type)).copied().unwrap_or("unknown")
}
