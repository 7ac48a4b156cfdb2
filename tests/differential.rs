//! Redpoll against the real redis-server: the same commands to both, and every reply compared to the last
//! byte.
//!
//! Three kinds of input, one way to compare. `random_commands_agree` draws commands from a seed
//! (`generator`), `edge_…` run hand-written scripts (one line of `differential/edge/*.txt` each),
//! `random_bytes_agree` sends broken protocol. What may differ is written down in two lists: what is undefined in
//! any server (`compare`), and where Redpoll follows a later version than the oracle (`wanted`). What the
//! oracle does not have at all is held against its documentation (`newer`). What is not in any reply has its own scripts
//! (`counts`).
//!
//! `later/` holds lines that need commands which are not built yet; each goes back where it belongs with its commands.
//!
//! An expected-output file would have been the alternative: it would be wrong about the first thing that
//! nobody thought of.
//!
//! Environment: `REDPOLL_DIFF_COMMANDS` (how many commands), `REDPOLL_DIFF_SEED`, `REDPOLL_DIFF_ONLY` (edge cases
//! with this text in their line), `REDPOLL_TEST_BINARY` (the server under test; naming redis-server itself tests
//! the harness).

mod support;

#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/counts.rs"]
mod counts;
#[path = "differential/edge.rs"]
mod edge;
#[path = "differential/generator.rs"]
mod generator;
#[path = "differential/newer.rs"]
mod newer;
#[path = "differential/pair.rs"]
mod pair;
#[path = "differential/patterns.rs"]
mod patterns;
#[path = "differential/payload.rs"]
mod payload;
#[path = "differential/pools.rs"]
mod pools;
#[path = "differential/rewrite.rs"]
mod rewrite;
#[path = "differential/session.rs"]
mod session;
#[path = "differential/shrink.rs"]
mod shrink;
#[path = "differential/syntax.rs"]
mod syntax;
#[path = "differential/wanted.rs"]
mod wanted;

use generator::{CONNECTIONS, Generator};
use pair::{Difference, Pair, Step};
use support::server::find_redis;

/// Commands between two comparisons of the whole data sets.
const CHECKPOINT_STEPS: usize = 2000;

/// Commands of a connection that a report shows.
const SHOWN_STEPS: usize = 20;

