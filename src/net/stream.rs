//! A socket of any kind.

use super::listener::show;
use super::simulated::Socket;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, AsRawFd};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Simulated(Box<dyn Socket>),
}

/// What is read at once from a simulated socket into the caller's own buffer, bytes.
const SIMULATED_READ_BYTES: usize = 16 * 1024;

/// A connected socket on its way from the thread that accepted it to the thread that will own it.
#[derive(Debug)]
pub enum Accepted {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Accepted {
    /// Registers the socket with the current runtime.
    ///
    /// # Errors
    /// The reactor's refusal.
    pub fn register(self) -> io::Result<Stream> {
        Ok(match self {
            Accepted::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Accepted::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
        })
    }
}

/// Where a connection goes, as CLIENT LIST shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ends {
    pub addr: String,
    pub laddr: String,
    pub fd: i32,
}

impl Stream {
    /// Where a TCP connection goes.
    pub fn ends(&self) -> Option<Ends> {
        let Stream::Tcp(stream) = self else { return None };
        let (addr, laddr) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
        Some(Ends { addr: show(addr), laddr: show(laddr), fd: stream.as_raw_fd() })
    }

    /// Reads what is there. A read that does not fill the buffer has emptied the socket, and no system call is made to
    /// find that out again.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => recv_at_once(stream, buf, |recv| stream.try_io(Interest::READABLE, recv)),
            Stream::Unix(stream) => recv_at_once(stream, buf, |recv| stream.try_io(Interest::READABLE, recv)),
            Stream::Simulated(socket) => socket.try_read(buf),
        }
    }

    /// Reads up to `room` bytes to the end of `buf`.
    ///
    /// # Errors
    /// As [`Stream::try_read`].
    pub fn try_read_buf(&self, buf: &mut Vec<u8>, room: usize) -> io::Result<usize> {
        let mut limited = bytes::BufMut::limit(&mut *buf, room);
        match self {
            Stream::Tcp(stream) => {
                let read = stream.try_read_buf(&mut limited)?;
                Ok(emptied(read, room, |at_end| stream.try_io(Interest::READABLE, at_end)))
            }
            Stream::Unix(stream) => {
                let read = stream.try_read_buf(&mut limited)?;
                Ok(emptied(read, room, |at_end| stream.try_io(Interest::READABLE, at_end)))
            }
            Stream::Simulated(socket) => {
                let before = buf.len();
                buf.resize(before + room.min(SIMULATED_READ_BYTES), 0);
                let result = socket.try_read(&mut buf[before..]);
                buf.truncate(before + result.as_ref().copied().unwrap_or(0));
                result
            }
        }
    }

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing.
    pub fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Stream::Tcp(stream), [slice]) => {
                stream.try_io(Interest::WRITABLE, || Ok(send(stream, slice, SendFlags::NOSIGNAL)?))
            }
            (Stream::Tcp(stream), slices) => stream.try_write_vectored(slices),
            (Stream::Unix(stream), slices) => stream.try_write_vectored(slices),
            (Stream::Simulated(socket), slices) => socket.try_write(slices),
        }
    }

    /// Is there something to read (or the end)?
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(stream) => stream.poll_read_ready(cx),
            Stream::Unix(stream) => stream.poll_read_ready(cx),
            Stream::Simulated(socket) => socket.poll_read_ready(cx),
        }
    }

    /// Would the socket take something?
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(stream) => stream.poll_write_ready(cx),
            Stream::Unix(stream) => stream.poll_write_ready(cx),
            Stream::Simulated(socket) => socket.poll_write_ready(cx),
        }
    }
}

/// Reads once from a socket whose readiness `try_io` keeps.
fn recv_at_once(
    socket: &impl AsFd,
    buf: &mut [u8],
    try_io: impl FnOnce(&mut dyn FnMut() -> io::Result<usize>) -> io::Result<usize>,
) -> io::Result<usize> {
    let (len, mut read) = (buf.len(), 0);
    let result = try_io(&mut || {
        read = recv(socket, &mut *buf, RecvFlags::empty())?.0;
        // Said to be emptied; what came before the end of the stream is told apart from the end by its number.
        if (1..len).contains(&read) { Err(ErrorKind::WouldBlock.into()) } else { Ok(read) }
    });
    if read > 0 { Ok(read) } else { result }
}

/// Tells a socket's keeper of readiness (`try_io`) that a read which did not fill its room has emptied it. Returns `read`.
fn emptied(
    read: usize,
    room: usize,
    try_io: impl FnOnce(fn() -> io::Result<usize>) -> io::Result<usize>,
) -> usize {
    if (1..room).contains(&read) {
        let _ = try_io(|| Err(ErrorKind::WouldBlock.into()));
    }
    read
}
