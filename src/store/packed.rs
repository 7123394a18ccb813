//! Many small numbers in few bytes: each as the distance from the one before it, and each distance in as many groups of seven
//! bits as it needs, the least first (<https://protobuf.dev/programming-guides/encoding/#varints>).

use rusqlite::Result;

use super::columns::read;
use crate::domain::history::Durations;

/// Where a run is, and whether it did not pass.
pub type Place = (u64, bool);

/// Durations as a column: of each bucket how far it is from the one before, and how many runs are in it.
pub fn pack_durations(durations: &Durations) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(durations.buckets().len() * 3);
    let mut before = 0;
    for (bucket, runs) in durations.buckets() {
        put(&mut bytes, u64::from(bucket - before));
        put(&mut bytes, u64::from(*runs));
        before = *bucket;
    }
    bytes
}

/// Durations from a column.
pub fn unpack_durations(mut bytes: &[u8]) -> Result<Durations> {
    let mut buckets = Vec::with_capacity(bytes.len() / 2);
    let mut bucket = 0_u16;
    while !bytes.is_empty() {
        let (gap, runs) = (take(&mut bytes, "durations")?, take(&mut bytes, "durations")?);
        let next = u16::try_from(gap).ok().and_then(|gap| bucket.checked_add(gap)).ok_or("not a bucket");
        bucket = read("durations", next)?;
        buckets.push((bucket, read("durations", u32::try_from(runs))?));
    }
    Ok(Durations::of(buckets))
}

/// Places as a column, in their order; the lowest bit of each distance says whether the run is bad.
pub fn pack_places(places: &[Place]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(places.len() * 3);
    let mut before = 0;
    for (place, bad) in places {
        put(&mut bytes, (place - before) << 1 | u64::from(*bad));
        before = *place;
    }
    bytes
}

/// Places from a column, in their order.
pub fn unpack_places(mut bytes: &[u8]) -> Result<Vec<Place>> {
    let mut places = Vec::with_capacity(bytes.len() / 2);
    let mut place = 0_u64;
    while !bytes.is_empty() {
        let gap = take(&mut bytes, "places")?;
        place = read("places", place.checked_add(gap >> 1).ok_or("not a place"))?;
        places.push((place, gap & 1 == 1));
    }
    Ok(places)
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take(bytes: &mut &[u8], column: &'static str) -> Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let Some((first, rest)) = bytes.split_first() else { break };
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(number);
        }
    }
    read(column, Err("a number without its end"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_packed_comes_back(buckets in prop::collection::btree_map(any::<u16>(), 1_u32.., 0..50),
                                      places in prop::collection::btree_map(0..1_u64 << 62, any::<bool>(), 0..50)) {
            let durations = Durations::of(buckets.into_iter().collect());
            prop_assert_eq!(unpack_durations(&pack_durations(&durations)).unwrap(), durations);
            let places: Vec<_> = places.into_iter().collect();
            prop_assert_eq!(unpack_places(&pack_places(&places)).unwrap(), places);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (unpack_durations(&bytes), unpack_places(&bytes));
        }
    }

    #[test]
    fn what_is_near_takes_one_or_two_bytes() {
        assert_eq!(pack_places(&[(70, false), (71, true), (2_071, false)]), [0x8c, 0x01, 0x03, 0xa0, 0x1f]);
    }
}
