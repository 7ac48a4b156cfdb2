//! MIGRATE: keys move to another server, and no lock is held while they travel.
//!
//! In Redis the whole server stands still until the other side has answered. Here the client that asked waits, nobody
//! else does: the values are taken out under their locks (cheap clones), sent, and a key is deleted here when the other
//! side has said that it has it, but only if nobody has changed it meanwhile. A key that was changed is sent again; the
//! other side's copy is ours by then and is replaced. So no write is lost, and what a client may see in between is the key in both
//! places, which it may in Redis too.
//!
//! A connection to the other side is kept for the next order to the same place. It is used with one password only.

use crate::client::{Client, Shared};
use crate::commands::generic::dump::{payload_of, payload_options};
use crate::error::{self, Error};
use crate::executor::{Busy, ENDING_PAUSE, PATIENCE, execute};
use crate::keyspace::{Entry, shard_of};
use crate::net::dial::dial;
use crate::net::{Connection, Stream};
use crate::resp::parser::Arg;
use crate::resp::{Out, encode};
use crate::server::Server;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::time::Duration;

/// EXEC's reply when something watched has changed.
const NOT_EXECUTED: &[u8] = b"*-1\r\n";
/// How often keys that are changed all the time are sent.
const ROUNDS_MAX: usize = 16;
/// What is read at once, bytes.
const READ_BYTES: usize = 4096;
/// The longest line of a reply: an error's text.
const LINE_MAX_BYTES: usize = 64 * 1024;
/// How long a connection is kept that nobody uses.
const IDLE_MAX_MS: i64 = 10_000;
/// How many are kept.
const IDLE_MAX: usize = 64;

/// What a client asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    pub host: String,
    pub port: u16,
    /// The other side's database.
    pub db: i64,
    /// For each step that waits for the other side.
    pub timeout: Duration,
    /// Keep the keys here.
    pub copy: bool,
    /// Replace what the other side has.
    pub replace: bool,
    pub password: Option<Password>,
    pub keys: Vec<Box<[u8]>>,
}

/// How the other side lets us in.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Password {
    pub user: Option<Box<[u8]>>,
    pub password: Box<[u8]>,
}

/// What has become of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Done {
    Moved,
    /// None of the keys is there.
    NoKey,
}

/// Carries an order out and answers the client.
pub async fn migrate(connection: &mut Connection, order: &Order) {
    let result = Migration { connection, order }.run().await;
    match result {
        Ok(Done::Moved) => connection.reply(|reply| reply.ok()),
        Ok(Done::NoKey) => connection.reply(|reply| reply.simple("NOKEY")),
        Err(error) => connection.fail(&error),
    }
}

/// A key on its way.
struct Item {
    key: Box<[u8]>,
    entry: Entry,
    hand: Hand,
}

/// Connections to other servers that wait for the next order.
#[derive(Default)]
pub struct Sockets(Mutex<HashMap<Target, Idle>>);

/// Where keys go, and as whom.
type Target = (String, u16, Option<Password>);

struct Idle {
    peer: Peer,
    since_ms: i64,
}

impl Sockets {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes those that nobody has used for ten seconds.
    pub fn close_idle(&self, now_ms: i64) {
        self.0.lock().retain(|_, idle| now_ms - idle.since_ms <= IDLE_MAX_MS);
    }

    fn take(&self, target: &Target) -> Option<Peer> {
        self.0.lock().remove(target).map(|idle| idle.peer)
    }

    fn keep(&self, target: Target, peer: Peer, now_ms: i64) {
        let mut sockets = self.0.lock();
        if sockets.len() >= IDLE_MAX {
            let oldest =
                sockets.iter().min_by_key(|(_, idle)| idle.since_ms).map(|(target, _)| target.clone());
            oldest.and_then(|target| sockets.remove(&target));
        }
        sockets.insert(target, Idle { peer, since_ms: now_ms });
    }
}

struct Migration<'c> {
    connection: &'c mut Connection,
    order: &'c Order,
}

