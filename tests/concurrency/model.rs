//! The sequential model: what a server with one thread would answer.
//!
//! It is as naive as it can be (one map; values are bytes, lists or sets), for what it says is the measure of the real thing. It knows
//! WATCH too: which keys a session watches and whether one was touched is a part of the state. That the model says what
//! servers say is tested by running it beside them, one step at a time (`linearizable`).

use super::history::Step;
use super::wire::Command;
use crate::support::client::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A key's database and name.
type Place = (usize, Vec<u8>);

/// A key's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Held {
    Text(Vec<u8>),
    /// The head first.
    List(Vec<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
}

impl From<Vec<u8>> for Held {
    fn from(text: Vec<u8>) -> Held {
        Held::Text(text)
    }
}

/// The key holds something else.
struct WrongType;

/// All that the answers of the commands here depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    data: BTreeMap<Place, Held>,
    sessions: Vec<Session>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Session {
    db: usize,
    watched: BTreeSet<Place>,
    /// A watched key was touched: the next EXEC does nothing.
    dirty: bool,
}

impl State {
    /// No keys, and sessions with these databases selected.
    pub fn new(databases: &[usize]) -> State {
        let session = |db: &usize| Session { db: *db, ..Session::default() };
        State { data: BTreeMap::new(), sessions: databases.iter().map(session).collect() }
    }

    /// Runs one step of a session; the reply.
    pub fn run(&mut self, session: usize, step: &Step) -> Value {
        match step {
            Step::One(command) => self.command(session, command),
            Step::Transaction(commands) => {
                let dirty = self.sessions[session].dirty;
                self.unwatch(session);
                if dirty {
                    return Value::NullArray;
                }
                Value::Array(commands.iter().map(|command| self.command(session, command)).collect())
            }
        }
    }

    /// # Panics
    ///
    /// On a command that the model does not know.
    fn command(&mut self, session: usize, command: &Command) -> Value {
        let name = String::from_utf8_lossy(&command[0]).to_ascii_uppercase();
        let at = |index: usize| self.place(session, &command[index]);
        let places = |step: usize| command[1..].iter().step_by(step).map(|key| self.place(session, key));
        match name.as_str() {
            "GET" => self.get(&at(1)),
            "MGET" => {
                let texts = places(1).map(|place| self.text(&place).ok().flatten());
                Value::Array(texts.map(|text| text.map_or(Value::NullBulk, Value::Bulk)).collect())
            }
            "LPUSH" | "RPOP" | "LLEN" => {
                let place = at(1);
                self.on_list(&name, place, &command[2..])
            }
            "SADD" | "SREM" | "SCARD" => {
                let place = at(1);
                self.on_set(&name, place, &command[2..])
            }
            "EXISTS" => Value::Int(places(1).filter(|place| self.data.contains_key(place)).count() as i64),
            "SET" => {
                let place = at(1);
                self.put(place, command[2].clone());
                ok()
            }
            "MSET" => {
                let places: Vec<Place> = places(2).collect();
                for (place, value) in places.into_iter().zip(command[2..].iter().step_by(2)) {
                    self.put(place, value.clone());
                }
                ok()
            }
            "SETNX" => {
                let place = at(1);
                let absent = !self.data.contains_key(&place);
                if absent {
                    self.put(place, command[2].clone());
                }
                Value::Int(absent.into())
            }
            "GETSET" => {
                let place = at(1);
                let old = self.get(&place);
                if !old.is_error() {
                    self.put(place, command[2].clone());
                }
                old
            }
            "GETDEL" => {
                let place = at(1);
                let old = self.get(&place);
                if !old.is_error() {
                    self.remove(&place);
                }
                old
            }
            "DEL" => {
                let places: Vec<Place> = places(1).collect();
                Value::Int(places.iter().filter(|place| self.remove(place).is_some()).count() as i64)
            }
            "APPEND" => {
                let place = at(1);
                let Ok(value) = self.text(&place) else { return wrong_type() };
                let mut value = value.unwrap_or_default();
                value.extend(&command[2]);
                let length = value.len();
                self.put(place, value);
                Value::Int(length as i64)
            }
            "INCR" => {
                let place = at(1);
                self.increment(place)
            }
            "RENAME" => {
                let (from, to) = (at(1), at(2));
                self.rename(from, to)
            }
            "COPY" => {
                let (from, mut to) = (at(1), at(2));
                if command.get(3).is_some_and(|word| word == b"DB") {
                    to.0 = number(&command[4]);
                }
                self.copy(from, to, command.last().is_some_and(|word| word == b"REPLACE"))
            }
            "MOVE" => {
                let from = at(1);
                let to = (number(&command[2]), from.1.clone());
                self.relocate(from, to)
            }
            "SELECT" => {
                self.sessions[session].db = number(&command[1]);
                ok()
            }
            "SWAPDB" => {
                self.swap(number(&command[1]), number(&command[2]));
                ok()
            }
            "FLUSHDB" => {
                self.flush(self.sessions[session].db);
                ok()
            }
            "WATCH" => {
                let places: Vec<Place> = places(1).collect();
                self.sessions[session].watched.extend(places);
                ok()
            }
            "UNWATCH" => {
                self.unwatch(session);
                ok()
            }
            unknown => panic!("the model does not know {unknown}"),
        }
    }

    fn place(&self, session: usize, key: &[u8]) -> Place {
        (self.sessions[session].db, key.to_vec())
    }

    fn get(&self, place: &Place) -> Value {
        match self.text(place) {
            Ok(text) => text.map_or(Value::NullBulk, Value::Bulk),
            Err(WrongType) => wrong_type(),
        }
    }

