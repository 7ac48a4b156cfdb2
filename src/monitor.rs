//! MONITOR: every command, once it has run, to whoever asked.
//!
//! A command is shown after it ran, as in Redis 7: with the database that it selected, the commands of a transaction before
//! their EXEC, passwords redacted by their handlers. The lines go into the monitors' mailboxes while the command's locks may
//! still be held; the monitors are called when they are released.

use crate::client::{Client, ClientFlags, Listeners, Shared};
use crate::command::{Command, Flags};
use crate::resp::parser::Arg;
use crate::server::Server;
use crate::words::quote_into;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The clients that monitor.
#[derive(Default, Debug)]
pub struct Monitors {
    any: AtomicBool,
    clients: Mutex<Listeners>,
}

/// What no monitor is shown: administration, and what shows itself.
const HIDDEN: Flags = Flags::SKIP_MONITOR.union(Flags::ADMIN);

impl Monitors {
    /// Adds a client.
    pub fn add(&self, client: Arc<Shared>) {
        Arc::make_mut(&mut *self.clients.lock()).push(client);
        self.any.store(true, Relaxed);
    }

    /// Removes a client.
    pub fn remove(&self, id: u64) {
        let mut clients = self.clients.lock();
        Arc::make_mut(&mut *clients).retain(|client| client.id != id);
        self.any.store(!clients.is_empty(), Relaxed);
    }

    /// Tells all of them of a command that `client` has run.
    #[inline]
    pub fn feed(&self, server: &Server, client: &mut Client, command: &Command, args: &[Arg<'_>]) {
        if self.any.load(Relaxed) && !command.row.flags.intersects(HIDDEN) {
            self.tell(server, client, args);
        }
    }

    fn tell(&self, server: &Server, client: &mut Client, args: &[Arg<'_>]) {
        let now_us = server.clock.now_us();
        let line = line(now_us, client, args);
        let monitors = self.clients.lock();
        for monitor in monitors.iter().filter(|monitor| !monitor.has(ClientFlags::SILENT)) {
            monitor.post(now_us / 1000, |out| out.bytes().extend_from_slice(&line));
        }
        client.called.push(monitors.clone());
    }
}

fn line(now_us: i64, client: &Client, args: &[Arg<'_>]) -> Vec<u8> {
    let addr = client.shared.addr.as_str();
    let (kind, addr) = match client.shared.has(ClientFlags::UNIX_SOCKET) {
        true => ("unix:", addr.strip_suffix(":0").unwrap_or(addr)),
        false => ("", addr),
    };
    let (secs, micros) = (now_us / 1_000_000, now_us % 1_000_000);
    let mut line = format!("+{secs}.{micros:06} [{} {kind}{addr}]", client.db).into_bytes();
    for (at, arg) in args.iter().enumerate() {
        line.push(b' ');
        match client.redacted.contains(&at) {
            true => line.extend_from_slice(b"\"(redacted)\""),
            false => quote_into(&mut line, arg.bytes()),
        }
    }
    line.extend_from_slice(b"\r\n");
    line
}

#[cfg(test)]
mod tests {
    use crate::client::{Client, ClientFlags, Shared};
    use crate::commands::testing::{Bench, NOW_MS};
    use std::sync::Arc;

    /// Runs lines as a client while another monitors, and compares what that one sees of each.
    #[track_caller]
    fn check(lines: &[(&str, &str)]) {
        let mut bench = Bench::new();
        let mut monitor = Bench::client(&bench.server);
        assert_eq!(Bench::run_as(&bench.server, &mut monitor, "monitor"), "+OK");
        for (line, shown) in lines {
            bench.run(line);
            let shown = match *shown {
                "" => String::new(),
                shown => format!("+{}.000000 {shown}", NOW_MS / 1000),
            };
            assert_eq!(Bench::mail(&monitor), shown, "{line}");
        }
    }

    #[test]
    fn commands_are_shown_as_they_ran() {
        check(&[
            ("GET k", r#"[0 127.0.0.1:1] "GET" "k""#),
            (
                r#"set k "\xff\x00\a\b\t\r\na\"b\\'""#,
                r#"[0 127.0.0.1:1] "set" "k" "\xff\x00\a\b\t\r\na\"b\\'""#,
            ),
            ("select 3", r#"[3 127.0.0.1:1] "select" "3""#),
            ("select x", r#"[3 127.0.0.1:1] "select" "x""#),
            ("echo", ""),
            ("foo", ""),
            ("client list", ""),
            ("client id", r#"[3 127.0.0.1:1] "client" "id""#),
        ]);
    }

    #[test]
    fn a_transaction_is_shown_in_the_order_in_which_it_ran() {
        check(&[
            ("multi", r#"[0 127.0.0.1:1] "multi""#),
            ("select 6", ""),
            ("exec", "[6 127.0.0.1:1] \"select\" \"6\" +1700000000.000000 [6 127.0.0.1:1] \"exec\""),
            ("exec", r#"[6 127.0.0.1:1] "exec""#),
        ]);
    }

    #[test]
    fn passwords_are_not_shown() {
        check(&[
            ("auth x", r#"[0 127.0.0.1:1] "auth" "(redacted)""#),
            ("auth default x", r#"[0 127.0.0.1:1] "auth" "(redacted)" "(redacted)""#),
            (
                "hello 2 setname a auth default x",
                r#"[0 127.0.0.1:1] "hello" "2" "setname" "a" "auth" "(redacted)" "(redacted)""#,
            ),
            ("echo a", r#"[0 127.0.0.1:1] "echo" "a""#),
        ]);
    }

    #[test]
    fn a_unix_socket_is_named_by_its_path() {
        let bench = Bench::new();
        let mut monitor = Bench::client(&bench.server);
        Bench::run_as(&bench.server, &mut monitor, "monitor");
        let shared = Shared::new(9, "/tmp/s:0".into(), "/tmp/s:0".into(), 8, NOW_MS);
        shared.set_flag(ClientFlags::UNIX_SOCKET, true);
        let mut client = Client::new(Arc::new(shared), true);
        Bench::run_as(&bench.server, &mut client, "ping");
        assert_eq!(Bench::mail(&monitor), r#"+1700000000.000000 [0 unix:/tmp/s] "ping""#);
    }

    #[test]
    fn a_monitor_keeps_off_the_keys() {
        let mut bench = Bench::new();
        bench.check("monitor", "+OK");
        bench.check("monitor", "");
        bench.check("get k", "-ERR Replica can't interact with the keyspace");
        bench.check("publish a b", "-ERR Replica can't interact with the keyspace");
        assert_eq!(Bench::mail(&bench.client), "");
        bench.check("ping", "+PONG");
        assert_eq!(Bench::mail(&bench.client), r#"+1700000000.000000 [0 127.0.0.1:1] "ping""#);
    }
}
