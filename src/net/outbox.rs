//! Replies that wait until the thread has nothing else to run.
//!
//! A connection that has run what it read posts its replies here and waits for more. Before the thread goes to sleep, all that was
//! posted is sent, in a row and without a turn of the connections' own: a client with many connections is woken once and finds many
//! replies, not many times for one each, and waking is what costs most.
//!
//! Invariants: what a connection has posted is older than what it has in its own buffer, so it takes it back before it sends or runs
//! anything else; what the socket did not take waits here for the connection, which is called.

use super::stream::Stream;
use crate::client::Shared;
use crate::resp::Out;
use crate::server::Server;
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::runtime::Builder;

/// So many letters are sent at once, whatever else the thread has to run.
const MAX_LETTERS: usize = 128;
/// A buffer that has grown beyond this is not kept for the next letter.
const SPARE_MAX_BYTES: usize = 32 * 1024;

/// What it takes to send to a client.
pub struct Peer {
    pub stream: Stream,
    pub shared: Arc<Shared>,
    pub server: Arc<Server>,
}

impl Peer {
    /// Sends what the socket takes.
    ///
    /// # Errors
    /// The socket's.
    pub fn send(&self, out: &mut Out) -> io::Result<()> {
        let (n, result) = out.drain(|slices| self.stream.try_write(slices));
        if n > 0 {
            let total = &self.shared.total_net_out;
            total.store(total.load(Relaxed) + n as u64, Relaxed);
            self.server.stats.here(|stats| {
                stats.net_output_bytes.add(n as u64);
                stats.writes.add(1);
            });
        }
        if out.is_empty() && self.shared.has_mail() {
            // It waited for its turn behind these.
            self.shared.call();
        }
        self.note(out);
        match result {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Tells how much waits to be sent.
    fn note(&self, out: &Out) {
        self.shared.out_bytes.store(out.len(), Relaxed);
        self.shared.out_capacity.store(out.capacity(), Relaxed);
    }
}

/// Where a connection's letter is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    round: u64,
    index: usize,
}

struct Letter {
    to: Arc<Peer>,
    out: Out,
}

struct Outbox {
    /// Somebody sends what is posted before the thread sleeps.
    attended: bool,
    /// How often all was sent.
    round: u64,
    letters: Vec<Letter>,
    /// What sockets did not take.
    left: Vec<(Receipt, Out)>,
    spare: Vec<Out>,
}

thread_local! {
    static OUTBOX: RefCell<Outbox> = const {
        RefCell::new(Outbox {
            attended: false,
            round: 0,
            letters: Vec::new(),
            left: Vec::new(),
            spare: Vec::new(),
        })
    };
}

/// Has `runtime`, which will be of one thread, send what its connections post.
pub fn attend(runtime: &mut Builder) -> &mut Builder {
    runtime.on_thread_park(|| {
        OUTBOX.with_borrow_mut(|outbox| {
            outbox.attended = true;
            outbox.send_all();
        });
    })
}

/// Posts what is in `out`, and puts an empty buffer in its place. `None`: it was sent, as far as the socket took it.
///
/// # Errors
/// The socket's.
pub fn post(to: &Arc<Peer>, out: &mut Out) -> io::Result<Option<Receipt>> {
    OUTBOX.with_borrow_mut(|outbox| {
        if !outbox.attended {
            return to.send(out).map(|()| None);
        }
        if outbox.letters.len() >= MAX_LETTERS {
            outbox.send_all();
        }
        to.note(out);
        let receipt = Receipt { round: outbox.round, index: outbox.letters.len() };
        let buffer = outbox.spare.pop().unwrap_or_default();
        outbox.letters.push(Letter { to: to.clone(), out: std::mem::replace(out, buffer) });
        Ok(Some(receipt))
    })
}

/// What is left of a letter: all of it if it has not been sent, or what the socket did not take.
pub fn take_back(receipt: Receipt) -> Option<Out> {
    OUTBOX.with_borrow_mut(|outbox| {
        if receipt.round == outbox.round {
            return Some(std::mem::take(&mut outbox.letters[receipt.index].out));
        }
        let at = outbox.left.iter().position(|(left, _)| *left == receipt)?;
        Some(outbox.left.swap_remove(at).1)
    })
}

/// Lets the thread's other connections have their turn, and sends what they have posted. Who is not going to wait gives way by this:
/// as long as somebody has something to run, the thread does not go to sleep.
pub async fn yield_now() {
    tokio::task::yield_now().await;
    send_all();
}

/// Sends what is posted.
pub fn send_all() {
    OUTBOX.with_borrow_mut(Outbox::send_all);
}

impl Outbox {
    fn send_all(&mut self) {
        if self.letters.is_empty() {
            return;
        }
        let mut letters = std::mem::take(&mut self.letters);
        for (index, Letter { to, mut out }) in letters.drain(..).enumerate() {
            if out.is_empty() {
                // Taken back.
                continue;
            }
            let sent = to.send(&mut out);
            if sent.is_err() {
                to.shared.kill();
            } else if out.is_empty() {
                self.keep(out);
            } else if Arc::strong_count(&to) > 1 {
                self.left.push((Receipt { round: self.round, index }, out));
                to.shared.call();
            }
        }
        self.letters = letters;
        self.round += 1;
    }

    fn keep(&mut self, out: Out) {
        if self.spare.len() < MAX_LETTERS && (1..=SPARE_MAX_BYTES).contains(&out.capacity()) {
            self.spare.push(out);
        }
    }
}