impl Migration<'_> {
    async fn run(mut self) -> Result<Done, Error> {
        let server = self.connection.server.clone();
        let order = self.order;
        let target = (order.host.clone(), order.port, order.password.clone());
        let kept = server.migrate_sockets.take(&target);
        let mut peer = kept.map(|peer| Peer { timeout: order.timeout, answered: false, ..peer });
        let result = self.rounds(&mut peer).await;
        if let Some(peer) = peer {
            server.migrate_sockets.keep(target, peer, server.clock.now_ms());
        }
        result
    }

    async fn rounds(&mut self, peer: &mut Option<Peer>) -> Result<Done, Error> {
        let order = self.order;
        let (mut keys, mut replace) = (order.keys.clone(), order.replace);
        for round in 0..ROUNDS_MAX {
            let items = self.take(&keys).await;
            if items.is_empty() {
                return Ok(if round == 0 { Done::NoKey } else { Done::Moved });
            }
            let sent = self.send(peer, &items, replace).await;
            keys.clear();
            for (mut item, arrived) in items.into_iter().zip(sent.arrived) {
                if arrived && !order.copy && !item.hand.delete(&item.key).await? {
                    keys.push(item.key);
                }
                self.note_write(&item.hand);
            }
            if let Some(failure) = sent.failure {
                return Err(failure.into());
            }
            if keys.is_empty() {
                return Ok(Done::Moved);
            }
            replace = true;
        }
        Err(error::MIGRATE_RESTLESS)
    }

    /// Clones of the keys' entries, watched from now on.
    async fn take(&self, keys: &[Box<[u8]>]) -> Vec<Item> {
        let (server, db) = (&self.connection.server, self.connection.client.db);
        let mut items = Vec::new();
        for key in keys {
            let mut hand = Hand::new(server, db);
            // Watched first: what changes between the two steps counts as changed, which costs another round at most.
            hand.run(&[b"WATCH", key]).await;
            if hand.run(&[b"EXISTS", key]).await == b":1\r\n"
                && let Some(entry) = stored(server, db, key)
            {
                items.push(Item { key: key.clone(), entry, hand });
            }
        }
        items
    }

    /// A later WAIT of the client waits for what was done for it.
    fn note_write(&mut self, hand: &Hand) {
        let client = &mut self.connection.client;
        client.seen_offset = client.seen_offset.max(hand.client.seen_offset);
        client.log_grew |= hand.client.log_grew;
    }

    /// Sends the items, and says which of them have arrived. A connection from before may have been closed by the other side
    /// meanwhile; then a new one is made.
    async fn send(&self, peer: &mut Option<Peer>, items: &[Item], replace: bool) -> Sent {
        let was_idle = peer.as_ref().is_some_and(|peer| !peer.answered);
        let sent = self.try_to_send(peer, items, replace).await;
        match &sent.failure {
            Some(Failure::Lost { error, answered: false, .. })
                if was_idle && error.kind() != ErrorKind::TimedOut =>
            {
                self.try_to_send(peer, items, replace).await
            }
            _ => sent,
        }
    }

    /// As [`Migration::send`], once. A connection that has failed is gone afterwards.
    async fn try_to_send(&self, peer: &mut Option<Peer>, items: &[Item], replace: bool) -> Sent {
        let mut sent = Sent { arrived: vec![false; items.len()], failure: None };
        let mut connected = match peer.take() {
            Some(connected) => connected,
            None => match self.connect().await {
                Ok(connected) => connected,
                Err(failure) => return Sent { failure: Some(failure), ..sent },
            },
        };
        sent.failure = self.converse(&mut connected, items, replace, &mut sent.arrived).await.err();
        if !matches!(sent.failure, Some(Failure::Lost { .. })) {
            *peer = Some(connected);
        }
        sent
    }

    /// Has us let in, once in an order: the password may be another by now. Then selects the database, if need be, and sends the
    /// items. Fails with the other side's first refusal, if it had any.
    async fn converse(
        &self,
        peer: &mut Peer,
        items: &[Item],
        replace: bool,
        arrived: &mut [bool],
    ) -> Result<(), Failure> {
        if let Some(password) = &self.order.password
            && !peer.answered
        {
            peer.authenticate(password).await?;
        }
        peer.select(self.order.db).await?;
        for item in items {
            peer.write(&self.request(item, replace)).await?;
        }
        let mut refused = Ok(());
        for arrived in arrived {
            let reply = peer.reply().await?;
            *arrived = reply.is_ok();
            refused = refused.and(reply);
        }
        refused.map_err(Failure::Refused)
    }

    /// A new connection to the other side.
    async fn connect(&self) -> Result<Peer, Failure> {
        let order = self.order;
        let dial = dial(&self.connection.server, &order.host, order.port);
        let dialled = crate::clock::timeout(order.timeout, dial).await;
        let stream = dialled.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())).map_err(|error| {
            match error.kind() {
                ErrorKind::NotFound => Failure::Refused(error::MIGRATE_CONNECT),
                // There it is found out by the first who writes.
                _ => Failure::Lost { doing: "writing", error, answered: false },
            }
        })?;
        Ok(Peer { stream, timeout: order.timeout, db: None, answered: false, unread: Vec::new() })
    }

    fn request(&self, item: &Item, replace: bool) -> Vec<u8> {
        let server = &self.connection.server;
        let options = payload_options(server);
        let payload = payload_of(item.entry.stored(), options);
        // What runs out on the way must not live for ever there.
        let ttl_ms = item.entry.expiry_ms().map_or(0, |at| (at - server.clock.now_ms()).max(1));
        let mut args = vec![&b"RESTORE"[..], &item.key];
        let ttl_ms = ttl_ms.to_string();
        args.extend([ttl_ms.as_bytes(), &payload]);
        if replace {
            args.push(b"REPLACE");
        }
        let mut request = Vec::new();
        encode::request(&mut request, &args);
        request
    }
}

