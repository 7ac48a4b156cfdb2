//! Places on earth as 52-bit integers, and the cells of the grid around them.
//!
//! Longitude and latitude are each halved 26 times; the bits alternate, latitude's first from below. Neighbouring places mostly have
//! neighbouring numbers, so a cell of any step is a range of numbers, and a sorted set with such numbers as scores is an index.
//! All arithmetic is in the order in which Redis does it: distances agree to the last digit.

use std::ops::Range;

/// The finest step.
pub const STEP_MAX: u8 = 26;
/// The longitudes that are told apart, degrees.
const LONGITUDES: [f64; 2] = [-180.0, 180.0];
/// The latitudes that are told apart, degrees: those of the Mercator projection.
const LATITUDES: [f64; 2] = [-85.05112878, 85.05112878];
/// Metres.
const EARTH_RADIUS: f64 = 6_372_797.560856;
/// Metres from the equator to the projection's border.
const MERCATOR_MAX: f64 = 20_037_726.37;
const RADIANS: f64 = std::f64::consts::PI / 180.0;
const EVEN: u64 = 0x5555_5555_5555_5555;
const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// A place, degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    pub longitude: f64,
    pub latitude: f64,
}

impl Place {
    /// Is it within what can be told apart?
    pub fn is_valid(&self) -> bool {
        (LONGITUDES[0]..=LONGITUDES[1]).contains(&self.longitude)
            && (LATITUDES[0]..=LATITUDES[1]).contains(&self.latitude)
    }

    /// The number that stands for it, of 52 bits.
    pub fn number(&self) -> u64 {
        Cell::of(self, STEP_MAX, LATITUDES).bits
    }

    /// The middle of the smallest cell with this number (a score).
    pub fn of_number(number: f64) -> Place {
        let area = Cell { bits: number as u64, step: STEP_MAX }.area();
        let middle =
            |[min, max]: [f64; 2], [least, greatest]: [f64; 2]| ((min + max) / 2.0).clamp(least, greatest);
        Place { longitude: middle(area.longitudes, LONGITUDES), latitude: middle(area.latitudes, LATITUDES) }
    }

    /// The eleven characters of the common geohash, whose latitudes go up to the poles; the last is always `0`.
    pub fn common_hash(&self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = Cell::of(self, STEP_MAX, [-90.0, 90.0]).bits;
        std::array::from_fn(|at| match at {
            10 => ALPHABET[0],
            _ => ALPHABET[(bits >> (52 - 5 * (at + 1))) as usize & 31],
        })
    }

    /// Metres between two places along a great circle.
    pub fn distance(&self, other: &Place) -> f64 {
        let v = ((other.longitude * RADIANS - self.longitude * RADIANS) / 2.0).sin();
        if v == 0.0 {
            return self.distance_of_latitudes(other);
        }
        let [from, to] = [self.latitude * RADIANS, other.latitude * RADIANS];
        let u = ((to - from) / 2.0).sin();
        let a = u * u + from.cos() * to.cos() * v * v;
        2.0 * EARTH_RADIUS * a.sqrt().asin()
    }

    fn distance_of_latitudes(&self, other: &Place) -> f64 {
        EARTH_RADIUS * (other.latitude * RADIANS - self.latitude * RADIANS).abs()
    }
}

/// What is searched around a place; metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

impl Shape {
    /// The distance of a place from the middle, if it is inside.
    pub fn distance_inside(&self, middle: &Place, place: &Place) -> Option<f64> {
        match *self {
            Shape::Circle { radius } => Some(middle.distance(place)).filter(|distance| *distance <= radius),
            Shape::Box { width, height } => {
                let beside = Place { longitude: middle.longitude, latitude: place.latitude };
                let inside = place.distance_of_latitudes(middle) <= height / 2.0
                    && place.distance(&beside) <= width / 2.0;
                inside.then(|| middle.distance(place))
            }
        }
    }

    /// The radius of a circle around it.
    fn radius(&self) -> f64 {
        match *self {
            Shape::Circle { radius } => radius,
            Shape::Box { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        }
    }

    /// Degrees that it spans around a place.
    fn bounds(&self, middle: &Place) -> Area {
        let [width, height] = match *self {
            Shape::Circle { radius } => [radius, radius],
            Shape::Box { width, height } => [width / 2.0, height / 2.0],
        };
        let up = height / EARTH_RADIUS / RADIANS;
        // A parallel is shortest on the side of the pole.
        let edge = if middle.latitude < 0.0 { middle.latitude - up } else { middle.latitude + up };
        let aside = width / EARTH_RADIUS / (edge * RADIANS).cos() / RADIANS;
        Area {
            longitudes: [middle.longitude - aside, middle.longitude + aside],
            latitudes: [middle.latitude - up, middle.latitude + up],
        }
    }

    /// The ranges of numbers in which all places inside are, in the order in which they are searched: the middle's cell, then its
    /// neighbours.
    pub fn ranges(&self, middle: &Place) -> Vec<Range<f64>> {
        let bounds = self.bounds(middle);
        let mut step = estimate_step(self.radius(), middle.latitude);
        let mut cell = Cell::of(middle, step, LATITUDES);
        if step > 1 && !cell.neighbours_reach(&bounds) {
            step -= 1;
            cell = Cell::of(middle, step, LATITUDES);
        }
        let area = cell.area();
        let skips = |x: i8, y: i8| {
            step >= 2
                && (y < 0 && area.latitudes[0] < bounds.latitudes[0]
                    || y > 0 && area.latitudes[1] > bounds.latitudes[1]
                    || x < 0 && area.longitudes[0] < bounds.longitudes[0]
                    || x > 0 && area.longitudes[1] > bounds.longitudes[1])
        };
        const ORDER: [(i8, i8); 9] =
            [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let mut cells: Vec<Cell> =
            ORDER.iter().filter(|(x, y)| !skips(*x, *y)).map(|(x, y)| cell.moved(*x, *y)).collect();
        // Very large cells have themselves for neighbours.
        cells.dedup();
        cells.iter().map(Cell::numbers).collect()
    }
}

/// How fine cells may be whose neighbours together hold a circle.
fn estimate_step(radius: f64, latitude: f64) -> u8 {
    if radius == 0.0 {
        return STEP_MAX;
    }
    let (mut step, mut range) = (1, radius);
    while range < MERCATOR_MAX {
        range *= 2.0;
        step += 1;
    }
    step -= 2;
    // Cells are narrower near the poles.
    step -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    step.clamp(1, i32::from(STEP_MAX)) as u8
}

/// A part of the earth, degrees: least and greatest.
struct Area {
    longitudes: [f64; 2],
    latitudes: [f64; 2],
}

/// A cell of the grid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cell {
    bits: u64,
    step: u8,
}

impl Cell {
    fn of(place: &Place, step: u8, latitudes: [f64; 2]) -> Cell {
        let offset = |value: f64, [min, max]: [f64; 2]| {
            let share = (value - min) / (max - min);
            (share * (1u64 << step) as f64) as u32
        };
        let (y, x) = (offset(place.latitude, latitudes), offset(place.longitude, LONGITUDES));
        Cell { bits: spread(y) | spread(x) << 1, step }
    }

