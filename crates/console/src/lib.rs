//! The web console: what a Kafka cluster holds and does, in a browser and as JSON.
//!
//! It speaks Kafka's protocol through [`thalweg_client`], so that it serves any cluster of Kafka 2.1 to 4.4. Its addresses and
//! its JSON are Kafdrop's, its pages are its own: rendered here, with one style sheet and one small script, and nothing that is
//! fetched from elsewhere. docs/console.md describes what it shows.
//!
//! [`Console::new`] makes one, [`Console::handler`] is what an HTTP server calls for each request, and
//! [`Launch`] reads what a console of its own is started with.

mod console;
mod history;
mod http;
mod internal;
mod kafdrop;
mod kafka;
mod launch;
mod login;
mod masks;
mod pages;
mod registry;
mod settings;
mod text;
mod trouble;
mod values;

pub use console::Console;
pub use history::VitalsSource;
pub use launch::{CarriedFile, Launch, Options};
pub use login::{LogIn, Users};
pub use masks::Masks;
pub use settings::{Settings, SettingsError, Writes};
pub use values::Format;
