//! The network of a node: listeners accept connections within their limits, connections cut what clients send into requests
//! and write the answers in the order of the requests.
//!
//! Nothing here knows what a request means: a [`Session`] takes each frame of its connection and says what becomes of it,
//! a [`Reply`]. So the same listeners serve brokers and controllers, and a listener can serve before the rest of its node
//! has started.

mod budget;
mod chunks;
mod connection;
mod frame;
mod inbox;
mod kind;
mod limits;
mod listener;
mod network;
mod origin;
mod outbox;
mod reply;
mod requests;
mod seats;
mod spare;
mod stream;

pub use frame::{FileRange, Frame, ReadAt};
pub use kind::{ListenerName, ListenerType};
pub use limits::{ConnectionLimits, ListenerLimits, NO_RATE, RateWindows, SeatLimits};
pub use listener::Listener;
pub use network::Network;
pub use origin::Origin;
pub use reply::{Answer, Reply, Service, Session};
pub use requests::{Api, Requests};
pub use seats::ListenerView;
pub use stream::{Certificate, Encryption};
