//! A server process under test: `redpoll`, or the real `redis-server` beside it.
//!
//! Each server gets a free port on 127.0.0.1 and a directory of its own, is waited for until it answers
//! PING, and is killed and swept away on drop: a failing test leaves nothing running. The directory
//! outlives restarts, so that what a server has saved is there when it comes back.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::client::Client;
use super::wait_until;

/// How long a server may take from its start to its first `+PONG`, and from SIGTERM to its end.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a start is repeated on another port when somebody took the first one meanwhile.
const PORT_ATTEMPTS: u32 = 5;

/// The version of redis-server that the tests were written against (any patch level).
const ORACLE_VERSION: &str = "v=7.0.";

/// A running (or stopped, between [`Server::stop`] and [`Server::start_again`]) server.
pub struct Server {
    binary: PathBuf,
    args: Vec<String>,
    /// The text of its configuration file at the first start, if it gets one.
    config: Option<String>,
    port: u16,
    dir: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Starts the server under test: this package's `redpoll`, or what `REDPOLL_TEST_BINARY` names.
    ///
    /// `args` are command line arguments as redis-server takes them (`&["--appendonly", "yes"]`), after
    /// the port, the address, the directory and `--save ""`.
    pub fn redpoll(args: &[&str]) -> Server {
        Server::start(&binary_under_test(), args)
    }

    /// Starts the real redis-server, or says `SKIPPED` and returns `None` where there is none.
    ///
    /// # Panics
    ///
    /// Without a redis-server when the environment says `CI=true`: there, skipping would be lying.
    pub fn redis(args: &[&str]) -> Option<Server> {
        find_redis().map(|binary| Server::start(&binary, args))
    }

    /// Starts `binary` and waits until it answers PING.
    ///
    /// # Panics
    ///
    /// With the server's log when it ends early or does not answer in time.
    pub fn start(binary: &Path, args: &[&str]) -> Server {
        Server::start_with(binary, args, None)
    }

