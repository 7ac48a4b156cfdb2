//! A master played by the test: it keeps to the handshake as far as a fault wants it to, and then does the wrong thing.
//!
//! Real servers cannot be brought to send half an RDB file and fall silent; this one does it on every connection, and
//! counts the connections: that a replica tries again is seen here, not read from its log.

use super::wire::{Wire, words};
use std::io::Result;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A replica may fall silent for this long before a scene is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the fake answers PSYNC with.
const REPLID: &str = "0123456789abcdef0123456789abcdef01234567";
/// The offset that goes with [`REPLID`].
const START_OFFSET: u64 = 1000;
/// The mark that ends a transfer of unknown length: 40 bytes, as Redis makes it.
const EOF_MARK: &str = "feedfacefeedfacefeedfacefeedfacefeedface";

/// What goes wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first reply is neither a status nor an error.
    GarbageToPing,
    /// PSYNC is answered with neither of the replies it has.
    GarbageToPsync,
    /// `+FULLRESYNC` without an offset.
    FullresyncWithoutOffset,
    /// `$<length>`, half of the file, and the connection closes.
    TruncatedRdb,
    /// `$EOF:<mark>`, half of the file, and the connection closes.
    TruncatedRdbWithMark,
    /// A byte inside a value is not what it was: only the checksum tells.
    FlippedByte,
    /// The file is right, its checksum is not.
    WrongChecksum,
    /// A value's length says that it goes on behind the file's announced end; the connection stays open.
    EndlessValue,
    /// The same in a file that is ended by a mark.
    EndlessValueWithMark,
    /// Half of the file and then nothing, with the connection open.
    Silence,
    /// The file does not begin with REDIS.
    WrongMagic,
    /// The file says that it is of a version far ahead.
    FutureVersion,
    /// An entry of a type that no version has; the checksum is switched off.
    UnknownType,
    /// A sane full sync, then a command that no version has.
    UnknownCommand,
    /// A sane full sync, then bytes that are not RESP.
    GarbageInStream,
}

impl Fault {
    /// Whether the full sync itself succeeds, so that the replica then holds what the fake has sent.
    pub fn is_after_the_sync(self) -> bool {
        matches!(self, Fault::UnknownCommand | Fault::GarbageInStream)
    }

    /// Words of which the replica's log must show at least one (case does not matter) once the fault has struck.
    pub fn explained_by(self) -> &'static [&'static str] {
        match self {
            Fault::GarbageToPing | Fault::GarbageToPsync => &["what is this"],
            Fault::FullresyncWithoutOffset => {
                &["+fullresync syntax", "malformed +fullresync", "invalid +fullresync"]
            }
            Fault::TruncatedRdb | Fault::TruncatedRdbWithMark => &[
                "connection lost",
                "i/o error",
                "short read",
                "closed the connection",
                "unexpected end",
                "truncated",
            ],
            Fault::EndlessValue | Fault::EndlessValueWithMark => &["in the middle of a value"],
            Fault::FlippedByte | Fault::WrongChecksum => &["checksum", "crc"],
            Fault::Silence => &["timeout", "timed out"],
            Fault::WrongMagic => &["signature", "magic"],
            Fault::FutureVersion => &["rdb format version", "rdb version"],
            Fault::UnknownType => {
                &["encoding type", "unknown rdb type", "object type", "value type", "unknown type"]
            }
            Fault::UnknownCommand => &["unknown command"],
            Fault::GarbageInStream => &["protocol error"],
        }
    }
}

/// A listening fake; dropping it stops the listener, and its scenes end with their connections.
pub struct FakeMaster {
    port: u16,
    attempts: Arc<AtomicUsize>,
    closing: Arc<AtomicBool>,
}

impl FakeMaster {
    /// Commits `fault` on every connection; `rdb` is a whole and valid file to start from.
    pub fn committing(fault: Fault, rdb: Vec<u8>) -> FakeMaster {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port for the fake master");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let (attempts, closing) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let fake = FakeMaster { port, attempts: Arc::clone(&attempts), closing: Arc::clone(&closing) };
        let rdb = Arc::new(rdb);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if closing.load(Ordering::SeqCst) {
                    return;
                }
                attempts.fetch_add(1, Ordering::SeqCst);
                let rdb = Arc::clone(&rdb);
                thread::spawn(move || drop(play(fault, &rdb, Wire::new(stream, PATIENCE))));
            }
        });
        fake
    }

    /// The port to point a replica at.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections accepted so far.
    pub fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }
}

