//! Commands about the connection itself.

use crate::command::{Acl, Flags, Group, Row};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::resp::Proto;

/// The family's rows.
pub const ROWS: &[Row] = &[PING, ECHO, SELECT];

const PING: Row = Row::new("ping", -1, Group::Connection, "1.0.0", ping)
    .flags(Flags::FAST.union(Flags::SUBSCRIBED))
    .categories(Acl::CONNECTION)
    .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]);

fn ping(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if call.args.len() > 2 {
        return Err(Error::arity("ping"));
    }
    if call.reply.proto == Proto::Resp2 && call.client.subscriptions() > 0 {
        call.reply.array(2);
        call.reply.bulk("pong");
        call.reply.bulk(call.args.get(1).unwrap_or_default());
        return Ok(());
    }
    match call.args.get(1) {
        Some(text) => call.reply.bulk(text),
        None => call.reply.simple("PONG"),
    }
    Ok(())
}

const ECHO: Row = Row::new("echo", 2, Group::Connection, "1.0.0", echo)
    .flags(Flags::LOADING.union(Flags::STALE).union(Flags::FAST))
    .categories(Acl::CONNECTION);

fn echo(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.bulk(call.args.at(1));
    Ok(())
}

const SELECT: Row = Row::new("select", 2, Group::Connection, "1.0.0", select)
    .flags(Flags::LOADING.union(Flags::STALE).union(Flags::FAST))
    .categories(Acl::CONNECTION);

fn select(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let db = call.args.int(1).map_err(|_| error::INVALID_DB)?;
    let db = u16::try_from(db).ok().filter(|db| *db < call.view.databases()).ok_or(error::DB_OUT_OF_RANGE)?;
    call.client.select(db);
    call.reply.ok();
    Ok(())
}
