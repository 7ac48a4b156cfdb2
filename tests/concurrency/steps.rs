//! What the clients of a round do: steps from a seed, over so few keys that they meet.

use super::history::Step;
use super::model::State;
use super::wire::Command;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Databases in use.
const DATABASES: usize = 2;

/// A source of steps. Clients of one round use the same keys: [`Steps::for_client`].
#[derive(Clone)]
pub struct Steps {
    rng: StdRng,
    /// They differ from round to round, so that which of them share a shard differs too.
    keys: Vec<Vec<u8>>,
    /// Most commands on lists, and on sets, are about these two of the keys.
    list: Vec<u8>,
    set: Vec<u8>,
}

impl Steps {
    /// Chooses three or four keys, and one for a list and one for a set.
    pub fn new(seed: u64) -> Steps {
        let mut rng = StdRng::seed_from_u64(seed);
        let count = rng.random_range(3..=4);
        let keys =
            (0..count).map(|n| format!("{}{}", char::from(b'a' + n), rng.random_range(0..100)).into_bytes());
        let mut keys: Vec<Vec<u8>> = keys.collect();
        let [list, set] = ["list", "set"].map(|name| format!("{name}{}", seed % 100).into_bytes());
        keys.extend([list.clone(), set.clone()]);
        Steps { rng, keys, list, set }
    }

    /// Other steps over the same keys.
    pub fn for_client(&mut self, client: u64) -> Steps {
        let rng = StdRng::seed_from_u64(self.rng.random::<u64>() ^ client);
        Steps { rng, ..self.clone() }
    }

    /// A state to begin with: some keys in each database.
    pub fn initial(&mut self, sessions: &[usize]) -> State {
        let mut state = State::new(sessions);
        for step in self.planting() {
            state.run(0, &step);
        }
        state.run(0, &select(sessions[0]));
        state
    }

    /// The same, as steps: of whoever prepares the round.
    pub fn planting(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for db in 0..DATABASES {
            steps.push(select(db));
            let strings = &self.keys[..self.keys.len() - 2];
            for (n, key) in strings.iter().enumerate().filter(|(n, _)| n % DATABASES == db) {
                steps.push(Step::One(vec![b"SET".to_vec(), key.clone(), n.to_string().into_bytes()]));
            }
        }
        steps
    }

    /// A step: mostly one command, sometimes a transaction, sometimes WATCH.
    pub fn next(&mut self) -> Step {
        match self.rng.random_range(0..20) {
            0..=3 => self.transaction(),
            4 => Step::One(self.on_keys("WATCH", 2)),
            _ => Step::One(self.command()),
        }
    }

    /// A few steps to be sent together.
    pub fn burst(&mut self) -> Vec<Step> {
        let count = self.rng.random_range(1..=5);
        (0..count).map(|_| self.next()).collect()
    }

    /// Whether the next thing to do is to compare and set.
    pub fn is_compare_and_set(&mut self) -> bool {
        self.rng.random_bool(0.2)
    }

    pub fn key(&mut self) -> Vec<u8> {
        self.keys.choose(&mut self.rng).expect("at least three keys").clone()
    }

    fn transaction(&mut self) -> Step {
        let count = self.rng.random_range(1..=4);
        Step::Transaction((0..count).map(|_| self.command()).collect())
    }

    fn command(&mut self) -> Command {
        match self.rng.random_range(0..140) {
            0..14 => self.on_key("GET"),
            14..24 => self.with_value("SET"),
            24..34 => self.on_key("INCR"),
            34..42 => self.with_value("APPEND"),
            42..46 => self.with_value("GETSET"),
            46..50 => self.on_key("GETDEL"),
            50..55 => self.with_value("SETNX"),
            55..63 => self.mset(),
            63..71 => self.on_keys("MGET", 4),
            71..76 => self.on_keys("DEL", 3),
            76..84 => [self.on_key("RENAME"), vec![self.key()]].concat(),
            84..90 => self.copy(),
            90..94 => self.on_keys("EXISTS", 4),
            94..97 => [self.on_key("MOVE"), vec![self.database()]].concat(),
            97..99 => vec![b"SWAPDB".to_vec(), b"0".to_vec(), b"1".to_vec()],
            99 => vec![b"FLUSHDB".to_vec()],
            100..120 => self.on_list(),
            _ => self.on_set(),
        }
    }

    fn on_list(&mut self) -> Command {
        let key = if self.rng.random_bool(0.8) { self.list.clone() } else { self.key() };
        match self.rng.random_range(0..5) {
            0 | 1 => vec![b"LPUSH".to_vec(), key, self.value(), self.value()],
            2 | 3 => vec![b"RPOP".to_vec(), key],
            _ => vec![b"LLEN".to_vec(), key],
        }
    }

    fn on_set(&mut self) -> Command {
        let key = if self.rng.random_bool(0.8) { self.set.clone() } else { self.key() };
        let member = vec![b'a' + self.rng.random_range(0..4)];
        match self.rng.random_range(0..5) {
            0 | 1 => vec![b"SADD".to_vec(), key, member, b"m".to_vec()],
            2 | 3 => vec![b"SREM".to_vec(), key, member, b"m".to_vec()],
            _ => vec![b"SCARD".to_vec(), key],
        }
    }

    fn on_key(&mut self, name: &str) -> Command {
        vec![name.as_bytes().to_vec(), self.key()]
    }

    fn on_keys(&mut self, name: &str, most: usize) -> Command {
        let count = self.rng.random_range(1..=most);
        let mut command = vec![name.as_bytes().to_vec()];
        command.extend((0..count).map(|_| self.key()));
        command
    }

    fn with_value(&mut self, name: &str) -> Command {
        [self.on_key(name), vec![self.value()]].concat()
    }

    fn mset(&mut self) -> Command {
        let mut command = self.with_value("MSET");
        for _ in 0..self.rng.random_range(0..3) {
            command.extend([self.key(), self.value()]);
        }
        command
    }

    fn copy(&mut self) -> Command {
        let mut command = [self.on_key("COPY"), vec![self.key()]].concat();
        if self.rng.random_bool(0.3) {
            command.extend([b"DB".to_vec(), self.database()]);
        }
        if self.rng.random_bool(0.5) {
            command.push(b"REPLACE".to_vec());
        }
        command
    }

    fn database(&mut self) -> Vec<u8> {
        self.rng.random_range(0..DATABASES).to_string().into_bytes()
    }

    /// Mostly numbers, for INCR; many different ones, so that a reply tells which write it saw.
    fn value(&mut self) -> Vec<u8> {
        match self.rng.random_range(0..10) {
            0 => b"x".to_vec(),
            _ => self.rng.random_range(0..100).to_string().into_bytes(),
        }
    }
}

/// SELECT as a step.
pub fn select(db: usize) -> Step {
    Step::One(vec![b"SELECT".to_vec(), db.to_string().into_bytes()])
}
