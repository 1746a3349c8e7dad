//! What can go wrong between a log and its disk.

use std::io;
use std::path::{Path, PathBuf};

use thalweg_sys::fs::is_out_of_descriptors;

/// The world failed: the disk, or what stands on it. The owner of the log takes its directory offline and says this once.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A call of the operating system failed.
    #[error("cannot {doing} {}: {source}", file.display())]
    Io {
        /// What was being done, as a verb: `read`, `write`, `sync`.
        doing: &'static str,
        /// To what.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The process, or the machine, has no file descriptor left. The disk is well, and nothing was changed by this call: what
    /// wanted the file is refused for now.
    #[error("cannot {doing} {}: no file descriptor is left (`ulimit -n`)", file.display())]
    Descriptors {
        /// What was being done, as a verb.
        doing: &'static str,
        /// To what.
        file: PathBuf,
    },
    /// A file's content cannot be what this program or Kafka wrote, and nothing else tells what it was.
    #[error("{} is corrupt: {reason}", file.display())]
    Corrupt {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An earlier fault left the log in an unknown state: it must be opened again.
    #[error("log {} failed before and is offline", dir.display())]
    Offline {
        /// The partition's directory.
        dir: PathBuf,
    },
}

impl Fault {
    /// For `map_err`: the fault of `doing` something to `file`.
    pub(crate) fn io<'a>(doing: &'static str, file: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| match is_out_of_descriptors(&source) {
            true => Self::Descriptors { doing, file: file.to_owned() },
            false => Self::Io { doing, file: file.to_owned(), source },
        }
    }

    /// A file with impossible content.
    pub(crate) fn corrupt(file: &Path, reason: impl Into<String>) -> Self {
        Self::Corrupt { file: file.to_owned(), reason: reason.into() }
    }
}
