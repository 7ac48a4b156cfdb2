//! Is there an order? The search of Wing and Gong with Lowe's memory of where it has been.
//!
//! A client's steps are answered in the order in which it sent them, so that a place in the search is how far each client
//! has come, and the model's state. From there, the next step may be any client's next one that was called before every
//! other pending one was answered, and whose recorded reply is what the model says. A place seen before leads nowhere new.
//! Multi-key steps touch anything, so that the state is the whole keyspace and histories cannot be split by key: they are
//! kept short instead.

use super::history::{Event, History, Step};
use super::model::State;
use super::wire::Command;
use crate::support::client::Value;
use std::collections::HashSet;
use std::fmt;

/// Places after which the search gives up; rounds here need some hundreds.
const MOST_PLACES: usize = 2_000_000;

/// What a search found.
#[derive(Debug)]
pub enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none; the longest beginning of one, as clients' numbers.
    Impossible(Vec<usize>),
    /// The search was too long.
    Undecided,
}

/// Looks for an order of all events. Time and memory: exponential in what overlaps, at worst.
pub fn check(history: &History) -> Verdict {
    let mut search =
        Search { clients: &history.clients, seen: HashSet::new(), path: Vec::new(), longest: Vec::new() };
    if search.go(&mut vec![0; history.clients.len()], &history.initial) {
        return Verdict::Linearizable;
    }
    if search.seen.len() >= MOST_PLACES { Verdict::Undecided } else { Verdict::Impossible(search.longest) }
}

/// # Panics
///
/// With the history when there is no order for it (or none was found in time).
pub fn assert_linearizable(history: &History, about: &str) {
    match check(history) {
        Verdict::Linearizable => {}
        Verdict::Impossible(order) => {
            panic!("{about}: not linearizable: {}", Stuck { history, order: &order })
        }
        Verdict::Undecided => panic!("{about}: undecided after {MOST_PLACES} places: {history}"),
    }
}

struct Search<'h> {
    clients: &'h [Vec<Event>],
    seen: HashSet<(Vec<usize>, State)>,
    path: Vec<usize>,
    longest: Vec<usize>,
}

impl Search<'_> {
    /// Whether the rest can be ordered from here, `at` being the number of steps taken by each client.
    fn go(&mut self, at: &mut Vec<usize>, state: &State) -> bool {
        let pending = at.iter().zip(self.clients).filter_map(|(taken, events)| events.get(*taken));
        let Some(first_answer_ns) = pending.map(|event| event.answered_ns).min() else { return true };
        if self.seen.len() >= MOST_PLACES || !self.seen.insert((at.clone(), state.clone())) {
            return false;
        }
        if self.path.len() > self.longest.len() {
            self.longest = self.path.clone();
        }
        let mut candidates = self.candidates(at, state, first_answer_ns);
        // A step that changes nothing, wherever it stands, and is answered right here may as well come now: in an order
        // that has it later, nothing before it notices that it is gone.
        let is_idle = |client: usize| changes_nothing(&self.clients[client][at[client]]);
        let idle = candidates.iter().position(|(_, client, next)| is_idle(*client) && next == state);
        if let Some(idle) = idle {
            candidates = vec![candidates.swap_remove(idle)];
        }
        for (_, client, next) in candidates {
            at[client] += 1;
            self.path.push(client);
            if self.go(at, &next) {
                return true;
            }
            self.path.pop();
            at[client] -= 1;
        }
        false
    }

    /// Who may come next, and the state then; what was answered first stands first, for it is likely to be right.
    fn candidates(&self, at: &[usize], state: &State, first_answer_ns: u64) -> Vec<(u64, usize, State)> {
        let mut candidates = Vec::new();
        for (client, events) in self.clients.iter().enumerate() {
            let Some(event) = events.get(at[client]).filter(|event| event.called_ns <= first_answer_ns)
            else {
                continue;
            };
            let mut next = state.clone();
            if next.run(client, &event.step) == event.reply {
                candidates.push((event.answered_ns, client, next));
            }
        }
        candidates.sort_by_key(|(answered_ns, client, _)| (*answered_ns, *client));
        candidates
    }
}

