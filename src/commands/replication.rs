//! Replication commands: REPLICAOF, PSYNC, SYNC, REPLCONF, WAIT, ROLE.

use crate::blocked::{Nothing, Request};
use crate::client::{Kind, Replconf, Takeover};
use crate::command::{Acl, Flags, Group, Row};
use crate::config::Config;
use crate::error::{self, Error};
use crate::executor::Call;
use crate::replication::SyncRequest;
use crate::replication::hub::Progress;
use crate::replication::link::{State, Target};
use std::sync::Arc;

/// The family's rows.
pub const ROWS: &[Row] = &[REPLICAOF, SLAVEOF, PSYNC, SYNC, REPLCONF, WAIT, ROLE];

const ADMIN: Flags = Flags::ADMIN.union(Flags::NOSCRIPT);

const REPLICAOF: Row = Row::new("replicaof", 3, Group::Server, "5.0.0", replicaof)
    .flags(ADMIN.union(Flags::STALE).union(Flags::NO_ASYNC_LOADING).union(Flags::ALL_SHARDS));

const SLAVEOF: Row = Row::new("slaveof", 3, Group::Server, "1.0.0", replicaof)
    .flags(ADMIN.union(Flags::STALE).union(Flags::NO_ASYNC_LOADING).union(Flags::ALL_SHARDS));

fn replicaof(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let who = call.client.shared.addr.clone();
    if call.args.is(1, "no") && call.args.is(2, "one") {
        if call.server.is_replica() {
            call.server.become_master();
            remember_master(call, None);
            tracing::info!("MASTER MODE enabled (user request from '{who}')");
        }
        call.reply.ok();
        return Ok(());
    }
    let port = call.args.int(2).ok().and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or(error::INVALID_MASTER_PORT)?;
    let target = Target { host: String::from_utf8_lossy(call.args.at(1)).into_owned(), port };
    if call.server.link.target().as_ref() == Some(&target) {
        tracing::info!(
            "REPLICAOF would result into synchronization with the master we are already connected with. No operation performed."
        );
        call.reply.simple("OK Already connected to specified master");
        return Ok(());
    }
    if !call.server.is_replica() {
        tracing::info!(
            "Before turning into a replica, using my own master parameters to synthesize a cached master: I may be able to synchronize with the new master with just a partial transfer."
        );
    }
    remember_master(call, Some((target.host.clone(), port)));
    tracing::info!("REPLICAOF {}:{port} enabled (user request from '{who}')", target.host);
    call.server.become_replica(target);
    call.reply.ok();
    Ok(())
}

/// CONFIG GET and REWRITE tell whom we follow.
fn remember_master(call: &Call<'_, '_>, master: Option<(String, u16)>) {
    let _change = call.server.config_changes.lock();
    let mut config = Config::clone(&call.server.config.load());
    config.replicaof = master;
    call.server.config.store(Arc::new(config));
}

const SYNC_FLAGS: Flags = ADMIN.union(Flags::NO_ASYNC_LOADING).union(Flags::NO_MULTI);

const PSYNC: Row =
    Row::new("psync", -3, Group::Server, "2.8.0", psync).flags(SYNC_FLAGS.union(Flags::ALL_SHARDS));

fn psync(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if call.args.is(3, "failover") {
        take_over(call)?;
    }
    let offset = call.args.int(2)?;
    let id = call.args.at(1).to_vec();
    become_a_replicas(call, SyncRequest::Psync { id, offset })
}

/// Our master hands its role over and becomes our replica, with what it sends as its first request to us.
fn take_over(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let id = call.args.at(1);
    tracing::warn!("Failover request received for replid {}.", String::from_utf8_lossy(id).escape_default());
    if !call.server.is_replica() {
        return Err(error::FAILOVER_TO_MASTER);
    }
    if !id.eq_ignore_ascii_case(&call.server.log.lock().ids.id.0) {
        return Err(error::FAILOVER_OF_OTHERS);
    }
    call.server.become_master();
    remember_master(call, None);
    tracing::info!("MASTER MODE enabled (failover request from '{}')", call.client.shared.addr);
    Ok(())
}

