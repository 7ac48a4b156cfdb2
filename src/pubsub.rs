//! Channels and patterns: who listens to what, and the way of a message to all of them.
//!
//! A topic (a channel or a pattern) is a list of listeners behind its own lock, found through one map. PUBLISH takes the map's
//! lock for a look-up only; a message is encoded once, before any lock, and copied into the listeners' mailboxes under the
//! topic's lock. So all listeners of a topic get its messages in one order, whoever publishes, and publishers to different
//! topics do not meet. A single lock around everything would give the order across topics too, but would put the
//! fan-out of every busy channel in everybody's way.
//!
//! Invariant: a topic in the map has listeners, and a client is among them exactly while the name is in its own set. Lock
//! order: map, topic, mailbox; nobody is woken under any of them.

use crate::client::{Client, Listeners, Shared};
use crate::glob;
use crate::keyspace::Blob;
use crate::resp::encode;
use crate::resp::parser::Arg;
use crate::resp::{Out, Proto};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a subscription is to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Channel,
    Pattern,
}

/// The listeners of one channel or pattern, by client number.
#[derive(Default, Debug)]
struct Topic {
    listeners: Mutex<Listeners>,
}

/// All channels and patterns that somebody is subscribed to.
#[derive(Default, Debug)]
pub struct PubSub {
    channels: RwLock<HashMap<Box<[u8]>, Arc<Topic>>>,
    patterns: RwLock<BTreeMap<Box<[u8]>, Arc<Topic>>>,
}

/// A message as its listeners get it, but for the first byte, which tells a RESP3 push from a RESP2 array.
#[derive(Debug)]
pub struct Push {
    head: Vec<u8>,
    payload: Option<Blob>,
}

impl Push {
    /// A message to a channel, or to a pattern that the channel matches.
    fn new(pattern: Option<&[u8]>, channel: &[u8], payload: &Arg<'_>) -> Push {
        let mut head = Vec::with_capacity(64 + channel.len());
        match pattern {
            None => head.extend_from_slice(b"3\r\n$7\r\nmessage\r\n"),
            Some(pattern) => {
                head.extend_from_slice(b"4\r\n$8\r\npmessage\r\n");
                encode::arg(&mut head, pattern);
            }
        }
        encode::arg(&mut head, channel);
        match payload {
            Arg::Large(blob) => {
                head.extend_from_slice(format!("${}\r\n", blob.len()).as_bytes());
                Push { head, payload: Some((*blob).clone()) }
            }
            payload => {
                encode::arg(&mut head, payload.bytes());
                Push { head, payload: None }
            }
        }
    }

    /// Appends the message; a large payload is shared, not copied.
    pub fn write(&self, out: &mut Out, proto: Proto) {
        let bytes = out.bytes();
        bytes.push(if proto == Proto::Resp3 { b'>' } else { b'*' });
        bytes.extend_from_slice(&self.head);
        if let Some(blob) = &self.payload {
            out.push_blob(blob, 0..blob.len());
            out.bytes().extend_from_slice(b"\r\n");
        }
    }
}

/// What became of a message.
#[derive(Default, Debug)]
pub struct Published {
    /// How often it was delivered.
    pub receivers: usize,
    /// The sender itself is among the receivers.
    pub to_sender: bool,
    /// Whom to call.
    pub called: Vec<Listeners>,
}

impl PubSub {
    /// Enters a client among the listeners. O(log n) in their number, if its connection is the youngest.
    pub fn subscribe(&self, kind: Kind, name: &[u8], client: &Arc<Shared>) {
        match kind {
            Kind::Channel => self.channels.write().entry(name.into()).or_default().add(client),
            Kind::Pattern => self.patterns.write().entry(name.into()).or_default().add(client),
        }
    }

    /// Strikes a client out.
    pub fn unsubscribe(&self, kind: Kind, name: &[u8], client: &Shared) {
        match kind {
            Kind::Channel => {
                let mut channels = self.channels.write();
                if channels.get(name).is_some_and(|topic| topic.remove(client)) {
                    channels.remove(name);
                }
            }
            Kind::Pattern => {
                let mut patterns = self.patterns.write();
                if patterns.get(name).is_some_and(|topic| topic.remove(client)) {
                    patterns.remove(name);
                }
            }
        }
    }

    /// Ends all subscriptions of a client: RESET, or the end of its connection.
    pub fn forget(&self, client: &mut Client) {
        for name in std::mem::take(&mut client.channels) {
            self.unsubscribe(Kind::Channel, &name, &client.shared);
        }
        for name in std::mem::take(&mut client.patterns) {
            self.unsubscribe(Kind::Pattern, &name, &client.shared);
        }
        client.count_subscriptions();
    }

