//! The request parser: the same requests and the same error however the bytes are cut, and no memory for bytes that have not come.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redpoll::resp::parser::{Limits, Parser, Progress, ProtocolError};
use redpoll_fuzz::{expand, pieces, split};

/// What the parser may hold beyond twice the bytes that it has got: the reserve for one large argument.
const HELD_BYTES: usize = 1 << 20;

#[derive(PartialEq, Debug)]
struct Parsed {
    requests: Vec<Vec<Vec<u8>>>,
    error: Option<ProtocolError>,
    /// Bytes of the input that belong to no whole request.
    left: usize,
}

fuzz_target!(|data: &[u8]| {
    let Some((seed, rest)) = split(data) else { return };
    let input = expand(rest);
    for unauthenticated in [false, true] {
        let limits = Limits { max_bulk_bytes: 512 << 20, unauthenticated };
        let (whole, cut) = (parse(0, &input, &limits), parse(seed | 1, &input, &limits));
        assert_eq!(whole.requests, cut.requests);
        assert_eq!(whole.error, cut.error);
        assert!(whole.error.is_some() || whole.left == cut.left, "{} {}", whole.left, cut.left);
    }
});

/// Feeds the parser as a connection does.
fn parse(seed: u32, input: &[u8], limits: &Limits) -> Parsed {
    let mut parser = Parser::default();
    let mut pending = Vec::new();
    let mut parsed = Parsed { requests: Vec::new(), error: None, left: 0 };
    for piece in pieces(seed, input) {
        let mut piece = piece;
        parsed.left += piece.len();
        while let Some((large, room)) = parser.large().filter(|_| !piece.is_empty()) {
            let (now, later) = piece.split_at(room.min(piece.len()));
            large.extend_from_slice(now);
            piece = later;
            parser.take_beyond(&mut pending);
        }
        pending.extend_from_slice(piece);
        if let Err(error) = drain(&mut parser, &mut pending, limits, &mut parsed) {
            parsed.error = Some(error);
            break;
        }
        let held = parser.held_bytes();
        assert!(held <= 2 * parsed.left + HELD_BYTES, "{held} bytes held for {}", parsed.left);
    }
    parsed
}

fn drain(
    parser: &mut Parser,
    pending: &mut Vec<u8>,
    limits: &Limits,
    parsed: &mut Parsed,
) -> Result<(), ProtocolError> {
    loop {
        match parser.parse(pending, limits)? {
            Progress::Complete(n) => {
                let request = parser.args(pending).iter().map(|arg| arg.bytes().to_vec()).collect();
                parsed.requests.push(request);
                pending.drain(..n);
                // What was taken before lay in large arguments; it is no more than was counted.
                parsed.left = pending.len();
            }
            Progress::Incomplete(keep) => {
                assert!(keep <= pending.len() && (parser.is_gathering() || keep == pending.len()));
                pending.truncate(keep);
                return Ok(());
            }
        }
    }
}