const SYNC: Row = Row::new("sync", 1, Group::Server, "1.0.0", sync).flags(SYNC_FLAGS);

fn sync(call: &mut Call<'_, '_>) -> Result<(), Error> {
    become_a_replicas(call, SyncRequest::Sync)
}

fn become_a_replicas(call: &mut Call<'_, '_>, request: SyncRequest) -> Result<(), Error> {
    if call.server.is_replica() && !call.server.link.is_up() {
        return Err(error::NO_MASTER_LINK);
    }
    tracing::info!("Replica {} asks for synchronization", call.client.shared.addr);
    call.client.takeover = Some(Takeover::Replica(request));
    Ok(())
}

const REPLCONF: Row = Row::new("replconf", -1, Group::Server, "3.0.0", replconf)
    .flags(ADMIN.union(Flags::LOADING).union(Flags::STALE).union(Flags::ALLOW_BUSY));

fn replconf(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    if args.len().is_multiple_of(2) {
        return Err(error::SYNTAX);
    }
    for at in (1..args.len()).step_by(2) {
        if args.is(at, "ack") || args.is(at, "getack") {
            // Acknowledgements are read by the link of the replica that sends them; a master asks for one in its stream.
            call.client.ack_wanted = call.client.kind == Kind::Master && args.is(at, "getack");
            return Ok(());
        }
        option(&mut call.client.replconf, args.at(at), args.at(at + 1))?;
    }
    call.reply.ok();
    Ok(())
}

fn option(replconf: &mut Replconf, name: &[u8], value: &[u8]) -> Result<(), Error> {
    let text = || String::from_utf8_lossy(value).into_owned();
    match name.to_ascii_lowercase().as_slice() {
        b"listening-port" => {
            let port: i64 = crate::resp::parser::number(value).ok_or(error::NOT_INTEGER)?;
            replconf.listening_port = port as i32;
        }
        b"ip-address" if value.len() > 46 => {
            return Err(Error::err(format!(
                "REPLCONF ip-address provided by replica instance is too long: {} bytes",
                value.len()
            )));
        }
        b"ip-address" => replconf.ip_address = Some(text()).filter(|ip| !ip.is_empty()),
        // What is not known is not needed: a replica may be able to do more than we ask of it.
        b"capa" => match value {
            b"eof" => replconf.capa_eof = true,
            b"psync2" => replconf.capa_psync2 = true,
            _ => {}
        },
        b"rdb-only" => {
            let value: i64 = crate::resp::parser::number(value).ok_or(error::NOT_INTEGER)?;
            if !(0..=1).contains(&value) {
                return Err(Error::err("value is out of range, value must between 0 and 1"));
            }
            replconf.rdb_only = value == 1;
        }
        b"rdb-filter-only" => {
            let parts = crate::words::split_args(value);
            let parts = parts.ok_or_else(|| Error::err("Missing rdb-filter-only values"))?;
            if let Some(part) = parts.iter().find(|part| !part.eq_ignore_ascii_case(b"functions")) {
                return Err(Error::quoting("Unsupported rdb-filter-only option: ", part, ""));
            }
            replconf.no_data = true;
        }
        b"version" => replconf.version = Some(text()),
        _ => {
            return Err(Error::quoting("Unrecognized REPLCONF option: ", name, ""));
        }
    }
    Ok(())
}

const WAIT: Row = Row::new("wait", 3, Group::Generic, "3.0.0", wait)
    .flags(Flags::BLOCKING)
    .categories(Acl::CONNECTION)
    .tips(&["request_policy:all_shards", "response_policy:agg_min"]);

