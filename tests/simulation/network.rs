//! A network in memory: hosts by name, connections as pairs of byte pipes, everything that goes wrong decided by a seed.
//!
//! Bytes arrive late, in order, in pieces of any size; a pipe holds only so many. A connection breaks at a byte that was
//! chosen before, or now; its ends learn of it at different times, or one of them never does. Between hosts that are
//! parted nothing arrives, nor is anything refused. Timers fire in virtual time, so that two runs of a seed are the same.

use super::rng::Rng;
use parking_lot::Mutex;
use redpoll::net::simulated::{Connecting, Host, Socket};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// How bad the network is.
#[derive(Clone, Debug)]
pub struct Weather {
    pub latency_ms: Range<u64>,
    /// Bytes that a pipe holds.
    pub window: usize,
    /// Reads that bring less than there is, in a hundred.
    pub short_reads: u64,
}

/// A connection's accepted end, and who made it.
pub type Incoming = (Box<dyn Socket>, String);

/// The network.
#[derive(Clone)]
pub struct Net {
    state: Arc<Mutex<State>>,
    healed: Arc<Notify>,
}

struct State {
    rng: Rng,
    weather: Weather,
    listeners: BTreeMap<String, mpsc::UnboundedSender<Incoming>>,
    parted: BTreeSet<(String, String)>,
    wires: BTreeMap<u64, Wire>,
    last_wire: u64,
    events: Events,
}

/// What happened in the network, for the coverage and for comparing two runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Events {
    pub connections: u64,
    pub delivered_bytes: u64,
    pub cuts: u64,
    pub cuts_in_transactions: u64,
    pub half_open: u64,
    /// The most pieces that one end has sent without time passing: many of them are a loop that never rests.
    pub most_at_once: u64,
}

/// One connection: its two ends by host, and a pipe in each direction (`pipes[0]`: from the end that connected).
struct Wire {
    hosts: [String; 2],
    pipes: [Pipe; 2],
    ends: [End; 2],
    /// Nothing arrives any more.
    broken: bool,
}

#[derive(Default)]
struct End {
    /// What the host knows of the break.
    fault: Option<Fault>,
    dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Reset,
    Eof,
}

#[derive(Default)]
struct Pipe {
    flying: VecDeque<(Instant, Piece)>,
    arrived: VecDeque<u8>,
    flying_bytes: usize,
    delivered: u64,
    /// The connection breaks when so many bytes have arrived.
    cut_at: Option<u64>,
    eof: bool,
    /// When the last piece was sent, and how many were sent at that moment.
    sent: Option<(Instant, u64)>,
    /// The last bytes that arrived.
    tail: VecDeque<u8>,
}

enum Piece {
    Bytes(Vec<u8>),
    Eof,
}

const TAIL_BYTES: usize = 4096;

impl Net {
    /// A network without hosts.
    pub fn new(rng: Rng, weather: Weather) -> Net {
        let state = State {
            rng,
            weather,
            listeners: BTreeMap::new(),
            parted: BTreeSet::new(),
            wires: BTreeMap::new(),
            last_wire: 0,
            events: Events::default(),
        };
        Net { state: Arc::new(Mutex::new(state)), healed: Arc::default() }
    }

    /// The network as a host sees it.
    pub fn host(&self, name: &str) -> Arc<dyn Host> {
        Arc::new(Seen { net: self.clone(), name: name.into() })
    }