/// A clone of what is stored under a key.
fn stored(server: &Server, db: u16, key: &[u8]) -> Option<Entry> {
    let hash = server.keyspace.hash(key);
    let shard = server.keyspace.slot(shard_of(hash)).lock();
    shard.find(db, hash, key).map(|at| shard.at(db, at).clone())
}

/// A client of our own, through which a key is watched and at last deleted: so both are what any client's would be, to
/// whoever waits for the key, listens to its events, or follows the log.
struct Hand {
    server: Arc<Server>,
    client: Client,
}

impl Hand {
    fn new(server: &Arc<Server>, db: u16) -> Hand {
        let now_ms = server.clock.now_ms();
        let shared = Shared::new(server.clients.next_id(), String::new(), String::new(), -1, now_ms);
        let mut client = Client::new(Arc::new(shared), true);
        client.stands_in = true;
        client.select(db);
        Hand { server: server.clone(), client }
    }

    /// Runs a command and returns its reply.
    async fn run(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let args: Vec<Arg<'_>> = args.iter().map(|arg| Arg::Slice(arg)).collect();
        let mut out = Out::default();
        while let Err(Busy) = execute(&mut self.client, &self.server, &args[..], &mut out, PATIENCE) {
            // The server ends, or goes on after all.
            crate::clock::sleep(ENDING_PAUSE).await;
        }
        std::mem::take(out.bytes())
    }

    /// Deletes the watched key unless it has changed. Returns whether it is gone, by our hand or another.
    async fn delete(&mut self, key: &[u8]) -> Result<bool, Error> {
        self.run(&[b"MULTI"]).await;
        self.run(&[b"DEL", key]).await;
        let reply = self.run(&[b"EXEC"]).await;
        match reply.strip_prefix(b"-") {
            Some(text) => Err(Error::made(text)),
            None => Ok(reply != NOT_EXECUTED),
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.server.forget_client(&mut self.client);
    }
}

/// What came of sending.
struct Sent {
    /// For each item: the other side has it.
    arrived: Vec<bool>,
    failure: Option<Failure>,
}

/// Why keys did not go.
enum Failure {
    /// The connection failed. `answered`: but the other side had said something in the course of this order.
    Lost {
        doing: &'static str,
        error: io::Error,
        answered: bool,
    },
    Refused(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Refused(error) => error,
            Failure::Lost { doing, error, .. } => {
                tracing::debug!("MIGRATE: {doing}: {error}");
                Error::made(format!("IOERR error or timeout {doing} to target instance"))
            }
        }
    }
}

