//! Publish and subscribe.
//!
//! What confirms a client's subscriptions stands among its replies in the order in which it happened: mail that came before
//! is moved there first. It is sent even while CLIENT REPLY is off, by way of the mailbox. A message that the client
//! publishes to itself goes through its mailbox like any other, and follows the reply of the command (of EXEC, inside
//! one), as since 7.2.

use super::container;
use crate::client::ReplyMode;
use crate::command::{Flags, Group, Row};
use crate::error::Error;
use crate::executor::Call;
use crate::pubsub::Kind;
use crate::resp::{Out, Reply};

/// The family's rows.
pub const ROWS: &[Row] = &[SUBSCRIBE, UNSUBSCRIBE, PSUBSCRIBE, PUNSUBSCRIBE, PUBLISH, PUBSUB];

const SUBSCRIBING: Flags =
    Flags::PUBSUB.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE).union(Flags::SUBSCRIBED);

const SUBSCRIBE: Row = Row::new("subscribe", -2, Group::Pubsub, "2.0.0", subscribe).flags(SUBSCRIBING);

fn subscribe(call: &mut Call<'_, '_>) -> Result<(), Error> {
    subscribe_to(call, Kind::Channel);
    Ok(())
}

const PSUBSCRIBE: Row = Row::new("psubscribe", -2, Group::Pubsub, "2.0.0", psubscribe).flags(SUBSCRIBING);

fn psubscribe(call: &mut Call<'_, '_>) -> Result<(), Error> {
    subscribe_to(call, Kind::Pattern);
    Ok(())
}

fn subscribe_to(call: &mut Call<'_, '_>, kind: Kind) {
    for name in call.args.from(1) {
        let names = match kind {
            Kind::Channel => &mut call.client.channels,
            Kind::Pattern => &mut call.client.patterns,
        };
        if names.insert(name.into()) {
            // The limit comes before the first mail.
            count(call);
            call.server.pubsub.subscribe(kind, name, &call.client.shared);
        }
        // Mail of this very subscription may be there already: it comes after the confirmation.
        confirm(call, ["subscribe", "psubscribe"][kind as usize], Some(name));
    }
}

const UNSUBSCRIBE: Row = Row::new("unsubscribe", -1, Group::Pubsub, "2.0.0", unsubscribe).flags(SUBSCRIBING);

fn unsubscribe(call: &mut Call<'_, '_>) -> Result<(), Error> {
    unsubscribe_from(call, Kind::Channel);
    Ok(())
}

const PUNSUBSCRIBE: Row =
    Row::new("punsubscribe", -1, Group::Pubsub, "2.0.0", punsubscribe).flags(SUBSCRIBING);

fn punsubscribe(call: &mut Call<'_, '_>) -> Result<(), Error> {
    unsubscribe_from(call, Kind::Pattern);
    Ok(())
}

fn unsubscribe_from(call: &mut Call<'_, '_>, kind: Kind) {
    let word = ["unsubscribe", "punsubscribe"][kind as usize];
    let names: Vec<Box<[u8]>> = match (call.args.len(), kind) {
        (1, Kind::Channel) => call.client.channels.iter().cloned().collect(),
        (1, Kind::Pattern) => call.client.patterns.iter().cloned().collect(),
        _ => call.args.from(1).map(Box::from).collect(),
    };
    for name in &names {
        let mine = match kind {
            Kind::Channel => &mut call.client.channels,
            Kind::Pattern => &mut call.client.patterns,
        };
        if mine.remove(name) {
            call.server.pubsub.unsubscribe(kind, name, &call.client.shared);
            count(call);
            mail_first(call);
        }
        confirm(call, word, Some(name));
    }
    if names.is_empty() {
        confirm(call, word, None);
    }
}

/// The number of subscriptions has changed: others see it, and the client's class follows.
fn count(call: &mut Call<'_, '_>) {
    call.client.count_subscriptions();
    call.client.shared.apply_limits(&call.server.config.load().client_output_buffer_limit);
}

fn confirm(call: &mut Call<'_, '_>, word: &str, name: Option<&[u8]>) {
    let (count, proto) = (call.client.subscriptions(), call.reply.proto);
    push_to_self(call, |out| {
        let mut reply = Reply::new(out, proto);
        reply.push(3);
        reply.bulk(word);
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        reply.len(count);
    });
}