impl Drop for FakeMaster {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.port))));
    }
}

/// One connection, to its bitter end. An error only says that the replica left first.
fn play(fault: Fault, rdb: &[u8], mut wire: Wire) -> Result<()> {
    if fault == Fault::GarbageToPing {
        wire.command()?;
        wire.send(b"?what is this\r\n")?;
        return linger(wire);
    }
    greet(&mut wire)?;
    match fault {
        Fault::GarbageToPsync => wire.send(b"?what is this\r\n")?,
        Fault::FullresyncWithoutOffset => wire.send(format!("+FULLRESYNC {REPLID}\r\n").as_bytes())?,
        Fault::TruncatedRdb => {
            send_head(&mut wire, &format!("${}", rdb.len()))?;
            return wire.send(&rdb[..rdb.len() / 2]);
        }
        Fault::TruncatedRdbWithMark => {
            send_head(&mut wire, &format!("$EOF:{EOF_MARK}"))?;
            return wire.send(&rdb[..rdb.len() / 2]);
        }
        Fault::Silence => {
            send_head(&mut wire, &format!("${}", rdb.len()))?;
            wire.send(&rdb[..rdb.len() / 2])?;
        }
        Fault::EndlessValueWithMark => {
            send_head(&mut wire, &format!("$EOF:{EOF_MARK}"))?;
            wire.send(&spoil(fault, rdb))?;
            wire.send(EOF_MARK.as_bytes())?;
        }
        Fault::FlippedByte
        | Fault::EndlessValue
        | Fault::WrongChecksum
        | Fault::WrongMagic
        | Fault::FutureVersion
        | Fault::UnknownType => {
            send_whole(&mut wire, &spoil(fault, rdb))?;
        }
        Fault::UnknownCommand => {
            send_whole(&mut wire, rdb)?;
            wire.send(b"*2\r\n$13\r\nNOSUCHCOMMAND\r\n$1\r\nx\r\n")?;
        }
        Fault::GarbageInStream => {
            send_whole(&mut wire, rdb)?;
            wire.send(b"*1\r\n!garbage\r\n")?;
        }
        Fault::GarbageToPing => {}
    }
    linger(wire)
}

/// Answers the handshake up to PSYNC, which is read but not answered.
fn greet(wire: &mut Wire) -> Result<()> {
    loop {
        let command = words(&wire.command()?);
        match command.first().map(|name| name.to_ascii_uppercase()).as_deref() {
            Some("PING") => wire.send(b"+PONG\r\n")?,
            Some("PSYNC" | "SYNC") => return Ok(()),
            _ => wire.send(b"+OK\r\n")?,
        }
    }
}

fn send_head(wire: &mut Wire, head: &str) -> Result<()> {
    wire.send(format!("+FULLRESYNC {REPLID} {START_OFFSET}\r\n{head}\r\n").as_bytes())
}

fn send_whole(wire: &mut Wire, rdb: &[u8]) -> Result<()> {
    send_head(wire, &format!("${}", rdb.len()))?;
    wire.send(rdb)
}

/// The file with the fault in it. The last nine bytes of a valid file are the end opcode and the checksum.
fn spoil(fault: Fault, rdb: &[u8]) -> Vec<u8> {
    let mut rdb = rdb.to_vec();
    let end = rdb.len() - 9;
    match fault {
        Fault::FlippedByte => {
            let marker = rdb.windows(8).position(|window| window == b"spoil-me").expect("a value to spoil");
            rdb[marker] ^= 0x01;
        }
        Fault::EndlessValue | Fault::EndlessValueWithMark => {
            // Its length becomes the beginning of one of 32 bits.
            let value = rdb.windows(8).position(|window| window == b"spoil-me").expect("a value to spoil");
            rdb[value - 1] = 0x80;
        }
        Fault::WrongChecksum => rdb[end + 1] ^= 0x01,
        Fault::WrongMagic => rdb[..5].copy_from_slice(b"RADIS"),
        Fault::FutureVersion => rdb[5..9].copy_from_slice(b"0999"),
        _ => {
            rdb.truncate(end);
            rdb.extend_from_slice(b"\xc8\x03key\x05value\xff");
            rdb.extend_from_slice(&[0; 8]);
        }
    }
    rdb
}

/// Listens, without answering, until the replica leaves: closing first would hide what the fault itself does.
fn linger(mut wire: Wire) -> Result<()> {
    loop {
        wire.command()?;
    }
}
