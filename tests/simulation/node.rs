//! One server of the cluster: the real one, in a simulated world, with a directory that outlives it.

use super::network::Net;
use super::oracle::Oracle;
use super::rng::Rng;
use super::transcript;
use parking_lot::Mutex;
use redpoll::client::{Client, Shared};
use redpoll::clock::Clock;
use redpoll::config::Config;
use redpoll::config::enums::ShutdownFlags;
use redpoll::cron::Cron;
use redpoll::executor::{Busy, PATIENCE, execute};
use redpoll::net::Connection;
use redpoll::net::simulated::Network;
use redpoll::net::stream::Stream;
use redpoll::net::threads::Place;
use redpoll::replication::link::{self, Target};
use redpoll::resp::Out;
use redpoll::resp::parser::Arg;
use redpoll::server::Server;
use redpoll::world::{Background, Entropy, World};
use redpoll::{control, persistence};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// The port that every node listens on.
pub const PORT: u16 = 6379;

/// How often a node's clockwork turns.
const CRON: Duration = Duration::from_millis(100);

/// A node, running or not.
pub struct Node {
    pub name: String,
    pub directory: PathBuf,
    /// What its configuration file says.
    pub config: Config,
    /// The master that its administrator has told it to follow.
    pub master: Option<String>,
    pub running: Option<Running>,
    rng: Rng,
}

/// A node's process.
pub struct Running {
    pub server: Arc<Server>,
    client: Client,
    tasks: Tasks,
    shut_down: mpsc::UnboundedSender<()>,
    ended: Arc<AtomicBool>,
}

/// All that runs in a process, so that it can end all at once.
#[derive(Clone)]
struct Tasks {
    name: String,
    handles: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let handle = tokio::spawn(transcript::Task::new(&self.name, task));
        let mut handles = self.handles.lock();
        handles.retain(|handle| !handle.is_finished());
        handles.push(handle.abort_handle());
    }

    fn end(&self) {
        self.handles.lock().drain(..).for_each(|handle| handle.abort());
    }
}

/// What all nodes of a cluster have in common.
#[derive(Clone)]
pub struct Surroundings {
    pub net: Net,
    pub oracle: Arc<Mutex<Oracle>>,
    /// Unix time now, ms.
    pub clock_base: tokio::time::Instant,
}

/// Unix time at the beginning of a simulation, ms.
const EPOCH_MS: u64 = 1_700_000_000_000;

impl Node {
    /// A node that has not been started yet.
    pub fn new(name: String, directory: PathBuf, config: Config, rng: Rng) -> Node {
        Node { name, directory, config, master: None, running: None, rng }
    }

    /// The server, if it runs.
    pub fn server(&self) -> Option<&Arc<Server>> {
        self.running.as_ref().map(|running| &running.server)
    }

    /// Starts the process, with what its directory holds.
    pub fn start(&mut self, around: &Surroundings) {
        let _speaks = transcript::speak(&self.name);
        let tasks = Tasks { name: self.name.clone(), handles: Arc::default() };
        let world = World {
            clock: Clock::of_runtime(EPOCH_MS + around.clock_base.elapsed().as_millis() as u64),
            entropy: Entropy::seeded(self.rng.next()),
            network: Network::Simulated(around.net.host(&self.name)),
            background: background(tasks.clone(), Rng::new(self.rng.next(), 0)),
            directory: self.directory.clone(),
        };
        let mut config = self.config.clone();
        config.replicaof = self.master.clone().map(|master| (master, PORT));
        let server = Server::in_world(config, None, world);
        if self.master.is_some() {
            let _held = server.keyspace.lock_all();
            server.mark_replica();
            server.link.follow(None, server.clock.now_ms());
        }
        persistence::load_at_start(&server).expect("a file that was saved can be loaded");
        tasks.spawn(link::run(server.clone()));
        if let Some(host) = self.master.clone() {
            server.link.follow(Some(Target { host, port: PORT }), server.clock.now_ms());
        }
        tasks.spawn(accept(server.clone(), around.net.listen(&self.name), tasks.clone()));
        let (shut_down, orders) = mpsc::unbounded_channel();
        let ended = Arc::new(AtomicBool::new(false));
        tasks.spawn(run_control(server.clone(), orders, around.clone(), tasks.clone(), ended.clone()));
        let client = client(&server, "script:0");
        self.running = Some(Running { server, client, tasks, shut_down, ended });
    }

