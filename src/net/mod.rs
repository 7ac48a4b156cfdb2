//! The network: sockets in, connections on I/O threads.
//!
//! N threads, each with a tokio current-thread runtime that owns its connections for their whole life; a control thread
//! accepts and hands over. Buffers belong to the threads, not to the connections: bytes are read into the thread's
//! buffer, parsed and answered where they lie, and only what is left over (half a request, replies that the socket did not
//! take) is kept with the connection. So an idle connection costs little and a busy one stays in the cache.

pub mod connection;
pub mod dial;
pub mod listener;
pub mod outbox;
pub mod simulated;
pub mod stream;
pub mod threads;

pub use connection::Connection;
pub use stream::Stream;
pub use threads::IoThreads;
