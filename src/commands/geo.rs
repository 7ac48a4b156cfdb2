//! Places: sorted sets whose scores are the numbers of [`geohash`](crate::types::geohash). Searches stand in the module below.

mod search;

use super::zset::{AddOptions, add_all};
use crate::command::{Acl, Flags, Group, Handler, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::resp::Reply;
use crate::types::double;
use crate::types::geohash::Place;
use crate::types::zset::Zset;

/// The family's rows.
pub const ROWS: &[Row] = &[
    GEOADD,
    GEODIST,
    GEOHASH,
    GEOPOS,
    search::GEOSEARCH,
    search::GEOSEARCHSTORE,
    search::GEORADIUS,
    search::GEORADIUS_RO,
    search::GEORADIUSBYMEMBER,
    search::GEORADIUSBYMEMBER_RO,
];

const fn reading(name: &'static str, arity: i16, since: &'static str, handler: Handler) -> Row {
    Row::new(name, arity, Group::Geo, since, handler)
        .flags(Flags::READONLY)
        .categories(Acl::GEO)
        .keys(const { &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))] })
}

/// The place at the arguments `at` and `at + 1`.
fn place(args: Args<'_>, at: usize) -> Result<Place, Error> {
    let degrees = |at: usize| double::parse(args.at(at)).ok_or(error::NOT_FLOAT);
    let place = Place { longitude: degrees(at)?, latitude: degrees(at + 1)? };
    if !place.is_valid() {
        let Place { longitude, latitude } = place;
        return Err(Error::err(format!("invalid longitude,latitude pair {longitude:.6},{latitude:.6}")));
    }
    Ok(place)
}

/// Metres in a unit.
fn unit(text: &[u8]) -> Result<f64, Error> {
    let is = |name: &str| text.eq_ignore_ascii_case(name.as_bytes());
    match () {
        () if is("m") => Ok(1.0),
        () if is("km") => Ok(1000.0),
        () if is("ft") => Ok(0.3048),
        () if is("mi") => Ok(1609.34),
        () => Err(error::GEO_UNIT),
    }
}

/// Where a member is.
fn place_of(zset: &Zset, member: &[u8]) -> Option<Place> {
    zset.score(member).map(Place::of_number)
}

fn reply_distance(reply: &mut Reply<'_>, distance: f64) {
    reply.bulk(format!("{distance:.4}"));
}

fn reply_place(reply: &mut Reply<'_>, place: &Place) {
    reply.array(2);
    reply.exact_double(place.longitude);
    reply.exact_double(place.latitude);
}

const GEOADD: Row = Row::new("geoadd", -5, Group::Geo, "3.2.0", geoadd)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::GEO)
    .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))]);

/// ZADD with places' numbers for scores, and that is what the log gets.
fn geoadd(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    let (mut options, mut first) = (AddOptions::default(), 2);
    while first < args.len() {
        let option = match () {
            () if args.is(first, "nx") => &mut options.nx,
            () if args.is(first, "xx") => &mut options.xx,
            () if args.is(first, "ch") => &mut options.ch,
            () => break,
        };
        *option = true;
        first += 1;
    }
    let left = args.len() - first;
    if left == 0 || !left.is_multiple_of(3) || (options.nx && options.xx) {
        return Err(error::SYNTAX);
    }
    let positions = (first..args.len()).step_by(3);
    let numbers =
        positions.clone().map(|at| Ok(place(args, at)?.number())).collect::<Result<Vec<_>, Error>>()?;
    let members = positions.map(|at| args.at(at + 2));
    let done = add_all(call, &options, members.clone().zip(numbers.iter().map(|number| *number as f64)))?;
    if done.changes() > 0 {
        let mut request = vec![b"zadd".to_vec()];
        request.extend((1..first).map(|at| args.at(at).to_vec()));
        for (member, number) in members.zip(numbers) {
            request.push(number.to_string().into_bytes());
            request.push(member.to_vec());
        }
        call.propagate_instead(&request);
    }
    call.reply.len(done.told(&options));
    Ok(())
}

const GEODIST: Row = reading("geodist", -4, "3.2.0", geodist);