    /// Ends the process at once: nothing is saved, its connections are closed by the system.
    pub fn kill(&mut self, net: &Net) {
        if let Some(running) = self.running.take() {
            net.close(&self.name);
            running.tasks.end();
        }
    }

    /// SIGTERM: the process saves and ends, which takes a while.
    pub fn shut_down(&self) {
        if let Some(running) = &self.running {
            // Asked twice, it has ended when the second order comes.
            let _ = running.shut_down.send(());
        }
    }

    /// Notices that the process has ended after a shutdown.
    pub fn reap(&mut self, net: &Net) -> bool {
        let ended = self.running.as_ref().is_some_and(|running| running.ended.load(Relaxed));
        if ended {
            self.kill(net);
        }
        ended
    }

    /// Runs a command as a client would, at once. Returns the reply's bytes; none while the server ends, as writers wait then.
    pub fn run(&mut self, args: &[Vec<u8>]) -> Vec<u8> {
        let _speaks = transcript::speak(&self.name);
        let Some(Running { server, client, .. }) = &mut self.running else { return Vec::new() };
        tracing::info!("runs {:.200}", args.join(&b' ').escape_ascii().to_string());
        let args: Vec<Arg<'_>> = args.iter().map(|arg| Arg::Slice(arg)).collect();
        let mut out = Out::default();
        if let Err(Busy) = execute(client, server, &args[..], &mut out, PATIENCE) {
            assert!(server.is_ending(), "a patient command waits");
        }
        if std::mem::take(&mut client.log_grew) {
            server.wake_replicas();
        }
        out.bytes().to_vec()
    }

    /// As [`Node::run`], from words.
    pub fn say(&mut self, line: &str) -> Vec<u8> {
        let args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        self.run(&args)
    }
}

fn client(server: &Server, address: &str) -> Client {
    let id = server.clients.next_id();
    let local = format!("here:{PORT}");
    Client::new(Arc::new(Shared::new(id, address.into(), local, 8, server.clock.now_ms())), true)
}

/// Snapshots are taken in steps, between which others run and time may pass.
fn background(tasks: Tasks, rng: Rng) -> Background {
    let rng = Mutex::new(rng);
    Background::Given(Arc::new(move |mut steps| {
        let pause_ms = rng.lock().pick(&[0, 0, 1, 4]);
        tasks.spawn(async move {
            while steps() {
                match pause_ms {
                    0 => tokio::task::yield_now().await,
                    ms => tokio::time::sleep(Duration::from_millis(ms)).await,
                }
            }
        });
    }))
}

async fn accept(
    server: Arc<Server>,
    mut incoming: mpsc::UnboundedReceiver<super::network::Incoming>,
    tasks: Tasks,
) {
    while let Some((socket, peer)) = incoming.recv().await {
        let client = client(&server, &format!("{peer}:1"));
        server.clients.add(client.shared.clone());
        let stream = Stream::Simulated(socket);
        tasks.spawn(Box::new(Connection::new(server.clone(), stream, client, Place::elsewhere())).run());
    }
}

/// What the control thread does.
async fn run_control(
    server: Arc<Server>,
    mut orders: mpsc::UnboundedReceiver<()>,
    around: Surroundings,
    tasks: Tasks,
    ended: Arc<AtomicBool>,
) {
    let mut clockwork = Cron::default();
    let mut tick = tokio::time::interval(CRON);
    loop {
        tokio::select! {
            biased;
            _ = tick.tick() => {
                clockwork.turn(&server).await;
                around.oracle.lock().observe_master(&server);
            }
            Some(()) = orders.recv() => {
                control::shut_down(&server, ShutdownFlags::SAVE).await.expect("there is room for the file");
                around.oracle.lock().observe_master(&server);
                ended.store(true, Relaxed);
                tasks.end();
                return;
            }
        }
    }
}
