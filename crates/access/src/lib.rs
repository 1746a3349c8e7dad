//! Authentication, authorization and quotas, as pure decisions: SASL exchanges, principals, ACLs and client quotas.
//!
//! Nothing here opens a socket, reads a clock or draws a random number. Nonces, time and the metadata image come in as
//! arguments, so that a test replays any exchange.

mod authorizer;
pub mod jaas;
mod principal;
pub mod principal_mapping;
pub mod quotas;
pub mod sasl;
mod secret;

pub use thalweg_metadata::acl;

pub use authorizer::{Asker, Authorizer, Decision, Verdict};
pub use principal::{ParsePrincipalError, Principal};
pub use secret::Secret;
