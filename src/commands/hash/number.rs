//! Fields that count: HINCRBY by integers, HINCRBYFLOAT by long doubles. A field's expiry stays.

use super::{FAST_WRITE, live_field, row, set_field};
use crate::command::{KeySpec, Row};
use crate::commands::string::RW_ACCESS_UPDATE;
use crate::error::{self, Error};
use crate::executor::Call;
use crate::keyspace::events::{Class, Event};
use crate::types::hash::{Expiry, Hash};
use crate::types::long_double::LongDouble;

const KEYS: &[KeySpec] = &[KeySpec::one(1, RW_ACCESS_UPDATE)];

pub(super) const HINCRBY: Row = row("hincrby", 4, "2.0.0", hincrby).element(2).flags(FAST_WRITE).keys(KEYS);

fn hincrby(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (by, name) = (call.args.int(3)?, call.args.at(2));
    let (limits, as_of_ms) = (call.server.limits(), call.view.elements_as_of_ms());
    let mut edit = call.view.object_or_new::<Hash>(call.args.at(1), Event::new(Class::HASH, "hincrby"))?;
    let old = match live_field(&edit, name, as_of_ms) {
        Some(field) => field.value.as_int().ok_or(error::HASH_NOT_INTEGER)?,
        None => 0,
    };
    let sum = old.checked_add(by).ok_or(error::OVERFLOW)?;
    let mut digits = itoa::Buffer::new();
    let pair = (name, digits.format(sum).as_bytes());
    edit.change(|hash| {
        set_field(hash, pair, Expiry::Keep, &limits, as_of_ms);
        true
    });
    drop(edit);
    call.reply.int(sum);
    Ok(())
}

pub(super) const HINCRBYFLOAT: Row =
    row("hincrbyfloat", 4, "2.6.0", hincrbyfloat).element(2).flags(FAST_WRITE).keys(KEYS);

/// The log gets the result, so that replicas need not compute as we do, and the expiry that HSET would clear.
fn hincrbyfloat(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (key, name) = (call.args.at(1), call.args.at(2));
    let by = finite(call.args.at(3))?;
    let (limits, as_of_ms) = (call.server.limits(), call.view.elements_as_of_ms());
    let mut edit = call.view.object_or_new::<Hash>(key, Event::new(Class::HASH, "hincrbyfloat"))?;
    let old = live_field(&edit, name, as_of_ms);
    let expiry_ms = old.and_then(|field| field.expiry_ms);
    let old = match old {
        Some(field) => {
            LongDouble::parse(field.value.text(&mut itoa::Buffer::new())).ok_or(error::HASH_NOT_FLOAT)?
        }
        None => LongDouble::from(0),
    };
    let sum = old.checked_add(by).ok_or(error::NAN_OR_INFINITY)?.to_text();
    edit.change(|hash| {
        set_field(hash, (name, sum.as_bytes()), Expiry::Keep, &limits, as_of_ms);
        true
    });
    drop(edit);
    call.reply.bulk(&sum);
    call.propagate_instead(&[b"HSET", key, name, sum.as_bytes()]);
    if let Some(at) = expiry_ms {
        super::expiry::propagate_expiry(call, at, &[name]);
    }
    Ok(())
}

fn finite(text: &[u8]) -> Result<LongDouble, Error> {
    let by = LongDouble::parse(text).ok_or(error::NOT_FLOAT)?;
    // Adding to nothing fails just where there is nothing to be added.
    LongDouble::from(0).checked_add(by).map(|_| by).ok_or(error::NAN_OR_INFINITY_GIVEN)
}
