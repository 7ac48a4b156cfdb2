//! What one connection is in the middle of, learnt from the oracle's replies.
//!
//! A reader of a pipelined stream must know how many replies a command has (SUBSCRIBE has one per
//! channel, CLIENT REPLY SKIP none), and a comparer must know which command an element of EXEC's reply belongs
//! to. Both follow from what the oracle answered, so nothing here predicts what a command will do: a
//! model that predicts would be a third implementation to keep right.

use std::collections::BTreeSet;

use crate::support::client::Value;
use crate::syntax::{Args, name, word};

/// Whether replies are sent at all (CLIENT REPLY).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Replies {
    #[default]
    On,
    Off,
    SkipNext,
}

/// One connection's state.
#[derive(Debug, Default)]
pub struct Session {
    queued: Option<Vec<Args>>,
    channels: BTreeSet<Vec<u8>>,
    patterns: BTreeSet<Vec<u8>>,
    replies: Replies,
}

impl Session {
    /// Whether a PING would be answered at once and with its argument.
    pub fn can_ping(&self) -> bool {
        self.queued.is_none() && self.replies == Replies::On
    }

    /// How many replies `args` gets if the first (when there is one) is `first`.
    ///
    /// Call it with `None` to learn whether there is a reply at all.
    pub fn reply_count(&self, args: &[Vec<u8>], first: Option<&Value>) -> usize {
        if self.is_silent(args) {
            return 0;
        }
        let Some(first) = first else { return 1 };
        if name(args) == "QUIT" && first.text() == "OK" {
            // The second is the close.
            return 2;
        }
        if first.items().is_none() || self.queued.is_some() {
            return 1;
        }
        let of = |all: &BTreeSet<Vec<u8>>| if args.len() > 1 { args.len() - 1 } else { all.len().max(1) };
        match name(args).as_str() {
            "SUBSCRIBE" | "PSUBSCRIBE" => args.len() - 1,
            "UNSUBSCRIBE" => of(&self.channels),
            "PUNSUBSCRIBE" => of(&self.patterns),
            _ => 1,
        }
    }

    fn is_silent(&self, args: &[Vec<u8>]) -> bool {
        let mode = if is_client_reply(args) { word(args, 2) } else { String::new() };
        match self.replies {
            Replies::On => mode == "OFF" || mode == "SKIP",
            Replies::Off => mode != "ON",
            Replies::SkipNext => true,
        }
    }

    /// Takes note of what the oracle answered; gives the commands whose replies `replies[0]` holds if it is
    /// EXEC's.
    pub fn observe(&mut self, args: &[Vec<u8>], replies: &[Value]) -> Vec<Args> {
        self.replies = match (self.replies, word(args, 2).as_str()) {
            (_, "OFF") if is_client_reply(args) => Replies::Off,
            (_, "ON") if is_client_reply(args) => Replies::On,
            (Replies::On | Replies::SkipNext, "SKIP") if is_client_reply(args) => Replies::SkipNext,
            (Replies::SkipNext, _) => Replies::On,
            (same, _) => same,
        };
        match replies.first() {
            Some(first) => self.observe_reply(args, first),
            None => Vec::new(),
        }
    }

    fn observe_reply(&mut self, args: &[Vec<u8>], first: &Value) -> Vec<Args> {
        let ok = *first == Value::Simple(b"OK".to_vec());
        match (name(args).as_str(), &mut self.queued) {
            ("EXEC", queued) if !first.is_error() || first.text().starts_with("EXECABORT") => {
                return queued.take().unwrap_or_default();
            }
            ("DISCARD", queued) if ok => *queued = None,
            ("RESET", _) if first.text() == "RESET" => *self = Session::default(),
            (_, Some(queued)) if *first == Value::Simple(b"QUEUED".to_vec()) => queued.push(args.to_vec()),
            ("MULTI", queued @ None) if ok => *queued = Some(Vec::new()),
            ("SUBSCRIBE", None) if !first.is_error() => self.channels.extend(args[1..].iter().cloned()),
            ("PSUBSCRIBE", None) if !first.is_error() => self.patterns.extend(args[1..].iter().cloned()),
            ("UNSUBSCRIBE", None) if !first.is_error() => forget(&mut self.channels, &args[1..]),
            ("PUNSUBSCRIBE", None) if !first.is_error() => forget(&mut self.patterns, &args[1..]),
            _ => {}
        }
        Vec::new()
    }
}

fn is_client_reply(args: &[Vec<u8>]) -> bool {
    args.len() == 3 && name(args) == "CLIENT" && word(args, 1) == "REPLY"
}

fn forget(all: &mut BTreeSet<Vec<u8>>, some: &[Vec<u8>]) {
    all.retain(|one| !some.is_empty() && !some.contains(one));
}

/// Whether a value is a published message, which may come at any time between replies.
pub fn is_message(value: &Value) -> bool {
    const KINDS: [&[u8]; 4] = [b"message", b"pmessage", b"smessage", b"invalidate"];
    let kind = match value {
        Value::Push(items) => items.first(),
        Value::Array(items) if items.len() == 3 || items.len() == 4 => items.first(),
        _ => None,
    };
    matches!(kind, Some(Value::Bulk(kind)) if KINDS.contains(&kind.as_slice()))
}
