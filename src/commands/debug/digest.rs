//! DEBUG DIGEST and DIGEST-VALUE: SHA-1 sums of keys and values.
//!
//! They are computed as redis-server 7.0 does, so that they can be compared with those of a real master or replica. Where a type
//! has an order (lists, streams) it counts; members, fields and keys are combined so that theirs does not.

use crate::error::Error;
use crate::executor::Call;
use crate::keyspace::{Entry, Stored};
use crate::types::double;
use crate::types::element::Element;
use crate::types::list::{Direction, List};
use crate::types::stream::{Stream, StreamId};
use crate::types::{Object, hash::Hash, zset::Zset};
use sha1::{Digest as _, Sha1};
use std::ops::ControlFlow;

const TYPE_STRING: u32 = 0;

/// A SHA-1 sum that others are mixed into.
#[derive(Clone, Copy, Default)]
struct Sum([u8; 20]);

impl Sum {
    /// Takes `bytes` in, in no particular order with others.
    fn add(&mut self, bytes: &[u8]) {
        self.0.iter_mut().zip(Sha1::digest(bytes)).for_each(|(sum, byte)| *sum ^= byte);
    }

    /// Takes `bytes` in, in this order.
    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    fn mix_element(&mut self, element: Element<'_>) {
        self.mix(element.text(&mut itoa::Buffer::new()));
    }

    /// Takes a value and the fact that it has a TTL in.
    fn mix_value(&mut self, entry: &Entry) {
        match entry.stored() {
            Stored::String(value) => {
                self.mix(&TYPE_STRING.to_be_bytes());
                self.mix(value.text(&mut itoa::Buffer::new()));
            }
            Stored::Object(object) => self.mix_object(&object.read()),
        }
        if entry.expiry_ms().is_some() {
            self.add(b"!!expire!!");
        }
    }

    fn mix_object(&mut self, object: &Object) {
        let kind: u32 = match object {
            Object::List(_) => 1,
            Object::Set(_) => 2,
            Object::Zset(_) => 3,
            Object::Hash(_) => 4,
            Object::Stream(_) => 6,
        };
        self.mix(&kind.to_be_bytes());
        match object {
            Object::List(list) => self.mix_list(list),
            Object::Set(set) => set.iter().for_each(|member| self.add(member.text(&mut itoa::Buffer::new()))),
            Object::Zset(zset) => self.add_scored(zset),
            Object::Hash(hash) => self.add_fields(hash),
            Object::Stream(stream) => self.mix_entries(stream),
        }
    }

    fn mix_list(&mut self, list: &List) {
        list.walk(0, Direction::Forward, |item| {
            self.mix_element(item);
            ControlFlow::Continue(())
        });
    }

    fn add_scored(&mut self, zset: &Zset) {
        let mut text = double::Buffer::default();
        for (member, score) in zset.iter() {
            let mut sum = Sum::default();
            sum.mix_element(member);
            sum.mix(text.format(score));
            self.add(&sum.0);
        }
    }

    fn add_fields(&mut self, hash: &Hash) {
        for field in hash.iter() {
            let mut sum = Sum::default();
            sum.mix_element(field.name);
            sum.mix_element(field.value);
            if field.expiry_ms.is_some() {
                sum.add(b"!!hexpire!!");
            }
            self.add(&sum.0);
        }
    }