/// Whether the event's replies say that it has changed no key.
fn changes_nothing(event: &Event) -> bool {
    match (&event.step, &event.reply) {
        (Step::One(command), reply) => is_idle(command, reply),
        (Step::Transaction(commands), Value::Array(replies)) => {
            commands.iter().zip(replies).all(|(command, reply)| is_idle(command, reply))
        }
        _ => false,
    }
}

fn is_idle(command: &Command, reply: &Value) -> bool {
    match command[0].as_slice() {
        b"GET" | b"MGET" | b"EXISTS" | b"LLEN" | b"SCARD" => true,
        _ if reply.is_error() => true,
        b"SETNX" | b"DEL" | b"COPY" | b"MOVE" | b"SADD" | b"SREM" => reply.int() == Some(0),
        b"GETDEL" | b"RPOP" => *reply == Value::NullBulk,
        _ => false,
    }
}

/// A history without an order, for its reader.
struct Stuck<'h> {
    history: &'h History,
    order: &'h [usize],
}

impl fmt::Display for Stuck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}the longest order found:", self.history)?;
        let mut at = vec![0; self.history.clients.len()];
        let mut state = self.history.initial.clone();
        for &client in self.order {
            let event = &self.history.clients[client][at[client]];
            state.run(client, &event.step);
            at[client] += 1;
            writeln!(f, "  client {client}: {event}")?;
        }
        writeln!(f, "then {state}, and none of")?;
        for (client, events) in self.history.clients.iter().enumerate() {
            if let Some(event) = events.get(at[client]) {
                let expected = state.clone().run(client, &event.step);
                writeln!(f, "  client {client}: {event}, where the model says {expected}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::{one, transaction};
    use super::super::steps::Steps;
    use super::*;
    use crate::support::client::parse;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    /// An event: when it was called and answered, what was sent, the reply's bytes.
    type Line<'l> = (u64, u64, Step, &'l str);

    fn check(clients: &[&[Line<'_>]], linearizable: bool) {
        let event = |(called_ns, answered_ns, step, reply): &Line<'_>| {
            let reply = parse(reply.as_bytes()).expect("RESP").expect("a whole reply").0;
            Event { step: step.clone(), reply, called_ns: *called_ns, answered_ns: *answered_ns }
        };
        let clients: Vec<Vec<Event>> =
            clients.iter().map(|lines| lines.iter().map(event).collect()).collect();
        let history = History { initial: State::new(&vec![0; clients.len()]), clients };
        let verdict = super::check(&history);
        assert_eq!(matches!(verdict, Verdict::Linearizable), linearizable, "{verdict:?}\n{history}");
    }

    #[test]
    fn a_read_may_see_an_overlapping_write_but_not_miss_an_earlier_one() {
        let set = || (0, 10, one("SET k v"), "+OK\r\n");
        check(&[&[set()], &[(5, 15, one("GET k"), "$-1\r\n")]], true);
        check(&[&[set()], &[(5, 15, one("GET k"), "$1\r\nv\r\n")]], true);
        check(&[&[set()], &[(11, 15, one("GET k"), "$-1\r\n")]], false);
        check(&[&[(5, 10, one("SET k v"), "+OK\r\n")], &[(0, 4, one("GET k"), "$1\r\nv\r\n")]], false);
    }

    #[test]
    fn two_reads_cannot_disagree_on_the_order_of_two_writes() {
        let writes: [&[Line<'_>]; 2] =
            [&[(0, 90, one("SET a 1"), "+OK\r\n")], &[(0, 90, one("SET b 1"), "+OK\r\n")]];
        let a_first: &[Line<'_>] = &[(10, 20, one("MGET a b"), "*2\r\n$1\r\n1\r\n$-1\r\n")];
        let b_first: &[Line<'_>] = &[(10, 20, one("MGET a b"), "*2\r\n$-1\r\n$1\r\n1\r\n")];
        check(&[writes[0], writes[1], a_first, a_first], true);
        check(&[writes[0], writes[1], a_first, b_first], false);
    }

    #[test]
    fn a_clients_own_steps_keep_their_order() {
        let (set, get) = ((0, 10, one("SET k v"), "+OK\r\n"), (0, 10, one("GET k"), "$-1\r\n"));
        check(&[&[get.clone(), set.clone()]], true);
        check(&[&[set, get]], false);
    }

    #[test]
    fn a_lost_update_is_found() {
        let incr = |reply| (0, 10, one("INCR n"), reply);
        check(&[&[incr(":1\r\n")], &[incr(":2\r\n")]], true);
        check(&[&[incr(":1\r\n")], &[incr(":1\r\n")]], false);
    }

    #[test]
    fn half_of_an_mset_is_never_seen() {
        let mset: &[Line<'_>] = &[(0, 90, one("MSET a 1 b 1"), "+OK\r\n")];
        check(&[mset, &[(10, 20, one("MGET a b"), "*2\r\n$1\r\n1\r\n$1\r\n1\r\n")]], true);
        check(&[mset, &[(10, 20, one("MGET a b"), "*2\r\n$1\r\n1\r\n$-1\r\n")]], false);
        check(&[mset, &[(10, 20, one("EXISTS a b"), ":1\r\n")]], false);
        let one_by_one = |b| [(10, 20, one("GET a"), "$1\r\n1\r\n"), (30, 40, one("GET b"), b)];
        check(&[mset, &one_by_one("$1\r\n1\r\n")], true);
        check(&[mset, &one_by_one("$-1\r\n")], false);
    }

    #[test]
    fn a_renamed_key_has_one_name_at_every_moment() {
        let writer: &[Line<'_>] = &[(0, 5, one("SET a v"), "+OK\r\n"), (6, 90, one("RENAME a b"), "+OK\r\n")];
        check(&[writer, &[(10, 20, one("EXISTS a b"), ":1\r\n")]], true);
        check(&[writer, &[(10, 20, one("EXISTS a b"), ":0\r\n")]], false);
        check(&[writer, &[(10, 20, one("EXISTS a b"), ":2\r\n")]], false);
    }

    #[test]
    fn nothing_comes_between_a_transactions_commands() {
        let unit = transaction(&["INCR n", "INCR n"]);
        let writer: &[Line<'_>] = &[(0, 90, unit, "*2\r\n:1\r\n:2\r\n")];
        check(&[writer, &[(10, 20, one("GET n"), "$1\r\n2\r\n")]], true);
        check(&[writer, &[(10, 20, one("GET n"), "$1\r\n1\r\n")]], false);
        let torn: &[Line<'_>] = &[(0, 90, transaction(&["GET n", "GET n"]), "*2\r\n$-1\r\n$1\r\n1\r\n")];
        check(&[torn, &[(10, 20, one("INCR n"), ":1\r\n")]], false);
    }

    #[test]
    fn of_two_compare_and_sets_from_the_same_value_one_fails() {
        let client = |reply| {
            [
                (0, 10, one("WATCH k"), "+OK\r\n"),
                (0, 10, one("GET k"), "$-1\r\n"),
                (11, 20, transaction(&["INCR k"]), reply),
            ]
        };
        check(&[&client("*1\r\n:1\r\n"), &client("*-1\r\n")], true);
        check(&[&client("*1\r\n:1\r\n"), &client("*1\r\n:2\r\n")], false);
        check(&[&client("*-1\r\n"), &client("*-1\r\n")], false);
        check(&[&client("*-1\r\n")], false);
    }

    #[test]
    fn watched_keys_are_touched_by_a_swap_that_changes_them() {
        let client = |reply| {
            [
                (0, 10, one("SET k v"), "+OK\r\n"),
                (0, 10, one("WATCH k"), "+OK\r\n"),
                (20, 30, transaction(&["GET k"]), reply),
            ]
        };
        let swap: &[Line<'_>] = &[(11, 15, one("SWAPDB 0 1"), "+OK\r\n")];
        check(&[&client("*-1\r\n"), swap], true);
        check(&[&client("*1\r\n$-1\r\n"), swap], false);
    }

    #[test]
    fn an_element_is_popped_once_and_a_member_added_once() {
        let push: &[Line<'_>] = &[(0, 5, one("LPUSH l a b"), ":2\r\n")];
        let pop = |reply| (10, 20, one("RPOP l"), reply);
        check(&[push, &[pop("$1\r\na\r\n")], &[pop("$1\r\nb\r\n")]], true);
        check(&[push, &[pop("$1\r\na\r\n")], &[pop("$1\r\na\r\n")]], false);
        check(&[push, &[pop("$1\r\nb\r\n")]], false);
        let add = |reply| (0, 10, one("SADD s m"), reply);
        let count = |reply| (11, 20, one("SCARD s"), reply);
        check(&[&[add(":1\r\n")], &[add(":0\r\n"), count(":1\r\n")]], true);
        check(&[&[add(":1\r\n")], &[add(":1\r\n")]], false);
        check(&[&[add(":1\r\n")], &[count(":0\r\n")]], false);
    }

    /// Clients against the model in place of a server, from a seed: each step takes effect at one moment between its call
    /// and its answer, or, `torn`, command by command at moments of which others come in between.
    fn simulate(seed: u64, torn: bool) -> History {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut steps = Steps::new(seed);
        let databases = [0, 0, 0, 1];
        let initial = steps.initial(&databases);
        let mut clients: Vec<Vec<Event>> = vec![Vec::new(); databases.len()];
        let mut state = initial.clone();
        let mut time = 0;
        let mut parts: Vec<Vec<(Step, Value)>> = vec![Vec::new(); databases.len()];
        let mut under_way: Vec<Option<(Step, u64)>> = vec![None; databases.len()];
        while clients.iter().any(|events| events.len() < 10) {
            time += 1;
            let client = rng.random_range(0..databases.len());
            let Some((step, called_ns)) = under_way[client].take() else {
                under_way[client] = Some((steps.next(), time));
                continue;
            };
            let whole = match &step {
                Step::Transaction(commands) if torn => commands.iter().cloned().map(Step::One).collect(),
                step => vec![step.clone()],
            };
            let part = whole[parts[client].len()].clone();
            let reply = state.run(client, &part);
            parts[client].push((part, reply));
            if parts[client].len() < whole.len() {
                under_way[client] = Some((step, called_ns));
                continue;
            }
            let mut replies: Vec<Value> = parts[client].drain(..).map(|(_, reply)| reply).collect();
            let split = torn && matches!(step, Step::Transaction(_));
            let reply = if split { Value::Array(replies) } else { replies.remove(0) };
            let answered_ns = time + rng.random_range(0..5);
            let called_ns = called_ns.max(clients[client].last().map_or(0, |event| event.called_ns));
            clients[client].push(Event { step, reply, called_ns, answered_ns });
        }
        History { initial, clients }
    }

    #[test]
    fn what_a_single_thread_does_is_always_linearizable() {
        for seed in 0..200 {
            assert_linearizable(&simulate(seed, false), &format!("seed {seed}"));
        }
    }

    #[test]
    fn a_server_that_tears_transactions_is_caught() {
        let caught =
            (0..200).filter(|seed| matches!(super::check(&simulate(*seed, true)), Verdict::Impossible(_)));
        assert!(caught.count() > 20);
    }
}
