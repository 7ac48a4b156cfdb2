//! CLIENT: what the connections are and what their owners may ask of them.

use super::container;
use crate::client::{ClientFlags, ReplyMode, Shared};
use crate::command::{Acl, Command, Flags, Group, Row, table};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::resp::parser::number;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The family's rows.
pub const ROWS: &[Row] = &[CLIENT];

/// A subcommand for everybody.
const fn sub(name: &'static str, arity: i16, since: &'static str, handler: crate::command::Handler) -> Row {
    Row::new(name, arity, Group::Connection, since, handler)
        .flags(Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE))
        .categories(Acl::CONNECTION)
}

/// A subcommand for administrators.
const fn admin(name: &'static str, arity: i16, since: &'static str, handler: crate::command::Handler) -> Row {
    let row = sub(name, arity, since, handler);
    let flags = row.flags.union(Flags::ADMIN);
    row.flags(flags)
}

const CLIENT: Row = Row::new("client", -2, Group::Connection, "2.4.0", container).subcommands(&[
    sub("client|id", 2, "5.0.0", id),
    sub("client|info", 2, "6.2.0", info).tips(&["nondeterministic_output"]),
    admin("client|list", -2, "2.4.0", list).tips(&["nondeterministic_output"]),
    sub("client|getname", 2, "2.6.9", getname),
    sub("client|setname", 3, "2.6.9", setname).tips(EVERYWHERE),
    sub("client|setinfo", 4, "7.2.0", setinfo).tips(EVERYWHERE),
    admin("client|kill", -3, "2.4.0", kill),
    sub("client|reply", 3, "3.2.0", reply),
    admin("client|unblock", -3, "5.0.0", unblock),
    admin("client|no-evict", 3, "7.0.0", no_evict),
    sub("client|no-touch", 3, "7.2.0", no_touch),
    sub("client|help", 2, "5.0.0", help).flags(Flags::LOADING.union(Flags::STALE)),
]);

const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

fn id(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.int(call.client.id() as i64);
    Ok(())
}

fn info(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let mut text = String::new();
    describe(&mut text, &call.client.shared, call.view.now_ms());
    call.reply.verbatim(text.as_bytes());
    Ok(())
}

/// The kinds of clients that LIST and KILL tell apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Normal,
    Master,
    Replica,
    Pubsub,
}

impl Class {
    fn parse(word: &[u8]) -> Result<Class, Error> {
        match word.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(Class::Normal),
            b"master" => Ok(Class::Master),
            b"replica" | b"slave" => Ok(Class::Replica),
            b"pubsub" => Ok(Class::Pubsub),
            _ => Err(Error::quoting("Unknown client type '", word, "'")),
        }
    }

    fn of(client: &Shared) -> Class {
        match client.flags() {
            flags if flags.contains(ClientFlags::MASTER) => Class::Master,
            flags if flags.contains(ClientFlags::REPLICA) => Class::Replica,
            flags if flags.contains(ClientFlags::PUBSUB) => Class::Pubsub,
            _ => Class::Normal,
        }
    }
}

fn list(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let clients = listed(call)?;
    let mut text = String::new();
    for client in clients.iter().filter(|client| !client.has(ClientFlags::CLOSE_ASAP)) {
        describe(&mut text, client, call.view.now_ms());
    }
    call.reply.verbatim(text.as_bytes());
    Ok(())
}

fn listed(call: &Call<'_, '_>) -> Result<Vec<Arc<Shared>>, Error> {
    let registry = &call.server.clients;
    match call.args.len() {
        2 => Ok(registry.all()),
        4 if call.args.is(2, "type") => {
            let class = Class::parse(call.args.at(3))?;
            Ok(registry.all().into_iter().filter(|client| Class::of(client) == class).collect())
        }
        n if n > 3 && call.args.is(2, "id") => {
            let ids = call.args.from(3).map(|id| number(id).ok_or(error::CLIENT_ID));
            let ids = ids.collect::<Result<Vec<_>, _>>()?;
            Ok(ids.into_iter().filter_map(|id| registry.get(u64::try_from(id).ok()?)).collect())
        }
        _ => Err(error::SYNTAX),
    }
}

