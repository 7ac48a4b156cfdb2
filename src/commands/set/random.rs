//! Members by chance: SPOP, SRANDMEMBER.
//!
//! Every member is as likely as every other, whatever the encoding: a table finds its n-th member in O(log n), so chance
//! needs no second look and no bias of half-empty buckets, as tables of chains have it. In the log a pop is an SREM for
//! each member, or a DEL where all went (observed: redis-server 7.0.15).

use super::{READ, TAKE};
use crate::command::{Acl, Flags, Group, KeySpec, Row};
use crate::commands::chance::{Chance, below};
use crate::error::{self, Error};
use crate::executor::{Call, outgrows};
use crate::keyspace::events::{Class, Event};
use crate::types::element::Element;
use crate::types::object::FREE_ELSEWHERE;
use crate::types::set::Set;
use std::ops::ControlFlow;

const POPPED: Event = Event::new(Class::SET, "spop");
/// Asked for more than this part of a set's members, one walks through all of them (Redis: SRANDMEMBER_SUB_STRATEGY_MUL).
const WALK_FROM: usize = 3;

pub(super) const SPOP: Row = Row::new("spop", -2, Group::Set, "1.0.0", spop)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::SET)
    .keys(&[KeySpec::one(1, TAKE)])
    .tips(&["nondeterministic_output"]);

fn spop(call: &mut Call<'_, '_>) -> Result<(), Error> {
    match call.args.len() {
        2 => pop_one(call),
        3 => pop_count(call),
        _ => Err(error::SYNTAX),
    }
}

fn pop_one(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (key, random) = (call.args.at(1), call.view.random());
    let edit = call.view.object_mut::<Set>(key, POPPED)?;
    match edit.and_then(|mut edit| edit.change(|set| set.pop(|n| below(n, random)))) {
        Some(member) => {
            call.propagate_instead(&[b"SREM", key, &member]);
            call.reply.bulk(member);
        }
        None => call.reply.null(),
    }
    Ok(())
}

fn pop_count(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let count = call.args.int(2).ok().and_then(|count| usize::try_from(count).ok());
    let (key, count) = (call.args.at(1), count.ok_or(error::NOT_POSITIVE)?);
    let limits = call.server.limits();
    let Some(mut edit) = call.view.object_mut::<Set>(key, POPPED)? else {
        call.reply.set(0);
        return Ok(());
    };
    if count >= edit.len() {
        let (_, set) = edit.change(|set| (set.len(), std::mem::take(set)));
        drop(edit);
        // Redis answers this case by SUNION, which reads the key.
        call.view.count_hits(1);
        super::reply_all(&mut call.reply, &set);
        let lazily = call.server.config.load().lazyfree_lazy_server_del;
        call.propagate_instead(&[if lazily { b"UNLINK" } else { &b"DEL"[..] }, key]);
        if set.free_effort() > FREE_ELSEWHERE {
            call.server.keyspace.reaper().bury(set);
        }
        return Ok(());
    }
    let mut chance = Chance::new(edit.random());
    let (_, popped) = edit.change(|set| {
        let popped = set.pop_many(count, &limits, |n| chance.below(n));
        (popped.len(), popped)
    });
    drop(edit);
    call.reply.set(popped.len());
    for member in popped {
        call.propagate_instead(&[b"SREM", key, &member]);
        call.reply.bulk(member);
    }
    Ok(())
}

pub(super) const SRANDMEMBER: Row = Row::new("srandmember", -2, Group::Set, "1.0.0", srandmember)
    .flags(Flags::READONLY)
    .categories(Acl::SET)
    .keys(&[KeySpec::one(1, READ)])
    .tips(&["nondeterministic_output"]);

fn srandmember(call: &mut Call<'_, '_>) -> Result<(), Error> {
    match call.args.len() {
        2 => show_one(call),
        3 => show_count(call),
        _ => Err(error::SYNTAX),
    }
}

fn show_one(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let random = call.view.random();
    let set = call.view.object::<Set>(call.args.at(1))?;
    match set.as_ref().and_then(|set| set.nth(below(set.len(), random))) {
        Some(member) => call.reply.element(member),
        None => call.reply.null(),
    }
    Ok(())
}

