//! HyperLogLog commands: estimates of how many different elements were added.
//!
//! A sketch is a string (see [`crate::types::hyperloglog`]). PFCOUNT reads, but keeps its estimate in the string: a master
//! then logs the PFCOUNT, so that its replicas keep the same bytes. A replica whose clients count keeps nothing by itself.
//! The real server keeps it there too, and its replicas' bytes differ from the master's until that one is asked.

use super::string::RO_ACCESS;
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::keyspace::events::{Class, Event};
use crate::keyspace::view::Viewer;
use crate::keyspace::{NewValue, ValueRef, View};
use crate::types::hyperloglog::sparse::Op;
use crate::types::hyperloglog::{
    Corrupted, Mark, Sketch, Stored, Union, add_dense, keep_estimate, self_test,
};
use smallvec::SmallVec;

/// The family's rows.
pub const ROWS: &[Row] = &[PFADD, PFCOUNT, PFMERGE, PFDEBUG, PFSELFTEST];

/// What happens to a key whose sketch grows; PFMERGE adds many at once.
const ADDED: Event = Event::new(Class::STRING, "pfadd");

impl From<Corrupted> for Error {
    fn from(_: Corrupted) -> Error {
        error::CORRUPTED_HLL
    }
}

/// What a stored string is as a sketch.
fn sketch<'a>(value: ValueRef<'a>) -> Result<Stored<'a>, Error> {
    let bytes: &[u8] = match value {
        ValueRef::Int(_) => b"",
        ValueRef::Inline { bytes, .. } => bytes,
        ValueRef::Blob(blob) => blob,
    };
    Stored::new(bytes).ok_or(error::NOT_HLL)
}

/// Changes what has just been looked up: that was the access to be recorded.
fn without_touching<'k, R>(view: &mut View<'k>, change: impl FnOnce(&mut View<'k>) -> R) -> R {
    let no_touch = std::mem::replace(&mut view.moment.no_touch, true);
    let result = change(view);
    view.moment.no_touch = no_touch;
    result
}

/// Stores a sketch under a key; the TTL stays.
fn store(call: &mut Call<'_, '_>, key: &[u8], sketch: &Sketch) -> Result<(), Error> {
    let value = NewValue::Bytes { bytes: sketch.bytes(), raw: true };
    without_touching(call.view, |view| view.update(key, |_| Ok(value)))
}

/// Stores a sketch that is there in its dense form. It says the same, so nobody who watches the key hears of it.
fn store_dense(call: &mut Call<'_, '_>, key: &[u8], dense: &Sketch) {
    call.view.recode(key, NewValue::Bytes { bytes: dense.bytes(), raw: true });
}

fn sparse_max_bytes(call: &Call<'_, '_>) -> usize {
    call.server.limits().hll_sparse_max_bytes
}

const PFADD: Row = Row::new("pfadd", -2, Group::Hyperloglog, "2.8.9", pfadd)
    .flags(Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST))
    .categories(Acl::HYPERLOGLOG)
    .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::INSERT))]);

fn pfadd(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let key = call.args.at(1);
    let marks: SmallVec<[Mark; 8]> = call.args.from(2).map(Mark::of).collect();
    let max_bytes = sparse_max_bytes(call);
    let changes = match call.view.string_for_write(key)?.map(sketch).transpose()? {
        Some(old) if old.is_dense() => {
            if marks.iter().any(|mark| old.dense_wants(*mark)) {
                in_place(call, key, |bytes| add_all_dense(bytes, &marks))?
            } else {
                0
            }
        }
        old => {
            let is_new = old.is_none();
            let mut sketch = old.map_or_else(Sketch::default, Sketch::from);
            let changes = add_all(&mut sketch, &marks, max_bytes)? + usize::from(is_new);
            if changes > 0 {
                sketch.forget_estimate();
                store(call, key, &sketch)?;
            }
            changes
        }
    };
    if changes > 0 {
        call.view.count_more(key, changes - 1);
        call.view.notify(ADDED, key);
    } else {
        call.view.make_raw(key);
    }
    call.reply.int(i64::from(changes > 0));
    Ok(())
}

/// Returns how many of the marks changed a register.
fn add_all_dense(bytes: &mut [u8], marks: &[Mark]) -> usize {
    marks.iter().filter(|mark| add_dense(bytes, **mark)).count()
}

/// Returns how many of the marks changed a register.
fn add_all(sketch: &mut Sketch, marks: &[Mark], max_bytes: usize) -> Result<usize, Corrupted> {
    let mut changes = 0;
    for mark in marks {
        changes += usize::from(sketch.add(*mark, max_bytes)?);
    }
    Ok(changes)
}

