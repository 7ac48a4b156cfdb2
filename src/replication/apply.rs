//! The master's stream, applied: one client like any other, except that it is obeyed and not answered.
//!
//! The stream's bytes go on into our own log unchanged, in whole units: a command, or all from MULTI to EXEC. So our offset
//! moves by whole units, and a cut in the middle of a transaction resumes at its MULTI.

use crate::client::{Client, ClientFlags, Kind, Shared, Takeover};
use crate::command::{Lookup, table};
use crate::control::background_save_soon;
use crate::executor::{PATIENCE, execute};
use crate::net::stream::Ends;
use crate::resp::parser::{Arg, Limits, Parser, Progress};
use crate::resp::{Out, encode};
use crate::server::Server;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The stream cannot be followed any further; the text is for the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stopped(pub String);

/// Applies a stream from a unit's beginning on.
pub struct Applier {
    client: Client,
    parser: Parser,
    pending: Vec<u8>,
    out: Out,
    /// `pending` begins with a whole command, or may do so.
    held_back: bool,
}

/// Who may do anything, as CLIENT LIST shows it.
const SUPERUSER: &str = "(superuser)";
/// A master is trusted with any length.
const LIMITS: Limits = Limits { max_bulk_bytes: i64::MAX, unauthenticated: false };

impl Applier {
    /// An applier for the master behind a connection, with `db` selected.
    pub fn new(server: &Server, ends: Ends, db: u16) -> Applier {
        let Ends { addr, laddr, fd } = ends;
        let shared = Shared::new(server.clients.next_id(), addr, laddr, fd, server.clock.now_ms());
        shared.set_flag(ClientFlags::MASTER, true);
        shared.names.lock().user = SUPERUSER.into();
        let mut client = Client::new(Arc::new(shared), true);
        client.kind = Kind::Master;
        client.select(db);
        Applier {
            client,
            parser: Parser::default(),
            pending: Vec::new(),
            out: Out::default(),
            held_back: false,
        }
    }

    /// The client that the stream is.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.client.shared
    }

    /// Is something held back that could be applied?
    pub fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// Applies what has come. Returns whether the master asks for an acknowledgement now. While the server ends it holds back what
    /// is there: our replicas must not get what the final save has not seen, or they could not resume when we are back.
    ///
    /// # Errors
    /// The stream is not RESP, or holds a command that we do not know.
    pub fn apply(&mut self, server: &Arc<Server>, data: &[u8]) -> Result<bool, Stopped> {
        self.client.shared.last_interaction_ms.store(server.clock.now_ms(), Relaxed);
        let mut pending = std::mem::take(&mut self.pending);
        let mut rest = if pending.is_empty() {
            data
        } else {
            pending.extend_from_slice(data);
            &pending[..]
        };
        let mut ack_wanted = false;
        self.held_back = false;
        loop {
            if server.is_ending() {
                self.pending = rest.to_vec();
                self.held_back = true;
                break;
            }
            match self.parser.parse(rest, &LIMITS) {
                Ok(Progress::Complete(n)) => {
                    let (request, after) = (&rest[..n], &rest[n..]);
                    let args = self.parser.args(rest);
                    run(&mut self.client, server, request, &args, &mut self.out)?;
                    ack_wanted |= std::mem::take(&mut self.client.ack_wanted);
                    rest = after;
                }
                Ok(Progress::Incomplete(keep)) => {
                    let left = rest[..keep].to_vec();
                    self.pending = left;
                    break;
                }
                Err(error) => return Err(Stopped(format!("Protocol error from master: {}", error))),
            }
        }
        if std::mem::take(&mut self.client.log_grew) {
            server.wake_replicas();
        }
        Ok(ack_wanted)
    }
}

fn run(
    client: &mut Client,
    server: &Arc<Server>,
    request: &[u8],
    args: &[Arg<'_>],
    out: &mut Out,
) -> Result<(), Stopped> {
    if args.iter().any(|arg| matches!(arg, Arg::Large(_))) {
        // Large arguments were not received into the buffer; a master writes its requests in this form.
        let args: Vec<&[u8]> = args.iter().map(Arg::bytes).collect();
        encode::request(&mut client.verbatim, &args);
    } else {
        client.verbatim.extend_from_slice(request);
    }
    if !args.is_empty() {
        if let Lookup::Unknown(error) = table().lookup(args) {
            return Err(Stopped(
                format!(
                    "The stream holds a command that this server does not know ({}): its data would drift apart from the master's",
                    String::from_utf8_lossy(args[0].bytes()).escape_default(),
                ) + &format!(" [{}]", error.text()),
            ));
        }
        execute(client, server, args, out, PATIENCE)
            .unwrap_or_else(|_| unreachable!("a patient command waits"));
        if client.takeover.is_some()
            && let Some(Takeover::SaveFlushed { .. }) = client.takeover.take()
        {
            background_save_soon(server);
        }
        report_error(server, args, out);
        out.clear();
    }
    if client.transaction.is_none() && !client.verbatim.is_empty() {
        // Refused before it ran: its bytes count all the same.
        server.log.append_verbatim(&mut client.verbatim, client.db);
        client.log_grew = true;
    }
    Ok(())
}

fn report_error(server: &Server, args: &[Arg<'_>], out: &mut Out) {
    if out.bytes().first() == Some(&b'-') {
        let text = String::from_utf8_lossy(out.bytes()).trim_end().to_string();
        let name = String::from_utf8_lossy(args[0].bytes()).into_owned();
        tracing::warn!(
            "== CRITICAL == This replica is sending an error to its master: '{}' after processing the command '{}'",
            &text[1..],
            name.escape_default()
        );
        server.stats.unexpected_errors.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::{Bench, NOW_MS};

    #[test]
    fn what_comes_while_the_server_ends_is_held_back() {
        let mut bench = Bench::new();
        let ends = Ends { addr: String::new(), laddr: String::new(), fd: -1 };
        let mut applier = Applier::new(&bench.server, ends, 0);
        let server = bench.server.clone();
        let mut apply = |bytes: &[u8]| {
            applier.apply(&server, bytes).expect("it is understood");
            applier.is_held_back()
        };
        assert!(!apply(b"*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n*2\r\n$4\r\nIN"));
        let end = server.log.end();
        server.stop_writing();
        assert!(apply(b"CR\r\n$1\r\nk\r\n*2\r\n$4\r\nINCR\r\n$1\r\n"));
        assert_eq!(server.log.end(), end);
        server.go_on_writing();
        assert!(!apply(b""));
        bench.check("get k", "$1 2");
        assert!(!apply(b"k\r\n"));
        bench.check("get k", "$1 3");
    }

    #[test]
    fn a_master_is_shown_as_a_client() {
        let mut bench = Bench::new();
        let ends = Ends { addr: "1.2.3.4:5".into(), laddr: "6.7.8.9:10".into(), fd: 11 };
        let mut applier = Applier::new(&bench.server, ends, 3);
        bench.server.clients.add(applier.shared().clone());
        bench.server.clock.freeze(NOW_MS + 5_000);
        applier.apply(&bench.server, b"*1\r\n$4\r\nPING\r\n*1\r\n").expect("it is understood");
        bench.server.clock.freeze(NOW_MS + 7_000);
        let line = bench.run("client list type master");
        for shown in
            [" addr=1.2.3.4:5 laddr=6.7.8.9:10 fd=11 name= age=7 idle=2 flags=M db=3 ", " user=(superuser) "]
        {
            assert!(line.contains(shown), "{shown} in {line}");
        }
    }
}
