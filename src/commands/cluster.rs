//! CLUSTER and its relatives, on a server that is part of none: all of them say so, but for KEYSLOT.
//!
//! Which slot a key falls to depends on the key alone; who lays out data for a cluster may ask any server. (The real
//! server refuses even this without cluster support.)

use super::container;
use crate::command::{Acl, Flags, Group, Row};
use crate::error::{self, Error};
use crate::executor::Call;

/// The family's rows.
pub const ROWS: &[Row] = &[CLUSTER, READONLY, READWRITE, ASKING];

/// Number of slots.
const SLOTS: u16 = 16_384;

const LOOKING: Flags = Flags::STALE.union(Flags::LOADING);
const MANAGING: Flags = Flags::ADMIN.union(Flags::STALE);
const CHANGING: Flags = MANAGING.union(Flags::NO_ASYNC_LOADING);
const VARIES: &[&str] = &["nondeterministic_output"];

/// A row of a subcommand that needs a cluster.
const fn sub(name: &'static str, arity: i16, since: &'static str, flags: Flags) -> Row {
    Row::new(name, arity, Group::Cluster, since, disabled).flags(flags)
}

const CLUSTER: Row = Row::new("cluster", -2, Group::Cluster, "3.0.0", container).subcommands(&[
    sub("cluster|addslots", -3, "3.0.0", CHANGING),
    sub("cluster|addslotsrange", -4, "7.0.0", CHANGING),
    sub("cluster|bumpepoch", 2, "3.0.0", CHANGING).tips(VARIES),
    sub("cluster|count-failure-reports", 3, "3.0.0", MANAGING).tips(VARIES),
    sub("cluster|countkeysinslot", 3, "3.0.0", Flags::STALE),
    sub("cluster|delslots", -3, "3.0.0", CHANGING),
    sub("cluster|delslotsrange", -4, "7.0.0", CHANGING),
    sub("cluster|failover", -2, "3.0.0", CHANGING),
    sub("cluster|flushslots", 2, "3.0.0", CHANGING),
    sub("cluster|forget", 3, "3.0.0", CHANGING),
    sub("cluster|getkeysinslot", 4, "3.0.0", Flags::STALE).tips(VARIES),
    sub("cluster|help", 2, "5.0.0", LOOKING),
    sub("cluster|info", 2, "3.0.0", LOOKING).tips(VARIES),
    Row::new("cluster|keyslot", 3, Group::Cluster, "3.0.0", keyslot).flags(Flags::STALE),
    sub("cluster|links", 2, "7.0.0", Flags::STALE).tips(VARIES),
    sub("cluster|meet", -4, "3.0.0", CHANGING),
    sub("cluster|myid", 2, "3.0.0", LOOKING),
    sub("cluster|myshardid", 2, "7.2.0", LOOKING).tips(VARIES),
    sub("cluster|nodes", 2, "3.0.0", LOOKING).tips(VARIES),
    sub("cluster|replicas", 3, "5.0.0", MANAGING).tips(VARIES),
    sub("cluster|replicate", 3, "3.0.0", CHANGING),
    sub("cluster|reset", -2, "3.0.0", MANAGING.union(Flags::NOSCRIPT)),
    sub("cluster|saveconfig", 2, "3.0.0", CHANGING),
    sub("cluster|set-config-epoch", 3, "3.0.0", CHANGING),
    sub("cluster|setslot", -4, "3.0.0", CHANGING),
    sub("cluster|shards", 2, "7.0.0", LOOKING).tips(VARIES),
    sub("cluster|slaves", 3, "3.0.0", MANAGING).tips(VARIES),
    sub("cluster|slots", 2, "3.0.0", LOOKING).tips(VARIES),
]);

const READONLY: Row = sub("readonly", 1, "3.0.0", LOOKING.union(Flags::FAST)).categories(Acl::CONNECTION);
const READWRITE: Row = sub("readwrite", 1, "3.0.0", LOOKING.union(Flags::FAST)).categories(Acl::CONNECTION);
const ASKING: Row = sub("asking", 1, "3.0.0", Flags::FAST).categories(Acl::CONNECTION);

fn disabled(_: &mut Call<'_, '_>) -> Result<(), Error> {
    Err(error::CLUSTER_DISABLED)
}

fn keyslot(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.int(i64::from(slot(call.args.at(2))));
    Ok(())
}

/// The slot of a key: that of what stands between its first `{` and the next `}`, if that is anything.
fn slot(key: &[u8]) -> u16 {
    let tag = || {
        let start = key.iter().position(|byte| *byte == b'{')? + 1;
        let len = key[start..].iter().position(|byte| *byte == b'}')?;
        (len > 0).then(|| &key[start..start + len])
    };
    crc16(tag().unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM: polynomial 0x1021, from 0, highest bit first.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc: u16, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    /// The check value of the CRC's catalogue, and the slots of the cluster specification's examples.
    #[test]
    fn slots() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, same) in [
            ("{user1000}.following", "user1000"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("foo{bar", "foo{bar"),
        ] {
            assert_eq!(slot(key.as_bytes()), crc16(same.as_bytes()) % SLOTS, "{key}");
        }
        let mut bench = Bench::new();
        bench.check("cluster keyslot somekey", ":11058");
        bench.check("cluster keyslot foo{hash_tag}", ":2515");
        bench.check("cluster keyslot bar{hash_tag}", ":2515");
        bench.check("cluster keyslot \"\"", ":0");
    }

    #[test]
    fn there_is_no_cluster() {
        let mut bench = Bench::new();
        for line in ["cluster info", "cluster help", "cluster meet h p", "readonly", "readwrite", "asking"] {
            bench.check(line, "-ERR This instance has cluster support disabled");
        }
        bench.check("cluster", "-ERR wrong number of arguments for 'cluster' command");
        bench.check("cluster foo", "-ERR unknown subcommand 'foo'. Try CLUSTER HELP.");
        bench.check("cluster keyslot", "-ERR wrong number of arguments for 'cluster|keyslot' command");
    }
}