/// A number from the environment, or this.
fn setting(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

#[test]
fn random_commands_agree() {
    let in_ci = std::env::var("CI").as_deref() == Ok("true");
    let count = setting("REDPOLL_DIFF_COMMANDS", if in_ci { 200_000 } else { 20_000 }) as usize;
    let seed = setting("REDPOLL_DIFF_SEED", 1);
    let Some(mut pair) = Pair::start(&CONNECTIONS) else { return };
    let mut generator = Generator::new(seed);
    let mut steps = Vec::with_capacity(count + CHECKPOINT_STEPS);
    while steps.len() < count {
        let start = steps.len();
        steps.extend(generator.steps(CHECKPOINT_STEPS));
        let last = steps.len() - 1;
        let result = pair.run(&steps[start..]).map_err(|mut difference| {
            difference.at += start;
            difference
        });
        if let Err(difference) = result.and_then(|()| pair.checkpoint(last)) {
            panic!("{}", report(&mut pair, seed, &steps, &difference));
        }
    }
}

#[test]
fn random_bytes_agree() {
    const STREAMS: u64 = 1500;
    let first = setting("REDPOLL_DIFF_SEED", 1) << 32;
    let Some(mut pair) = Pair::start(&[]) else { return };
    for seed in first..first + STREAMS {
        let stream = generator::broken_stream(seed);
        let result = pair.run_raw(&stream, None).and_then(|()| pair.checkpoint(0));
        assert!(result.is_ok(), "stream {seed}:\n{}", result.unwrap_err().shown());
    }
}

/// The harness itself: the oracle against another oracle whose eviction policy makes one command answer
/// otherwise.
#[test]
fn a_difference_is_found_and_shrunk() {
    let Some(binary) = find_redis() else { return };
    let Some(mut pair) = Pair::of(&binary, &["--maxmemory-policy", "allkeys-lfu"], &CONNECTIONS) else {
        return;
    };
    let steps = Generator::new(1).steps(10 * CHECKPOINT_STEPS);
    let difference = pair.run(&steps).expect_err("OBJECT FREQ and IDLETIME differ");
    let (fewer, difference) = shrink::shrink(&mut pair, &steps[..=difference.at]).expect("it happens again");
    assert!(fewer.len() <= 2, "{}{}", listed(&fewer), difference.shown());
    assert_eq!(syntax::name(&fewer[fewer.len() - 1].args), "OBJECT", "{}", difference.shown());
}

/// A test for each file of hand-written scripts.
macro_rules! edge_scripts {
    ($($test:ident: $file:literal),+ $(,)?) => {
        $(#[test]
        fn $test() {
            edge::run_scripts($file, include_str!(concat!("differential/edge/", $file)));
        })+
    };
}

edge_scripts! {
    edge_strings: "strings.txt",
    edge_streams: "streams.txt",
    edge_bitmaps: "bitmaps.txt",
    edge_sorted_sets: "sorted_sets.txt",
    edge_geo: "geo.txt",
    edge_hashes: "hashes.txt",
    edge_hyperloglog: "hyperloglog.txt",
    edge_keys: "keys.txt",
    edge_lists: "lists.txt",
    edge_sort: "sort.txt",
    edge_sets: "sets.txt",
    edge_transactions: "transactions.txt",
    edge_pubsub: "pubsub.txt",
    edge_connection: "connection.txt",
    edge_server: "server.txt",
    edge_command: "command.txt",
}

#[test]
fn edge_protocol() {
    edge::run_raw("protocol.txt", include_str!("differential/edge/protocol.txt"));
}

#[test]
fn newer_than_the_oracle() {
    newer::run(include_str!("differential/newer.txt"));
}

#[test]
fn frequencies_agree() {
    counts::frequencies(include_str!("differential/counts/frequencies.txt"));
}

#[test]
fn info_counters_agree() {
    counts::info(include_str!("differential/counts/info.txt"));
}

#[test]
fn traces_agree() {
    counts::traces(include_str!("differential/counts/traces.txt"));
}

#[test]
fn monitor_lines_agree() {
    counts::monitor(include_str!("differential/counts/monitor.txt"));
}

#[test]
fn rewritten_files_agree() {
    rewrite::run();
}

/// Everything that helps to understand a difference.
fn report(pair: &mut Pair, seed: u64, steps: &[Step], difference: &Difference) -> String {
    let steps = &steps[..=difference.at];
    let connection = steps[difference.at].connection;
    let of_connection: Vec<Step> =
        steps.iter().filter(|step| step.connection == connection).cloned().collect();
    let recent = &of_connection[of_connection.len().saturating_sub(SHOWN_STEPS)..];
    let head = format!("REDPOLL_DIFF_SEED={seed}, command {}:\n{}", difference.at, difference.shown());
    // Shrinking may fail, too.
    eprintln!("{head}");
    let shrunk = match shrink::shrink(pair, steps) {
        Some((fewer, difference)) => format!("{}{}", listed(&fewer), difference.shown()),
        None => "it did not happen again on emptied servers\n".into(),
    };
    format!("{head}\nThe last commands of its connection:\n{}\nShrunk:\n{shrunk}", listed(recent))
}

impl Difference {
    fn shown(&self) -> String {
        format!("  {}\n  oracle: {}\n  tested: {}\n", self.what, self.oracle, self.tested)
    }
}

/// Steps as the lines of an edge case.
fn listed(steps: &[Step]) -> String {
    steps.iter().map(|step| format!("  @{} {}\n", step.connection, syntax::show(&step.args))).collect()
}
