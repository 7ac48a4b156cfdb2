//! Searches for places in a circle or a box: GEOSEARCH and the older GEORADIUS, which differ in their arguments only.
//!
//! One departure: GEORADIUS with STORE (or STOREDIST) twice is a syntax error, since only the first of the keys is locked; Redis
//! stores at the last.

use super::{place, place_of, reading, reply_distance, reply_place, unit};
use crate::command::{Acl, Begin, Find, Flags, Group, Handler, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::events::{Class, Event};
use crate::resp::parser::number;
use crate::types::double;
use crate::types::geohash::{Place, Shape};
use crate::types::zset::{Cut, Direction, Zset};

/// Which command it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Radius { stores: bool },
    RadiusByMember { stores: bool },
    Search,
    SearchStore,
}

impl Kind {
    fn is_search(self) -> bool {
        matches!(self, Kind::Search | Kind::SearchStore)
    }

    /// May STORE be said?
    fn may_store(self) -> bool {
        matches!(self, Kind::Radius { stores: true } | Kind::RadiusByMember { stores: true })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    None,
    Ascending,
    Descending,
}

/// What is searched for and how it is told.
struct Request<'a> {
    /// `None`: the key of a member's place does not exist.
    middle: Option<Place>,
    /// Metres.
    shape: Option<Shape>,
    /// Metres in the unit of replies.
    unit: f64,
    with_distance: bool,
    with_number: bool,
    with_place: bool,
    sort: Sort,
    /// 0: all.
    count: usize,
    any: bool,
    store: Option<&'a [u8]>,
    store_distance: bool,
    /// Was there a STORE, a STOREDIST?
    said_store: [bool; 2],
    from_member: bool,
    from_place: bool,
}

