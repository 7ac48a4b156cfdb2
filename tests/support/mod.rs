//! What the tests against running servers share: a server that is started, waited for and stopped
//! (`server`), and a client that shows every byte of a reply (`client`).
//!
//! A ready-made Redis client would hide what these tests are about (which bytes came, what closed the
//! connection), so the client here is raw: blocking sockets, a deadline on every read, no retries.

// Each test crate compiles its own copy of this module and uses a part of it.
#![allow(dead_code)]

pub mod client;
pub mod server;

use std::time::{Duration, Instant};

/// Calls `holds` until it says yes; panics with `what` when `deadline` has passed without one.
pub fn wait_until(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !holds() {
        assert!(Instant::now() < end, "waited {deadline:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// CRC-64/Jones, reflected, as RDB uses it: bit by bit, so that it shares nothing with the server's.
pub fn crc64(bytes: &[u8]) -> u64 {
    const POLYNOMIAL_REFLECTED: u64 = 0x95ac_9329_ac4b_c9b5;
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL_REFLECTED * (crc & 1)))
    })
}