fn show_count(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let count = call.args.int(2)?;
    if count == i64::MIN {
        return Err(error::LONG_OUT_OF_RANGE);
    }
    let limit = call.waiting_limit();
    let mut chance = Chance::new(call.view.random());
    let set = call.view.object::<Set>(call.args.at(1))?;
    let Some(set) = set.filter(|_| count != 0) else {
        call.reply.array(0);
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let reply = &mut call.reply;
    if count < 0 {
        reply.array(wanted);
        with_repetitions(&set, wanted, &mut chance, |member| {
            reply.element(member);
            match outgrows(reply, limit, call.client) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
    } else {
        reply.array(wanted.min(set.len()));
        distinct(&set, wanted, &mut chance, |member| reply.element(member));
    }
    Ok(())
}

/// Chance members, each time out of all, until `show` has enough.
fn with_repetitions(
    set: &Set,
    wanted: usize,
    chance: &mut Chance,
    mut show: impl FnMut(Element<'_>) -> ControlFlow<()>,
) {
    // A listpack is walked for each of its members that is asked for: once is enough.
    let packed: Vec<_> = if matches!(set, Set::Packed(_)) { set.iter().collect() } else { Vec::new() };
    for _ in 0..wanted {
        let index = chance.below(set.len());
        if let Some(member) = packed.get(index).copied().or_else(|| set.nth(index))
            && show(member).is_break()
        {
            return;
        }
    }
}

/// So many different members, or all if there are no more.
fn distinct(set: &Set, wanted: usize, chance: &mut Chance, mut show: impl FnMut(Element<'_>)) {
    let len = set.len();
    let wanted = wanted.min(len);
    if matches!(set, Set::Packed(_)) || wanted > len / WALK_FROM {
        // Each member is taken with the chance that as many as are still wanted are among as many as still come.
        let mut left = wanted;
        for (seen, member) in set.iter().enumerate() {
            if chance.below(len - seen) < left {
                left -= 1;
                show(member);
            }
        }
        return;
    }
    chance.distinct(wanted, len).filter_map(|number| set.nth(number)).for_each(show);
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use std::collections::{BTreeMap, HashSet};

    fn bench(members: usize) -> Bench {
        let mut bench = Bench::new();
        (0..members).for_each(|n| bench.check(&format!("sadd s m{n}"), ":1"));
        bench.logged();
        bench
    }

    /// The members in a reply.
    fn members(reply: &str) -> Vec<String> {
        reply.split(' ').filter(|word| word.starts_with('m')).map(str::to_string).collect()
    }

    #[track_caller]
    fn check(line: &str, reply: &str) {
        bench(3).check(line, reply);
    }

    #[test]
    fn arguments_are_checked_first() {
        const NOT_POSITIVE: &str = "-ERR value is out of range, must be positive";
        check("spop s -1", NOT_POSITIVE);
        check("spop s x", NOT_POSITIVE);
        check("spop s 1 2", "-ERR syntax error");
        check("srandmember s x", "-ERR value is not an integer or out of range");
        check("srandmember s 1 2", "-ERR syntax error");
        let range =
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
        check("srandmember s -9223372036854775808", range);
    }

    #[test]
    fn nothing_comes_of_nothing() {
        for (line, two, three) in [
            ("spop none", "$-1", "_"),
            ("spop none 1", "*0", "~0"),
            ("spop s 0", "*0", "~0"),
            ("srandmember none", "$-1", "_"),
            ("srandmember none 1", "*0", "*0"),
            ("srandmember s 0", "*0", "*0"),
        ] {
            check(line, two);
            bench(3).resp3().check(line, three);
        }
    }

    #[test]
    fn pops_are_logged_as_removals() {
        let mut bench = bench(4);
        let popped = members(&bench.run("spop s")).concat();
        assert_eq!(bench.logged(), format!("SREM s {popped}"));
        let popped = members(&bench.run("spop s 2"));
        assert_eq!(bench.logged(), format!("MULTI SREM s {} SREM s {} EXEC", popped[0], popped[1]));
        assert_eq!(members(&bench.run("spop s 9")).len(), 1);
        assert_eq!((bench.logged().as_str(), bench.run("exists s").as_str()), ("DEL s", ":0"));
        bench.run("sadd s a");
        bench.run("config set lazyfree-lazy-server-del yes");
        bench.logged();
        bench.check("spop s 1", "*1 $1 a");
        assert_eq!(bench.logged(), "UNLINK s");
        bench.run("sadd s a");
        bench.logged();
        bench.check("spop s", "$1 a");
        assert_eq!((bench.logged().as_str(), bench.run("exists s").as_str()), ("SREM s a", ":0"));
    }

    #[test]
    fn so_many_different_members_are_shown() {
        for size in [1, 5, 100, 600] {
            let mut bench = bench(size);
            for wanted in [1, 2, 4, 99, 300, 600, 1_000] {
                let shown = members(&bench.run(&format!("srandmember s {wanted}")));
                let distinct: HashSet<_> = shown.iter().collect();
                assert_eq!((shown.len(), distinct.len()), (wanted.min(size), wanted.min(size)));
                assert_eq!(members(&bench.run(&format!("srandmember s -{wanted}"))).len(), wanted);
            }
        }
    }

    #[test]
    fn every_member_has_the_same_chance() {
        // Packed with a walk, and a table with single picks.
        for (size, wanted) in [(12, 3), (200, 3), (200, 190)] {
            let (mut bench, mut seen) = (bench(size), BTreeMap::new());
            let rounds = 200 * size / wanted;
            for _ in 0..rounds {
                for member in members(&bench.run(&format!("srandmember s {wanted}"))) {
                    *seen.entry(member).or_insert(0.0) += 1.0;
                }
            }
            let expected = (rounds * wanted) as f64 / size as f64;
            let chi_square: f64 = seen.values().map(|n| (n - expected) * (n - expected) / expected).sum();
            // Far beyond what chance does: six deviations above the mean.
            let bound = size as f64 + 6.0 * (2.0 * size as f64).sqrt();
            assert!(seen.len() == size && chi_square < bound, "{size} {wanted}: {chi_square}");
        }
    }

    #[test]
    fn what_is_popped_is_gone() {
        for (size, count, encoding) in
            [(100, 60, "$8 listpack"), (600, 100, "$9 hashtable"), (600, 590, "$8 listpack")]
        {
            let mut bench = bench(size);
            let popped: HashSet<_> = members(&bench.run(&format!("spop s {count}"))).into_iter().collect();
            let left: HashSet<_> = members(&bench.run("smembers s")).into_iter().collect();
            assert_eq!((popped.len(), left.len()), (count, size - count));
            assert!(popped.is_disjoint(&left));
            bench.check("object encoding s", encoding);
        }
    }
}