/// Changes the bytes of the string at `key`, which is there.
fn in_place<R: Default>(
    call: &mut Call<'_, '_>,
    key: &[u8],
    change: impl FnOnce(&mut [u8]) -> R,
) -> Result<R, Error> {
    without_touching(call.view, |view| {
        let bytes = view.edit(key, |_| Ok::<_, Error>(Some(0)))?;
        Ok(bytes.map(change).unwrap_or_default())
    })
}

const PFCOUNT: Row = Row::new("pfcount", -2, Group::Hyperloglog, "2.8.9", pfcount)
    .flags(Flags::READONLY)
    .categories(Acl::HYPERLOGLOG)
    .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RW.union(KeyFlags::ACCESS)).notes(
        "RW because it may change the internal representation of the key, and propagate to replicas",
    )]);

fn pfcount(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if call.args.len() > 2 {
        let (union, _) = union_of(call)?;
        call.reply.int(union.count() as i64);
        return Ok(());
    }
    let key = call.args.at(1);
    let Some(stored) = call.view.read_string(key)?.map(sketch).transpose()? else {
        call.reply.int(0);
        return Ok(());
    };
    if let Some(estimate) = stored.cached() {
        call.view.make_raw(key);
        call.reply.int(estimate as i64);
        return Ok(());
    }
    let estimate = stored.count()?;
    if call.view.moment.viewer != Viewer::OnReplica {
        in_place(call, key, |bytes| keep_estimate(bytes, estimate))?;
        call.propagate_always();
    }
    call.reply.int(estimate as i64);
    Ok(())
}

/// The union of the sketches at all keys, and whether one of them is dense.
fn union_of(call: &mut Call<'_, '_>) -> Result<(Union, bool), Error> {
    let (mut union, mut dense) = (Union::default(), false);
    for key in call.args.from(1) {
        if let Some(stored) = call.view.read_string(key)?.map(sketch).transpose()? {
            dense |= stored.is_dense();
            union.merge(stored)?;
        }
    }
    Ok((union, dense))
}

const PFMERGE: Row = Row::new("pfmerge", -2, Group::Hyperloglog, "2.8.9", pfmerge)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::HYPERLOGLOG)
    .keys(&[
        KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::INSERT)),
        KeySpec::range(2, -1, 1, RO_ACCESS),
    ]);

/// The destination is one of the sources. It keeps its form unless a source is dense, or the union takes too many bytes.
fn pfmerge(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (union, dense) = union_of(call)?;
    let (key, max_bytes) = (call.args.at(1), sparse_max_bytes(call));
    let old = call.view.string_for_write(key)?.map(sketch).transpose()?;
    let mut target = old.map_or_else(Sketch::default, Sketch::from);
    if dense {
        target = target.stored().to_dense()?;
    }
    for mark in union.marks() {
        target.add(mark, max_bytes)?;
    }
    target.forget_estimate();
    store(call, key, &target)?;
    call.view.notify(ADDED, key);
    call.reply.ok();
    Ok(())
}

const PFDEBUG: Row = Row::new("pfdebug", 3, Group::Hyperloglog, "2.8.9", pfdebug)
    .flags(Flags::WRITE.union(Flags::DENYOOM).union(Flags::ADMIN))
    .categories(Acl::HYPERLOGLOG)
    .keys(&[KeySpec::one(2, KeyFlags::RW.union(KeyFlags::ACCESS))]);

fn pfdebug(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let key = call.args.at(2);
    let value = call.view.string_for_write(key)?.ok_or(error::NO_SPECIFIED_KEY)?;
    let stored = sketch(value)?;
    if call.args.is(1, "GETREG") {
        let (dense, sparse) = (stored.to_dense()?, !stored.is_dense());
        if sparse {
            store_dense(call, key, &dense);
        }
        reply_registers(call, dense.stored())?;
    } else if call.args.is(1, "DECODE") {
        let words = decoded(stored)?;
        call.reply.bulk(words);
        call.view.make_raw(key);
    } else if call.args.is(1, "ENCODING") {
        call.reply.simple(if stored.is_dense() { "dense" } else { "sparse" });
        call.view.make_raw(key);
    } else if call.args.is(1, "TODENSE") {
        let sparse = !stored.is_dense();
        if sparse {
            let dense = stored.to_dense()?;
            store_dense(call, key, &dense);
        }
        call.reply.int(i64::from(sparse));
    } else {
        return Err(Error::quoting("Unknown PFDEBUG subcommand '", call.args.at(1), "'"));
    }
    Ok(())
}

fn reply_registers(call: &mut Call<'_, '_>, stored: Stored<'_>) -> Result<(), Error> {
    let registers = stored.registers()?;
    call.reply.array(registers.len());
    registers.iter().for_each(|rank| call.reply.int(i64::from(*rank)));
    Ok(())
}

