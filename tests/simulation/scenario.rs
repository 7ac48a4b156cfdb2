//! A seed's story: a cluster, clients that write, everything that can go wrong; then all is healed and must come together.

use super::network::{Net, Weather};
use super::node::{Node, PORT, Surroundings};
use super::oracle::{self, Oracle};
use super::rng::Rng;
use super::workload::{self, DATABASES, Habits};
use super::{coverage::Coverage, mix, transcript};
use parking_lot::Mutex;
use redpoll::config::Config;
use redpoll::net::outbox::attend;
use redpoll::replication::link::State;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

/// Virtual time in which a healed cluster must have come together.
const PEACE_LIMIT: Duration = Duration::from_secs(300);

/// Pieces that a connection may send at one moment of virtual time.
const MOST_AT_ONCE: u64 = 1000;

/// What a seed decides at the beginning.
struct Plan {
    nodes: usize,
    steps: u64,
    /// Of a hundred steps, how many are faults.
    faults: u64,
    pace_ms: u64,
    habits: Habits,
    weather: Weather,
    /// The same for all: these encodings are strings, which clients see.
    hll_sparse_max_bytes: u64,
}

const FAIR: Weather = Weather { latency_ms: 1..5, window: 64_000, short_reads: 0 };

fn plan(rng: &mut Rng) -> Plan {
    let weathers = [
        FAIR,
        Weather { latency_ms: 1..20, window: 4_000, short_reads: 30 },
        Weather { latency_ms: 5..120, window: 10_000, short_reads: 10 },
        Weather { latency_ms: 1..3, window: 700, short_reads: 60 },
    ];
    Plan {
        nodes: rng.pick(&[2, 3, 3, 4, 5]),
        steps: rng.of(100..220),
        faults: rng.pick(&[5, 15, 30]),
        pace_ms: rng.pick(&[20, 80, 200]),
        habits: Habits {
            keys: rng.pick(&[5, 40, 300]),
            expiring: rng.pick(&[0, 15, 50]),
            large: rng.pick(&[0, 0, 3, 10]),
            collections: rng.pick(&[0, 50, 90]),
            mix: mix::Habits {
                keys: rng.pick(&[1, 3]),
                members: rng.pick(&[15, 60]),
                most_at_once: rng.pick(&[2, 12]),
                large_bytes: rng.pick(&[70, 70, 5_000]),
                short_lives: rng.percent(50),
                fields_expire: rng.percent(70),
            },
        },
        weather: rng.pick(&weathers),
        hll_sparse_max_bytes: rng.pick(&[40, 3000]),
    }
}

fn config(rng: &mut Rng, plan: &Plan) -> Config {
    let mut config = Config {
        hll_sparse_max_bytes: plan.hll_sparse_max_bytes,
        databases: DATABASES,
        port: PORT,
        save: Default::default(),
        shutdown_timeout: 2,
        repl_backlog_size: rng.pick(&[200, 2_000, 20_000, 1_000_000, 1_000_000]),
        repl_timeout: rng.pick(&[3, 10, 60]),
        repl_ping_replica_period: rng.pick(&[1, 2, 10]),
        repl_diskless_sync: rng.percent(70),
        repl_backlog_ttl: rng.pick(&[2, 3600, 3600]),
        lazyfree_lazy_expire: rng.percent(30),
        rdbcompression: rng.percent(70),
        rdbchecksum: rng.percent(80),
        // Nodes need not agree on encodings; small limits bring all of them about with little data.
        hash_max_listpack_entries: rng.pick(&[2, 8, 512]),
        hash_max_listpack_value: rng.pick(&[10, 64]),
        set_max_intset_entries: rng.pick(&[2, 8, 512]),
        set_max_listpack_entries: rng.pick(&[2, 8, 128]),
        zset_max_listpack_entries: rng.pick(&[2, 8, 128]),
        list_max_listpack_size: rng.pick(&[3, 16, -1, -2]),
        list_compress_depth: rng.pick(&[0, 0, 1]),
        stream_node_max_entries: rng.pick(&[3, 20, 100]),
        ..Config::default()
    };
    if rng.percent(15) {
        config.client_output_buffer_limit[1].hard = 10_000;
        config.repl_backlog_disk_size = 0;
    }
    config
}

