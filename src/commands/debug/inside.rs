//! DEBUG's looks inside: HTSTATS, HTSTATS-KEY, LISTPACK, QUICKLIST, SDSLEN, STRUCTSIZE.
//!
//! The replies have the shape that redis-server 7.0.15 gives them, so that what reads them reads these, and tell of Redpoll's own
//! tables and layouts: a chain is a bucket, and a string has no room to spare.

use crate::commands::generic::object::encoding_name;
use crate::error::{self, Error};
use crate::executor::Call;
use crate::keyspace::entry::{Entry, NewValue, Stored, ValueRef};
use crate::keyspace::table::Table;
use crate::types::Object;
use crate::types::list::{List, NodeRef};
use std::fmt::Write as _;

/// How many buckets hold so many entries.
#[derive(Default)]
struct Chains(Vec<usize>);

impl Chains {
    /// Each element on its own, as in a structure that is no hash table.
    fn of_elements(elements: usize) -> Chains {
        Chains(vec![0, elements])
    }

    fn add(&mut self, table: &Table) {
        let mut cursor = 0;
        loop {
            let mut length = 0;
            cursor = table.scan(cursor, |_| length += 1);
            if self.0.len() <= length {
                self.0.resize(length + 1, 0);
            }
            self.0[length] += 1;
            if cursor == 0 {
                return;
            }
        }
    }

    fn text(&self) -> String {
        let elements: usize = self.0.iter().enumerate().map(|(length, buckets)| length * buckets).sum();
        let mut text = String::from("Hash table 0 stats (main hash table):\n");
        if elements == 0 {
            text.push_str("No stats available for empty dictionaries\n");
            return text;
        }
        let buckets: usize = self.0.iter().sum();
        let used = buckets - self.0[0];
        let average = elements as f64 / used as f64;
        let longest = self.0.iter().rposition(|buckets| *buckets > 0).unwrap_or(0);
        let _ = write!(
            text,
            " table size: {buckets}\n number of elements: {elements}\n different slots: {used}\n max chain length: {longest}\n \
             avg chain length (counted): {average:.2}\n avg chain length (computed): {average:.2}\n \
             Chain length distribution:\n"
        );
        for (length, count) in self.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            let part = 100.0 * *count as f64 / buckets as f64;
            let _ = writeln!(text, "   {length}: {count} ({part:.2}%)");
        }
        text
    }
}

pub(super) fn htstats(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let db = call.args.int(2)?;
    let known = u16::try_from(db).ok().filter(|db| *db < call.view.databases());
    let db = known.ok_or(Error::new("ERR Out of range database"))?;
    let (mut keys, mut timed) = (Chains::default(), 0);
    for shard in call.view.held().shards() {
        let part = shard.db(db);
        keys.add(part.table());
        timed += part.expiry().len();
    }
    let timed = Chains::of_elements(timed);
    call.reply.verbatim(format!("[Dictionary HT]\n{}[Expires HT]\n{}", keys.text(), timed.text()).as_bytes());
    Ok(())
}

/// The value at the key that the command names: a hit or a miss, and no access.
fn value<'v>(call: &'v mut Call<'_, '_>) -> Result<Stored<'v>, Error> {
    let key = call.args.at(2);
    call.view.look_silently(key).map(Entry::stored).ok_or(error::NO_SUCH_KEY)
}

pub(super) fn htstats_key(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let value = value(call)?;
    let elements = match value {
        Stored::Object(object) if matches!(encoding_name(value), "hashtable" | "skiplist") => {
            elements_of(&object.read())
        }
        _ => {
            let text = "ERR The value stored at the specified key is not represented using an hash table";
            return Err(Error::new(text));
        }
    };
    call.reply.verbatim(Chains::of_elements(elements).text().as_bytes());
    Ok(())
}

fn elements_of(object: &Object) -> usize {
    match object {
        Object::Hash(hash) => hash.len(),
        Object::Set(set) => set.len(),
        Object::Zset(zset) => zset.len(),
        Object::List(list) => list.len(),
        Object::Stream(stream) => stream.marks().len as usize,
    }
}

pub(super) fn listpack(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let value = value(call)?;
    let Stored::Object(object) = value else { return Err(error::NOT_LISTPACK) };
    if encoding_name(value) != "listpack" {
        return Err(error::NOT_LISTPACK);
    }
    let object = object.read();
    let (elements, bytes) = (elements_of(&object), object.memory_bytes());
    tracing::info!("DEBUG LISTPACK: {elements} elements, {bytes} bytes");
    call.reply.simple("Listpack structure printed on stdout");
    Ok(())
}