    fn text(&self, place: &Place) -> Result<Option<Vec<u8>>, WrongType> {
        match self.data.get(place) {
            None => Ok(None),
            Some(Held::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(WrongType),
        }
    }

    fn on_list(&mut self, name: &str, place: Place, values: &[Vec<u8>]) -> Value {
        let mut list = match self.data.get(&place) {
            None => Vec::new(),
            Some(Held::List(list)) => list.clone(),
            Some(_) => return wrong_type(),
        };
        match name {
            "LPUSH" => {
                values.iter().for_each(|value| list.insert(0, value.clone()));
                let length = list.len();
                self.put(place, Held::List(list));
                Value::Int(length as i64)
            }
            "RPOP" => {
                let Some(last) = list.pop() else { return Value::NullBulk };
                if list.is_empty() {
                    self.remove(&place);
                } else {
                    self.put(place, Held::List(list));
                }
                Value::Bulk(last)
            }
            _ => Value::Int(list.len() as i64),
        }
    }

    fn on_set(&mut self, name: &str, place: Place, members: &[Vec<u8>]) -> Value {
        let mut set = match self.data.get(&place) {
            None => BTreeSet::new(),
            Some(Held::Set(set)) => set.clone(),
            Some(_) => return wrong_type(),
        };
        let changed = match name {
            "SADD" => members.iter().filter(|member| set.insert((*member).clone())).count(),
            "SREM" => members.iter().filter(|member| set.remove(*member)).count(),
            _ => return Value::Int(set.len() as i64),
        };
        match (changed, set.is_empty()) {
            (0, _) => {}
            (_, true) => drop(self.remove(&place)),
            (_, false) => self.put(place, Held::Set(set)),
        }
        Value::Int(changed as i64)
    }

    fn put(&mut self, place: Place, value: impl Into<Held>) {
        self.touch(&place);
        self.data.insert(place, value.into());
    }

    fn remove(&mut self, place: &Place) -> Option<Held> {
        let value = self.data.remove(place)?;
        self.touch(place);
        Some(value)
    }

    fn touch(&mut self, place: &Place) {
        for session in &mut self.sessions {
            if session.watched.contains(place) {
                session.dirty = true;
            }
        }
    }

    fn unwatch(&mut self, session: usize) {
        self.sessions[session].watched.clear();
        self.sessions[session].dirty = false;
    }

    fn increment(&mut self, place: Place) -> Value {
        let Ok(text) = self.text(&place) else { return wrong_type() };
        let text = text.map_or("0".into(), |value| String::from_utf8_lossy(&value).into_owned());
        let Some(old) = text.parse::<i64>().ok().filter(|old| old.to_string() == text) else {
            return error("ERR value is not an integer or out of range");
        };
        let Some(new) = old.checked_add(1) else {
            return error("ERR increment or decrement would overflow");
        };
        self.put(place, new.to_string().into_bytes());
        Value::Int(new)
    }

    fn rename(&mut self, from: Place, to: Place) -> Value {
        if !self.data.contains_key(&from) {
            return error("ERR no such key");
        }
        if from != to {
            let value = self.remove(&from).expect("just seen");
            self.put(to, value);
        }
        ok()
    }

    fn copy(&mut self, from: Place, to: Place, replace: bool) -> Value {
        if from == to {
            return error("ERR source and destination objects are the same");
        }
        let Some(value) = self.data.get(&from).cloned() else { return Value::Int(0) };
        if !replace && self.data.contains_key(&to) {
            return Value::Int(0);
        }
        self.put(to, value);
        Value::Int(1)
    }

    fn relocate(&mut self, from: Place, to: Place) -> Value {
        if from == to {
            return error("ERR source and destination objects are the same");
        }
        if !self.data.contains_key(&from) || self.data.contains_key(&to) {
            return Value::Int(0);
        }
        let value = self.remove(&from).expect("just seen");
        self.put(to, value);
        Value::Int(1)
    }

    /// A watched key is touched if either database has it.
    fn swap(&mut self, a: usize, b: usize) {
        let exchanged = |db: usize| match db {
            db if db == a => b,
            db if db == b => a,
            db => db,
        };
        let places: Vec<Place> = self.data.keys().filter(|(db, _)| [a, b].contains(db)).cloned().collect();
        for (_, key) in places {
            self.touch(&(a, key.clone()));
            self.touch(&(b, key));
        }
        let data = std::mem::take(&mut self.data);
        self.data = data.into_iter().map(|((db, key), value)| ((exchanged(db), key), value)).collect();
    }

    fn flush(&mut self, db: usize) {
        let places: Vec<Place> = self.data.keys().filter(|place| place.0 == db).cloned().collect();
        for place in places {
            self.remove(&place);
        }
    }
}

fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

fn wrong_type() -> Value {
    error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

fn error(text: &str) -> Value {
    Value::Error(text.as_bytes().to_vec())
}

fn number(word: &[u8]) -> usize {
    String::from_utf8_lossy(word).parse().expect("a database's number")
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |values: Vec<&Vec<u8>>| {
            values.iter().map(|value| format!("\"{}\"", value.escape_ascii())).collect::<Vec<_>>().join(" ")
        };
        let key = |((db, key), value): (&Place, &Held)| {
            let value = match value {
                Held::Text(text) => shown(vec![text]),
                Held::List(list) => format!("[{}]", shown(list.iter().collect())),
                Held::Set(set) => format!("{{{}}}", shown(set.iter().collect())),
            };
            format!("db {db} {} = {value}", key.escape_ascii())
        };
        let data: Vec<String> = self.data.iter().map(key).collect();
        let databases: Vec<usize> = self.sessions.iter().map(|session| session.db).collect();
        write!(f, "{{{}}}, clients in databases {databases:?}", data.join(", "))
    }
}