    /// Posts a message to the listeners of its channel, then to those of each pattern that matches. The caller calls them.
    /// `sender` is the number of the client that sends, 0 for the server itself.
    pub fn publish(&self, channel: &[u8], payload: &Arg<'_>, sender: u64, now_ms: i64) -> Published {
        let mut published = Published::default();
        let topic = self.channels.read().get(channel).cloned();
        if let Some(topic) = topic {
            topic.deliver(&Push::new(None, channel, payload), sender, now_ms, &mut published);
        }
        for (pattern, topic) in self.matching(channel) {
            topic.deliver(&Push::new(Some(&pattern), channel, payload), sender, now_ms, &mut published);
        }
        published
    }

    fn matching(&self, channel: &[u8]) -> Vec<(Box<[u8]>, Arc<Topic>)> {
        let patterns = self.patterns.read();
        let matches = patterns.iter().filter(|(pattern, _)| glob::matches(pattern, channel, false));
        matches.map(|(pattern, topic)| (pattern.clone(), topic.clone())).collect()
    }

    /// Number of channels that somebody is subscribed to.
    pub fn channels(&self) -> usize {
        self.channels.read().len()
    }

    /// Number of different patterns.
    pub fn patterns(&self) -> usize {
        self.patterns.read().len()
    }

    /// The channels that match a pattern (all without one), in no order.
    pub fn channel_names(&self, pattern: Option<&[u8]>) -> Vec<Box<[u8]>> {
        let wanted = |name: &[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name, false));
        self.channels.read().keys().filter(|name| wanted(name)).cloned().collect()
    }

    /// Number of a channel's subscribers, those by pattern not counted.
    pub fn subscribers(&self, channel: &[u8]) -> usize {
        self.channels.read().get(channel).map_or(0, |topic| topic.listeners.lock().len())
    }
}

impl Topic {
    fn add(&self, client: &Arc<Shared>) {
        let mut listeners = self.listeners.lock();
        if let Err(at) = listeners.binary_search_by_key(&client.id, |listener| listener.id) {
            Arc::make_mut(&mut *listeners).insert(at, client.clone());
        }
    }

    /// True: nobody is left.
    fn remove(&self, client: &Shared) -> bool {
        let mut listeners = self.listeners.lock();
        if let Ok(at) = listeners.binary_search_by_key(&client.id, |listener| listener.id) {
            Arc::make_mut(&mut *listeners).remove(at);
        }
        listeners.is_empty()
    }

    fn deliver(&self, push: &Push, sender: u64, now_ms: i64, published: &mut Published) {
        let listeners = self.listeners.lock();
        for listener in listeners.iter() {
            published.to_sender |= listener.id == sender;
            listener.post(now_ms, |out| push.write(out, listener.proto()));
        }
        published.receivers += listeners.len();
        published.called.push(listeners.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(id: u64) -> Arc<Shared> {
        Arc::new(Shared::new(id, String::new(), String::new(), 0, 0))
    }

    fn mail(client: &Shared) -> Vec<u8> {
        let (mut out, mut mail) = (Out::default(), Vec::new());
        client.collect_mail(&mut out);
        std::mem::swap(out.bytes(), &mut mail);
        mail
    }

    #[test]
    fn all_listeners_of_a_channel_get_one_order() {
        let (pubsub, listeners) = (PubSub::default(), [listener(1), listener(2), listener(3)]);
        listeners.iter().for_each(|client| pubsub.subscribe(Kind::Channel, b"c", client));
        std::thread::scope(|scope| {
            for publisher in 10..14 {
                let pubsub = &pubsub;
                scope.spawn(move || {
                    for n in 0..500 {
                        let payload = format!("{publisher}:{n}");
                        let payload = Arg::Slice(payload.as_bytes());
                        assert_eq!(pubsub.publish(b"c", &payload, publisher, 0).receivers, 3);
                    }
                });
            }
        });
        let [first, second, third] = listeners.each_ref().map(|client| mail(client));
        assert_eq!(first.iter().filter(|byte| **byte == b'*').count(), 2000);
        assert!(first == second && second == third);
    }

    #[test]
    fn topics_without_listeners_are_gone() {
        let (pubsub, one, two) = (PubSub::default(), listener(1), listener(2));
        for kind in [Kind::Channel, Kind::Pattern] {
            // Whoever came first, and even twice: each is there once.
            [&two, &one, &two].into_iter().for_each(|client| pubsub.subscribe(kind, b"x", client));
            pubsub.unsubscribe(kind, b"x", &two);
            let published = pubsub.publish(b"x", &Arg::Slice(b"m"), two.id, 0);
            assert_eq!((published.receivers, published.to_sender), (1, false));
            pubsub.unsubscribe(kind, b"x", &two);
            pubsub.unsubscribe(kind, b"x", &one);
            assert_eq!((pubsub.channels(), pubsub.patterns()), (0, 0));
        }
    }
}
