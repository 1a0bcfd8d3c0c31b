//! Packed items: what goes in comes out, however it is cut, and what does not fit is refused.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use muster_proto::packed::{Items, Malformed, Packed, Packer, concat};
use proptest::prelude::*;

fn any_items() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let varied = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..700);
    let fixed = (0..9usize, 0..700usize).prop_map(|(width, count)| vec![vec![7; width]; count]);
    prop_oneof![varied, fixed]
}

fn list(items: &Items) -> Vec<Vec<u8>> {
    items.iter().map(<[u8]>::to_vec).collect()
}

proptest! {
    #[test]
    fn items_come_out_as_they_went_in(wanted in any_items()) {
        let items = Items::of(&wanted);
        prop_assert_eq!(items.len(), wanted.len());
        prop_assert_eq!(&list(&items), &wanted);
        prop_assert_eq!(items.longest() as usize, wanted.iter().map(Vec::len).max().unwrap_or(0));
        for (at, item) in wanted.iter().enumerate() {
            prop_assert_eq!(items.item(at), &item[..]);
            prop_assert_eq!(&items.item_bytes(at), &item[..]);
        }
        let offsets: Vec<u64> = items.offsets().collect();
        prop_assert_eq!(offsets.len(), wanted.len() + 1);
        prop_assert_eq!(*offsets.last().unwrap(), items.data().len() as u64);
        let again = Items::try_new(items.clone().into_packed(), wanted.len() as u64).unwrap();
        prop_assert_eq!(list(&again), wanted);
    }

    #[test]
    fn a_slice_is_the_same_items(wanted in any_items(), a in 0..700usize, b in 0..700usize) {
        let (a, b) = (a.min(wanted.len()), b.min(wanted.len()));
        let range = a.min(b)..a.max(b);
        let items = Items::of(&wanted);
        let cut = Items::try_new(items.slice(range.clone()), range.len() as u64).unwrap();
        prop_assert_eq!(list(&cut), wanted[range].to_vec());
    }

    #[test]
    fn parts_make_the_whole_again(wanted in any_items(), mut cuts in prop::collection::vec(0..700usize, 0..5)) {
        cuts.push(0);
        cuts.push(wanted.len());
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(wanted.len()));
        cuts.sort_unstable();
        let items = Items::of(&wanted);
        let ranges: Vec<_> = cuts.windows(2).map(|ends| ends[0]..ends[1]).collect();
        let part = |range: &std::ops::Range<usize>| {
            Items::try_new(items.slice(range.clone()), range.len() as u64).unwrap()
        };
        prop_assert_eq!(&list(&concat(ranges.iter().map(part).collect())), &wanted);

        let mut packer = Packer::new();
        for range in ranges {
            let lengths: Vec<u32> = wanted[range.clone()].iter().map(|item| item.len() as u32).collect();
            packer.push_many(&lengths, &items.data()[items.bytes_of(range)]).unwrap();
        }
        prop_assert_eq!(&list(&packer.finish()), &wanted);
    }

    #[test]
    fn nothing_a_peer_sends_panics(
        width in prop_oneof![0..9u32, any::<u32>()],
        lengths in prop::collection::vec(prop_oneof![0..9u32, any::<u32>()], 0..20),
        data in prop::collection::vec(any::<u8>(), 0..100),
        count in prop_oneof![0..20u64, any::<u64>()],
    ) {
        let sum: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
        let fits = if lengths.is_empty() {
            u128::from(width) * u128::from(count) == data.len() as u128
        } else {
            width == 0 && lengths.len() as u64 == count && sum == data.len() as u64
        };
        let packed = Packed { width, lengths, data: data.into() };
        match Items::try_new(packed, count) {
            Ok(items) => {
                prop_assert!(fits);
                prop_assert_eq!(items.len() as u64, count);
            }
            Err(error) => prop_assert!(!fits, "{error}"),
        }
    }
}

#[test]
fn says_what_does_not_fit() {
    let data = Bytes::from_static(&[1, 2, 3]);
    let packed = |width, lengths: &[u32]| Packed { width, lengths: lengths.to_vec(), data: data.clone() };
    assert_eq!(Items::try_new(packed(1, &[3]), 1), Err(Malformed::TwoLayouts));
    assert_eq!(Items::try_new(packed(0, &[1, 2]), 3), Err(Malformed::Count { found: 2, wanted: 3 }));
    assert_eq!(Items::try_new(packed(0, &[1, 1]), 2), Err(Malformed::Bytes { found: 3, wanted: 2 }));
    assert_eq!(Items::try_new(packed(0, &[]), 2), Err(Malformed::Bytes { found: 3, wanted: 0 }));
    assert_eq!(
        Packer::new().push_many(&[u32::MAX, 4], &data),
        Err(Malformed::Bytes { found: 3, wanted: 4_294_967_299 })
    );
}

#[test]
fn equal_lengths_travel_as_one_number() {
    let packed = Packed::from_lengths(vec![8; 1000], Bytes::from(vec![0; 8000]));
    assert_eq!((packed.width, packed.lengths.len()), (8, 0));
    assert_eq!(Items::of(vec![[0u8; 8]; 1000]).into_packed(), packed);
    let packed = Packed::from_lengths(vec![1, 2], Bytes::from(vec![0; 3]));
    assert_eq!((packed.width, packed.lengths.as_slice()), (0, &[1, 2][..]));
}

#[test]
fn slices_share_their_bytes() {
    let items = Items::of((0..1000).map(|n: u32| vec![n as u8; n as usize % 7]));
    let cut = items.slice(300..900);
    let from = items.bytes_of(0..300).end;
    assert_eq!(cut.data.as_ptr(), items.data()[from..].as_ptr());
}