/// What others have posted so far goes before what follows.
fn mail_first(call: &mut Call<'_, '_>) {
    if call.client.reply_mode == ReplyMode::On {
        call.client.shared.collect_mail(call.reply.out());
    }
}

/// Writes among the replies; where those are suppressed, into the mailbox.
fn push_to_self(call: &mut Call<'_, '_>, write: impl FnOnce(&mut Out)) {
    if call.client.reply_mode == ReplyMode::On {
        return write(call.reply.out());
    }
    call.client.shared.post(call.view.now_ms(), write);
    call.client.has_own_mail = true;
}

/// That it may replicate is why a client in MONITOR may not publish.
const PUBLISH: Row = Row::new("publish", 3, Group::Pubsub, "2.0.0", publish).flags(
    Flags::PUBSUB.union(Flags::LOADING).union(Flags::STALE).union(Flags::FAST).union(Flags::MAY_REPLICATE),
);

fn publish(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (channel, payload) = (call.args.at(1), &call.args.0[2]);
    let published = call.server.pubsub.publish(channel, payload, call.client.id(), call.view.now_ms());
    call.client.called.extend(published.called);
    call.client.has_own_mail |= published.to_sender;
    // A replica's own messages stay with it: its stream is its master's.
    if !call.server.is_replica() {
        call.propagate_always();
    }
    call.reply.len(published.receivers);
    Ok(())
}

const PUBSUB: Row = Row::new("pubsub", -2, Group::Pubsub, "2.8.0", container).subcommands(&[
    Row::new("pubsub|channels", -2, Group::Pubsub, "2.8.0", pubsub_channels).flags(LOOKING),
    Row::new("pubsub|numpat", 2, Group::Pubsub, "2.8.0", pubsub_numpat).flags(LOOKING),
    Row::new("pubsub|numsub", -2, Group::Pubsub, "2.8.0", pubsub_numsub).flags(LOOKING),
    Row::new("pubsub|shardchannels", -2, Group::Pubsub, "7.0.0", pubsub_shardchannels).flags(LOOKING),
    Row::new("pubsub|shardnumsub", -2, Group::Pubsub, "7.0.0", pubsub_shardnumsub).flags(LOOKING),
    Row::new("pubsub|help", 2, Group::Pubsub, "6.2.0", pubsub_help).flags(Flags::LOADING.union(Flags::STALE)),
]);

const LOOKING: Flags = Flags::PUBSUB.union(Flags::LOADING).union(Flags::STALE);

fn pubsub_channels(call: &mut Call<'_, '_>) -> Result<(), Error> {
    at_most_one_pattern(call)?;
    let names = call.server.pubsub.channel_names(call.args.get(2));
    call.reply.array(names.len());
    names.iter().for_each(|name| call.reply.bulk(name));
    Ok(())
}

fn at_most_one_pattern(call: &Call<'_, '_>) -> Result<(), Error> {
    if call.args.len() > 3 { Err(Error::subcommand_syntax("PUBSUB", call.args.at(1))) } else { Ok(()) }
}

fn pubsub_numpat(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.len(call.server.pubsub.patterns());
    Ok(())
}

fn pubsub_numsub(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.array(2 * (call.args.len() - 2));
    for name in call.args.from(2) {
        call.reply.bulk(name);
        call.reply.len(call.server.pubsub.subscribers(name));
    }
    Ok(())
}

/// Shard channels exist in a cluster only: nobody can be subscribed to one.
fn pubsub_shardchannels(call: &mut Call<'_, '_>) -> Result<(), Error> {
    at_most_one_pattern(call)?;
    call.reply.array(0);
    Ok(())
}

fn pubsub_shardnumsub(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.array(2 * (call.args.len() - 2));
    for name in call.args.from(2) {
        call.reply.bulk(name);
        call.reply.int(0);
    }
    Ok(())
}

