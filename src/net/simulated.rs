//! The seam at which a simulated network is put in place of sockets.
//!
//! What stands behind it (delays, cuts, partitions) belongs to whoever simulates; the server knows no more than that a
//! socket can be one that it did not get from the system.

use std::fmt::Debug;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A socket's behaviour, as `tokio::net::TcpStream` has it.
pub trait Socket: Send + Sync + Debug {
    /// Reads what is there; 0 bytes: the end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is.
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Is there something to read (or the end)?
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Would the socket take something?
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A connection that is being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Socket>>> + Send>>;

/// A network as one of its hosts sees it.
pub trait Host: Send + Sync {
    /// Connects to another host.
    fn connect(&self, host: &str, port: u16) -> Connecting;
}

/// The network that connections to a master are made in.
#[derive(Clone, Default)]
pub enum Network {
    #[default]
    System,
    Simulated(Arc<dyn Host>),
}