/// The other side.
struct Peer {
    stream: Stream,
    timeout: Duration,
    /// The selected database, if we have selected one.
    db: Option<i64>,
    /// It has answered something in the course of this order.
    answered: bool,
    /// Bytes of replies that were read too much.
    unread: Vec<u8>,
}

impl Peer {
    async fn authenticate(&mut self, Password { user, password }: &Password) -> Result<(), Failure> {
        let mut args = vec![&b"AUTH"[..]];
        args.extend(user.as_deref());
        args.push(password);
        self.ask(&args).await
    }

    async fn select(&mut self, db: i64) -> Result<(), Failure> {
        if self.db != Some(db) {
            self.ask(&[b"SELECT", db.to_string().as_bytes()]).await?;
            self.db = Some(db);
        }
        Ok(())
    }

    /// Sends a request and waits until it is granted.
    async fn ask(&mut self, args: &[&[u8]]) -> Result<(), Failure> {
        let mut request = Vec::new();
        encode::request(&mut request, args);
        self.write(&request).await?;
        self.reply().await?.map_err(Failure::Refused)
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            match self.write_some(bytes).await {
                Ok(written) => bytes = &bytes[written..],
                Err(error) => return Err(self.lost("writing", error)),
            }
        }
        Ok(())
    }

    async fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.within(poll_fn(|cx| self.stream.poll_write_ready(cx))).await?;
        match self.stream.try_write(&[IoSlice::new(bytes)]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// The next reply, which is a status or an error.
    async fn reply(&mut self) -> Result<Result<(), Error>, Failure> {
        let line = match self.line().await {
            Ok(line) => line,
            Err(error) => return Err(self.lost("reading", error)),
        };
        self.answered = true;
        Ok(match line.strip_prefix(b"-") {
            None => Ok(()),
            Some(text) => Err(Error::err([b"Target instance replied with error: ", text].concat())),
        })
    }

    fn lost(&self, doing: &'static str, error: io::Error) -> Failure {
        Failure::Lost { doing, error, answered: self.answered }
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.unread) {
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                line.truncate(line.trim_ascii_end().len());
                return Ok(line);
            }
            if self.unread.len() > LINE_MAX_BYTES {
                return Err(ErrorKind::InvalidData.into());
            }
            self.within(poll_fn(|cx| self.stream.poll_read_ready(cx))).await?;
            let mut piece = [0; READ_BYTES];
            match self.stream.try_read(&mut piece) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.unread.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn within(&self, ready: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        crate::clock::timeout(self.timeout, ready).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpStream};

    async fn peer() -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stream =
            TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let timeout = Duration::from_secs(1);
        Peer { stream: Stream::Tcp(stream), timeout, db: None, answered: false, unread: Vec::new() }
    }

    fn target(port: u16) -> Target {
        ("host".into(), port, None)
    }

    #[tokio::test]
    async fn what_nobody_uses_is_closed_after_ten_seconds() {
        let sockets = Sockets::default();
        sockets.keep(target(1), peer().await, 1000);
        sockets.keep(target(2), peer().await, 2000);
        sockets.close_idle(11_000);
        assert_eq!(sockets.len(), 2);
        sockets.close_idle(11_001);
        assert!(sockets.take(&target(1)).is_none());
        assert!(sockets.take(&target(2)).is_some());
        assert!(sockets.is_empty());
    }

    #[tokio::test]
    async fn no_more_than_so_many_are_kept_and_the_oldest_goes() {
        let sockets = Sockets::default();
        for port in 0..=IDLE_MAX as u16 {
            sockets.keep(target(port), peer().await, i64::from(port));
        }
        assert_eq!(sockets.len(), IDLE_MAX);
        assert!(sockets.take(&target(0)).is_none());
        assert!(sockets.take(&target(1)).is_some());
    }
}
