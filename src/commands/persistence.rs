//! SAVE, BGSAVE, LASTSAVE, SHUTDOWN.

use crate::client::Takeover;
use crate::command::{Acl, Flags, Group, Row};
use crate::config::enums::ShutdownFlags;
use crate::error::{self, Error};
use crate::executor::Call;
use std::sync::atomic::Ordering::Relaxed;

/// The family's rows.
pub const ROWS: &[Row] = &[SAVE, BGSAVE, LASTSAVE, SHUTDOWN];

const ADMIN: Flags = Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::NO_ASYNC_LOADING);

const SAVE: Row = Row::new("save", 1, Group::Server, "1.0.0", save).flags(ADMIN.union(Flags::NO_MULTI));

/// The client waits, nobody else does.
fn save(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if call.server.snapshots.current().is_some() {
        return Err(error::SAVE_RUNNING);
    }
    call.client.takeover = Some(Takeover::Save);
    Ok(())
}

/// BGSAVE's reply.
pub const SAVE_STARTED: &str = "Background saving started";

const BGSAVE: Row = Row::new("bgsave", -1, Group::Server, "1.0.0", bgsave).flags(ADMIN);

/// The connection begins it before it looks at the next request, so that what comes after BGSAVE is not in its file. In a
/// transaction it is put off until EXEC is over.
fn bgsave(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let schedule = call.args.is(1, "schedule");
    if call.args.len() > 2 || (call.args.len() == 2 && !schedule) {
        return Err(error::SYNTAX);
    }
    if call.server.snapshots.current().is_some() {
        return Err(error::SAVE_RUNNING);
    }
    let answered = call.in_transaction;
    if answered {
        call.reply.simple("Background saving scheduled");
    }
    call.client.takeover = Some(Takeover::BackgroundSave { answered });
    Ok(())
}

const LASTSAVE: Row = Row::new("lastsave", 1, Group::Server, "1.0.0", lastsave)
    .flags(Flags::LOADING.union(Flags::STALE).union(Flags::FAST))
    .categories(Acl::ADMIN.union(Acl::DANGEROUS))
    .tips(&["nondeterministic_output"]);

fn lastsave(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.int(call.server.persistence.last_save_ms.load(Relaxed) / 1000);
    Ok(())
}

const SHUTDOWN: Row = Row::new("shutdown", -1, Group::Server, "1.0.0", shutdown).flags(
    Flags::ADMIN
        .union(Flags::NOSCRIPT)
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::NO_MULTI)
        .union(Flags::ALLOW_BUSY),
);

fn shutdown(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (mut options, mut abort) = (ShutdownFlags::empty(), false);
    for at in 1..call.args.len() {
        match call.args.at(at).to_ascii_lowercase().as_slice() {
            b"nosave" if !options.contains(ShutdownFlags::SAVE) => options |= ShutdownFlags::NOSAVE,
            b"save" if !options.contains(ShutdownFlags::NOSAVE) => options |= ShutdownFlags::SAVE,
            b"now" => options |= ShutdownFlags::NOW,
            b"force" => options |= ShutdownFlags::FORCE,
            b"abort" => abort = true,
            _ => return Err(error::SYNTAX),
        }
    }
    if abort && call.args.len() > 2 {
        return Err(error::SYNTAX);
    }
    if abort {
        if !call.server.lingering.give_up() {
            return Err(error::NO_SHUTDOWN);
        }
        call.reply.ok();
        return Ok(());
    }
    call.client.takeover = Some(Takeover::Shutdown(options));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn shutdown_reads_its_options() {
        let mut bench = Bench::new();
        bench.check("shutdown save nosave", "-ERR syntax error");
        bench.check("shutdown abort", "-ERR No shutdown in progress.");
        bench.check("shutdown abort now", "-ERR syntax error");
        bench.check("shutdown nosave force", "");
        let options = ShutdownFlags::NOSAVE | ShutdownFlags::FORCE;
        assert_eq!(bench.client.takeover.take(), Some(Takeover::Shutdown(options)));
    }

    #[test]
    fn saves() {
        let mut bench = Bench::new();
        bench.check("bgsave", "");
        assert_eq!(bench.client.takeover.take(), Some(Takeover::BackgroundSave { answered: false }));
        bench.check("multi", "+OK");
        bench.check("bgsave", "+QUEUED");
        bench.check("exec", "*1 +Background saving scheduled");
        assert_eq!(bench.client.takeover.take(), Some(Takeover::BackgroundSave { answered: true }));
        bench.check("bgsave x", "-ERR syntax error");
        bench.check("save", "");
        assert_eq!(bench.client.takeover.take(), Some(Takeover::Save));
    }
}
