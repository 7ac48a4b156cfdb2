//! The replica's handshake against a master that says anything: the same events and requests however its bytes are cut, and what is sent
//! does not grow with what comes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redpoll::replication::handshake::{Event, Handshake, Introduction, Refused};
use redpoll::replication::log::ReplId;
use redpoll_fuzz::{expand, pieces, split};

/// All requests of a handshake together, with the longest names below.
const SENT_MAX_BYTES: usize = 1024;

#[derive(PartialEq, Debug)]
struct Played {
    events: Vec<Event>,
    sent: Vec<u8>,
    refused: Option<Refused>,
    /// Bytes taken; those that follow belong to the transfer or the stream.
    taken: usize,
}

fuzz_target!(|data: &[u8]| {
    let Some((seed, rest)) = split(data) else { return };
    let input = expand(rest);
    assert_eq!(play(seed, 0, &input), play(seed, seed | 1, &input));
});

fn introduction(seed: u32) -> Introduction {
    let some = |bit: u32, text: &str| if seed >> bit & 1 == 1 { text.to_string() } else { String::new() };
    Introduction {
        user: some(8, "user").into_bytes(),
        password: some(9, "secret").into_bytes(),
        listening_port: seed as u16,
        announce_ip: some(10, "10.0.0.1"),
        resume: (seed >> 11 & 1 == 1).then_some((ReplId([b'a'; 40]), i64::from(seed))),
    }
}

/// Plays the input as the link does, up to the event that ends the handshake.
fn play(seed: u32, cuts: u32, input: &[u8]) -> Played {
    let mut played = Played { events: Vec::new(), sent: Vec::new(), refused: None, taken: 0 };
    let mut handshake = Handshake::new(introduction(seed), &mut played.sent);
    let mut pending: Vec<u8> = Vec::new();
    for piece in pieces(cuts, input) {
        pending.extend_from_slice(piece);
        loop {
            match handshake.receive(&pending, &mut played.sent) {
                Ok(Some((n, event))) => {
                    pending.drain(..n);
                    played.taken += n;
                    let last = matches!(event, Event::Continue(_) | Event::Transfer(_) | Event::Later(_));
                    played.events.push(event);
                    if last {
                        return played;
                    }
                }
                Ok(None) => break,
                Err(refused) => {
                    played.refused = Some(refused);
                    return played;
                }
            }
        }
        assert!(played.sent.len() <= SENT_MAX_BYTES);
    }
    played
}