fn decoded(stored: Stored<'_>) -> Result<String, Error> {
    if stored.is_dense() {
        return Err(error::HLL_NOT_SPARSE);
    }
    let words = stored.runs().map(|run| match run {
        Op::ShortZeros(len) => format!("z:{len}"),
        Op::Zeros(len) => format!("Z:{len}"),
        Op::Values { rank, len } => format!("v:{rank},{len}"),
    });
    Ok(words.collect::<Vec<_>>().join(" "))
}

const PFSELFTEST: Row = Row::new("pfselftest", 1, Group::Hyperloglog, "2.8.9", pfselftest)
    .flags(Flags::ADMIN)
    .categories(Acl::HYPERLOGLOG);

fn pfselftest(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let seed = call.view.random();
    self_test(seed).map_err(|problem| Error::made(format!("TESTFAILED {problem}")))?;
    call.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::client::Kind;
    use crate::commands::testing::Bench;
    use crate::types::hyperloglog::DENSE_BYTES;

    /// Lines, their replies and what the log gets.
    fn check(script: &[(&str, &str, &str)]) {
        let mut bench = Bench::new();
        script.iter().for_each(|(line, reply, logged)| bench.check_logged(line, reply, logged));
    }

    #[test]
    fn adding_and_counting() {
        check(&[
            ("pfadd h", ":1", "pfadd h"),
            ("pfadd h", ":0", ""),
            ("pfadd h a b c", ":1", "pfadd h a b c"),
            ("pfadd h a", ":0", ""),
            ("pfcount h", ":3", "pfcount h"),
            ("pfcount h", ":3", ""),
            ("pfcount n", ":0", ""),
            ("exists n", ":0", ""),
            ("pfadd i c d", ":1", "pfadd i c d"),
            ("pfcount h i n", ":4", ""),
            ("pfmerge m h i n", "+OK", "pfmerge m h i n"),
            ("pfcount m", ":4", "pfcount m"),
            ("pfmerge e", "+OK", "pfmerge e"),
            ("expire h 100", ":1", "PEXPIREAT h 1700000100000"),
            ("pfadd h e", ":1", "pfadd h e"),
            ("ttl h", ":100", ""),
        ]);
    }

    #[test]
    fn forms() {
        check(&[
            ("pfadd h a b c; pfdebug decode h", "$44 Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603", ""),
            ("pfdebug encoding h", "+sparse", ""),
            ("pfdebug todense h", ":1", "pfdebug todense h"),
            ("pfdebug todense h", ":0", ""),
            ("pfdebug encoding h", "+dense", ""),
            ("pfdebug decode h", "-ERR HLL encoding is not sparse", ""),
            ("strlen h", &format!(":{DENSE_BYTES}"), ""),
            ("pfcount h", ":3", "pfcount h"),
            ("pfadd h a", ":0", ""),
            ("pfadd h d", ":1", "pfadd h d"),
            ("pfcount h", ":4", "pfcount h"),
            ("pfadd s x; pfmerge s h; pfdebug encoding s", "+dense", ""),
            ("pfcount s", ":5", "pfcount s"),
        ]);
    }

    #[test]
    fn what_is_not_a_sketch() {
        let (wrong, corrupted) = (
            "-WRONGTYPE Key is not a valid HyperLogLog string value.",
            "-INVALIDOBJ Corrupted HLL object detected",
        );
        for line in ["pfadd s a", "pfcount s", "pfcount s s", "pfmerge s", "pfmerge d s", "pfdebug getreg s"]
        {
            check(&[("set s abc; ping", "+PONG", ""), (line, wrong, "")]);
            check(&[("set s 123; ping", "+PONG", ""), (line, wrong, "")]);
            // Registers that are not all there.
            let cut = r#"set s "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"; ping"#;
            check(&[(cut, "+PONG", ""), (line, corrupted, "")]);
        }
        check(&[
            ("pfdebug getreg n", "-ERR The specified key does not exist", ""),
            ("pfadd h a; pfdebug foo h", "-ERR Unknown PFDEBUG subcommand 'foo'", ""),
        ]);
    }

    #[test]
    fn a_replica_s_clients_change_no_bytes() {
        let mut bench = Bench::new();
        bench.run("pfadd h a");
        bench.run("replicaof 127.0.0.1 1");
        let before = bench.run("get h");
        bench.logged();
        bench.check("pfcount h", ":1");
        bench.check("get h", &before);
        assert_eq!(bench.logged(), "");
        bench.client.kind = Kind::Master;
        bench.check("pfcount h", ":1");
        assert_ne!(bench.run("get h"), before);
    }

    #[test]
    fn the_self_test_passes() {
        check(&[("pfselftest", "+OK", "")]);
    }
}
