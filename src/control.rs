//! The control thread: starts everything, accepts, keeps time, ends everything.
//!
//! What must not be done where it is asked for (a command handler holds locks, a signal has no place to wait) comes here as an
//! [`Order`].

use crate::config::Config;
use crate::config::Loaded;
use crate::config::enums::ShutdownFlags;
use crate::config_apply::{self, Pairs};
use crate::error::Error;
use crate::logging::{self, Role};
use crate::net::IoThreads;
use crate::net::listener::{self, Listeners};
use crate::persistence;
use crate::replication::link::{self, Target};
use crate::replication::wait;
use crate::server::Server;
use crate::snapshot::StartError;
use parking_lot::Mutex;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, oneshot};

/// How often the clockwork turns.
const TICK: Duration = Duration::from_millis(100);

/// Something for the control thread to do.
#[derive(Debug)]
pub enum Order {
    /// SHUTDOWN, which whoever asked for it is told by [`Lingering`] if it is refused.
    Shutdown { options: ShutdownFlags },
    /// CONFIG SET of the addresses or the port. The answer is the command's.
    Configure { pairs: Pairs, local: bool, done: oneshot::Sender<Result<(), Error>> },
}

/// What whoever wanted the end is told when it does not come.
const NOT_SHUT_DOWN: &str = "Errors trying to SHUTDOWN. Check logs.";

/// The server goes on; the log says why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotShutDown;

/// The shutdown that is under way, if one is: who wants it, and how long it waits for replicas.
#[derive(Default, Debug)]
pub struct Lingering {
    /// Whoever asked for it by SHUTDOWN, to be told if it does not come.
    asked: Mutex<Vec<oneshot::Sender<String>>>,
    /// Unix milliseconds until which it waits; 0: it does not.
    until_ms: AtomicI64,
    over: Notify,
}

impl Lingering {
    /// Asks for a shutdown; the answer comes only if it is refused. One that waits already is joined, and waits no more if this
    /// one is not to wait.
    pub fn ask(&self, orders: &Orders, options: ShutdownFlags) -> oneshot::Receiver<String> {
        let (refused, answer) = oneshot::channel();
        self.asked.lock().push(refused);
        orders.give(Order::Shutdown { options });
        if options.contains(ShutdownFlags::NOW) {
            self.over.notify_waiters();
        }
        answer
    }

    /// Gives it up (SHUTDOWN ABORT). Returns whether one was waiting.
    pub fn give_up(&self) -> bool {
        let waits = self.ends_waiting();
        if waits {
            self.over.notify_waiters();
        }
        waits
    }

    /// How much longer it waits at most, if it does, milliseconds.
    pub fn left_ms(&self, now_ms: i64) -> Option<i64> {
        let until_ms = self.until_ms.load(Relaxed);
        (until_ms != 0).then(|| (until_ms - now_ms).max(0))
    }

    /// It waits no more. Returns whether it did.
    fn ends_waiting(&self) -> bool {
        self.until_ms.swap(0, Relaxed) != 0
    }

    fn refuse(&self, text: &str) {
        for asked in self.asked.lock().drain(..) {
            // It may have gone.
            let _ = asked.send(text.into());
        }
    }
}

/// Where orders are put.
#[derive(Debug)]
pub struct Orders {
    sender: mpsc::UnboundedSender<Order>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Order>>>,
}