/// Runs a seed. `loud`: with what the servers log, on standard error.
///
/// # Errors
/// What went wrong.
pub fn run(seed: u64, loud: bool) -> Result<Coverage, String> {
    let directory = scratch(seed);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = attend(runtime.enable_time().start_paused(true)).build().expect("a runtime can be made");
    let result = runtime.block_on(async {
        let _printing = loud.then(transcript::print);
        Story::new(seed, loud, &directory).tell().await
    });
    drop(runtime);
    // What cannot be removed is in the system's directory for temporary files.
    let _ = std::fs::remove_dir_all(&directory);
    result
}

/// A directory of this run's own, in memory where there is such a place: files are written through to the disk.
fn scratch(seed: u64) -> PathBuf {
    static RUNS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let run = RUNS.fetch_add(1, Relaxed);
    base.join(format!("redpoll-simulation-{}-{seed}-{run}", std::process::id()))
}

struct Story {
    rng: Rng,
    plan: Plan,
    nodes: Vec<Node>,
    around: Surroundings,
    /// Pairs of nodes that are parted, and until when.
    parted: Vec<(Instant, usize, usize)>,
    /// Nodes that are down, and until when.
    down: Vec<(Instant, usize)>,
    /// What each node's link was last seen doing.
    links: Vec<State>,
    coverage: Coverage,
}

impl Story {
    fn new(seed: u64, loud: bool, directory: &Path) -> Story {
        let mut rng = Rng::new(seed, 1);
        let plan = plan(&mut rng);
        let net = Net::new(Rng::new(seed, 2), plan.weather.clone());
        let oracle = Arc::new(Mutex::new(Oracle::new(loud)));
        let around = Surroundings { net, oracle, clock_base: Instant::now() };
        let nodes = (0..plan.nodes)
            .map(|n| {
                let directory = directory.join(n.to_string());
                std::fs::create_dir_all(&directory).expect("directories can be made");
                Node::new(format!("n{n}"), directory, config(&mut rng, &plan), Rng::new(seed, 10 + n as u64))
            })
            .collect();
        let links = vec![State::Connect; plan.nodes];
        let coverage = Coverage::default();
        Story { rng, plan, nodes, around, parted: Vec::new(), down: Vec::new(), links, coverage }
    }

    async fn tell(mut self) -> Result<Coverage, String> {
        for n in 0..self.nodes.len() {
            if n > 0 {
                let master = self.rng.below(n);
                self.nodes[n].master = Some(self.nodes[master].name.clone());
            }
            self.start(n);
        }
        for _ in 0..self.plan.steps {
            self.pass(self.plan.pace_ms).await?;
            if self.rng.percent(self.plan.faults) {
                self.fault();
            } else {
                self.write();
                self.read();
            }
            self.observe()?;
        }
        self.make_peace();
        for _ in 0..20 {
            self.pass(30).await?;
            self.write();
            self.observe()?;
        }
        self.come_together().await?;
        Ok(self.finish())
    }

    fn finish(mut self) -> Coverage {
        for n in 0..self.nodes.len() {
            self.bury(n);
        }
        self.coverage.network(self.around.net.events());
        self.coverage.compared = self.around.oracle.lock().compared;
        self.coverage.virtual_ms = self.around.clock_base.elapsed().as_millis() as u64;
        self.coverage
    }

    /// Lets time pass; what ends with time, ends.
    async fn pass(&mut self, most_ms: u64) -> Result<(), String> {
        let ms = self.rng.of(1..most_ms + 1);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let now = Instant::now();
        for (_, a, b) in self.parted.extract_if(.., |(until, ..)| *until <= now) {
            self.around.net.rejoin(&self.nodes[a].name, &self.nodes[b].name);
        }
        for n in 0..self.nodes.len() {
            let server = self.nodes[n].server().cloned();
            if self.nodes[n].reap(&self.around.net) {
                self.coverage.count(server.as_ref().expect("it ran"));
                self.coverage.shutdowns += 1;
                self.down.push((now + Duration::from_millis(self.rng.of(0..1500)), n));
            }
        }
        let back: Vec<usize> = self.down.extract_if(.., |(until, _)| *until <= now).map(|(_, n)| n).collect();
        back.into_iter().for_each(|n| self.start(n));
        self.observe()
    }