fn geodist(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    let metres = match args.len() {
        4 => 1.0,
        5 => unit(args.at(4))?,
        _ => return Err(error::SYNTAX),
    };
    let zset = call.view.object::<Zset>(args.at(1))?;
    let places = zset.and_then(|zset| Some((place_of(&zset, args.at(2))?, place_of(&zset, args.at(3))?)));
    match places {
        Some((from, to)) => reply_distance(&mut call.reply, from.distance(&to) / metres),
        None => call.reply.null(),
    }
    Ok(())
}

const GEOHASH: Row = reading("geohash", -2, "3.2.0", geohash);

fn geohash(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let members = call.args.from(2);
    let zset = call.view.object::<Zset>(call.args.at(1))?;
    call.reply.array(members.len());
    for member in members {
        match zset.as_ref().and_then(|zset| place_of(zset, member)) {
            Some(place) => call.reply.bulk(place.common_hash()),
            None => call.reply.null(),
        }
    }
    Ok(())
}

const GEOPOS: Row = reading("geopos", -2, "3.2.0", geopos);

fn geopos(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let members = call.args.from(2);
    let zset = call.view.object::<Zset>(call.args.at(1))?;
    call.reply.array(members.len());
    for member in members {
        match zset.as_ref().and_then(|zset| place_of(zset, member)) {
            Some(place) => reply_place(&mut call.reply, &place),
            None => call.reply.null_array(),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    fn sicily() -> Bench {
        let mut bench = Bench::new();
        bench.check("geoadd s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2");
        bench
    }

    #[track_caller]
    fn check(line: &str, reply: &str) {
        sicily().check(line, reply);
    }

    #[test]
    fn places_are_scores() {
        let mut bench = sicily();
        assert_eq!(bench.logged(), "SELECT 0 zadd s 3479099956230698 Palermo 3479447370796909 Catania");
        bench.check("geoadd s nx ch 1 1 Palermo", ":0");
        assert_eq!(bench.logged(), "");
        bench.check("geoadd s 200 0 x", "-ERR invalid longitude,latitude pair 200.000000,0.000000");
        bench.check("geoadd s nx xx 1 1 x", "-ERR syntax error");
        bench.check("geodist s Palermo Catania", "$11 166274.1516");
        bench.check("geodist s Palermo Catania km", "$8 166.2742");
        bench.check("geodist s Palermo nosuch", "$-1");
        bench.check("geohash s Palermo nosuch Catania", "*3 $11 sqc8b49rny0 $-1 $11 sqdtr74hyu0");
        bench.check("geopos s Palermo nosuch", "*2 *2 $20 13.36138933897018433 $20 38.11555639549629859 *-1");
    }

    #[test]
    fn searches() {
        check("georadius s 15 37 200 km", "*2 $7 Palermo $7 Catania");
        check(
            "georadius s 15 37 200 km withdist asc",
            "*2 *2 $7 Catania $7 56.4413 *2 $7 Palermo $8 190.4424",
        );
        check("georadiusbymember_ro s Palermo 100 km withhash", "*1 *2 $7 Palermo :3479099956230698");
        check("geosearch s fromlonlat 15 37 bybox 400 400 km desc count 1", "*1 $7 Palermo");
        check(
            "geosearch s frommember Catania byradius 1 m withcoord",
            "*1 *2 $7 Catania *2 $20 15.08726745843887329 $20 37.50266842333162032",
        );
        check("geosearchstore out s fromlonlat 15 37 byradius 200 km storedist", ":2");
        check("georadius s 15 37 200 km store out", ":2");
        check("georadius nosuch 15 37 200 km", "*0");
        check("georadiusbymember s nosuch 1 m", "-ERR could not decode requested zset member");
    }

    #[test]
    fn searches_are_checked() {
        check("georadius s 15 37 x km", "-ERR need numeric radius");
        check("georadius s 15 37 -1 km", "-ERR radius cannot be negative");
        check("georadius s 15 37 1 parsec", "-ERR unsupported unit provided. please use M, KM, FT, MI");
        check("georadius s 15 37 1 km count 0", "-ERR COUNT must be > 0");
        check("georadius s 15 37 1 km any", "-ERR the ANY argument requires COUNT argument");
        check("georadius_ro s 15 37 1 km store x", "-ERR syntax error");
        check(
            "georadius s 15 37 1 km store x withdist",
            "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        );
        check(
            "geosearch s byradius 1 km asc asc asc",
            "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geosearch",
        );
        check(
            "geosearch s frommember Palermo asc asc asc",
            "-ERR exactly one of BYRADIUS and BYBOX can be specified for geosearch",
        );
    }
}
