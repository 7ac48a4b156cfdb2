//! HRANDFIELD.

use super::{RO_ACCESS, row};
use crate::command::{Flags, Row};
use crate::commands::chance::Chance;
use crate::error::{self, Error};
use crate::executor::{Call, outgrows};
use crate::resp::Reply;
use crate::types::hash::{Field, Hash};

pub(super) const HRANDFIELD: Row = row("hrandfield", -2, "6.2.0", hrandfield)
    .flags(Flags::READONLY)
    .keys(RO_ACCESS)
    .tips(&["nondeterministic_output"]);

/// How many fields, and with what.
struct Request {
    /// Negative: that many, the same ones again too.
    count: i64,
    with_values: bool,
}

impl Request {
    /// `None`: one field, not in an array.
    fn parse(call: &Call<'_, '_>) -> Result<Option<Request>, Error> {
        let args = call.args;
        if args.len() == 2 {
            return Ok(None);
        }
        let count = args.int(2)?;
        if count == i64::MIN {
            return Err(error::LONG_OUT_OF_RANGE);
        }
        if args.len() > 4 || args.len() == 4 && !args.is(3, "withvalues") {
            return Err(error::SYNTAX);
        }
        let with_values = args.len() == 4;
        if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
            return Err(error::VALUE_OUT_OF_RANGE);
        }
        Ok(Some(Request { count, with_values }))
    }

    fn head(&self, reply: &mut Reply<'_>, fields: usize) {
        let nested = self.with_values && reply.resp3();
        reply.array(if self.with_values && !nested { fields * 2 } else { fields });
    }

    fn field(&self, reply: &mut Reply<'_>, field: Field<'_>) {
        if self.with_values && reply.resp3() {
            reply.array(2);
        }
        reply.element(field.name);
        if self.with_values {
            reply.element(field.value);
        }
    }
}

/// The fields that are there, by number.
enum Choice<'h> {
    /// All, found in the table.
    Table(&'h Hash),
    /// Those of a small hash, or where some of the hash are due.
    Listed(Vec<Field<'h>>),
}

impl<'h> Choice<'h> {
    fn of(hash: &'h Hash, as_of_ms: i64) -> Choice<'h> {
        match hash {
            Hash::Table(_) if !hash.has_due(as_of_ms) => Choice::Table(hash),
            _ => Choice::Listed(hash.iter().filter(|field| field.is_live(as_of_ms)).collect()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Choice::Table(hash) => hash.len(),
            Choice::Listed(fields) => fields.len(),
        }
    }

    fn nth(&self, index: usize) -> Field<'h> {
        match self {
            Choice::Table(hash) => hash.nth(index).expect("the index is below the length"),
            Choice::Listed(fields) => fields[index],
        }
    }
}

fn hrandfield(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let request = Request::parse(call)?;
    let as_of_ms = call.view.elements_as_of_ms();
    let mut chance = Chance::new(call.view.random());
    let limit = call.waiting_limit();
    let hash = call.view.object::<Hash>(call.args.at(1))?;
    let choice = hash.as_ref().map(|hash| Choice::of(hash, as_of_ms)).filter(|choice| choice.len() > 0);
    match (choice, request) {
        (None, None) => call.reply.null(),
        (None, Some(_)) => call.reply.array(0),
        (Some(choice), None) => call.reply.element(choice.nth(chance.below(choice.len())).name),
        (Some(choice), Some(request)) if request.count < 0 => {
            let count = request.count.unsigned_abs() as usize;
            request.head(&mut call.reply, count);
            for _ in 0..count {
                request.field(&mut call.reply, choice.nth(chance.below(choice.len())));
                if outgrows(&call.reply, limit, call.client) {
                    break;
                }
            }
        }
        (Some(choice), Some(request)) => {
            let count = (request.count as usize).min(choice.len());
            request.head(&mut call.reply, count);
            if count == choice.len() {
                (0..count).for_each(|index| request.field(&mut call.reply, choice.nth(index)));
            } else {
                let picked = chance.distinct(count, choice.len());
                picked.for_each(|index| request.field(&mut call.reply, choice.nth(index)));
            }
        }
    }
    Ok(())
}
