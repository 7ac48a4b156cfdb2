//! Listpacks and intsets of strangers: whatever validation lets through can be walked from both ends and changed anywhere, and is
//! valid afterwards.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redpoll::types::intset::Intset;
use redpoll::types::listpack::Listpack;

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((b'I', bytes)) => intset(bytes),
        Some((b'L', bytes)) => listpack(bytes),
        // With a header and an end that fit, so that chance gets as far as the entries.
        Some((_, entries)) => {
            let total = (entries.len() + 7) as u32;
            listpack(&[&total.to_le_bytes()[..], &[0xFF, 0xFF], entries, &[0xFF]].concat());
        }
        None => {}
    }
});

fn listpack(bytes: &[u8]) {
    let Some(pack) = Listpack::from_bytes(bytes) else { return };
    let texts: Vec<_> = pack.iter().map(|element| element.to_vec()).collect();
    let mut backwards: Vec<_> = pack.iter().rev().map(|element| element.to_vec()).collect();
    backwards.reverse();
    assert!(texts == backwards && pack.len() == texts.len());
    for (index, text) in texts.iter().enumerate().step_by(1 + texts.len() / 16) {
        let pos = pack.seek(index as i64).expect("an element of that number");
        assert!(pack.find(pos, text, 0) == Some(pos));
        let mut changed = pack.clone();
        changed.replace(pos, b"12345");
        changed.insert_before(pos, text);
        let _ = changed.remove(changed.seek(-1).expect("two elements at least"));
        let tail = changed.split_off(pos);
        changed.append(&tail);
        assert!(changed.len() == texts.len());
        assert!(Listpack::from_bytes(changed.bytes()).is_some());
    }
}

fn intset(bytes: &[u8]) {
    let Some(set) = Intset::from_bytes(bytes) else { return };
    assert!(set.iter().is_sorted() && set.iter().count() == set.len());
    for n in set.iter().step_by(1 + set.len() / 16) {
        let mut changed = set.clone();
        assert!(changed.contains(n) && !changed.insert(n) && changed.remove(n));
        assert!(changed.insert(n) && changed.len() == set.len());
        changed.insert(i64::MIN);
        assert!(Intset::from_bytes(&changed.to_bytes()).is_some());
    }
}
