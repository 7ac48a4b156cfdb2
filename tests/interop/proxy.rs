//! A TCP proxy that stands on a replication link and breaks it on demand.
//!
//! A replica is pointed at the proxy's port, the proxy at the master's. The valve between them can be cut (closed in
//! order, or reset), stalled, slowed, shut for newcomers, or told to cut by itself once a number of bytes has gone
//! down to the replica: the way to break a link in the middle of a command or of an RDB file, wherever that is.
//!
//! Killing the server's sockets from outside (iptables, ss -K) would need privileges; CLIENT KILL breaks the link at
//! the end of a command only. Hence a proxy of plain threads: two per connection, one for each direction.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a pump may sit in one write before it looks whether its connection is still wanted.
const WRITE_SLICE: Duration = Duration::from_millis(50);
/// Bytes moved at once: small enough that a byte budget cuts near the spot asked for under any load.
const PUMP_BUFFER_BYTES: usize = 16 * 1024;

/// The two ways in which a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// FIN in both directions, as when a process exits.
    Close,
    /// RST in both directions: what was in flight is lost.
    Reset,
}

/// A running proxy; dropping it ends its listener and all connections through it.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    valve: Mutex<Valve>,
    valve_turned: Condvar,
    connections: Mutex<Vec<Arc<Connection>>>,
    accepted: AtomicU64,
    closing: AtomicBool,
}

/// What the pumps obey. `bytes_left` and `bytes_per_second` concern the way down (master to replica) only.
struct Valve {
    target: SocketAddr,
    shut: bool,
    stalled: bool,
    bytes_left: Option<u64>,
    bytes_per_second: Option<u64>,
}

struct Connection {
    replica: TcpStream,
    master: TcpStream,
    dead: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes connections on to `target_port` there.
    pub fn to(target_port: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port for the proxy");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let valve = Valve {
            target: local(target_port),
            shut: false,
            stalled: false,
            bytes_left: None,
            bytes_per_second: None,
        };
        let shared = Arc::new(Shared {
            valve: Mutex::new(valve),
            valve_turned: Condvar::new(),
            connections: Mutex::new(Vec::new()),
            accepted: AtomicU64::new(0),
            closing: AtomicBool::new(false),
        });
        let acceptor = Arc::clone(&shared);
        thread::spawn(move || accept_loop(&listener, &acceptor));
        Proxy { port, shared }
    }

    /// The port that a replica connects to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends all present connections.
    pub fn cut(&self, how: Cut) {
        self.shared.cut_all(how);
    }

    /// Ends all connections as soon as `bytes` more have gone down, the last of them delivered.
    pub fn cut_after(&self, bytes: u64) {
        self.turn(|valve| valve.bytes_left = Some(bytes));
    }

    /// Whether the byte budget of [`Proxy::cut_after`] is still waiting to run out.
    pub fn cut_is_pending(&self) -> bool {
        self.shared.valve.lock().expect("valve").bytes_left.is_some()
    }

    /// Holds back all bytes, in both directions, without closing anything; or lets them go again.
    pub fn stall(&self, stalled: bool) {
        self.turn(|valve| valve.stalled = stalled);
    }

    /// Slows the way down to about so many bytes a second; `None` is as fast as it goes.
    pub fn throttle(&self, bytes_per_second: Option<u64>) {
        self.turn(|valve| valve.bytes_per_second = bytes_per_second);
    }

    /// While shut, newcomers are accepted and closed at once: a master that is up but gone.
    pub fn shut(&self, shut: bool) {
        self.turn(|valve| valve.shut = shut);
    }

    /// How many connections have come so far, turned away or not.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    fn turn(&self, change: impl FnOnce(&mut Valve)) {
        change(&mut self.shared.valve.lock().expect("valve"));
        self.shared.valve_turned.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.stall(false);
        self.cut(Cut::Close);
        drop(TcpStream::connect(local(self.port)));
    }
}

impl Shared {
    fn cut_all(&self, how: Cut) {
        for connection in self.connections.lock().expect("connections").drain(..) {
            connection.end(how);
        }
        drop(self.valve.lock().expect("valve")); // whoever has just looked at `dead` is asleep by now
        self.valve_turned.notify_all();
    }

    fn serve(self: &Arc<Shared>, replica: TcpStream) {
        let (target, shut) = {
            let valve = self.valve.lock().expect("valve");
            (valve.target, valve.shut)
        };
        if shut {
            return;
        }
        let Ok(master) = TcpStream::connect_timeout(&target, Duration::from_secs(1)) else { return };
        for stream in [&replica, &master] {
            let _ = stream.set_nodelay(true);
            let _ = stream.set_write_timeout(Some(WRITE_SLICE));
        }
        let connection = Arc::new(Connection { replica, master, dead: AtomicBool::new(false) });
        self.connections.lock().expect("connections").push(Arc::clone(&connection));
        for way in [Way::Up, Way::Down] {
            let (shared, connection) = (Arc::clone(self), Arc::clone(&connection));
            thread::spawn(move || {
                shared.pump(&connection, way);
                connection.end(Cut::Close);
                shared.connections.lock().expect("connections").retain(|c| !Arc::ptr_eq(c, &connection));
            });
        }
    }

    fn pump(&self, connection: &Connection, way: Way) {
        let (mut from, to) = match way {
            Way::Up => (&connection.replica, &connection.master),
            Way::Down => (&connection.master, &connection.replica),
        };
        let mut buffer = vec![0; PUMP_BUFFER_BYTES];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(length) => length,
            };
            let Some(allowed) = self.pass_valve(connection, way, length) else { return };
            if connection.write(to, &buffer[..allowed]).is_err() {
                return;
            }
            if allowed < length {
                self.cut_all(Cut::Close);
                return;
            }
        }
    }

    /// Waits until `length` bytes may pass; how many of them may, or `None` if the connection ended meanwhile.
    /// Fewer than asked for means: the budget ran out, deliver these and cut.
    fn pass_valve(&self, connection: &Connection, way: Way, length: usize) -> Option<usize> {
        let mut valve = self.valve.lock().expect("valve");
        while valve.stalled && !connection.is_dead() {
            valve = self.valve_turned.wait(valve).expect("valve");
        }
        if way == Way::Down {
            if let Some(rate) = valve.bytes_per_second {
                let until = Instant::now() + Duration::from_secs_f64(length as f64 / rate as f64);
                while Instant::now() < until && valve.bytes_per_second.is_some() && !connection.is_dead() {
                    let left = until.saturating_duration_since(Instant::now());
                    valve = self.valve_turned.wait_timeout(valve, left).expect("valve").0;
                }
            }
            if let Some(left) = valve.bytes_left {
                let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(length);
                valve.bytes_left = (allowed == length).then(|| left - allowed as u64);
                return (!connection.is_dead()).then_some(allowed);
            }
        }
        (!connection.is_dead()).then_some(length)
    }
}

impl Connection {
    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// With a reset only the reading half is shut here (which wakes the pumps without a FIN); lingering for zero
    /// seconds turns the close that follows, when the last pump lets go, into an RST.
    fn end(&self, how: Cut) {
        if self.dead.swap(true, Ordering::SeqCst) {
            return;
        }
        for stream in [&self.replica, &self.master] {
            if how == Cut::Reset {
                let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
                let _ = stream.shutdown(Shutdown::Read);
            } else {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    fn write(&self, mut to: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            match to.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(e)
                    if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && !self.is_dead() => {
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn accept_loop(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(stream) = stream {
            shared.accepted.fetch_add(1, Ordering::SeqCst);
            shared.serve(stream);
        }
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