/// Logs that a client reads too slowly and is cut off, in the words by which operators look for it.
pub fn warn_of_output_limit(client: &Shared, now_ms: i64) {
    tracing::warn!(
        "Client {} scheduled to be closed ASAP for overcoming of output buffer limits.",
        line_of(client, now_ms)
    );
}

/// A client for the log, as CLIENT LIST shows it.
pub fn line_of(client: &Shared, now_ms: i64) -> String {
    let mut line = String::new();
    describe(&mut line, client, now_ms);
    line.truncate(line.trim_end().len());
    line
}

/// One line of CLIENT LIST.
fn describe(text: &mut String, client: &Shared, now_ms: i64) {
    let load = |n: &std::sync::atomic::AtomicUsize| n.load(Relaxed);
    let secs_since = |ms: i64| (now_ms - ms).max(0) / 1000;
    let names = client.names.lock().clone();
    let (query, capacity) = (load(&client.query_bytes), load(&client.query_capacity));
    let (queued_bytes, waiting) = (load(&client.queued_bytes), client.output_bytes());
    // There is no buffer of a fixed size: whatever waits is in what Redis calls the list.
    let _ = writeln!(
        text,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub=0 multi={} \
         qbuf={query} qbuf-free={} argv-mem=0 multi-mem={queued_bytes} rbs=0 rbp=0 obl=0 \
         oll={} omem={waiting} tot-mem={} events={} cmd={} user={} redir=-1 resp={} lib-name={} lib-ver={}",
        client.id,
        client.addr,
        client.laddr,
        client.fd,
        names.name,
        secs_since(client.created_ms),
        secs_since(client.last_interaction_ms.load(Relaxed)),
        letters(client),
        client.db.load(Relaxed),
        load(&client.channels),
        load(&client.patterns),
        client.queued.load(Relaxed),
        capacity.saturating_sub(query),
        u8::from(waiting > 0),
        client.total_bytes(),
        if waiting > 0 { "rw" } else { "r" },
        command_name(load(&client.last_command)),
        names.user,
        client.resp.load(Relaxed),
        names.lib_name,
        names.lib_ver,
    );
}

fn letters(client: &Shared) -> String {
    let flags = client.flags();
    let watch_lost = client.watch_flag.load(Relaxed);
    let all = [
        (flags.contains(ClientFlags::MONITOR), 'O'),
        (flags.contains(ClientFlags::REPLICA), 'S'),
        (flags.contains(ClientFlags::MASTER), 'M'),
        (flags.contains(ClientFlags::PUBSUB), 'P'),
        (flags.contains(ClientFlags::MULTI), 'x'),
        (flags.contains(ClientFlags::BLOCKED), 'b'),
        (watch_lost || flags.contains(ClientFlags::DIRTY_CAS), 'd'),
        (flags.contains(ClientFlags::CLOSE_AFTER_REPLY), 'c'),
        (flags.contains(ClientFlags::UNIX_SOCKET), 'U'),
        (flags.contains(ClientFlags::READONLY), 'r'),
        (flags.contains(ClientFlags::NO_EVICT), 'e'),
        (flags.contains(ClientFlags::NO_TOUCH), 'T'),
    ];
    let set: String = all.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
    if set.is_empty() { "N".into() } else { set }
}

