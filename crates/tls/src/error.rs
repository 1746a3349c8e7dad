//! Why TLS cannot be set up.

use std::io;
use std::path::PathBuf;

/// Why settings or key material cannot be used. The texts name the setting and never a secret.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A setting has a value that it does not take, or a needed one is missing.
    #[error("{0}")]
    Setting(String),
    /// A file cannot be read.
    #[error("cannot read {key} {}: {source}", path.display())]
    Read {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Key material is malformed, or its password is wrong.
    #[error("{what}: {why}")]
    Material {
        /// Which: the setting, with its file.
        what: String,
        /// Why.
        why: String,
    },
    /// Key material may not take the place of what is in use.
    #[error("{0}")]
    Mismatch(String),
    /// Nodes with the new and with the old key material would not trust each other.
    #[error("nodes with the new key material and nodes with the old do not trust each other: {0}")]
    Handshake(rustls::Error),
    /// What was read does not fit together.
    #[error("{0}")]
    Rustls(#[from] rustls::Error),
}
