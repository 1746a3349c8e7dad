//! TLS by Kafka's `ssl.*` settings, for listeners and for clients.
//!
//! [`TlsSettings`] reads the settings; [`TlsSettings::server`] and [`TlsSettings::client`] read the key material that they
//! name and make of it what rustls needs. Called again, they read it again: so keystores are replaced without a restart.
//! [`ListenerMaterial`] says whether new material may take the place of old.

mod built;
mod error;
mod host;
mod jks;
mod listener;
mod material;
mod name;
mod pbe;
mod pem;
mod settings;
mod suites;
mod version1;

pub use error::TlsError;
pub use listener::{ListenerMaterial, Peers};
pub use name::distinguished_name;
pub use settings::{ClientAuth, TlsSettings};