impl<'a> Request<'a> {
    /// Reads a command's arguments; `zset` is what is searched.
    fn parse(args: Args<'a>, name: &[u8], kind: Kind, zset: Option<&Zset>) -> Result<Request<'a>, Error> {
        let mut request = Request {
            middle: None,
            shape: None,
            unit: 1.0,
            with_distance: false,
            with_number: false,
            with_place: false,
            sort: Sort::None,
            count: 0,
            any: false,
            store: (kind == Kind::SearchStore).then(|| args.at(1)),
            store_distance: false,
            said_store: [false; 2],
            from_member: false,
            from_place: false,
        };
        let first = match kind {
            Kind::Radius { .. } => {
                request.middle = Some(place(args, 2)?);
                request.circle(args, 4)?;
                6
            }
            Kind::RadiusByMember { .. } => {
                if let Some(zset) = zset {
                    request.member(zset, args.at(2))?;
                    request.circle(args, 3)?;
                }
                5
            }
            Kind::Search => 2,
            Kind::SearchStore => 3,
        };
        let mut at = first;
        while at < args.len() {
            at += request.option(args, at, kind, zset)?;
        }
        request.check(name, kind)?;
        Ok(request)
    }

    /// Reads the option at `at`. Returns how many arguments it takes.
    fn option(&mut self, args: Args<'a>, at: usize, kind: Kind, zset: Option<&Zset>) -> Result<usize, Error> {
        let left = args.len() - at - 1;
        match () {
            () if args.is(at, "withdist") => self.with_distance = true,
            () if args.is(at, "withhash") => self.with_number = true,
            () if args.is(at, "withcoord") => self.with_place = true,
            () if args.is(at, "any") => self.any = true,
            () if args.is(at, "asc") => self.sort = Sort::Ascending,
            () if args.is(at, "desc") => self.sort = Sort::Descending,
            () if left >= 1 && args.is(at, "count") => {
                let count = number(args.at(at + 1)).ok_or(error::NOT_INTEGER)?;
                self.count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or(error::COUNT_BELOW_ONE)?;
                return Ok(2);
            }
            () if kind.may_store() && left >= 1 && (args.is(at, "store") || args.is(at, "storedist")) => {
                let store_distance = args.is(at, "storedist");
                if std::mem::replace(&mut self.said_store[usize::from(store_distance)], true) {
                    return Err(error::SYNTAX);
                }
                (self.store, self.store_distance) = (Some(args.at(at + 1)), store_distance);
                return Ok(2);
            }
            () if kind == Kind::SearchStore && args.is(at, "storedist") => self.store_distance = true,
            () if kind.is_search() => return self.search_option(args, at, zset),
            () => return Err(error::SYNTAX),
        }
        Ok(1)
    }

    fn search_option(&mut self, args: Args<'a>, at: usize, zset: Option<&Zset>) -> Result<usize, Error> {
        let left = args.len() - at - 1;
        match () {
            () if left >= 1 && !self.from_place && args.is(at, "frommember") => {
                if let Some(zset) = zset {
                    self.member(zset, args.at(at + 1))?;
                }
                self.from_member = true;
                Ok(2)
            }
            () if left >= 2 && !self.from_member && args.is(at, "fromlonlat") => {
                self.middle = Some(place(args, at + 1)?);
                self.from_place = true;
                Ok(3)
            }
            () if left >= 2 && !matches!(self.shape, Some(Shape::Box { .. })) && args.is(at, "byradius") => {
                self.circle(args, at + 1)?;
                Ok(3)
            }
            () if left >= 3 && !matches!(self.shape, Some(Shape::Circle { .. })) && args.is(at, "bybox") => {
                self.rectangle(args, at + 1)?;
                Ok(4)
            }
            () => Err(error::SYNTAX),
        }
    }

    fn member(&mut self, zset: &Zset, member: &[u8]) -> Result<(), Error> {
        self.middle = Some(place_of(zset, member).ok_or(error::GEO_MEMBER)?);
        Ok(())
    }

    fn circle(&mut self, args: Args<'_>, at: usize) -> Result<(), Error> {
        let radius = double::parse(args.at(at)).ok_or(error::GEO_RADIUS)?;
        if radius < 0.0 {
            return Err(error::GEO_RADIUS_NEGATIVE);
        }
        self.unit = unit(args.at(at + 1))?;
        self.shape = Some(Shape::Circle { radius: radius * self.unit });
        Ok(())
    }

    fn rectangle(&mut self, args: Args<'_>, at: usize) -> Result<(), Error> {
        let width = double::parse(args.at(at)).ok_or(error::GEO_WIDTH)?;
        let height = double::parse(args.at(at + 1)).ok_or(error::GEO_HEIGHT)?;
        if width < 0.0 || height < 0.0 {
            return Err(error::GEO_SIDE_NEGATIVE);
        }
        self.unit = unit(args.at(at + 2))?;
        self.shape = Some(Shape::Box { width: width * self.unit, height: height * self.unit });
        Ok(())
    }

    /// Do the arguments go together?
    fn check(&self, name: &[u8], kind: Kind) -> Result<(), Error> {
        if self.store.is_some() && (self.with_distance || self.with_number || self.with_place) {
            let what = if kind == Kind::SearchStore { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            let text = "is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
            return Err(Error::err(format!("{what} {text}")));
        }
        if kind.is_search() && !(self.from_member || self.from_place) {
            let text = "exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
            return Err(Error::quoting(text, name, ""));
        }
        if kind.is_search() && self.shape.is_none() {
            return Err(Error::quoting("exactly one of BYRADIUS and BYBOX can be specified for ", name, ""));
        }
        if self.any && self.count == 0 {
            return Err(error::GEO_ANY);
        }
        Ok(())
    }

    /// The members inside, sorted and counted as asked for.
    fn find(&self, zset: &Zset) -> Vec<Found> {
        let (Some(middle), Some(shape)) = (self.middle, self.shape) else { return Vec::new() };
        let limit = if self.any { self.count } else { usize::MAX };
        let mut found = Vec::new();
        for numbers in shape.ranges(&middle) {
            let [start, end] =
                [numbers.start, numbers.end].map(|number| zset.count_before(&Cut::BelowScore(number)));
            for (member, score) in zset.range(start..end, Direction::Forward) {
                if found.len() == limit {
                    break;
                }
                let place = Place::of_number(score);
                if let Some(metres) = shape.distance_inside(&middle, &place) {
                    found.push(Found { member: member.to_vec(), score, place, distance: metres / self.unit });
                }
            }
        }
        let sort = match self.sort {
            Sort::None if self.count > 0 && !self.any => Sort::Ascending,
            sort => sort,
        };
        match sort {
            Sort::None => {}
            Sort::Ascending => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
            Sort::Descending => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found
    }
}

/// A member inside.
struct Found {
    member: Vec<u8>,
    score: f64,
    place: Place,
    /// In the unit that was asked for.
    distance: f64,
}

fn search(call: &mut Call<'_, '_>, kind: Kind) -> Result<(), Error> {
    let args = call.args;
    let source = if kind == Kind::SearchStore { 2 } else { 1 };
    let zset = call.view.object::<Zset>(args.at(source))?;
    let request = Request::parse(args, args.at(0), kind, zset.as_deref())?;
    let found = zset.map_or_else(Vec::new, |zset| request.find(&zset));
    match request.store {
        Some(key) => store(call, key, &request, &found, kind),
        None => reply(call, &request, &found),
    }
    Ok(())
}

fn store(call: &mut Call<'_, '_>, key: &[u8], request: &Request<'_>, found: &[Found], kind: Kind) {
    let limits = call.server.limits();
    let mut zset = Zset::default();
    for Found { member, score, distance, .. } in found {
        zset.insert(member, if request.store_distance { *distance } else { *score }, &limits);
    }
    let name = if kind.is_search() { "geosearchstore" } else { "georadiusstore" };
    call.view.put_object(key, zset, Event::new(Class::ZSET, name));
    call.view.count_more(key, found.len().saturating_sub(1));
    call.reply.len(found.len());
}

fn reply(call: &mut Call<'_, '_>, request: &Request<'_>, found: &[Found]) {
    let Request { with_distance, with_number, with_place, .. } = *request;
    let options = [with_distance, with_number, with_place].into_iter().filter(|with| *with).count();
    call.reply.array(found.len());
    for Found { member, score, place, distance } in found {
        if options > 0 {
            call.reply.array(1 + options);
        }
        call.reply.bulk(member);
        if with_distance {
            reply_distance(&mut call.reply, *distance);
        }
        if with_number {
            call.reply.int(*score as i64);
        }
        if with_place {
            reply_place(&mut call.reply, place);
        }
    }
}

const ACCESSED: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);

/// The key after a word.
const fn stored_after(word: &'static str, from: i32) -> KeySpec {
    KeySpec {
        flags: KeyFlags::OW.union(KeyFlags::UPDATE),
        begin: Begin::Keyword { word, from },
        find: Find::Range { last: 0, step: 1, limit: 0 },
        notes: None,
    }
}

const fn writing(name: &'static str, arity: i16, since: &'static str, handler: Handler) -> Row {
    Row::new(name, arity, Group::Geo, since, handler)
        .flags(Flags::WRITE.union(Flags::DENYOOM))
        .categories(Acl::GEO)
}

pub(super) const GEOSEARCH: Row = reading("geosearch", -7, "6.2.0", geosearch);

fn geosearch(call: &mut Call<'_, '_>) -> Result<(), Error> {
    search(call, Kind::Search)
}

pub(super) const GEOSEARCHSTORE: Row = writing("geosearchstore", -8, "6.2.0", geosearchstore)
    .keys(&[KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)), KeySpec::one(2, ACCESSED)]);

