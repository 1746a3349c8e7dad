//! What nodes say in their logs while a story runs: who was elected, and what panicked.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};
use std::panic;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// How the node says that it was elected; its field is the epoch.
const ELECTED: &str = "this node leads the metadata quorum";

/// How it says that it was.
const RESIGNED: &str = "this node leads the metadata quorum no longer";

#[derive(Debug, Default)]
struct Seen {
    clock_ms: u64,
    /// The host that runs now.
    host: String,
    /// Who was elected, by epoch.
    elected: BTreeMap<i32, i32>,
    /// Who was elected and has not said since that it leads no longer.
    leading: BTreeSet<i32>,
    panicked: Option<String>,
    broken: Vec<String>,
}

thread_local! {
    static SEEN: RefCell<Seen> = RefCell::default();
}

/// Runs a story, whose nodes are listened to.
pub(super) fn watch<T>(story: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            SEEN.with_borrow_mut(|seen| {
                let said = format!("{} panics: {info}", seen.host);
                seen.panicked.get_or_insert(said);
            });
            before(info);
        }));
    });
    SEEN.take();
    let shown = match std::env::var("THALWEG_SIM_LOG").as_deref() {
        Ok("debug") => Some(Level::DEBUG),
        Ok(_) => Some(Level::INFO),
        Err(_) => None,
    };
    tracing::subscriber::with_default(Witness { shown }, story)
}

pub(super) fn set_clock(ms: u64) {
    SEEN.with_borrow_mut(|seen| seen.clock_ms = ms);
}

/// The newest epoch of the metadata quorum in which there was a leader, and that leader.
pub(super) fn metadata_leader() -> Option<(i32, i32)> {
    SEEN.with_borrow(|seen| seen.elected.last_key_value().map(|(epoch, node)| (*epoch, *node)))
}

/// Whether a node takes itself for the leader of the metadata quorum, if it still runs.
pub(super) fn leads_metadata(node: i32) -> bool {
    SEEN.with_borrow(|seen| seen.leading.contains(&node))
}

/// The first panic of a node or a client.
pub(super) fn panicked() -> Option<String> {
    SEEN.with_borrow(|seen| seen.panicked.clone())
}

/// What may never be and was.
pub(super) fn broken() -> Vec<String> {
    SEEN.with_borrow(|seen| seen.broken.clone())
}

/// Whether there is any of it.
pub(super) fn is_broken() -> bool {
    SEEN.with_borrow(|seen| !seen.broken.is_empty())
}

/// Shows a line if logs are shown.
pub(super) fn log(line: &str) {
    tracing::info!(target: "thalweg_sim", "-- {line}");
}

/// Listens to the logs of all nodes of the thread, and shows them if `THALWEG_SIM_LOG` is `info` or `debug`.
struct Witness {
    shown: Option<Level>,
}

/// The text of an event, and its field `epoch`.
#[derive(Default)]
struct Said {
    message: String,
    fields: String,
    epoch: Option<i32>,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
            return;
        }
        let text = format!("{value:?}");
        if field.name() == "epoch" {
            self.epoch = text.parse().ok();
        }
        let _ = write!(self.fields, " {}={text}", field.name());
    }
}

impl Subscriber for Witness {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // turmoil opens this span around each run of a host.
        if metadata.is_span() {
            return metadata.name() == "node";
        }
        *metadata.level() <= self.shown.unwrap_or(Level::INFO).max(Level::INFO)
            && metadata.target().starts_with("thalweg")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        struct Host(String);
        impl Visit for Host {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                if field.name() == "name" {
                    self.0 = format!("{value:?}").trim_matches('"').to_owned();
                }
            }
        }
        let mut host = Host(String::new());
        span.record(&mut host);
        SEEN.with_borrow_mut(|seen| seen.host = host.0);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        SEEN.with_borrow_mut(|seen| {
            if self.shown.is_some_and(|shown| *event.metadata().level() <= shown) {
                let (level, target) = (event.metadata().level(), event.metadata().target());
                println!("{:6} {:8} {level:5} {target}: {}{}", seen.clock_ms, seen.host, said.message, said.fields);
            }
            match &*said.message {
                ELECTED => seen.elected(said.epoch.unwrap_or(-1)),
                RESIGNED => seen.resigned(),
                _ => {}
            }
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Seen {
    fn node(&self) -> Option<i32> {
        self.host.strip_prefix("node").and_then(|id| id.parse().ok())
    }

    fn resigned(&mut self) {
        if let Some(node) = self.node() {
            self.leading.remove(&node);
        }
    }

    fn elected(&mut self, epoch: i32) {
        let Some(node) = self.node() else { return };
        self.leading.insert(node);
        let before = self.elected.insert(epoch, node);
        if let Some(other) = before.filter(|other| *other != node) {
            self.broken.push(format!("nodes {other} and {node} both lead the metadata quorum in epoch {epoch}"));
        }
    }
}
