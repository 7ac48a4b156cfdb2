//! A steady load that does not wait for replies: each operation has its time, whatever became of those before it.
//!
//! One thread sends what is due, another reads; a reply's latency counts from the time at which its operation was due. Where the
//! machine is busy the sender itself wakes late: that is measured beside, since it is in the latencies too. Where they may (root), both
//! threads run as real-time ones, so that it is the server that is late. With `--apart` they have the machine's last processor for
//! themselves, and the servers and all else the others: a kernel that does not take the processor from a system call is late otherwise.

use super::harness::Noise;
use super::harness::support::client::encode_command;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Time between two operations: 5,000 a second.
const PERIOD: Duration = Duration::from_micros(200);
/// How long the sender sleeps between two looks at what is due.
const NAP: Duration = Duration::from_millis(1);

/// What was latest.
pub struct Lateness {
    /// A reply after its operation was due.
    pub replies: Duration,
    /// The sender after it wanted to wake.
    pub waking: Duration,
}

/// A load that goes on until it is stopped.
pub struct Load {
    over: Arc<AtomicBool>,
    sender: JoinHandle<Duration>,
    reader: JoinHandle<Duration>,
}

impl Load {
    /// Sends what `operation` makes of the noise, a command each time.
    pub fn start(
        addr: SocketAddr,
        operation: impl FnMut(&mut Noise) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Load {
        let stream = TcpStream::connect(addr).expect("the server accepts");
        stream.set_nodelay(true).expect("a socket's option");
        let input = stream.try_clone().expect("second handle of a socket");
        let (due, times) = channel();
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let sender = thread::spawn(move || {
            go_first();
            send(stream, operation, &due, &ended)
        });
        let reader = thread::spawn(move || {
            go_first();
            read(input, &times).expect("the server replies with RESP")
        });
        Load { over, sender, reader }
    }

    /// Ends it and reads what is still to come.
    pub fn stop(self) -> Lateness {
        self.over.store(true, Relaxed);
        let waking = self.sender.join().expect("the load is taken");
        Lateness { waking, replies: self.reader.join().expect("the load is answered") }
    }
}

/// The processor that the loads have for themselves.
static LOADS_CPU: OnceLock<usize> = OnceLock::new();

/// With `--apart`, keeps this thread, and all that it starts but the loads, from the last processor.
pub fn stay_apart() {
    if !std::env::args().any(|arg| arg == "--apart") {
        return;
    }
    let mut others = sched_getaffinity(None).expect("the kernel knows where a thread may run");
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| others.is_set(*cpu));
    let own = *LOADS_CPU.get_or_init(|| last.expect("a thread may run somewhere"));
    others.unset(own);
    assert!(others.count() > 0, "--apart needs two processors");
    sched_setaffinity(None, &others).expect("fewer processors are always allowed");
}

/// Has this thread run before all that is not real-time, if it may: by priorities among the others alone it would wait for the end of
/// somebody's slice, some milliseconds.
fn go_first() {
    if let Some(cpu) = LOADS_CPU.get() {
        let mut own = CpuSet::new();
        own.set(*cpu);
        sched_setaffinity(None, &own).expect("it was allowed before");
    }
    let thread = rustix::thread::gettid().to_string();
    let _ = Command::new("chrt").args(["--fifo", "--pid", "1", &thread]).stderr(Stdio::null()).status();
}

/// Sends what is due until it is over; returns the latest waking.
fn send(
    mut stream: TcpStream,
    mut operation: impl FnMut(&mut Noise) -> Vec<Vec<u8>>,
    due: &Sender<Instant>,
    over: &AtomicBool,
) -> Duration {
    let mut noise = Noise::new(11);
    let (mut next, mut latest) = (Instant::now(), Duration::ZERO);
    while !over.load(Relaxed) {
        let now = Instant::now();
        let mut batch = Vec::new();
        while next <= now {
            batch.extend(encode_command(&operation(&mut noise)));
            due.send(next).expect("the reader goes on until we end");
            next += PERIOD;
        }
        stream.write_all(&batch).expect("the server takes commands");
        let wake = Instant::now() + NAP;
        thread::sleep(NAP);
        latest = latest.max(wake.elapsed());
    }
    latest
}

/// Reads a reply for each time; returns the highest latency.
fn read(input: TcpStream, times: &Receiver<Instant>) -> io::Result<Duration> {
    let mut input = BufReader::new(input);
    let (mut line, mut worst) = (Vec::new(), Duration::ZERO);
    for due in times {
        line.clear();
        input.read_until(b'\n', &mut line)?;
        match line.split_first() {
            Some((b'+' | b':', _)) => {}
            Some((b'$', len)) => {
                let len: u64 = String::from_utf8_lossy(len).trim().parse().map_err(io::Error::other)?;
                io::copy(&mut input.by_ref().take(len + 2), &mut io::sink())?;
            }
            _ => return Err(io::Error::other(String::from_utf8_lossy(&line).into_owned())),
        }
        worst = worst.max(due.elapsed());
    }
    Ok(worst)
}
