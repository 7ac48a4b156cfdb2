//! CONFIG: the configuration read, changed and written while the server runs.
//!
//! Names, values and texts are `crate::config`'s; what a change means for the server is `crate::config_apply`'s.

use crate::client::{Client, ClientFlags, Takeover};
use crate::command::{Flags, Group, Row};
use crate::config_apply::{self, Outcome, Pairs};
use crate::error::{self, Error};
use crate::executor::Call;
use std::net::SocketAddr;

/// The family's rows.
pub const ROWS: &[Row] = &[CONFIG];

const CONFIG: Row =
    Row::new("config", -2, Group::Server, "2.0.0", help).subcommands(&[GET, SET, RESETSTAT, REWRITE, HELP]);

const ADMIN: Flags = Flags::ADMIN.union(Flags::LOADING).union(Flags::NOSCRIPT).union(Flags::STALE);
const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

const GET: Row = Row::new("config|get", -3, Group::Server, "2.0.0", get).flags(ADMIN);

fn get(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let patterns: Vec<&[u8]> = call.args.from(2).collect();
    let found = call.server.config.load().get(&patterns);
    call.reply.map(found.len());
    for (name, value) in found {
        call.reply.bulk(name);
        call.reply.bulk(value);
    }
    Ok(())
}

const SET: Row = Row::new("config|set", -4, Group::Server, "2.0.0", set).flags(ADMIN).tips(EVERYWHERE);

fn set(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let words: Vec<&[u8]> = call.args.from(2).collect();
    let (pairs, []) = words.as_chunks::<2>() else { return Err(error::SYNTAX) };
    let pairs: Pairs = pairs.iter().map(|[name, value]| (name.to_vec(), value.to_vec())).collect();
    let local = is_local(call.client);
    match config_apply::set(call.server, &pairs, local)? {
        Outcome::Done => call.reply.ok(),
        Outcome::ListensElsewhere if call.in_transaction => return Err(error::LISTEN_IN_TRANSACTION),
        Outcome::ListensElsewhere => call.client.takeover = Some(Takeover::Configure { pairs, local }),
    }
    Ok(())
}

/// Is the client on this host, for directives that may be changed from here only?
fn is_local(client: &Client) -> bool {
    let loopback = |address: SocketAddr| address.ip().to_canonical().is_loopback();
    client.shared.has(ClientFlags::UNIX_SOCKET) || client.shared.addr.parse().is_ok_and(loopback)
}

const RESETSTAT: Row = Row::new("config|resetstat", 2, Group::Server, "2.0.0", resetstat)
    .flags(ADMIN.union(Flags::EXEC_ALL_SHARDS))
    .tips(EVERYWHERE);

fn resetstat(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.server.stats.reset();
    call.server.keyspace.reaper().reset();
    call.for_each_shard(|shard| shard.stats.reset());
    call.reply.ok();
    Ok(())
}

const REWRITE: Row =
    Row::new("config|rewrite", 2, Group::Server, "2.8.0", rewrite).flags(ADMIN).tips(EVERYWHERE);

fn rewrite(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if call.in_transaction || call.server.config_file.is_none() {
        config_apply::rewrite(call.server)?;
        call.reply.ok();
    } else {
        // A disk may take its time.
        call.client.takeover = Some(Takeover::RewriteConfig);
    }
    Ok(())
}

const HELP: Row =
    Row::new("config|help", 2, Group::Server, "5.0.0", help).flags(Flags::LOADING.union(Flags::STALE));

const HELP_LINES: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
    "HELP",
    "    Prints this help.",
];