    /// Begins to accept connections; what listened there before does not any more.
    pub fn listen(&self, name: &str) -> mpsc::UnboundedReceiver<Incoming> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.state.lock().listeners.insert(name.into(), sender);
        receiver
    }

    /// Connections are refused from now on.
    pub fn close(&self, name: &str) {
        self.state.lock().listeners.remove(name);
    }

    /// What has happened so far.
    pub fn events(&self) -> Events {
        self.state.lock().events
    }

    /// Breaks a connection once so many more bytes have come through it in one direction. False: there is none.
    pub fn arm_cut(&self, rng: &mut Rng, within_bytes: u64) -> bool {
        let mut state = self.state.lock();
        let Some(id) = state.random_wire(rng) else { return false };
        let wire = state.wires.get_mut(&id).expect("just found");
        // Snapshots and the stream come from the end that was connected to.
        let pipe = &mut wire.pipes[usize::from(rng.percent(85))];
        pipe.cut_at = Some(pipe.delivered + rng.of(0..within_bytes));
        true
    }

    /// Breaks a connection now.
    pub fn cut(&self, rng: &mut Rng) -> bool {
        let Some(id) = self.state.lock().random_wire(rng) else { return false };
        self.break_wire(id);
        true
    }

    /// Nothing arrives between two hosts until [`Net::rejoin`].
    pub fn part(&self, a: &str, b: &str) {
        self.state.lock().parted.insert(pair(a, b));
    }

    /// What was on its way arrives.
    pub fn rejoin(&self, a: &str, b: &str) {
        self.state.lock().parted.remove(&pair(a, b));
        self.deliver_all();
    }

    /// No partitions, no cuts to come, and this weather.
    pub fn heal(&self, weather: Weather) {
        let mut state = self.state.lock();
        state.weather = weather;
        state.parted.clear();
        state.wires.values_mut().flat_map(|wire| &mut wire.pipes).for_each(|pipe| pipe.cut_at = None);
        drop(state);
        self.deliver_all();
    }

    fn deliver_all(&self) {
        self.healed.notify_waiters();
        let ids: Vec<u64> = self.state.lock().wires.keys().copied().collect();
        for id in ids {
            self.deliver(id, 0);
            self.deliver(id, 1);
        }
    }

    async fn connect(self, from: String, to: String) -> io::Result<Box<dyn Socket>> {
        let latency_ms = self.state.lock().latency_ms();
        tokio::time::sleep(Duration::from_millis(latency_ms)).await;
        loop {
            let healed = self.healed.notified();
            if !self.state.lock().parted.contains(&pair(&from, &to)) {
                break;
            }
            healed.await;
        }
        let mut state = self.state.lock();
        let listener = state.listeners.get(&to).cloned().ok_or(ErrorKind::ConnectionRefused)?;
        state.last_wire += 1;
        state.events.connections += 1;
        let id = state.last_wire;
        let wire = Wire {
            hosts: [from.clone(), to],
            pipes: Default::default(),
            ends: Default::default(),
            broken: false,
        };
        state.wires.insert(id, wire);
        drop(state);
        let end = |end| Box::new(Ended { net: self.clone(), wire: id, end }) as Box<dyn Socket>;
        let near = end(0);
        listener.send((end(1), from)).map_err(|_| ErrorKind::ConnectionRefused)?;
        Ok(near)
    }

    fn send(&self, id: u64, from: usize, piece: Piece) {
        let mut state = self.state.lock();
        let due = Instant::now() + Duration::from_millis(state.latency_ms());
        let State { wires, events, .. } = &mut *state;
        let Some(wire) = wires.get_mut(&id) else { return };
        let pipe = &mut wire.pipes[from];
        events.most_at_once = events.most_at_once.max(pipe.count_sent());
        let due = pipe.flying.back().map_or(due, |(last, _)| due.max(*last));
        if let Piece::Bytes(bytes) = &piece {
            pipe.flying_bytes += bytes.len();
        }
        pipe.flying.push_back((due, piece));
        let net = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(due).await;
            net.deliver(id, from);
        });
    }

    /// Lets arrive what is due.
    fn deliver(&self, id: u64, from: usize) {
        let mut state = self.state.lock();
        let State { wires, parted, events, .. } = &mut *state;
        let Some(wire) = wires.get_mut(&id) else { return };
        if parted.contains(&pair(&wire.hosts[0], &wire.hosts[1])) {
            return;
        }
        let pipe = &mut wire.pipes[from];
        let (mut cut, mut arrived) = (false, false);
        while !cut && pipe.flying.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, piece) = pipe.flying.pop_front().expect("just seen");
            arrived = true;
            match piece {
                Piece::Bytes(_) if wire.broken => {}
                Piece::Bytes(bytes) => {
                    pipe.flying_bytes -= bytes.len();
                    let before = pipe.delivered;
                    cut = pipe.take_in(&bytes);
                    events.delivered_bytes += pipe.delivered - before;
                }
                Piece::Eof if wire.broken => {}
                Piece::Eof => pipe.eof = true,
            }
        }
        let mut wakers = Vec::new();
        if arrived {
            wakers.extend(wire.ends[1 - from].wake());
        }
        if wire.ends.iter().all(|end| end.dropped) {
            wires.remove(&id);
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        if cut {
            self.break_wire(id);
        }
    }

    fn break_wire(&self, id: u64) {
        let mut state = self.state.lock();
        let State { wires, rng, events, .. } = &mut *state;
        let Some(wire) = wires.get_mut(&id) else { return };
        if std::mem::replace(&mut wire.broken, true) {
            return;
        }
        events.cuts += 1;
        events.cuts_in_transactions += u64::from(wire.pipes[1].ends_in_transaction());
        let ignorant = if rng.percent(15) { rng.below(2) } else { 2 };
        events.half_open += u64::from(ignorant < 2);
        let learn: Vec<(usize, u64, Fault)> = (0..2)
            .filter(|end| *end != ignorant)
            .map(|end| {
                let delay_ms = if rng.percent(60) { 0 } else { rng.of(0..2500) };
                (end, delay_ms, if rng.percent(50) { Fault::Reset } else { Fault::Eof })
            })
            .collect();
        drop(state);
        for (end, delay_ms, fault) in learn {
            let net = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                net.learn(id, end, fault);
            });
        }
    }

    fn learn(&self, id: u64, end: usize, fault: Fault) {
        let mut state = self.state.lock();
        let Some(wire) = state.wires.get_mut(&id) else { return };
        wire.ends[end].fault = Some(fault);
        let wakers = wire.ends[end].wake();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn latency_ms(&mut self) -> u64 {
        self.rng.of(self.weather.latency_ms.clone())
    }

    fn random_wire(&self, rng: &mut Rng) -> Option<u64> {
        let whole: Vec<u64> = self.wires.iter().filter(|(_, wire)| !wire.broken).map(|(id, _)| *id).collect();
        (!whole.is_empty()).then(|| rng.pick(&whole))
    }
}

