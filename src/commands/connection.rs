//! Commands about the connection itself, and the time.

use crate::client::{Client, ClientFlags, Kind, ReplyMode};
use crate::command::{Acl, Flags, Group, Row};
use crate::commands::client::check_name;
use crate::commands::transaction;
use crate::config::COMPATIBLE_VERSION;
use crate::error::{self, Error};
use crate::executor::Call;
use crate::resp::Proto;
use std::sync::atomic::Ordering::Relaxed;

/// The family's rows.
pub const ROWS: &[Row] = &[PING, ECHO, SELECT, QUIT, RESET, AUTH, HELLO, TIME, MONITOR];

/// What anybody may do at any time.
const ALWAYS: Flags = Flags::NOSCRIPT
    .union(Flags::LOADING)
    .union(Flags::STALE)
    .union(Flags::FAST)
    .union(Flags::NO_AUTH)
    .union(Flags::ALLOW_BUSY);

const PING: Row = Row::new("ping", -1, Group::Connection, "1.0.0", ping)
    .flags(Flags::FAST.union(Flags::SUBSCRIBED).union(Flags::HEALTH))
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
    let db = i32::try_from(call.args.int(1)?).map_err(|_| error::INT_OUT_OF_RANGE)?;
    let db = u16::try_from(db).ok().filter(|db| *db < call.view.databases()).ok_or(error::DB_OUT_OF_RANGE)?;
    call.client.select(db);
    call.reply.ok();
    Ok(())
}

const QUIT: Row = Row::new("quit", -1, Group::Connection, "1.0.0", quit)
    .flags(ALWAYS.union(Flags::SUBSCRIBED).union(Flags::NOT_QUEUED))
    .categories(Acl::CONNECTION);

fn quit(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.ok();
    call.client.close_after_reply();
    Ok(())
}

const RESET: Row = Row::new("reset", 1, Group::Connection, "6.2.0", reset)
    .flags(ALWAYS.union(Flags::SUBSCRIBED).union(Flags::NOT_QUEUED).union(Flags::WATCHED_SHARDS))
    .categories(Acl::CONNECTION);

fn reset(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if call.client.kind == Kind::Master || call.client.shared.has(ClientFlags::REPLICA) {
        return Err(error::RESET_NOT_NORMAL);
    }
    call.client.end_transaction();
    transaction::unwatch_all(call);
    call.server.pubsub.forget(call.client);
    call.server.monitors.remove(call.client.id());
    call.client.forget_settings();
    call.client.shared.apply_limits(&call.server.config.load().client_output_buffer_limit);
    call.client.authenticated = !call.server.auth.is_required();
    call.client.speak(Proto::Resp2);
    call.reply.proto = Proto::Resp2;
    call.client.shared.collect_mail(call.reply.out());
    call.reply.simple("RESET");
    Ok(())
}

const AUTH: Row =
    Row::new("auth", -2, Group::Connection, "1.0.0", auth).flags(ALWAYS).categories(Acl::CONNECTION);

fn auth(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (user, password) = match call.args.len() {
        2 => (None, 1),
        3 => (Some(1), 2),
        _ => return Err(error::SYNTAX),
    };
    user.into_iter().chain([password]).for_each(|at| call.redact(at));
    authenticate(call, user, password)?;
    call.reply.ok();
    Ok(())
}

/// Lets the client in as the user that the argument at `user` names, the default one without.
fn authenticate(call: &mut Call<'_, '_>, user: Option<usize>, password: usize) -> Result<(), Error> {
    let user = call.server.auth.check(user.map(|at| call.args.at(at)), call.args.at(password));
    if user == Err(error::WRONG_PASS) {
        call.server.stats.denied_auths.fetch_add(1, Relaxed);
    }
    let user = user?;
    call.client.authenticated = true;
    call.client.shared.names.lock().user = user.into();
    Ok(())
}

const HELLO: Row =
    Row::new("hello", -1, Group::Connection, "6.0.0", hello).flags(ALWAYS).categories(Acl::CONNECTION);

/// What HELLO's options ask for.
#[derive(Default)]
struct Greeting {
    proto: Option<Proto>,
    /// Where the user stands; the password follows.
    user: Option<usize>,
    name: Option<String>,
}

fn hello(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let greeting = greeting(call)?;
    if let Some(user) = greeting.user {
        authenticate(call, Some(user), user + 1)?;
    }
    if !call.client.authenticated && call.server.auth.is_required() {
        return Err(error::HELLO_NO_AUTH);
    }
    if let Some(name) = greeting.name {
        call.client.shared.names.lock().name = name;
    }
    if let Some(proto) = greeting.proto {
        call.client.speak(proto);
        call.reply.proto = proto;
    }
    introduce(call);
    Ok(())
}

