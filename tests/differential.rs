//! Redpoll against the real redis-server: the same commands to both, and every reply compared to the last
//! byte.
//!
//! Three kinds of input, one way to compare. `random_commands_agree` draws commands from a seed
//! (`generator`), `edge_…` run hand-written scripts (one line of `differential/edge/*.txt` each),
//! `random_bytes_agree` sends broken protocol. What may differ is written down in two lists: what is undefined in
//! any server (`compare`), and where Redpoll follows a later version than the oracle (`wanted`). What the
//! oracle does not have at all is held against its documentation (`newer`).
//!
//! An expected-output file would have been the alternative: it would be wrong about the first thing that
//! nobody thought of.
//!
//! Environment: `REDPOLL_DIFF_COMMANDS` (how many commands), `REDPOLL_DIFF_SEED`, `REDPOLL_TEST_BINARY` (the
//! server under test; naming redis-server itself tests the harness).

mod support;

#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/generator.rs"]
mod generator;
#[path = "differential/pair.rs"]
mod pair;
#[path = "differential/payload.rs"]
mod payload;
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
    let count = setting("REDPOLL_DIFF_COMMANDS", if in_ci { 100_000 } else { 20_000 }) as usize;
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

/// Everything that helps to understand a difference.
fn report(pair: &mut Pair, seed: u64, steps: &[Step], difference: &Difference) -> String {
    let steps = &steps[..=difference.at];
    let connection = steps[difference.at].connection;
    let of_connection: Vec<Step> =
        steps.iter().filter(|step| step.connection == connection).cloned().collect();
    let recent = &of_connection[of_connection.len().saturating_sub(SHOWN_STEPS)..];
    let shrunk = match shrink::shrink(pair, steps) {
        Some((fewer, difference)) => format!("{}{}", listed(&fewer), difference.shown()),
        None => "it did not happen again on emptied servers\n".into(),
    };
    format!(
        "REDPOLL_DIFF_SEED={seed}, command {}:\n{}\nThe last commands of its connection:\n{}\nShrunk:\n{shrunk}",
        difference.at,
        difference.shown(),
        listed(recent)
    )
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