pub(super) fn quicklist(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let detailed = call.args.len() > 3 && call.args.int(3).is_ok_and(|level| level != 0);
    let Stored::Object(object) = value(call)? else { return Err(error::NOT_QUICKLIST) };
    let Some(list) = object.read_as::<List>() else { return Err(error::NOT_QUICKLIST) };
    let mut nodes = String::new();
    list.for_each_node(|node| {
        let _ = match node {
            NodeRef::Packed(pack) => write!(nodes, " packed: {} bytes;", pack.byte_len()),
            NodeRef::Plain(item) => write!(nodes, " plain: {} bytes;", item.len()),
            NodeRef::Squeezed(squeezed) => write!(nodes, " compressed: {} bytes;", squeezed.byte_len),
        };
    });
    if !detailed {
        nodes.clear();
    }
    tracing::info!("DEBUG QUICKLIST: {} elements, {} nodes{nodes}", list.len(), list.nodes());
    call.reply.simple("Quicklist structure printed on stdout");
    Ok(())
}

/// Lengths of a key and its string. Both stand in one allocation that fits them.
pub(super) fn sdslen(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let key_len = call.args.at(2).len();
    let entry = call.view.stored(call.args.at(2)).ok_or(error::NO_SUCH_KEY)?;
    let (len, spare) = match entry.string() {
        Some(ValueRef::Inline { bytes, .. }) => (bytes.len(), 0),
        Some(ValueRef::Blob(blob)) => (blob.len(), blob.capacity() - blob.len()),
        Some(ValueRef::Int(_)) | None => return Err(Error::new("ERR Not an sds encoded string.")),
    };
    call.reply.simple(&format!(
        "key_sds_len:{key_len}, key_sds_avail:0, key_zmalloc: {key_len}, val_sds_len:{len}, val_sds_avail:{spare}, val_zmalloc: {}",
        len + spare
    ));
    Ok(())
}

/// Sizes of what stands for Redis's structures: an entry with an integer, a slot of a table; short strings have no header.
pub(super) fn structsize(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let entry = Entry::new(0, b"", NewValue::Int(0), None, 0).size_bytes();
    let slot = size_of::<Entry>();
    call.reply.bulk(format!(
        "bits:{} robj:{entry} dictentry:{slot} sdshdr5:0 sdshdr8:0 sdshdr16:0 sdshdr32:0 sdshdr64:0 ",
        usize::BITS
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    const EMPTY: &str = "Hash table 0 stats (main hash table): No stats available for empty dictionaries";

    /// A hash table's facts up to how long its chains are.
    fn facts(elements: usize, size: usize, longest: usize) -> String {
        format!(
            "Hash table 0 stats (main hash table):  table size: {size}  number of elements: {elements}  different slots: {size}  \
             max chain length: {longest}  avg chain length (counted): "
        )
    }

    #[track_caller]
    fn check(line: &str, begins: &str) {
        let mut bench = Bench::new();
        for line in ["set s abc", "set i 1", "rpush l a b", "hset h f v", "hset t f v", "zadd z 1 a 2 b"] {
            bench.run(line);
        }
        bench.run("config set hash-max-listpack-entries 0 zset-max-listpack-entries 0");
        bench.run("hset t g v");
        bench.run("zadd z 3 c");
        let reply = bench.run(line).replace('\n', " ");
        let text = reply.split_once(' ').filter(|_| reply.starts_with('$')).map_or(&*reply, |(_, text)| text);
        assert!(text.starts_with(begins), "{line}: {reply}");
    }

    #[test]
    fn tables_tell_of_their_chains() {
        check("debug htstats 1", &format!("[Dictionary HT] {EMPTY} [Expires HT] {EMPTY}"));
        check("debug htstats 0", "[Dictionary HT] Hash table 0 stats (main hash table):  table size: ");
        check("debug htstats 16", "-ERR Out of range database");
        check("debug htstats x", "-ERR value is not an integer or out of range");
        check("debug htstats-key t", &facts(2, 2, 1));
        check("debug htstats-key z", &facts(3, 3, 1));
        for other in ["h", "l", "s"] {
            check(
                &format!("debug htstats-key {other}"),
                "-ERR The value stored at the specified key is not represented using an hash table",
            );
        }
    }

    #[test]
    fn structures_are_described() {
        check("debug listpack h", "+Listpack structure printed on stdout");
        check("debug listpack t", "-ERR Not a listpack encoded object.");
        check("debug listpack s", "-ERR Not a listpack encoded object.");
        check("debug quicklist l", "+Quicklist structure printed on stdout");
        check("debug quicklist l 1", "+Quicklist structure printed on stdout");
        check("debug quicklist s", "-ERR Not a quicklist encoded object.");
        check(
            "debug sdslen s",
            "+key_sds_len:1, key_sds_avail:0, key_zmalloc: 1, val_sds_len:3, val_sds_avail:0, ",
        );
        check("debug sdslen i", "-ERR Not an sds encoded string.");
        check("debug sdslen h", "-ERR Not an sds encoded string.");
        check("debug structsize", "bits:64 robj:");
        for of_a_key in ["listpack", "quicklist", "sdslen", "htstats-key"] {
            check(&format!("debug {of_a_key} missing"), "-ERR no such key");
        }
    }
}
