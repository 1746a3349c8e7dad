//! The node: listeners take requests, the dispatch table finds their handlers, handlers ask drivers, and drivers own the
//! state machines, the logs and the clock.
//!
//! [`Node`] is the whole of it; [`config`] reads Kafka's `server.properties`, [`format`] prepares log directories.

mod broker;
mod call;
pub mod config;
mod dispatch;
mod drivers;
mod endpoints;
pub mod format;
mod handlers;
mod http;
mod internal_topics;
mod live;
mod live_properties;
mod loggers;
mod metrics;
mod node;
mod page;
mod quotas;
mod seat_limits;
mod security;
mod session;
mod telemetry;

pub use live::Reloaded;
pub use loggers::Loggers;
pub use node::{Node, StartError};
pub use page::VitalsReader;