impl Pipe {
    /// What the pipe takes: nothing before it is half empty, or it would be filled byte by byte.
    fn room(&self, window: usize) -> usize {
        let room = window.saturating_sub(self.flying_bytes + self.arrived.len());
        if room * 2 < window { 0 } else { room }
    }

    fn count_sent(&mut self) -> u64 {
        let now = Instant::now();
        let n = match self.sent {
            Some((at, n)) if at == now => n + 1,
            _ => 1,
        };
        self.sent = Some((now, n));
        n
    }

    /// Returns whether the connection breaks here.
    fn take_in(&mut self, bytes: &[u8]) -> bool {
        let left = self.cut_at.map_or(u64::MAX, |at| at.saturating_sub(self.delivered));
        let n = bytes.len().min(left.min(usize::MAX as u64) as usize);
        self.arrived.extend(&bytes[..n]);
        self.tail.extend(&bytes[..n]);
        let old = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..old);
        self.delivered += n as u64;
        self.cut_at.is_some_and(|at| self.delivered >= at)
    }

    fn ends_in_transaction(&mut self) -> bool {
        let tail = self.tail.make_contiguous();
        let last = |word: &[u8]| tail.windows(word.len()).rposition(|part| part == word);
        last(b"\r\nMULTI\r\n").is_some_and(|multi| last(b"\r\nEXEC\r\n").is_none_or(|exec| exec < multi))
    }
}

impl End {
    fn wake(&mut self) -> Vec<Waker> {
        self.reader.take().into_iter().chain(self.writer.take()).collect()
    }
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.min(b).into(), a.max(b).into())
}

struct Seen {
    net: Net,
    name: String,
}

impl Host for Seen {
    fn connect(&self, host: &str, _port: u16) -> Connecting {
        Box::pin(self.net.clone().connect(self.name.clone(), host.into()))
    }
}

/// One end of a connection.
struct Ended {
    net: Net,
    wire: u64,
    end: usize,
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "end {} of connection {}", self.end, self.wire)
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let mut state = self.net.state.lock();
        if let Some(wire) = state.wires.get_mut(&self.wire) {
            wire.ends[self.end] = End { dropped: true, ..End::default() };
        }
        drop(state);
        // When the world ends, nobody is there to tell.
        if tokio::runtime::Handle::try_current().is_ok() {
            self.net.send(self.wire, self.end, Piece::Eof);
        }
    }
}

impl Socket for Ended {
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.net.state.lock();
        let State { wires, rng, weather, .. } = &mut *state;
        let wire = wires.get_mut(&self.wire).ok_or(ErrorKind::NotConnected)?;
        if wire.ends[self.end].fault == Some(Fault::Reset) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let eof = wire.ends[self.end].fault == Some(Fault::Eof);
        let pipe = &mut wire.pipes[1 - self.end];
        let mut n = buf.len().min(pipe.arrived.len());
        if n == 0 {
            return if eof || pipe.eof { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        if rng.percent(weather.short_reads) {
            n = rng.of(1..n as u64 + 1) as usize;
        }
        pipe.arrived.drain(..n).zip(buf).for_each(|(byte, to)| *to = byte);
        let room = pipe.room(weather.window) > 0;
        let writer = wire.ends[1 - self.end].writer.take_if(|_| room);
        drop(state);
        writer.into_iter().for_each(Waker::wake);
        Ok(n)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.net.state.lock();
        let window = state.weather.window;
        let wire = state.wires.get_mut(&self.wire).ok_or(ErrorKind::NotConnected)?;
        if wire.ends[self.end].fault.is_some() {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if wire.pipes[1 - self.end].eof {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let pipe = &wire.pipes[self.end];
        let room = pipe.room(window);
        if room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        drop(state);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(room).collect();
        let n = bytes.len();
        self.net.send(self.wire, self.end, Piece::Bytes(bytes));
        Ok(n)
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.net.state.lock();
        let Some(wire) = state.wires.get_mut(&self.wire) else { return Poll::Ready(Ok(())) };
        let pipe = &wire.pipes[1 - self.end];
        if !pipe.arrived.is_empty() || pipe.eof || wire.ends[self.end].fault.is_some() {
            return Poll::Ready(Ok(()));
        }
        wire.ends[self.end].reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.net.state.lock();
        let window = state.weather.window;
        let Some(wire) = state.wires.get_mut(&self.wire) else { return Poll::Ready(Ok(())) };
        let pipe = &wire.pipes[self.end];
        if pipe.room(window) > 0 || wire.pipes[1 - self.end].eof || wire.ends[self.end].fault.is_some() {
            return Poll::Ready(Ok(()));
        }
        wire.ends[self.end].writer = Some(cx.waker().clone());
        Poll::Pending
    }
}