fn pubsub_help(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.help(
        "pubsub",
        &[
            "CHANNELS [<pattern>]",
            "    Return the currently active channels matching a <pattern> (default: '*').",
            "NUMPAT",
            "    Return number of subscriptions to patterns.",
            "NUMSUB [<channel> ...]",
            "    Return the number of subscribers for the specified channels, excluding",
            "    pattern subscriptions(default: no channels).",
            "SHARDCHANNELS [<pattern>]",
            "    Return the currently active shard level channels matching a <pattern> (default: '*').",
            "SHARDNUMSUB [<shardchannel> ...]",
            "    Return the number of subscribers for the specified shard level channel(s)",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::client::ClientFlags;
    use crate::commands::testing::{Bench, NOW_MS};
    use crate::config::Limit;
    use crate::keyspace::BLOB_MIN_BYTES;

    #[track_caller]
    fn check(bench: &mut Bench, lines: &[(&str, &str)]) {
        lines.iter().for_each(|(line, reply)| bench.check(line, reply));
    }

    #[test]
    fn subscriptions_are_confirmed_and_counted() {
        check(
            &mut Bench::new(),
            &[
                ("unsubscribe", "*3 $11 unsubscribe $-1 :0"),
                ("punsubscribe x", "*3 $12 punsubscribe $1 x :0"),
                (
                    "subscribe b a b",
                    "*3 $9 subscribe $1 b :1 *3 $9 subscribe $1 a :2 *3 $9 subscribe $1 b :2",
                ),
                ("psubscribe p*", "*3 $10 psubscribe $2 p* :3"),
                ("ping", "*2 $4 pong $0"),
                ("ping x", "*2 $4 pong $1 x"),
                (
                    "client id",
                    "-ERR Can't execute 'client|id': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                     allowed in this context",
                ),
                ("unsubscribe nope", "*3 $11 unsubscribe $4 nope :3"),
                ("unsubscribe", "*3 $11 unsubscribe $1 a :2 *3 $11 unsubscribe $1 b :1"),
                ("unsubscribe", "*3 $11 unsubscribe $-1 :1"),
                ("punsubscribe", "*3 $12 punsubscribe $2 p* :0"),
                ("ping", "+PONG"),
            ],
        );
        check(
            &mut Bench::new().resp3(),
            &[
                ("subscribe a", ">3 $9 subscribe $1 a :1"),
                ("ping", "+PONG"),
                ("get missing", "_"),
                ("unsubscribe", ">3 $11 unsubscribe $1 a :0"),
                ("unsubscribe", ">3 $11 unsubscribe _ :0"),
            ],
        );
    }

    #[test]
    fn a_message_reaches_all_in_their_protocols() {
        let mut bench = Bench::new();
        let (mut two, mut three) = (Bench::client(&bench.server), Bench::client(&bench.server));
        Bench::run_as(&bench.server, &mut two, "subscribe news");
        Bench::run_as(&bench.server, &mut three, "hello 3");
        Bench::run_as(&bench.server, &mut three, "psubscribe n* *s x*");
        check(
            &mut bench,
            &[("publish news hi", ":3"), ("publish other hi", ":0"), ("publish NEWS hi", ":0")],
        );
        assert_eq!(Bench::mail(&two), "*3 $7 message $4 news $2 hi");
        assert_eq!(
            Bench::mail(&three),
            ">4 $8 pmessage $2 *s $4 news $2 hi >4 $8 pmessage $2 n* $4 news $2 hi"
        );
        assert_eq!(
            bench.logged(),
            "SELECT 0 publish news hi publish other hi publish NEWS hi",
            "replicas get all of them"
        );

        let large = "v".repeat(BLOB_MIN_BYTES);
        bench.check(&format!("publish news {large}"), ":3");
        assert_eq!(Bench::mail(&two), format!("*3 $7 message $4 news ${} {large}", large.len()));
        bench.server.pubsub.forget(&mut two);
        bench.check("publish news hi", ":2");
        assert_eq!(Bench::mail(&two), "");
    }

    #[test]
    fn own_messages_come_after_the_reply_and_the_mail() {
        let mut bench = Bench::new().resp3();
        let mut other = Bench::client(&bench.server);
        bench.client.speak(crate::resp::Proto::Resp3);
        bench.run("subscribe c");
        bench.run("psubscribe c*");
        bench.check("publish c 1", ":2 >3 $7 message $1 c $1 1 >4 $8 pmessage $2 c* $1 c $1 1");
        bench.run("punsubscribe");
        Bench::run_as(&bench.server, &mut other, "publish c 2");
        bench.check("publish c 3", ":1 >3 $7 message $1 c $1 2 >3 $7 message $1 c $1 3");
        Bench::run_as(&bench.server, &mut other, "publish c 4");
        bench.check("unsubscribe c", ">3 $7 message $1 c $1 4 >3 $11 unsubscribe $1 c :0");
    }

    #[test]
    fn own_messages_come_after_a_transaction() {
        let mut bench = Bench::new();
        bench.run("hello 3");
        for line in ["subscribe c", "multi", "publish c 1", "subscribe d"] {
            bench.run(line);
        }
        bench.check("exec", "*2 :1 >3 $9 subscribe $1 d :2 >3 $7 message $1 c $1 1");
        assert_eq!(bench.logged(), "SELECT 0 publish c 1");
    }

    #[test]
    fn messages_come_even_without_replies() {
        let mut bench = Bench::new();
        bench.check("client reply off", "");
        bench.check("subscribe c", "*3 $9 subscribe $1 c :1");
        bench.client.speak(crate::resp::Proto::Resp3);
        bench.check("publish c x", ">3 $7 message $1 c $1 x");
    }

    #[test]
    fn what_there_is() {
        let mut bench = Bench::new();
        let mut other = Bench::client(&bench.server);
        Bench::run_as(&bench.server, &mut other, "subscribe a");
        Bench::run_as(&bench.server, &mut other, "psubscribe p* q*");
        check(
            &mut bench,
            &[
                ("pubsub channels", "*1 $1 a"),
                ("pubsub channels [a-c]", "*1 $1 a"),
                ("pubsub channels b*", "*0"),
                (
                    "pubsub Channels a b",
                    "-ERR unknown subcommand or wrong number of arguments for 'Channels'. Try PUBSUB HELP.",
                ),
                ("pubsub numsub", "*0"),
                ("pubsub numsub a b", "*4 $1 a :1 $1 b :0"),
                ("pubsub numpat", ":2"),
                ("pubsub shardchannels", "*0"),
                ("pubsub shardnumsub a", "*2 $1 a :0"),
                ("pubsub foo", "-ERR unknown subcommand 'foo'. Try PUBSUB HELP."),
                ("pubsub", "-ERR wrong number of arguments for 'pubsub' command"),
            ],
        );
        assert!(bench.run("pubsub help").starts_with("*14 +PUBSUB <subcommand> [<arg>"));
        Bench::run_as(&bench.server, &mut other, "reset");
        assert_eq!((bench.server.pubsub.channels(), bench.server.pubsub.patterns()), (0, 0));
    }

    #[test]
    fn who_does_not_read_is_ended() {
        let mut bench = Bench::new();
        let mut deaf = Bench::client(&bench.server);
        Bench::run_as(&bench.server, &mut deaf, "subscribe c");
        let message = "publish c 12345678901234567890";
        deaf.shared.apply_limits(&[Limit { hard: 200, soft: 100, soft_secs: 60 }; 3]);
        let ended = |bench: &mut Bench| {
            bench.run(message);
            deaf.shared.has(ClientFlags::CLOSE_ASAP)
        };
        assert!(!ended(&mut bench) && !ended(&mut bench), "above the soft limit, for no time");
        bench.server.clock.freeze(NOW_MS + 60_000);
        Bench::mail(&deaf);
        assert!(!deaf.shared.is_over_limit(NOW_MS + 60_000));
        assert!(!ended(&mut bench) && !ended(&mut bench), "the mail was read meanwhile");
        bench.server.clock.freeze(NOW_MS + 120_001);
        assert!(ended(&mut bench), "above the soft limit for too long");
        assert!(deaf.shared.has(ClientFlags::OVER_LIMIT));

        Bench::mail(&deaf);
        deaf.shared.set_flag(ClientFlags::CLOSE_ASAP, false);
        let sent = (0..).take_while(|_| {
            bench.run(message);
            !deaf.shared.has(ClientFlags::CLOSE_ASAP)
        });
        assert_eq!(sent.count(), 3, "the hard limit allows three of 55 bytes");
    }
}