fn geosearchstore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    search(call, Kind::SearchStore)
}

pub(super) const GEORADIUS: Row = writing("georadius", -6, "3.2.0", georadius).keys(&[
    KeySpec::one(1, ACCESSED),
    stored_after("STORE", 6),
    stored_after("STOREDIST", 6),
]);

fn georadius(call: &mut Call<'_, '_>) -> Result<(), Error> {
    search(call, Kind::Radius { stores: true })
}

pub(super) const GEORADIUS_RO: Row = reading("georadius_ro", -6, "3.2.10", georadius_ro);

fn georadius_ro(call: &mut Call<'_, '_>) -> Result<(), Error> {
    search(call, Kind::Radius { stores: false })
}

pub(super) const GEORADIUSBYMEMBER: Row = writing("georadiusbymember", -5, "3.2.0", georadiusbymember)
    .keys(&[KeySpec::one(1, ACCESSED), stored_after("STORE", 5), stored_after("STOREDIST", 5)]);

fn georadiusbymember(call: &mut Call<'_, '_>) -> Result<(), Error> {
    search(call, Kind::RadiusByMember { stores: true })
}

pub(super) const GEORADIUSBYMEMBER_RO: Row =
    reading("georadiusbymember_ro", -5, "3.2.10", georadiusbymember_ro);

fn georadiusbymember_ro(call: &mut Call<'_, '_>) -> Result<(), Error> {
    search(call, Kind::RadiusByMember { stores: false })
}