    fn area(&self) -> Area {
        let ends = |offset: u32, [min, max]: [f64; 2]| {
            let cells = (1u64 << self.step) as f64;
            let at = |offset: f64| min + (offset / cells) * (max - min);
            [at(f64::from(offset)), at(f64::from(offset) + 1.0)]
        };
        Area {
            longitudes: ends(gather(self.bits >> 1), LONGITUDES),
            latitudes: ends(gather(self.bits), LATITUDES),
        }
    }

    /// The cell some cells to the east and to the north; beyond the border it goes on at the other side.
    fn moved(&self, x: i8, y: i8) -> Cell {
        let unused = 64 - 2 * u32::from(self.step);
        let shift = |bits: u64, own: u64, other: u64, by: i8| {
            let fill = other >> unused;
            let moved = match by {
                // On the very border the number is one too large for the step, and stays so.
                0 => return bits & own,
                1.. => (bits & own).wrapping_add(fill + 1),
                _ => (bits & own | fill).wrapping_sub(fill + 1),
            };
            moved & own >> unused
        };
        Cell { bits: shift(self.bits, ODD, EVEN, x) | shift(self.bits, EVEN, ODD, y), step: self.step }
    }

    /// Do the neighbours in the four directions reach as far as the bounds?
    fn neighbours_reach(&self, bounds: &Area) -> bool {
        self.moved(0, 1).area().latitudes[1] >= bounds.latitudes[1]
            && self.moved(0, -1).area().latitudes[0] <= bounds.latitudes[0]
            && self.moved(1, 0).area().longitudes[1] >= bounds.longitudes[1]
            && self.moved(-1, 0).area().longitudes[0] <= bounds.longitudes[0]
    }

    /// The numbers of the places in it.
    fn numbers(&self) -> Range<f64> {
        let align = |bits: u64| (bits << (52 - 2 * u32::from(self.step))) as f64;
        align(self.bits)..align(self.bits + 1)
    }
}

/// Puts a zero before each bit.
fn spread(bits: u32) -> u64 {
    let mut x = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, EVEN),
    ] {
        x = (x | x << shift) & mask;
    }
    x
}

/// Takes every other bit, from the lowest on.
fn gather(bits: u64) -> u32 {
    let mut x = bits & EVEN;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333u64),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        x = (x | x >> shift) & mask;
    }
    x as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PALERMO: Place = Place { longitude: 13.361389, latitude: 38.115556 };

    #[test]
    fn a_place_has_the_number_that_redis_gives_it() {
        assert_eq!(PALERMO.number(), 3479099956230698);
        let decoded = Place::of_number(3479099956230698.0);
        assert_eq!(
            format!("{:.17} {:.17}", decoded.longitude, decoded.latitude),
            "13.36138933897018433 38.11555639549629859"
        );
        assert_eq!(&decoded.common_hash(), b"sqc8b49rny0");
        let catania = Place { longitude: 15.087269, latitude: 37.502669 };
        let catania = Place::of_number(catania.number() as f64);
        assert_eq!(format!("{:.4}", decoded.distance(&catania)), "166274.1516");
    }

    fn places() -> impl Strategy<Value = Place> {
        (-180.0..180.0, -85.0..85.0).prop_map(|(longitude, latitude)| Place { longitude, latitude })
    }

    proptest! {
        #[test]
        fn numbers_come_back(place in places()) {
            let number = place.number();
            prop_assert_eq!(Place::of_number(number as f64).number(), number);
            prop_assert_eq!((gather(spread(number as u32)), gather(spread(number as u32) << 1)), (number as u32, 0));
        }

        #[test]
        fn what_is_inside_is_searched(middle in places(), at in places(), part in 0.0..1.0f64) {
            // Away from the border of the map, where Redis does not look either.
            prop_assume!(middle.longitude.abs() < 90.0 && middle.latitude.abs() < 50.0);
            let place = Place {
                longitude: middle.longitude + (at.longitude - middle.longitude) * part * 0.02,
                latitude: middle.latitude + (at.latitude - middle.latitude) * part * 0.02,
            };
            let radius = middle.distance(&place) * 1.01;
            let number = place.number() as f64;
            let shape = Shape::Circle { radius };
            prop_assert!(shape.ranges(&middle).iter().any(|range| range.contains(&number)));
        }
    }
}