/// The name of a command by its number; numbers ascend through the table, subcommands after their container.
fn command_name(id: usize) -> &'static str {
    fn up_to(commands: &[&'static Command], id: usize) -> Option<&'static Command> {
        commands[..commands.partition_point(|command| command.id <= id)].last().copied()
    }
    let Some(command) = up_to(table().commands(), id) else { return "NULL" };
    up_to(&command.subcommands, id).unwrap_or(command).row.name
}

fn getname(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let name = call.client.shared.names.lock().name.clone();
    if name.is_empty() {
        call.reply.null()
    } else {
        call.reply.bulk(name)
    }
    Ok(())
}

/// The text, if it consists of printable ASCII without spaces; the empty one does.
pub fn check_name(text: &[u8]) -> Option<String> {
    text.iter().all(u8::is_ascii_graphic).then(|| String::from_utf8_lossy(text).into_owned())
}

fn setname(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let name = check_name(call.args.at(2)).ok_or(error::CLIENT_NAME)?;
    call.client.shared.names.lock().name = name;
    call.reply.ok();
    Ok(())
}

fn setinfo(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let option = call.args.at(2);
    let value = check_name(call.args.at(3));
    let bad = || Error::quoting("", option, " cannot contain spaces, newlines or special characters.");
    let mut names = call.client.shared.names.lock();
    if call.args.is(2, "lib-name") {
        names.lib_name = value.ok_or_else(bad)?;
    } else if call.args.is(2, "lib-ver") {
        names.lib_ver = value.ok_or_else(bad)?;
    } else {
        return Err(Error::quoting("Unrecognized option '", option, "'"));
    }
    drop(names);
    call.reply.ok();
    Ok(())
}

/// Which clients CLIENT KILL means: those that pass all filters.
#[derive(Default)]
struct Victims<'c> {
    id: Option<u64>,
    addr: Option<&'c [u8]>,
    laddr: Option<&'c [u8]>,
    class: Option<Class>,
    user: Option<&'c [u8]>,
    /// The caller is spared.
    skip: Option<u64>,
}

impl Victims<'_> {
    fn include(&self, client: &Shared) -> bool {
        self.id.is_none_or(|id| id == client.id)
            && self.addr.is_none_or(|addr| addr == client.addr.as_bytes())
            && self.laddr.is_none_or(|laddr| laddr == client.laddr.as_bytes())
            && self.class.is_none_or(|class| class == Class::of(client))
            && self.user.is_none_or(|user| user == client.names.lock().user.as_bytes())
            && self.skip != Some(client.id)
            && !client.has(ClientFlags::CLOSE_ASAP)
    }
}

fn kill(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let by_address = call.args.len() == 3;
    let victims = match by_address {
        true => Victims { addr: Some(call.args.at(2)), ..Victims::default() },
        false => kill_filters(call)?,
    };
    let mut clients = call.server.clients.all();
    clients.retain(|client| victims.include(client));
    if by_address && clients.is_empty() {
        return Err(error::NO_SUCH_CLIENT);
    }
    let killed = clients.len();
    end(call, clients);
    if by_address {
        call.reply.ok()
    } else {
        call.reply.len(killed)
    }
    Ok(())
}

fn unblock(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let error = match call.args.len() {
        3 => None,
        4 if call.args.is(3, "timeout") => None,
        4 if call.args.is(3, "error") => Some(&error::UNBLOCKED_BY_CLIENT),
        4 => return Err(error::UNBLOCK_REASON),
        _ => return Err(error::SYNTAX),
    };
    let id = call.args.int(2)?;
    let id = u64::try_from(id).unwrap_or(0);
    let unblocked = call.server.blocked.unblock(call.server, id, error);
    call.reply.int(i64::from(unblocked));
    Ok(())
}

/// Ends connections: the others' at once, the client's own after its reply.
fn end(call: &mut Call<'_, '_>, mut clients: Vec<Arc<Shared>>) {
    let me = call.client.id();
    if clients.iter().any(|client| client.id == me) {
        call.client.close_after_reply();
        clients.retain(|client| client.id != me);
    }
    clients.iter().for_each(|client| client.set_flag(ClientFlags::CLOSE_ASAP, true));
    call.client.called.push(Arc::new(clients));
}