fn wait(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if call.server.is_replica() {
        return Err(error::WAIT_ON_REPLICA);
    }
    let replicas = call.args.int(1)?;
    let deadline_ms = call.deadline_ms(2)?;
    let offset = call.client.seen_offset;
    let acked = call.server.hub.acked_by(offset);
    if acked as i64 >= replicas || !call.may_block() {
        call.reply.len(acked);
        return Ok(());
    }
    call.block(Request {
        keys: Vec::new(),
        wanted: "",
        or_gone: false,
        deadline_ms,
        nothing: Nothing::Acknowledged { offset, wanted: replicas as usize },
        args: None,
    });
    Ok(())
}

const ROLE: Row = Row::new("role", 1, Group::Server, "2.8.12", role)
    .flags(Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE).union(Flags::FAST))
    .categories(Acl::ADMIN.union(Acl::DANGEROUS));

fn role(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let end = call.server.log.lock().end() as i64;
    if call.server.is_replica() {
        let target = call.server.link.target().or_else(|| configured_master(call));
        let (host, port) = target.map_or_else(Default::default, |target| (target.host, target.port));
        let (state, offset) = match call.server.link.status().state {
            State::Connect => ("connect", -1),
            State::Connecting => ("connecting", -1),
            State::Handshake => ("handshake", -1),
            State::AwaitingSync | State::Sync { .. } => ("sync", -1),
            State::Connected => ("connected", end),
        };
        call.reply.array(5);
        call.reply.bulk("slave");
        call.reply.bulk(host);
        call.reply.int(i64::from(port));
        call.reply.bulk(state);
        call.reply.int(offset);
        return Ok(());
    }
    let online: Vec<_> = call
        .server
        .hub
        .all()
        .into_iter()
        .filter_map(|replica| match *replica.progress.lock() {
            Progress::Online { acked, .. } => Some((replica.ip.clone(), replica.port, acked)),
            _ => None,
        })
        .collect();
    call.reply.array(3);
    call.reply.bulk("master");
    call.reply.int(end);
    call.reply.array(online.len());
    for (ip, port, acked) in online {
        call.reply.array(3);
        call.reply.bulk(ip);
        call.reply.bulk(port.to_string());
        call.reply.bulk(acked.to_string());
    }
    Ok(())
}

fn configured_master(call: &Call<'_, '_>) -> Option<Target> {
    let (host, port) = call.server.config.load().replicaof.clone()?;
    Some(Target { host, port })
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn roles_change_and_the_former_id_stays() {
        let mut bench = Bench::new();
        bench.check("set k v", "+OK");
        let id = bench.server.log.lock().ids.id;
        bench.check("role", "*3 $6 master :50 *0");
        bench.check("replicaof 127.0.0.1 x", "-ERR Invalid master port");
        bench.check("replicaof 127.0.0.1 70000", "-ERR Invalid master port");
        bench.check("replicaof 127.0.0.1 6380", "+OK");
        bench.check("replicaof 127.0.0.1 6380", "+OK Already connected to specified master");
        bench.check("role", "*5 $5 slave $9 127.0.0.1 :6380 $7 connect :-1");
        bench.check("set k v", "-READONLY You can't write against a read only replica.");
        bench.check("wait 0 0", "-ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.");
        bench.check("psync ? -1", "-NOMASTERLINK Can't SYNC while not connected with my master");
        bench.check("replicaof no one", "+OK");
        let ids = bench.server.log.lock().ids;
        assert_eq!((ids.id2, ids.second_offset), (id, 51));
        assert_ne!(ids.id, id);
    }

    #[test]
    fn replconf_remembers_what_a_replica_says() {
        let mut bench = Bench::new();
        bench.check("replconf listening-port 7000 ip-address 10.1.1.1", "+OK");
        bench.check("replconf capa eof capa psync2 capa future", "+OK");
        bench.check("replconf listening-port", "-ERR syntax error");
        bench.check("replconf what 1", "-ERR Unrecognized REPLCONF option: what");
        let replconf = &bench.client.replconf;
        assert_eq!((replconf.listening_port, replconf.ip_address.as_deref()), (7000, Some("10.1.1.1")));
        assert!(replconf.capa_eof && replconf.capa_psync2);
    }
}