impl Default for Orders {
    fn default() -> Orders {
        let (sender, receiver) = mpsc::unbounded_channel();
        Orders { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl Orders {
    /// Gives an order.
    pub fn give(&self, order: Order) {
        // Without a control thread (tests of single parts) nobody carries it out.
        let _ = self.sender.send(order);
    }
}

/// Runs the server to its end. Returns the process's exit code.
pub fn run(loaded: Loaded) -> i32 {
    logging::set_role(if loaded.config.replicaof.is_some() { Role::Replica } else { Role::Master });
    announce(&loaded);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        // The I/O threads' timers are kept by it until the process ends.
        Ok(runtime) => ManuallyDrop::new(runtime),
        Err(error) => return fail(&format!("Cannot start the control thread: {error}")),
    };
    let server = Server::with_file(loaded.config, loaded.file);
    match runtime.block_on(serve(&server)) {
        Ok(code) => code,
        Err(text) => fail(&text),
    }
}

fn fail(text: &str) -> i32 {
    tracing::warn!("{text}");
    1
}

fn announce(loaded: &Loaded) {
    let version = crate::config::COMPATIBLE_VERSION;
    let pid = std::process::id();
    tracing::warn!("oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo");
    tracing::warn!(
        "Redis version={version}, bits=64, commit=00000000, modified=0, pid={pid}, just started (Redpoll {})",
        env!("CARGO_PKG_VERSION")
    );
    match loaded.configured {
        true => tracing::warn!("Configuration loaded"),
        false => tracing::warn!(
            "Warning: no config file specified, using the default config. In order to specify a config file use redpoll /path/to/redis.conf"
        ),
    }
    for warning in &loaded.warnings {
        tracing::warn!("WARNING: {warning}");
    }
    tracing::info!("monotonic clock: POSIX clock_gettime");
    let port = loaded.config.port;
    if loaded.config.always_show_logo
        || (loaded.config.logfile.is_empty() && io::IsTerminal::is_terminal(&io::stdout()))
    {
        tracing::info!(
            "Redpoll {} (Redis {version}), 64 bit, running in standalone mode\n      _\n    >(.)__    Port: {port}\n     (___/    PID: {pid}\n",
            env!("CARGO_PKG_VERSION")
        );
    } else {
        tracing::info!("Running mode=standalone, port={port}.");
    }
}

async fn serve(server: &Arc<Server>) -> Result<i32, String> {
    let config = server.config.load_full();
    let mut signals = Signals::new().map_err(|error| format!("Cannot handle signals: {error}"))?;
    let tcp = listener::bind(&config.bind, config.port, config.tcp_backlog)?;
    let unix = match config.unixsocket.as_str() {
        "" => None,
        path => Some(listener::bind_unix(path, config.unixsocketperm)?),
    };
    if tcp.is_empty() && unix.is_none() {
        return Err("Configured to not listen anywhere, exiting.".into());
    }
    let threads = IoThreads::start(config.io_threads, &Handle::current())
        .map_err(|error| format!("Cannot start I/O threads: {error}"))?;
    server.set_io_threads(threads);
    tracing::warn!("Server initialized");
    if let Some((host, port)) = &config.replicaof {
        let _held = server.keyspace.lock_all();
        server.mark_replica();
        server.link.follow(None, server.clock.now_ms());
        tracing::debug!("Following {host}:{port} once the data set is loaded");
    }
    server.set_loading(true);
    let mut listeners = Listeners::default();
    listeners.accept(server, tcp, unix).map_err(|error| format!("Cannot accept: {error}"))?;
    let mut orders = server.orders.receiver.lock().take().expect("there is one control thread");
    let code = match load(server, &mut listeners, &mut signals, &mut orders).await? {
        Some(code) => code,
        None => {
            start_link(server, &config)
                .map_err(|error| format!("Cannot start the replication thread: {error}"))?;
            tell_ready(&config);
            work(server, &mut listeners, &mut signals, &mut orders).await
        }
    };
    listeners.close();
    server.io_threads().stop();
    Ok(code)
}

/// Loads the data set; returns the exit code if the server is to end meanwhile.
async fn load(
    server: &Arc<Server>,
    listeners: &mut Listeners,
    signals: &mut Signals,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> Result<Option<i32>, String> {
    let loading = server.clone();
    let loading = tokio::task::spawn_blocking(move || persistence::load_at_start(&loading));
    tokio::pin!(loading);
    loop {
        tokio::select! {
            loaded = &mut loading => {
                loaded.map_err(|error| format!("Loading has failed: {error}"))??;
                server.set_loading(false);
                return Ok(None);
            }
            _ = signals.end() => {
                tracing::warn!("Received shutdown signal during loading, exiting now.");
                remove_files(&server.config.load());
                return Ok(Some(0));
            }
            Some(order) = orders.recv() => {
                if carry_out(server, listeners, order).await {
                    return Ok(Some(0));
                }
            }
        }
    }
}

/// The signals that a server heeds, from its start on.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// A terminal that goes ends no server.
    _hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Ready with the name of a signal that asks the server to end.
    async fn end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn tell_ready(config: &Config) {
    let listens = [("tcp", config.port != 0), ("unix", !config.unixsocket.is_empty())];
    for (kind, _) in listens.iter().filter(|(_, listens)| *listens) {
        tracing::info!("Ready to accept connections {kind}");
    }
    notify_supervisor(config, "READY=1\nSTATUS=Ready to accept connections\n");
}

fn start_link(server: &Arc<Server>, config: &Config) -> io::Result<()> {
    let (runtime, link) =
        (tokio::runtime::Builder::new_current_thread().enable_all().build()?, server.clone());
    std::thread::Builder::new().name("repl_link".into()).spawn(move || runtime.block_on(link::run(link)))?;
    if let Some((host, port)) = &config.replicaof {
        server.link.follow(Some(Target { host: host.clone(), port: *port }), server.clock.now_ms());
    }
    Ok(())
}

/// Tells systemd, if it started us and `supervised` says so.
fn notify_supervisor(config: &Config, state: &str) {
    use crate::config::enums::Supervised;
    if !matches!(config.supervised, Supervised::Systemd | Supervised::Auto) {
        return;
    }
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let send = || -> io::Result<()> {
        let socket = std::os::unix::net::UnixDatagram::unbound()?;
        let name = path.to_string_lossy();
        match name.strip_prefix('@') {
            Some(name) => {
                use std::os::linux::net::SocketAddrExt as _;
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
                socket.send_to_addr(state.as_bytes(), &address)?;
            }
            None => {
                socket.send_to(state.as_bytes(), &path)?;
            }
        }
        Ok(())
    };
    if let Err(error) = send() {
        tracing::warn!("systemd supervision: {error}");
    }
}

/// Signals, orders and the clockwork, until the end.
async fn work(
    server: &Arc<Server>,
    listeners: &mut Listeners,
    signals: &mut Signals,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> i32 {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut clockwork = crate::cron::Cron::default();
    loop {
        let ended = tokio::select! {
            _ = tick.tick() => {
                clockwork.turn(server).await;
                None
            }
            Some(order) = orders.recv() => carry_out(server, listeners, order).await.then_some(0),
            name = signals.end() => by_signal(server, name, &mut signals.interrupt).await,
        };
        if let Some(code) = ended {
            return code;
        }
    }
}

async fn carry_out(server: &Arc<Server>, listeners: &mut Listeners, order: Order) -> bool {
    match order {
        // Who joined one that was refused has been told.
        Order::Shutdown { .. } if server.lingering.asked.lock().is_empty() => false,
        Order::Shutdown { options } => shut_down(server, options).await.is_ok(),
        Order::Configure { pairs, local, done } => {
            let result = config_apply::set_listening(server, listeners, &pairs, local).await;
            // Whoever asked may have gone.
            let _ = done.send(result);
            false
        }
    }
}

/// Begins a background save (BGSAVE, or a save point), with the lines that Redis writes.
///
/// # Errors
/// Another snapshot runs, or the temporary file cannot be made.
pub fn background_save(server: &Arc<Server>) -> Result<(), StartError> {
    let save = persistence::save(server, |result| {
        if result.is_ok() {
            tracing::info!("Background saving terminated with success");
        } else {
            tracing::warn!("Background saving error");
        }
    });
    match &save {
        Ok(()) => tracing::info!("Background saving started by pid {}", std::process::id()),
        Err(StartError::Running) => {}
        Err(StartError::Failed(error)) => tracing::warn!("Can't save in background: {}", error.0),
    }
    save
}

/// Begins a background save, or has it begun when the snapshot that runs is over.
pub fn background_save_soon(server: &Arc<Server>) {
    server.persistence.scheduled.store(true, Relaxed);
    begin_scheduled_save(server);
}

/// Begins the background save that is scheduled, if there is one and it may; one that cannot begin remains scheduled.
pub fn begin_scheduled_save(server: &Arc<Server>) {
    if persistence::scheduled_save_may_begin(server) && background_save(server).is_ok() {
        server.persistence.scheduled.store(false, Relaxed);
    }
}

/// Shuts down as a signal asks for; a SIGINT that follows ends the server at once. Returns the exit code if it ends.
async fn by_signal(server: &Arc<Server>, name: &str, interrupt: &mut Signal) -> Option<i32> {
    tracing::warn!("Received {name} scheduling shutdown...");
    let config = server.config.load_full();
    let options = if name == "SIGTERM" { config.shutdown_on_sigterm } else { config.shutdown_on_sigint };
    tokio::select! {
        done = shut_down(server, options) => done.ok().map(|()| 0),
        _ = interrupt.recv() => {
            tracing::warn!("You insist... exiting now.");
            kill_snapshot(server);
            Some(1)
        }
    }
}

/// Ends the server's work: replicas get what they lack, the data set is saved if it is to be.
///
/// # Errors
/// Saving has failed, or SHUTDOWN ABORT has come; the server goes on.
pub async fn shut_down(server: &Arc<Server>, options: ShutdownFlags) -> Result<(), NotShutDown> {
    let result = try_to_shut_down(server, options).await;
    if result.is_err() {
        server.go_on_writing();
        tracing::warn!("Errors trying to shut down the server. Check the logs for more information.");
        server.lingering.refuse(NOT_SHUT_DOWN);
    }
    result
}

async fn try_to_shut_down(server: &Arc<Server>, options: ShutdownFlags) -> Result<(), NotShutDown> {
    tracing::warn!("User requested shutdown...");
    let config = server.config.load_full();
    notify_supervisor(&config, "STOPPING=1\n");
    server.stop_writing();
    let limit = Duration::from_secs(config.shutdown_timeout.max(0) as u64);
    if !options.contains(ShutdownFlags::NOW) && !limit.is_zero() && !wait_for_replicas(server, limit).await {
        tracing::info!("Shutdown manually aborted.");
        return Err(NotShutDown);
    }
    tell_of_replicas(server);
    let by_default = !config.save.is_empty() && !options.contains(ShutdownFlags::NOSAVE);
    let wanted = (by_default || options.contains(ShutdownFlags::SAVE)) && !server.is_loading();
    if wanted {
        tracing::info!("Saving the final RDB snapshot before exiting.");
        let saved = save_now(server).await;
        if let Err(error) = saved {
            tracing::warn!("Error trying to save the DB, can't exit: {error}");
            if !options.contains(ShutdownFlags::FORCE) {
                return Err(NotShutDown);
            }
        }
    }
    kill_snapshot(server);
    remove_files(&config);
    tracing::warn!("Redis is now ready to exit, bye bye...");
    Ok(())
}

/// Waits until all replicas that are online have everything: who has it resumes partially after our restart. Returns whether it
/// was not given up.
async fn wait_for_replicas(server: &Arc<Server>, limit: Duration) -> bool {
    let online = server.hub.all().iter().filter(|replica| replica.acked().is_some()).count();
    let end = server.log.end();
    let in_step = |end| server.hub.acked_by(end) >= online.min(server.hub.len());
    if server.is_replica() || in_step(end) {
        return true;
    }
    tracing::info!("Waiting for replicas before shutting down.");
    wait::ask_for_acks(server);
    let end = server.log.end();
    let all = wait::until(server, || in_step(end));
    let lingering = &server.lingering;
    let over = lingering.over.notified();
    tokio::pin!(over);
    over.as_mut().enable();
    lingering.until_ms.store(server.clock.now_ms().saturating_add(limit.as_millis() as i64), Relaxed);
    tokio::select! {
        biased;
        () = over => {}
        _ = crate::clock::timeout(limit, all) => {}
    }
    lingering.ends_waiting()
}

/// A snapshot that runs will not come to its end.
fn kill_snapshot(server: &Server) {
    if let Some(snapshot) = server.snapshots.current() {
        tracing::warn!("There is a child saving an .rdb. Killing it!");
        snapshot.spool.remove_file();
    }
}

/// Removes what tells others that the server is there.
fn remove_files(config: &Config) {
    if !config.pidfile.is_empty() {
        tracing::info!("Removing the pid file.");
        // It may never have been written.
        let _ = std::fs::remove_file(&config.pidfile);
    }
    if !config.unixsocket.is_empty() {
        tracing::info!("Removing the unix socket file.");
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(&config.unixsocket);
    }
}

/// What replicas lack.
fn tell_of_replicas(server: &Server) {
    let (replicas, end, now_ms) = (server.hub.all(), server.log.end(), server.clock.now_ms());
    if replicas.is_empty() {
        return;
    }
    let lagging: Vec<_> = replicas.iter().filter(|replica| replica.acked() != Some(end)).collect();
    for replica in &lagging {
        let (state, behind, lag_secs) = match replica.acked() {
            Some(acked) => ("online", end.saturating_sub(acked), replica.lag_secs(now_ms)),
            None => ("send_bulk", end, 0),
        };
        tracing::warn!(
            "Lagging replica {} reported offset {behind} behind master, lag={lag_secs}, state={state}.",
            replica.name()
        );
    }
    tracing::info!(
        "{} of {} replicas are in sync when shutting down.",
        replicas.len() - lagging.len(),
        replicas.len()
    );
}

/// Saves and waits for it; a running snapshot is waited for first.
///
/// # Errors
/// What went wrong.
pub async fn save_now(server: &Arc<Server>) -> Result<(), String> {
    loop {
        let over = server.snapshots.over();
        tokio::pin!(over);
        over.as_mut().enable();
        let (sender, result) = oneshot::channel();
        let started = persistence::save(server, move |result| {
            // Whoever asked may have gone.
            let _ = sender.send(result);
        });
        match started {
            Ok(()) => return result.await.unwrap_or_else(|_| Err("the snapshot has ended early".into())),
            Err(StartError::Running) => over.await,
            Err(StartError::Failed(error)) => return Err(error.0),
        }
    }
}

/// Writes the pid file.
pub fn write_pid_file(config: &Config) {
    let path = match config.pidfile.as_str() {
        "" if config.daemonize => "/var/run/redis.pid",
        path => path,
    };
    if !path.is_empty()
        && let Err(error) = std::fs::write(path, format!("{}\n", std::process::id()))
    {
        tracing::warn!("Failed to write PID file: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Background, Steps, World};

    type Works = Arc<Mutex<Vec<Steps>>>;

    /// A server whose work in the background waits in a list.
    fn server(directory: &std::path::Path) -> (Arc<Server>, Works) {
        let works = Works::default();
        let taken = works.clone();
        let background = Background::Given(Arc::new(move |steps| taken.lock().push(steps)));
        let world = World { background, directory: directory.into(), ..World::default() };
        (Server::in_world(Config::default(), None, world), works)
    }

    fn finish(works: &Works) {
        let mut steps = works.lock().remove(0);
        while steps() {}
    }

    #[test]
    fn a_save_is_told_of_when_the_next_may_begin_and_a_scheduled_one_waits_until_then() {
        let directory = std::env::temp_dir().join(format!("redpoll-saves-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let (server, works) = server(&directory);
        let (sender, told) = std::sync::mpsc::channel();
        let at_the_end = Arc::downgrade(&server);
        let then = move |result: Result<(), String>| {
            let server = at_the_end.upgrade().expect("it is held");
            sender.send((result, server.snapshots.current().is_none())).expect("it is read");
        };
        persistence::save(&server, then).expect("nothing runs");
        background_save_soon(&server);
        assert_eq!(works.lock().len(), 1, "one at a time");
        finish(&works);
        assert_eq!(told.try_recv(), Ok((Ok(()), true)));
        begin_scheduled_save(&server);
        finish(&works);
        assert_eq!(server.persistence.saves.load(Relaxed), 2);
        begin_scheduled_save(&server);
        assert_eq!(works.lock().len(), 0, "it was scheduled once");
        std::fs::remove_dir_all(&directory).expect("it is there");
    }
}