    /// As [`Server::start`], from a configuration file with this text.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub fn start_from_file(binary: &Path, config: &str, args: &[&str]) -> Server {
        Server::start_with(binary, args, Some(config.to_string()))
    }

    fn start_with(binary: &Path, args: &[&str], config: Option<String>) -> Server {
        let mut server = Server {
            binary: binary.to_path_buf(),
            args: args.iter().map(|arg| arg.to_string()).collect(),
            config,
            port: 0,
            dir: fresh_dir(),
            child: None,
        };
        for _ in 0..PORT_ATTEMPTS {
            server.port = free_port();
            match server.launch() {
                Ok(()) => return server,
                Err(log) if log.contains("Address already in use") => continue,
                Err(log) => panic!("{} did not start:\n{log}", server.binary.display()),
            }
        }
        panic!("no free port in {PORT_ATTEMPTS} attempts")
    }

    /// The port on 127.0.0.1; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address to connect to.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The working directory, where the RDB and AOF files and `server.log` are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether the process runs; one that has ended by itself can be started again.
    pub fn is_running(&mut self) -> bool {
        let Some(child) = self.child.as_mut() else { return false };
        let running = child.try_wait().expect("own child can be waited for").is_none();
        if !running {
            self.child = None;
        }
        running
    }

    /// A new connection to it.
    ///
    /// # Panics
    ///
    /// When the connection is refused.
    pub fn connect(&self) -> Client {
        Client::connect(self.addr()).unwrap_or_else(|error| panic!("connect to {}: {error}", self.addr()))
    }

    /// What it has written to its standard output and error since the first start.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// Replaces the arguments for the next start.
    pub fn set_args(&mut self, args: &[&str]) {
        self.args = args.iter().map(|arg| arg.to_string()).collect();
    }

    /// Sends a signal by name (`"STOP"`, `"CONT"`, `"TERM"`).
    ///
    /// # Panics
    ///
    /// When it is not running.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().expect("the server is running").to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill can be run");
        assert!(sent.success(), "kill -s {name} {pid}: {sent}");
    }

    /// Stops it as an operator would (SIGTERM), and waits for its end.
    pub fn stop(&mut self) {
        if self.child.is_some() {
            self.signal("TERM");
            self.wait_for_end();
        }
    }

    /// Ends it as a power cut would (SIGKILL).
    pub fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("own child can be killed");
            child.wait().expect("own child can be waited for");
        }
    }

    /// Waits until the process has ended by itself (after SHUTDOWN, say).
    pub fn wait_for_end(&mut self) {
        let Some(child) = self.child.as_mut() else { return };
        let mut ended = || child.try_wait().expect("own child can be waited for").is_some();
        wait_until("the server ends", PATIENCE, &mut ended);
        self.child = None;
    }

    /// Starts it again after [`Server::stop`] or [`Server::crash`]: same port, directory and arguments.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "the server is still running");
        self.launch().unwrap_or_else(|log| panic!("{} did not come back:\n{log}", self.binary.display()));
    }

    /// Stops and starts it.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Where its configuration file is, if it has one.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("server.conf")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// One start; the error is the server's log.
    fn launch(&mut self) -> Result<(), String> {
        if let Some(config) = &self.config
            && !self.config_path().exists()
        {
            fs::write(self.config_path(), config).expect("configuration file");
        }
        let log = File::options().create(true).append(true).open(self.log_path()).expect("log file");
        let child = Command::new(&self.binary)
            .args(self.config.as_ref().map(|_| self.config_path()))
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(&self.dir)
            .args(&self.args)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("second handle of the log"))
            .stdout(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        self.child = Some(child);
        self.wait_for_pong()
    }

    fn wait_for_pong(&mut self) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.as_mut().expect("just started").try_wait().expect("own child");
            if ended.is_some() {
                self.child = None;
                return Err(self.log());
            }
            if answers_ping(self.addr()) && !self.port_is_another_server() {
                return Ok(());
            }
            if Instant::now() > end {
                self.crash();
                return Err(format!("no PONG in {PATIENCE:?}\n{}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Server {
    /// Whether somebody else answers on the port: a process that took it first, while ours is about to give up.
    fn port_is_another_server(&self) -> bool {
        let process_id = || -> io::Result<Option<u32>> {
            let mut client = Client::connect(self.addr())?;
            client.send(&["INFO", "server"])?;
            let info = client.read_reply()?.value.text();
            Ok(info.lines().find_map(|line| line.strip_prefix("process_id:")?.parse().ok()))
        };
        process_id().unwrap_or_default().is_some_and(|found| Some(found) != self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.crash();
        if std::thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.binary.display(), tail(&self.log(), 30));
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The binary that [`Server::redpoll`] starts.
pub fn binary_under_test() -> PathBuf {
    std::env::var_os("REDPOLL_TEST_BINARY")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_redpoll")), |path| resolve(Path::new(&path)))
}

/// The redis-server on PATH if it has the oracle's version; see [`Server::redis`].
pub fn find_redis() -> Option<PathBuf> {
    let found = Command::new("redis-server").arg("--version").output();
    let version = found.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    match version {
        Ok(version) if version.contains(ORACLE_VERSION) => Some(PathBuf::from("redis-server")),
        Ok(version) => skip(&format!("redis-server on PATH is not {ORACLE_VERSION}x: {}", version.trim())),
        Err(_) => skip("redis-server not found on PATH"),
    }
}

fn skip(reason: &str) -> Option<PathBuf> {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}");
    println!("SKIPPED: {reason}");
    None
}

/// A relative path as seen from here: the server runs in a directory of its own.
fn resolve(path: &Path) -> PathBuf {
    if path.components().count() > 1 {
        fs::canonicalize(path).expect("REDPOLL_TEST_BINARY")
    } else {
        path.into()
    }
}

fn answers_ping(addr: SocketAddr) -> bool {
    let ping = || -> io::Result<bool> {
        let mut client = Client::connect(addr)?;
        client.set_deadline(Duration::from_secs(2));
        client.send(&["PING"])?;
        Ok(client.read_reply()?.raw == b"+PONG\r\n")
    };
    ping().unwrap_or(false)
}

/// A port that nobody listens on and that no other call of this process gets. It lies below the range from which
/// systems take the local ports of outgoing connections: one of those could otherwise hold it when a server restarts.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 11_000;
    const COUNT: u32 = 20_000;
    loop {
        let offset = std::process::id().wrapping_mul(131).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = (FIRST + offset % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn fresh_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("redpoll-test-{}-{number}", std::process::id()));
    fs::create_dir_all(&dir).expect("a temporary directory");
    dir
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
