//! Makes a failing run short enough to read.
//!
//! First the shortest tail that still differs is looked for (doubling), then chunks are left out of it, ever
//! smaller ones (delta debugging). What counts as failing is any difference: a run that shows another
//! one is as good a report. An oracle that the harness does not understand (a command was left out that another one
//! needed) is no difference.

use std::time::{Duration, Instant};

use crate::generator::CONNECTIONS;
use crate::pair::{Difference, Pair, Step};

/// How long shrinking may take.
const BUDGET: Duration = Duration::from_secs(30);

/// How long a reply may take while shrinking: a missing one shows up in every attempt.
const REPLY_DEADLINE: Duration = Duration::from_millis(700);

/// The shortest found part of `steps` that shows a difference, and that difference; `None` if even all
/// of them do not show it again.
pub fn shrink(pair: &mut Pair, steps: &[Step]) -> Option<(Vec<Step>, Difference)> {
    pair.set_deadline(REPLY_DEADLINE);
    let end = Instant::now() + BUDGET;
    let mut best = shortest_tail(pair, steps, end)?;
    let mut chunk = best.0.len().div_ceil(2);
    while chunk > 0 && Instant::now() < end {
        let mut start = 0;
        while start < best.0.len() && best.0.len() > 1 && Instant::now() < end {
            let mut fewer = best.0.clone();
            fewer.drain(start..(start + chunk).min(fewer.len()));
            match attempt(pair, &fewer) {
                Some(found) => best = found,
                None => start += chunk,
            }
        }
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    Some(best)
}

fn shortest_tail(pair: &mut Pair, steps: &[Step], end: Instant) -> Option<(Vec<Step>, Difference)> {
    let mut length = 1;
    while length < steps.len() && Instant::now() < end {
        if let Some(found) = attempt(pair, &steps[steps.len() - length..]) {
            return Some(found);
        }
        length *= 2;
    }
    attempt(pair, steps)
}

/// Runs `steps` on emptied servers; what was run, up to the difference, if there is one.
fn attempt(pair: &mut Pair, steps: &[Step]) -> Option<(Vec<Step>, Difference)> {
    pair.reset(&CONNECTIONS);
    let difference = pair.run(steps).and_then(|()| pair.checkpoint(steps.len().saturating_sub(1))).err()?;
    if difference.is_unmodelled {
        return None;
    }
    Some((steps[..steps.len().min(difference.at + 1)].to_vec(), difference))
}
