//! MIGRATE: its arguments. What it does takes a network, and is done by the connection (`crate::migrate`).

use crate::client::Takeover;
use crate::command::finders;
use crate::command::{Acl, Find, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::migrate::{Order, Password};
use std::time::Duration;

/// The rows of this file.
pub const ROWS: &[Row] = &[MIGRATE];

const MOVED: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);

const MIGRATE: Row = Row::new("migrate", -6, Group::Generic, "2.6.0", migrate)
    .flags(Flags::WRITE)
    .categories(Acl::KEYSPACE.union(Acl::DANGEROUS))
    .keys(&[
        KeySpec::one(3, MOVED),
        KeySpec::keyword(
            "KEYS",
            -2,
            Find::Range { last: -1, step: 1, limit: 0 },
            MOVED.union(KeyFlags::INCOMPLETE),
        ),
    ])
    .key_finder(finders::migrate)
    .tips(&["nondeterministic_output"]);

/// How long to wait for the other side when the client does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

fn migrate(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let order = parse(call)?;
    if call.in_transaction {
        // Between the keys' departure and the answer others run commands: that cannot be a part of a transaction.
        return Err(error::MIGRATE_IN_TRANSACTION);
    }
    call.client.takeover = Some(Takeover::Migrate(order));
    Ok(())
}

fn parse(call: &mut Call<'_, '_>) -> Result<Order, Error> {
    let args = call.args;
    let (mut copy, mut replace, mut password, mut keys_from) = (false, false, None, None);
    let mut at = 6;
    while at < args.len() && keys_from.is_none() {
        let more = args.len() - at - 1;
        if args.is(at, "copy") {
            copy = true;
        } else if args.is(at, "replace") {
            replace = true;
        } else if args.is(at, "auth") && more >= 1 {
            password = Some(Password { user: None, password: args.at(at + 1).into() });
            call.redact(at + 1);
            at += 1;
        } else if args.is(at, "auth2") && more >= 2 {
            password =
                Some(Password { user: Some(args.at(at + 1).into()), password: args.at(at + 2).into() });
            call.redact(at + 1);
            call.redact(at + 2);
            at += 2;
        } else if args.is(at, "keys") {
            if !args.at(3).is_empty() {
                return Err(error::MIGRATE_KEYS);
            }
            keys_from = Some(at + 1);
        } else {
            return Err(error::SYNTAX);
        }
        at += 1;
    }
    let timeout_ms = args.int(5)?;
    let db = args.int(4)?;
    let keys = match keys_from {
        Some(from) => args.from(from).map(Box::from).collect(),
        None => vec![Box::from(args.at(3))],
    };
    Ok(Order {
        host: String::from_utf8_lossy(args.at(1)).into_owned(),
        port: String::from_utf8_lossy(args.at(2)).parse().unwrap_or(0),
        db,
        timeout: if timeout_ms > 0 { Duration::from_millis(timeout_ms as u64) } else { DEFAULT_TIMEOUT },
        copy,
        replace,
        password,
        keys,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    /// What the connection is told to do.
    #[track_caller]
    fn order(line: &str) -> Order {
        let mut bench = Bench::new();
        bench.check(line, "");
        match bench.client.takeover {
            Some(Takeover::Migrate(order)) => order,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[track_caller]
    fn refused(line: &str, reply: &str) {
        Bench::new().check(line, reply);
    }

    #[test]
    fn arguments_become_an_order() {
        let plain = order("migrate 10.0.0.1 6380 k 3 0");
        assert_eq!(
            (plain.host.as_str(), plain.port, plain.db, plain.timeout),
            ("10.0.0.1", 6380, 3, DEFAULT_TIMEOUT)
        );
        assert_eq!((plain.copy, plain.replace, plain.keys), (false, false, vec![Box::from(&b"k"[..])]));
        let all = order("migrate h 1 \"\" 0 5 copy REPLACE auth2 keys keys KEYS keys b");
        assert_eq!(all.keys, [Box::from(&b"keys"[..]), Box::from(&b"b"[..])]);
        assert!(all.copy && all.replace && all.timeout == Duration::from_millis(5));
        assert_eq!(all.password.map(|p| p.user), Some(Some(Box::from(&b"keys"[..]))));
        assert_eq!(order("migrate h 1 k 0 5 auth s").password.map(|p| p.user), Some(None));
    }

    #[test]
    fn mistakes_are_refused_in_order() {
        let not_int = "-ERR value is not an integer or out of range";
        refused("migrate h 1 k x 0", not_int);
        refused("migrate h 1 k 0 x", not_int);
        refused("migrate h 1 k x 0 nope", "-ERR syntax error");
        refused("migrate h 1 k 0 0 auth", "-ERR syntax error");
        refused("migrate h 1 k 0 0 auth2 a", "-ERR syntax error");
        let keys = "-ERR When using MIGRATE KEYS option, the key argument must be set to the empty string";
        refused("migrate h 1 k 0 0 keys a", keys);
        let mut bench = Bench::new();
        bench.run("multi");
        bench.run("migrate h 1 k 0 0");
        assert!(bench.run("exec").contains("-ERR MIGRATE"));
    }
}