fn greeting(call: &mut Call<'_, '_>) -> Result<Greeting, Error> {
    let mut greeting = Greeting::default();
    if call.args.len() < 2 {
        return Ok(greeting);
    }
    greeting.proto = match call.args.int(1).map_err(|_| error::PROTO_NOT_INTEGER)? {
        2 => Some(Proto::Resp2),
        3 => Some(Proto::Resp3),
        _ => return Err(error::NO_PROTO),
    };
    let mut at = 2;
    while at < call.args.len() {
        let more = call.args.len() - 1 - at;
        if call.args.is(at, "auth") && more >= 2 {
            call.redact(at + 1);
            call.redact(at + 2);
            greeting.user = Some(at + 1);
            at += 3;
        } else if call.args.is(at, "setname") && more >= 1 {
            greeting.name = Some(check_name(call.args.at(at + 1)).ok_or(error::CLIENT_NAME)?);
            at += 2;
        } else {
            return Err(Error::quoting("Syntax error in HELLO option '", call.args.at(at), "'"));
        }
    }
    Ok(greeting)
}

fn introduce(call: &mut Call<'_, '_>) {
    let role = if call.server.is_replica() { "replica" } else { "master" };
    let (id, proto) = (call.client.id() as i64, if call.reply.proto == Proto::Resp3 { 3 } else { 2 });
    let reply = &mut call.reply;
    reply.map(7);
    for (field, text) in [("server", "redis"), ("version", COMPATIBLE_VERSION)] {
        reply.bulk(field);
        reply.bulk(text);
    }
    for (field, n) in [("proto", proto), ("id", id)] {
        reply.bulk(field);
        reply.int(n);
    }
    for (field, text) in [("mode", "standalone"), ("role", role)] {
        reply.bulk(field);
        reply.bulk(text);
    }
    reply.bulk("modules");
    reply.array(0);
}

const TIME: Row = Row::new("time", 1, Group::Server, "2.6.0", time)
    .flags(Flags::LOADING.union(Flags::STALE).union(Flags::FAST))
    .tips(&["nondeterministic_output"]);

fn time(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let now_us = call.server.clock.now_us();
    call.reply.array(2);
    call.reply.bulk_int(now_us / 1_000_000);
    call.reply.bulk_int(now_us % 1_000_000);
    Ok(())
}

const MONITOR: Row = Row::new("monitor", 1, Group::Server, "1.0.0", monitor)
    .flags(Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE));

fn monitor(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if call.in_transaction {
        return Err(error::MONITOR_IN_MULTI);
    }
    // A second MONITOR has no answer, as in Redis.
    if !call.client.shared.has(ClientFlags::MONITOR) {
        call.client.shared.apply_limits(&call.server.config.load().client_output_buffer_limit);
        call.client.shared.set_flag(ClientFlags::MONITOR, true);
        call.server.monitors.add(call.client.shared.clone());
        call.reply.ok();
    }
    Ok(())
}

impl Client {
    /// Back to what a new connection has: database, name, flags, replies. The names of its library stay.
    fn forget_settings(&mut self) {
        self.select(0);
        if self.reply_mode != ReplyMode::Skip {
            self.reply_mode = ReplyMode::On;
        }
        let flags = ClientFlags::MONITOR
            .union(ClientFlags::SILENT)
            .union(ClientFlags::READONLY)
            .union(ClientFlags::NO_EVICT)
            .union(ClientFlags::NO_TOUCH);
        self.shared.set_flag(flags, false);
        let mut names = self.shared.names.lock();
        names.name.clear();
        names.user = crate::auth::DEFAULT_USER.into();
    }
}

#[cfg(test)]
mod tests {
    use crate::client::ClientFlags;
    use crate::commands::testing::{Bench, NOW_MS};
    use crate::resp::Proto;
    use std::sync::atomic::Ordering::Relaxed;

    const HELLO_2: &str = "*14 $6 server $5 redis $7 version $5 7.2.4 $5 proto :2 $2 id :1 $4 mode $10 standalone \
                           $4 role $6 master $7 modules *0";
    const HELLO_3: &str = "%7 $6 server $5 redis $7 version $5 7.2.4 $5 proto :3 $2 id :1 $4 mode $10 standalone \
                           $4 role $6 master $7 modules *0";

    #[track_caller]
    fn check(bench: &mut Bench, lines: &[(&str, &str)]) {
        lines.iter().for_each(|(line, reply)| bench.check(line, reply));
    }

