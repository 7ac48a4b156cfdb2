//! What LMPOP, ZMPOP and their waiting forms have in common: how they are asked.

use crate::error::{self, Error};
use crate::executor::Args;
use std::ops::Range;

/// `numkeys key … end [COUNT count]`.
pub struct Asked<E> {
    /// Positions of the keys.
    pub keys: Range<usize>,
    pub end: E,
    pub count: usize,
}

/// Reads the request from `numkeys`, at `at`, on; `end_at` reads the word for the end.
pub fn parse<E>(
    args: Args<'_>,
    at: usize,
    end_at: impl FnOnce(usize) -> Result<E, Error>,
) -> Result<Asked<E>, Error> {
    let positive = |at| args.int(at).ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let keys = positive(at).ok_or(error::NUMKEYS_NOT_POSITIVE)?;
    let end_position = keys.checked_add(at + 1).filter(|at| *at < args.len()).ok_or(error::SYNTAX)?;
    let end = end_at(end_position)?;
    let count = match args.len() - end_position {
        1 => 1,
        left @ 3.. if args.is(end_position + 1, "COUNT") => {
            // What is wrong with the number comes before what is wrong behind it.
            let count = positive(end_position + 2).ok_or(error::COUNT_NOT_POSITIVE)?;
            if left > 3 {
                return Err(error::SYNTAX);
            }
            count
        }
        _ => return Err(error::SYNTAX),
    };
    Ok(Asked { keys: at + 1..end_position, end, count })
}