fn kill_filters<'c>(call: &Call<'c, '_>) -> Result<Victims<'c>, Error> {
    let args = call.args;
    let mut victims = Victims { skip: Some(call.client.id()), ..Victims::default() };
    for at in (2..args.len()).step_by(2) {
        let value = args.get(at + 1).ok_or(error::SYNTAX)?;
        if args.is(at, "id") {
            let id = number(value).filter(|id| *id > 0).ok_or(error::CLIENT_ID_NOT_POSITIVE)?;
            victims.id = Some(id as u64);
        } else if args.is(at, "type") {
            victims.class = Some(Class::parse(value)?);
        } else if args.is(at, "addr") {
            victims.addr = Some(value);
        } else if args.is(at, "laddr") {
            victims.laddr = Some(value);
        } else if args.is(at, "user") {
            if !call.server.auth.has_user(value) {
                return Err(Error::quoting("No such user '", value, "'"));
            }
            victims.user = Some(value);
        } else if args.is(at, "skipme") {
            victims.skip = yes_no(value, "yes", "no")?.then(|| call.client.id());
        } else {
            return Err(error::SYNTAX);
        }
    }
    Ok(victims)
}

fn yes_no(word: &[u8], yes: &str, no: &str) -> Result<bool, Error> {
    match word {
        word if word.eq_ignore_ascii_case(yes.as_bytes()) => Ok(true),
        word if word.eq_ignore_ascii_case(no.as_bytes()) => Ok(false),
        _ => Err(error::SYNTAX),
    }
}

fn reply(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if call.args.is(2, "on") {
        call.client.reply_mode = ReplyMode::On;
        call.reply.ok();
    } else if call.args.is(2, "off") {
        call.client.reply_mode = ReplyMode::Off;
    } else if !call.args.is(2, "skip") {
        return Err(error::SYNTAX);
    } else if call.client.reply_mode != ReplyMode::Off {
        call.client.reply_mode = ReplyMode::SkipNext;
    }
    let off = call.client.reply_mode == ReplyMode::Off;
    call.client.shared.set_flag(ClientFlags::SILENT, off);
    Ok(())
}

fn no_evict(call: &mut Call<'_, '_>) -> Result<(), Error> {
    switch(call, ClientFlags::NO_EVICT)
}

fn no_touch(call: &mut Call<'_, '_>) -> Result<(), Error> {
    switch(call, ClientFlags::NO_TOUCH)
}

fn switch(call: &mut Call<'_, '_>, flag: ClientFlags) -> Result<(), Error> {
    let on = yes_no(call.args.at(2), "on", "off")?;
    call.client.shared.set_flag(flag, on);
    call.reply.ok();
    Ok(())
}

