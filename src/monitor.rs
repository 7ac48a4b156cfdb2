//! MONITOR: every command, as it runs, to whoever asked.

use crate::client::{Client, Shared};
use crate::command::{Command, Flags};
use crate::resp::parser::Arg;
use crate::server::Server;
use parking_lot::Mutex;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The clients that monitor.
#[derive(Default, Debug)]
pub struct Monitors {
    any: AtomicBool,
    clients: Mutex<Vec<Arc<Shared>>>,
}

impl Monitors {
    /// Adds a client.
    pub fn add(&self, client: Arc<Shared>) {
        self.clients.lock().push(client);
        self.any.store(true, Relaxed);
    }

    /// Removes a client.
    pub fn remove(&self, id: u64) {
        let mut clients = self.clients.lock();
        clients.retain(|client| client.id != id);
        self.any.store(!clients.is_empty(), Relaxed);
    }

    /// Tells all of them of a command.
    #[inline]
    pub fn feed(
        &self,
        server: &Server,
        client: &Client,
        command: &Command,
        args: &[Arg<'_>],
        in_transaction: bool,
    ) {
        if self.any.load(Relaxed) && !in_transaction {
            self.tell(server, client, command, args);
        }
    }

    fn tell(&self, server: &Server, client: &Client, command: &Command, args: &[Arg<'_>]) {
        if command.row.flags.intersects(Flags::SKIP_MONITOR.union(Flags::ADMIN)) {
            return;
        }
        let now_us = server.clock.now_us();
        let mut line = format!(
            "+{}.{:06} [{} {}]",
            now_us / 1_000_000,
            now_us % 1_000_000,
            client.db,
            client.shared.addr
        );
        for arg in args {
            line.push(' ');
            quote(&mut line, arg.bytes());
        }
        line.push_str("\r\n");
        let clients = self.clients.lock().clone();
        for monitor in clients {
            monitor.post(|out| out.extend_from_slice(line.as_bytes()));
            monitor.call();
        }
    }
}

/// Appends bytes in double quotes, with escapes for what does not print (Redis's `sdscatrepr`).
pub fn quote(line: &mut String, bytes: &[u8]) {
    line.push('"');
    for byte in bytes {
        match byte {
            b'\\' | b'"' => {
                line.push('\\');
                line.push(char::from(*byte));
            }
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            7 => line.push_str("\\a"),
            8 => line.push_str("\\b"),
            b' '..=b'~' => line.push(char::from(*byte)),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
    line.push('"');
}