    fn start(&mut self, n: usize) {
        tracing::info!("--- {} starts", self.nodes[n].name);
        self.nodes[n].start(&self.around);
        self.note(n);
    }

    /// A node may have begun a history: it is to be known before anything else happens.
    fn note(&self, n: usize) {
        if let Some(server) = self.nodes[n].server() {
            self.around.oracle.lock().observe_master(server);
        }
    }

    /// Holds all that is there against the histories: masters first, who make them.
    fn observe(&mut self) -> Result<(), String> {
        let mut oracle = self.around.oracle.lock();
        let servers = || self.nodes.iter().filter_map(Node::server);
        servers().for_each(|server| oracle.observe_master(server));
        servers().for_each(|server| oracle.observe_replica(server));
        for (node, last) in self.nodes.iter().zip(&mut self.links) {
            let state = node.server().map_or(State::Connect, |server| server.link.status().state);
            let cut =
                matches!(last, State::Sync { .. }) && !matches!(state, State::Sync { .. } | State::Connected);
            self.coverage.cut_snapshots += u64::from(cut);
            *last = state;
        }
        match oracle.wrong() {
            Some(wrong) => Err(wrong.to_string()),
            None if self.around.net.events().most_at_once > MOST_AT_ONCE => {
                Err("a connection sends and sends, and no time passes".into())
            }
            None => Ok(()),
        }
    }

    fn masters(&self) -> Vec<usize> {
        let is_master = |n: &usize| self.nodes[*n].server().is_some_and(|server| !server.is_replica());
        (0..self.nodes.len()).filter(is_master).collect()
    }

    /// A client writes to something that takes itself for a master.
    fn write(&mut self) {
        let masters = self.masters();
        if masters.is_empty() {
            return;
        }
        self.coverage.split += u64::from(masters.len() > 1);
        let n = self.rng.pick(&masters);
        for _ in 0..self.rng.of(1..6) {
            for request in workload::writes(&mut self.rng, &self.plan.habits) {
                self.nodes[n].run(&request);
            }
            self.coverage.writes += 1;
            self.note(n);
        }
    }

    /// Clients read from any node: that changes nothing on a replica.
    fn read(&mut self) {
        let n = self.rng.below(self.nodes.len());
        for _ in 0..self.rng.of(0..4) {
            self.nodes[n].run(&workload::read(&mut self.rng, &self.plan.habits));
        }
        self.note(n);
    }

    fn fault(&mut self) {
        let n = self.rng.below(self.nodes.len());
        let name = self.nodes[n].name.clone();
        match self.rng.of(0..100) {
            0..25 => {
                let within = self.rng.pick(&[30, 300, 5_000]);
                self.around.net.arm_cut(&mut self.rng, within);
            }
            25..30 => {
                self.around.net.cut(&mut self.rng);
            }
            30..45 => self.part(n),
            45..52 => self.kill(n),
            52..60 => {
                tracing::info!("--- {name} is shut down");
                self.nodes[n].shut_down();
            }
            60..68 => self.promote(n),
            68..84 => self.repoint(n),
            84..94 => {
                if let Some(server) = self.nodes[n].server() {
                    tracing::info!("--- {name} saves");
                    let _speaks = transcript::speak(&name);
                    // One that runs already is as good.
                    let _ = redpoll::control::background_save(server);
                    self.coverage.saves += 1;
                }
            }
            _ => {
                if let Some(server) = self.nodes[n].server() {
                    server.link.cut();
                }
            }
        }
    }

    fn part(&mut self, n: usize) {
        let other = self.rng.below(self.nodes.len());
        if other == n {
            return;
        }
        let ms = self.rng.pick(&[50, 500, 4_000]) + self.rng.of(0..500);
        let (a, b) = (self.nodes[n].name.clone(), self.nodes[other].name.clone());
        tracing::info!("--- {a} and {b} are parted for {ms} ms");
        self.around.net.part(&a, &b);
        self.parted.push((Instant::now() + Duration::from_millis(ms), n, other));
        self.coverage.partitions += 1;
    }

    fn kill(&mut self, n: usize) {
        if self.nodes[n].running.is_none() {
            return;
        }
        tracing::info!("--- {} is killed", self.nodes[n].name);
        self.bury(n);
        self.coverage.kills += 1;
        self.down.push((Instant::now() + Duration::from_millis(self.rng.of(0..3_000)), n));
    }