fn help(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.help(
        "client",
        &[
            "GETNAME",
            "    Return the name of the current connection.",
            "ID",
            "    Return the ID of the current connection.",
            "INFO",
            "    Return information about the current client connection.",
            "KILL <ip:port>",
            "    Kill connection made from <ip:port>.",
            "KILL <option> <value> [<option> <value> [...]]",
            "    Kill connections. Options are:",
            "    * ADDR (<ip:port>|<unixsocket>:0)",
            "      Kill connections made from the specified address",
            "    * LADDR (<ip:port>|<unixsocket>:0)",
            "      Kill connections made to specified local address",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
            "      Kill connections by type.",
            "    * USER <username>",
            "      Kill connections authenticated by <username>.",
            "    * SKIPME (YES|NO)",
            "      Skip killing current connection (default: yes).",
            "LIST [options ...]",
            "    Return information about client connections. Options:",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
            "      Return clients of specified type.",
            "REPLY (ON|OFF|SKIP)",
            "    Control the replies sent to the current connection.",
            "SETNAME <name>",
            "    Assign the name <name> to the current connection.",
            "SETINFO <option> <value>",
            "    Set client meta attr. Options are:",
            "    * LIB-NAME: the client lib name.",
            "    * LIB-VER: the client lib version.",
            "UNBLOCK <clientid> [TIMEOUT|ERROR]",
            "    Unblock the specified blocked client.",
            "NO-EVICT (ON|OFF)",
            "    Protect current client connection from eviction.",
            "NO-TOUCH (ON|OFF)",
            "    Will not touch LRU/LFU stats when this mode is on.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::client::{Client, ClientFlags, ReplyMode};
    use crate::commands::testing::{Bench, NOW_MS};
    use std::sync::atomic::Ordering::Relaxed;

    #[track_caller]
    fn check(bench: &mut Bench, lines: &[(&str, &str)]) {
        lines.iter().for_each(|(line, reply)| bench.check(line, reply));
    }

    /// A bench with its client and two others registered.
    fn company() -> (Bench, Client, Client) {
        let bench = Bench::new();
        let others = [Bench::client(&bench.server), Bench::client(&bench.server)];
        bench.server.clients.add(bench.client.shared.clone());
        others.iter().for_each(|client| bench.server.clients.add(client.shared.clone()));
        let [two, three] = others;
        (bench, two, three)
    }

    /// Ids in a reply of CLIENT LIST.
    fn ids(list: &str) -> Vec<&str> {
        list.lines().filter_map(|line| line.split("id=").nth(1)?.split(' ').next()).collect()
    }

    #[test]
    fn a_line_of_the_list() {
        let mut bench = Bench::new();
        bench.server.clock.freeze(NOW_MS + 5_999);
        bench.run("client setname joe");
        bench.run("client setinfo LIB-NAME jedis");
        bench.run("client setinfo lib-ver 1.2");
        let info = bench.run("client info");
        let memory = info.split("tot-mem=").nth(1).and_then(|rest| rest.split(' ').next()).expect("there");
        let line = format!(
            "id=1 addr=127.0.0.1:1 laddr=127.0.0.1:6379 fd=8 name=joe age=5 idle=5 flags=N db=0 sub=0 psub=0 ssub=0 \
             multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem={memory} \
             events=r cmd=client|info user=default redir=-1 resp=2 lib-name=jedis lib-ver=1.2\n"
        );
        assert_eq!(info, format!("${} {line}", line.len()));
        bench.run("hello 3");
        assert!(bench.run("client info").starts_with(&format!("={} txt:id=1 ", line.len() + 4)));
    }

    #[test]
    fn what_waits_for_a_client_is_its_memory() {
        let (mut bench, mut two, three) = company();
        let field = |line: &str, name: &str| -> usize {
            let rest = line.split(name).nth(1).and_then(|rest| rest.split(' ').next()).expect("there");
            rest.parse().expect("a number")
        };
        let mut memory = |id: u64| {
            let line = bench.run(&format!("client list id {id}"));
            (field(&line, " oll="), field(&line, " omem="), field(&line, " tot-mem="))
        };
        let (_, _, idle) = memory(3);
        three.shared.out_bytes.store(1_000_000, Relaxed);
        three.shared.out_capacity.store(300, Relaxed);
        assert_eq!(memory(3), (1, 1_000_000, idle + 1_000_000));
        assert_eq!(three.shared.own_bytes(), idle + 300, "values are not the client's own");
        three.shared.out_bytes.store(0, Relaxed);
        assert_eq!(memory(3), (0, 0, idle), "the buffer is another's now");
        Bench::run_as(&bench.server, &mut two, "subscribe c");
        bench.run(&format!("publish c {}", "x".repeat(1000)));
        let line = bench.run("client list id 2");
        assert_eq!((field(&line, " oll="), field(&line, " omem=")), (1, 1_033));
        assert!(field(&line, " tot-mem=") >= idle + 1_033 && line.contains(" events=rw "), "{line}");
    }

    #[test]
    fn the_list_shows_what_clients_do() {
        let (mut bench, mut two, three) = company();
        Bench::run_as(&bench.server, &mut two, "subscribe a b");
        Bench::run_as(&bench.server, &mut two, "psubscribe p*");
        three.shared.set_flag(ClientFlags::MULTI.union(ClientFlags::UNIX_SOCKET), true);
        three.watch_flag.store(true, Relaxed);
        let list = bench.run("client list");
        assert_eq!(ids(&list), ["1", "2", "3"]);
        assert!(list.contains(" flags=P db=0 sub=2 psub=1 ssub=0 ") && list.contains(" cmd=psubscribe "));
        assert!(list.contains(" flags=xdU ") && list.contains(" cmd=NULL "));
        for (filter, expected) in [
            ("type normal", &["1", "3"][..]),
            ("type PubSub", &["2"]),
            ("type slave", &[]),
            ("type replica", &[]),
            ("type master", &[]),
            ("id 3 1 99 3", &["3", "1", "3"]),
            ("id 0 -1", &[]),
        ] {
            assert_eq!(ids(&bench.run(&format!("client list {filter}"))), expected, "{filter}");
        }
        check(
            &mut bench,
            &[
                ("client list type foo", "-ERR Unknown client type 'foo'"),
                ("client list id 1 x", "-ERR Invalid client ID"),
                ("client list id", "-ERR syntax error"),
                ("client list foo", "-ERR syntax error"),
                ("client list type a b", "-ERR syntax error"),
            ],
        );
    }

    #[test]
    fn names() {
        check(
            &mut Bench::new(),
            &[
                ("client id", ":1"),
                ("client getname", "$-1"),
                ("client setname joe", "+OK"),
                ("client getname", "$3 joe"),
                (
                    "client setname 'a b'",
                    "-ERR Client names cannot contain spaces, newlines or special characters.",
                ),
                ("client setname ''", "+OK"),
                ("client getname", "$-1"),
                (
                    "client setinfo lib-name 'a b'",
                    "-ERR lib-name cannot contain spaces, newlines or special characters.",
                ),
                ("client setinfo foo x", "-ERR Unrecognized option 'foo'"),
                ("client no-evict maybe", "-ERR syntax error"),
                ("client no-evict on", "+OK"),
                ("client no-touch on", "+OK"),
                ("client foo", "-ERR unknown subcommand 'foo'. Try CLIENT HELP."),
                ("client", "-ERR wrong number of arguments for 'client' command"),
            ],
        );
    }

    #[test]
    fn kill_ends_whom_it_means() {
        let (mut bench, mut two, three) = company();
        Bench::run_as(&bench.server, &mut two, "subscribe a");
        check(
            &mut bench,
            &[
                ("client kill 1.2.3.4:5", "-ERR No such client"),
                ("client kill id", "-ERR No such client"),
                ("client kill id 0", "-ERR client-id should be greater than 0"),
                ("client kill id x", "-ERR client-id should be greater than 0"),
                ("client kill id 99", ":0"),
                ("client kill type foo", "-ERR Unknown client type 'foo'"),
                ("client kill user nobody", "-ERR No such user 'nobody'"),
                ("client kill skipme maybe", "-ERR syntax error"),
                ("client kill id 1 addr", "-ERR syntax error"),
                ("client kill maxage 10", "-ERR syntax error"),
                ("client kill id 1", ":0"),
                ("client kill type pubsub laddr 1.1.1.1:1", ":0"),
                ("client kill type pubsub user default", ":1"),
                ("client kill type pubsub", ":0"),
            ],
        );
        let ended = |client: &Client| client.shared.has(ClientFlags::CLOSE_ASAP);
        assert!(ended(&two) && !ended(&three));
        assert_eq!(ids(&bench.run("client list")), ["1", "3"]);
        bench.check("client kill 127.0.0.1:3", "+OK");
        assert!(ended(&three) && !ended(&bench.client));
        bench.check("client kill id 1 skipme no", ":1");
        assert!(bench.client.shared.has(ClientFlags::CLOSE_AFTER_REPLY) && !ended(&bench.client));
    }

    #[test]
    fn replies_are_suppressed() {
        let mut bench = Bench::new();
        check(
            &mut bench,
            &[
                ("client reply foo", "-ERR syntax error"),
                ("client reply skip", ""),
                ("get a", ""),
                ("get a", "$-1"),
                ("client reply skip", ""),
                ("foo", ""),
                ("client reply off", ""),
                ("get a", ""),
                ("client reply skip", ""),
                ("client reply foo", ""),
                ("client reply on", "+OK"),
                ("get a", "$-1"),
                ("client reply skip", ""),
                ("client reply on", "+OK"),
                ("get a", "$-1"),
                ("client reply off", ""),
                ("reset", "+RESET"),
            ],
        );
        assert_eq!(bench.client.reply_mode, ReplyMode::On);
    }
}
