//! What the servers log, with the node's name and virtual time, for the replay of a seed.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tracing::field::{Field, Visit};
use tracing::span;

thread_local! {
    static SPEAKER: RefCell<String> = const { RefCell::new(String::new()) };
    static STARTED: RefCell<Option<tokio::time::Instant>> = const { RefCell::new(None) };
}

/// Lines of the driver and of the servers go to standard error from now on, in this thread.
pub struct Printing(#[allow(dead_code)] tracing::subscriber::DefaultGuard);

/// Begins to print. Within a runtime.
pub fn print() -> Printing {
    STARTED.set(Some(tokio::time::Instant::now()));
    Printing(tracing::subscriber::set_default(Printer))
}

/// Lines that are logged while this lives are the node's.
pub struct Speaks(String);

/// The node speaks.
pub fn speak(name: &str) -> Speaks {
    Speaks(SPEAKER.replace(name.to_string()))
}

impl Drop for Speaks {
    fn drop(&mut self) {
        SPEAKER.set(std::mem::take(&mut self.0));
    }
}

/// A task of a node.
pub struct Task {
    name: String,
    task: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Task {
    /// A task of the node of this name.
    pub fn new(name: &str, task: impl Future<Output = ()> + Send + 'static) -> Task {
        Task { name: name.to_string(), task: Box::pin(task) }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let _speaks = speak(&self.name);
        self.task.as_mut().poll(cx)
    }
}

struct Printer;

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string does not fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}

impl tracing::Subscriber for Printer {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let ms = STARTED.with_borrow(|at| at.map_or(0, |at| at.elapsed().as_millis()));
        SPEAKER.with_borrow(|speaker| eprintln!("{ms:>7} {speaker:<3} {}", message.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