    fn bury(&mut self, n: usize) {
        if let Some(server) = self.nodes[n].server() {
            self.coverage.count(server);
        }
        self.nodes[n].kill(&self.around.net);
    }

    fn promote(&mut self, n: usize) {
        let is_replica = self.nodes[n].server().is_some_and(|server| server.is_replica());
        if is_replica {
            tracing::info!("--- {} is promoted", self.nodes[n].name);
            self.nodes[n].master = None;
            self.nodes[n].say("REPLICAOF NO ONE");
            self.note(n);
            self.coverage.promotions += 1;
        }
    }

    /// Makes a node follow another one, if that does not follow it.
    fn repoint(&mut self, n: usize) {
        let master = self.rng.below(self.nodes.len());
        // Somebody must remain who can be written to; circles are for administrators who err.
        if self.masters() == [n] && !self.rng.percent(10) || self.follows(master, n) {
            return;
        }
        self.follow(n, master);
    }

    fn follow(&mut self, n: usize, master: usize) {
        let host = self.nodes[master].name.clone();
        tracing::info!("--- {} is to follow {host}", self.nodes[n].name);
        self.nodes[n].master = Some(host.clone());
        self.nodes[n].say(&format!("REPLICAOF {host} {PORT}"));
        self.coverage.repointed += 1;
    }

    fn follows(&self, n: usize, whom: usize) -> bool {
        let mut at = Some(n);
        for _ in 0..=self.nodes.len() {
            match at {
                Some(n) if n == whom => return true,
                Some(n) => {
                    let master = &self.nodes[n].master;
                    at = self.nodes.iter().position(|node| Some(&node.name) == master.as_ref());
                }
                None => return false,
            }
        }
        true
    }

    /// Everything is repaired: one master, all others follow it, some by way of others.
    fn make_peace(&mut self) {
        tracing::info!("--- peace");
        self.around.net.heal(FAIR);
        self.parted.clear();
        for (_, n) in std::mem::take(&mut self.down) {
            self.start(n);
        }
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        (1..order.len()).rev().for_each(|at| order.swap(at, self.rng.below(at + 1)));
        let mut placed: Vec<usize> = Vec::new();
        for n in order {
            if placed.is_empty() {
                self.promote(n);
                self.nodes[n].master = None;
            } else {
                let master = self.rng.pick(&placed);
                self.follow(n, master);
            }
            placed.push(n);
        }
    }

    /// # Errors
    /// The nodes have not come together in time.
    async fn come_together(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while !self.is_one() {
            self.pass(200).await?;
            if began.elapsed() > PEACE_LIMIT {
                return Err(format!("not together {PEACE_LIMIT:?} after the peace:{}", self.state()));
            }
        }
        self.coverage.slowest_peace_ms = began.elapsed().as_millis() as u64;
        Ok(())
    }

    /// Have all nodes the same history, offset and data?
    fn is_one(&self) -> bool {
        let servers: Vec<_> = self.nodes.iter().filter_map(Node::server).collect();
        let place = |server: &redpoll::server::Server| {
            let ring = server.log.lock();
            (ring.ids.id, ring.end())
        };
        let linked = servers.iter().filter(|server| server.is_replica() && server.link.is_up()).count();
        servers.len() == self.nodes.len()
            && linked == servers.len() - 1
            // Nobody keeps anything for a replica that is gone.
            && servers.iter().map(|server| server.hub.len()).sum::<usize>() == linked
            && servers.iter().all(|server| place(server) == place(servers[0]))
            && servers.iter().all(|server| oracle::digest(server) == oracle::digest(servers[0]))
    }

    fn state(&self) -> String {
        let describe = |node: &Node| {
            let Some(server) = node.server() else { return format!("\n  {}: down", node.name) };
            let ring = server.log.lock();
            format!(
                "\n  {} follows {:?}: {:?} up {}, {} replicas, {} offset {}..{} digest {:x} keys {}",
                node.name,
                node.master,
                server.link.status().state,
                server.link.is_up(),
                server.hub.len(),
                ring.ids.id,
                ring.start(),
                ring.end(),
                oracle::digest(server),
                oracle::data(server).len(),
            )
        };
        self.nodes.iter().map(describe).collect()
    }
}