    fn mix_entries(&mut self, stream: &Stream) {
        for entry in stream.range(StreamId::MIN, StreamId::MAX) {
            self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
            for (field, value) in entry.pairs() {
                self.mix_element(field);
                self.mix_element(value);
            }
        }
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// DEBUG DIGEST: of all databases.
pub(super) fn digest(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let mut sum = Sum::default();
    for db in 0..call.view.databases() {
        let mut keys = Sum::default();
        let mut empty = true;
        call.view.for_each_entry(db, |entry| {
            let mut key = Sum::default();
            key.mix(entry.key());
            key.mix_value(entry);
            keys.add(&key.0);
            empty = false;
        });
        if !empty {
            sum.mix(&u32::from(db).to_be_bytes());
            sum.0.iter_mut().zip(keys.0).for_each(|(sum, byte)| *sum ^= byte);
        }
    }
    call.reply.simple(&sum.hex());
    Ok(())
}

/// DEBUG DIGEST-VALUE: of some values, without their keys.
pub(super) fn digest_value(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.array(call.args.len() - 2);
    for key in call.args.from(2) {
        let mut sum = Sum::default();
        if let Some(entry) = call.view.stored(key) {
            sum.mix_value(entry);
        }
        call.reply.simple(&sum.hex());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    /// All sums observed on redis-server 7.0.15.
    #[test]
    fn digests_are_those_of_redis() {
        let mut bench = Bench::new();
        bench.check("debug digest", "+0000000000000000000000000000000000000000");
        bench.run("set k 1");
        bench.check("debug digest", "+6607848f4e99280bb6c8ca516ecefc2cef01dfe3");
        let (none, one) =
            ("0000000000000000000000000000000000000000", "b4fc66738120fba0b5aa500ab5c2bf89cea1c5da");
        bench.check("debug digest-value nope k", &format!("*2 +{none} +{one}"));
        bench.check("set k2 hello", "+OK");
        bench.check("expire k2 1000000", ":1");
        bench.check("debug digest", "+eb0eee57e59b9ee659ab746aa15f05924fa3930e");
        bench.check("debug digest-value k2", "*1 +d037c4eb8a8b36b602fbced4000daeab0714c1e3");
        ["select 3", "set k v", "set k3 12"].iter().for_each(|line| bench.check(line, "+OK"));
        bench.check("debug digest", "+60fcef17169207ce286801eff5085124905671c4");
        bench.check("debug digest-value", "*0");
    }

    /// Payloads and sums of redis-server 7.0.15.
    #[test]
    fn every_type_has_the_digest_that_redis_gives() {
        for (payload, digest) in [
            (
                r#""\x12\x01\x02\x14\x14\x00\x00\x00\x05\x00\x81a\x02\x01\x01\xdf\xfb\x02\xc1,\x02\x80\x01\xff\n\x00\xfd\xcc\x81\xcfQT=}""#,
                "768811b55606b7ed95fab5a30c1800213c63e9b5",
            ),
            (
                r#""\x0b\x18\x04\x00\x00\x00\x04\x00\x00\x00\x90\xee\xfe\xff\x01\x00\x00\x00\x02\x00\x00\x00,\x01\x00\x00\n\x00\x04\xe8\x9c\al\xd6X\xd5""#,
                "aa9eb5c56a382d133b6805af82613a48ad2fc1e8",
            ),
            (
                r#""\x02\x03\x01b\x01a\xc0\x01\n\x00\x17\xa8\x9f4\a1\xc3\xde""#,
                "e8f32bbb1ad9bf537c8867de4f19fec9e001296d",
            ),
            (
                r#""\x10\x12\x12\x00\x00\x00\x04\x00\x81f\x02\x81v\x02\x81g\x02\x0c\x01\xff\n\x00\xde\x139\x93\xf7\x83\x81~""#,
                "8530acc75d5274eb0fc0da86f28ed5533274a6d4",
            ),
            (
                r#""\x05\x03\x01b\x00\x00\x00\x00\x00\x00\x04@\x01a\x00\x00\x00\x00\x00\x00\xf0?\x01c\x00\x00\x00\x00\x00\x00\xf0\xff\n\x00\x9a$\xca\x8f\xdc\xb1\xd0\x8c""#,
                "f2ad7cda97b68291b8199d655f83d19f6e41e93c",
            ),
            (
                r#""\x13\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\xc38=\x12=\x00\x00\x00\x19\x00\x02\x01\x01\x01\x02\x01\x81a\x02\x81b\x02\x00 \t\x00\x00 \x01@\x11\x02\x05\x01\x03`\t\x02\x03\x01\x04 \x0b@\x13\x01\xdf\xff +\a\x81c\x02\x05\x01\x06\x01\xff\x02\x02\x00\x01\x01\x01\x02\x03\x01\x01g\x01\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x011\x99+\xfe\xa1\x01\x00\x00\x01\x01\x05alice1\x99+\xfe\xa1\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\n\x00\xa7\xea\x13\x8c#\xa0\x13\xf8""#,
                "c5ccbeeae8cae345ffcb6087dfa87b107020d3e6",
            ),
        ] {
            let mut bench = Bench::new();
            bench.check(&format!("restore k 0 {payload}"), "+OK");
            bench.check("debug digest-value k", &format!("*1 +{digest}"));
        }
    }
}
