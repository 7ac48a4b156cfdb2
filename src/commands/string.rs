//! String commands.

use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row, finders};
use crate::error::Error;
use crate::executor::Call;
use crate::keyspace::Ttl;

/// The family's rows.
pub const ROWS: &[Row] = &[GET, SET];

const GET: Row = Row::new("get", 2, Group::String, "1.0.0", get)
    .flags(Flags::READONLY.union(Flags::FAST))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))]);

fn get(call: &mut Call<'_, '_>) -> Result<(), Error> {
    match call.view.read_string(call.args.at(1))? {
        Some(value) => call.reply.value(value),
        None => call.reply.null(),
    }
    Ok(())
}

const SET: Row = Row::new("set", -3, Group::String, "1.0.0", set)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(
        1,
        KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE).union(KeyFlags::VARIABLE_FLAGS),
    )
    .notes("RW and ACCESS due to the optional `GET` argument")])
    .key_finder(finders::set);

fn set(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.view.set(call.args.at(1), call.args.value(2), Ttl::Clear);
    call.reply.ok();
    Ok(())
}