    #[test]
    fn small_talk() {
        check(
            &mut Bench::new(),
            &[
                ("ping", "+PONG"),
                ("ping x", "$1 x"),
                ("ping x y", "-ERR wrong number of arguments for 'ping' command"),
                ("echo x", "$1 x"),
                ("time", &format!("*2 $10 {} $1 0", NOW_MS / 1000)),
                ("select 3", "+OK"),
                ("select x", "-ERR value is not an integer or out of range"),
                (
                    "select 99999999999",
                    "-ERR value is out of range, value must between -2147483648 and 2147483647",
                ),
                ("select 99", "-ERR DB index is out of range"),
                ("select -1", "-ERR DB index is out of range"),
            ],
        );
    }

    #[test]
    fn hello_chooses_the_protocol() {
        let name = "-ERR Client names cannot contain spaces, newlines or special characters.";
        check(
            &mut Bench::new(),
            &[
                ("hello", HELLO_2),
                ("hello 3", HELLO_3),
                ("hello", HELLO_3),
                ("hello 3 setname joe", HELLO_3),
                ("client getname", "$3 joe"),
                ("hello 2 auth default x", HELLO_2),
                ("hello 4", "-NOPROTO unsupported protocol version"),
                ("hello 99999999999999999", "-NOPROTO unsupported protocol version"),
                ("hello x", "-ERR Protocol version is not an integer or out of range"),
                ("hello 3 setname", "-ERR Syntax error in HELLO option 'setname'"),
                ("hello 3 auth default", "-ERR Syntax error in HELLO option 'auth'"),
                ("hello 3 foo", "-ERR Syntax error in HELLO option 'foo'"),
                ("hello 3 setname 'a b'", name),
                ("hello 3 auth joe x", "-WRONGPASS invalid username-password pair or user is disabled."),
                ("get missing", "$-1"),
                ("hello 2 setname ''", HELLO_2),
                ("client getname", "$-1"),
            ],
        );
    }

    #[test]
    fn a_password_is_asked_for() {
        let mut bench = Bench::new();
        let wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
        let hello = "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> \
                     AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol \
                     version at the same time";
        bench.check(
            "auth x",
            "-ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        );
        bench.server.auth.set_password(b"secret");
        check(
            &mut bench,
            &[
                ("get k", "$-1"),
                ("reset", "+RESET"),
                ("get k", "-NOAUTH Authentication required."),
                ("ping", "-NOAUTH Authentication required."),
                ("hello 3", hello),
                ("auth x", wrong),
                ("auth joe secret", wrong),
                ("auth a b c", "-ERR syntax error"),
                ("hello 2 auth default x", wrong),
                ("get k", "-NOAUTH Authentication required."),
                ("hello 2 auth default secret", HELLO_2),
                ("get k", "$-1"),
                ("reset", "+RESET"),
                ("auth secret", "+OK"),
                ("get k", "$-1"),
                ("reset", "+RESET"),
            ],
        );
        bench.server.auth.set_password(b"");
        bench.check("get k", "$-1");
    }

    #[test]
    fn quit_closes() {
        let mut bench = Bench::new();
        bench.check("multi", "+OK");
        bench.check("quit now", "+OK");
        assert!(bench.client.shared.has(ClientFlags::CLOSE_AFTER_REPLY));
    }

    #[test]
    fn reset_leaves_nothing_behind() {
        let mut bench = Bench::new().resp3();
        let lines = ["subscribe a", "psubscribe b*", "select 3", "client setname joe", "client no-touch on"];
        lines.into_iter().for_each(|line| drop(bench.run(line)));
        bench.run("client setinfo lib-name jedis");
        bench.check("watch k", "+OK");
        bench.check("multi", "+OK");
        bench.check("get k", "+QUEUED");
        bench.client.shared.set_flag(ClientFlags::MONITOR, true);
        bench.server.monitors.add(bench.client.shared.clone());
        bench.check("get k", "-ERR Replica can't interact with the keyspace");
        bench.run("client reply off");
        Bench::mail(&bench.client);

        bench.check("reset", "+RESET");
        let client = &bench.client;
        assert_eq!((client.proto, client.db, client.subscriptions()), (Proto::Resp2, 0, 0));
        assert!(client.transaction.is_none() && client.shared.flags().is_empty());
        assert_eq!((bench.server.pubsub.channels(), bench.server.pubsub.patterns()), (0, 0));
        bench.check("client getname", "$-1");
        assert!(bench.run("client info").contains(" lib-name=jedis "));
        assert_eq!(Bench::mail(&bench.client), "");

        bench.run("set k v");
        assert!(!bench.client.watch_flag.load(Relaxed), "the WATCH is gone");
    }
}