fn help(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.array(HELP_LINES.len());
    HELP_LINES.iter().for_each(|line| call.reply.simple(line));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::{Bench, NOW_MS};
    use crate::config::{Config, enums::Allow};
    use crate::server::Server;
    use std::path::PathBuf;

    #[test]
    fn values_are_read_and_set() {
        let mut bench = Bench::new();
        bench.check("config get timeout hz", "*4 $7 timeout $1 0 $2 hz $2 10");
        bench.check("config set timeout 7 repl-backlog-size 1mb requirepass s3", "+OK");
        bench.check("CONFIG GET TIMEOUT", "*2 $7 TIMEOUT $1 7");
        assert_eq!(bench.server.log.lock().keep_limit(), 1 << 20);
        assert!(bench.server.auth.is_required());
        bench.check("config get nope", "*0");
        assert_eq!(bench.logged(), "");
        assert_eq!(bench.resp3().run("config get timeout"), "%1 $7 timeout $1 7");
    }

    #[test]
    fn refusals_change_nothing() {
        let mut bench = Bench::new();
        let table = [
            ("config", "-ERR wrong number of arguments for 'config' command"),
            ("config get", "-ERR wrong number of arguments for 'config|get' command"),
            ("config set a", "-ERR wrong number of arguments for 'config|set' command"),
            ("config set a b c", "-ERR syntax error"),
            ("config nope", "-ERR unknown subcommand 'nope'. Try CONFIG HELP."),
            ("config set a b", "-ERR Unknown option or number of arguments for CONFIG SET - 'a'"),
            ("config rewrite", "-ERR The server is running without a config file"),
            (
                "config set timeout 9 dir /",
                "-ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config",
            ),
            (
                "config set timeout 9 appendonly yes",
                "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - 'appendonly yes' is not \
                 supported: there is no append-only file yet: writes would be lost.",
            ),
        ];
        table.iter().for_each(|(line, reply)| bench.check(line, reply));
        bench.check("config get timeout", "*2 $7 timeout $1 0");
    }

    #[test]
    fn more_clients_than_descriptors_are_refused() {
        let reply = Bench::new().run("config set maxclients 4000000000");
        let expected = "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not \
                        able to handle the specified number of clients, try with ";
        assert!(reply.starts_with(expected), "{reply}");
    }

    #[test]
    fn listening_elsewhere_is_left_to_the_connection() {
        let mut bench = Bench::new();
        bench.check("config set port 7 timeout 3", "");
        let pairs = vec![(b"port".to_vec(), b"7".to_vec()), (b"timeout".to_vec(), b"3".to_vec())];
        assert_eq!(bench.client.takeover, Some(Takeover::Configure { pairs, local: true }));
        bench.check("config get timeout", "*2 $7 timeout $1 0");
        bench.client.takeover = None;
        bench.check("config set port 6379", "+OK");
    }

    #[test]
    fn local_clients() {
        for (addr, local) in
            [("127.0.0.1:5", true), ("[::1]:5", true), ("10.0.0.1:5", false), ("/s:0", false)]
        {
            let shared = crate::client::Shared::new(1, addr.into(), String::new(), 1, NOW_MS);
            let client = Client::new(shared.into(), true);
            assert_eq!(is_local(&client), local, "{addr}");
            client.shared.set_flag(ClientFlags::UNIX_SOCKET, true);
            assert!(is_local(&client), "{addr}");
        }
    }

    #[test]
    fn counters_are_reset() {
        let mut bench = Bench::new();
        bench.run("set k v");
        bench.run("get k");
        bench.check("config resetstat", "+OK");
        let stats = bench.run("info stats");
        assert!(
            stats.contains("total_commands_processed:1 ") && stats.contains("keyspace_hits:0 "),
            "{stats}"
        );
        assert!(bench.run("info persistence").contains("rdb_changes_since_last_save:1 "));
    }

    #[test]
    fn what_was_freed_is_counted_from_zero() {
        let mut bench = Bench::new();
        let server = bench.server.clone();
        server.keyspace.reaper().bury(());
        while server.keyspace.reaper().freed() == 0 {
            std::thread::yield_now();
        }
        bench.check("config resetstat", "+OK");
        assert!(bench.run("info memory").contains("lazyfreed_objects:0"));
    }

    /// Rewrites a file of this name and text; the reply's text and the file's text afterwards.
    fn rewrite_file(name: &str, old: &str) -> (Result<(), Error>, String) {
        let path: PathBuf = std::env::temp_dir().join(format!("redpoll-{}-{name}", std::process::id()));
        std::fs::write(&path, old).unwrap();
        let config = Config { timeout: 9, enable_protected_configs: Allow::Local, ..Config::default() };
        let server = Server::with_file(config, Some(path.clone()));
        let result = config_apply::rewrite(&server);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        (result, text)
    }

    #[test]
    fn the_file_is_rewritten() {
        let (result, text) = rewrite_file("rewrite.conf", "# mine\ntimeout 3\n");
        assert_eq!(result, Ok(()));
        assert!(text.starts_with("# mine\ntimeout 9\n\n# Generated by CONFIG REWRITE\n"), "{text}");
    }

    #[test]
    fn a_toml_file_stays_as_it_is() {
        let text = "timeout = 3\n";
        assert_eq!(rewrite_file("rewrite.toml", text), (Err(error::TOML_CONFIG_FILE), text.to_string()));
    }
}
