//! Directories of deleted partitions leave the disk one after the other, whatever number was deleted at once: nobody
//! waits for them, and what is left when the node goes down is removed at the next start.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_sys::{fs, task};
use tracing::error;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Removals {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// At most one for each partition that was deleted.
    paths: VecDeque<PathBuf>,
    /// A task removes them.
    at_work: bool,
}

impl Removals {
    /// Removes a directory in the background.
    pub(super) fn add(self: &Arc<Self>, path: PathBuf) {
        let mut state = self.state.lock();
        state.paths.push_back(path);
        if !state.at_work {
            state.at_work = true;
            task::spawn(Arc::clone(self).work());
        }
    }

    async fn work(self: Arc<Self>) {
        while let Some(path) = self.next() {
            // Interrupted when the node goes down.
            let _ = task::blocking(move || remove(&path)).await;
        }
    }

    fn next(&self) -> Option<PathBuf> {
        let mut state = self.state.lock();
        let path = state.paths.pop_front();
        state.at_work = path.is_some();
        path
    }
}

/// Removes a directory and all in it, now. Its name is made durable first: a power failure must not leave it half empty under
/// the name that it had, where it would be taken for the log of a topic that has this name now.
pub(super) fn remove(path: &Path) {
    let parent = path.parent().unwrap_or(Path::new("."));
    if let Err(e) = fs::sync_dir(parent).and_then(|()| fs::remove_dir_all(path)) {
        error!(path = %path.display(), error = %e, "a directory cannot be removed");
    }
}

#[cfg(all(test, not(sim)))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_directories_go_one_after_the_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let removals = Arc::new(Removals::default());
        for name in 0..100 {
            let path = dir.path().join(name.to_string());
            fs::create_dir_all(&path.join("inner")).expect("a directory");
            removals.add(path);
        }
        while removals.state.lock().at_work {
            tokio::task::yield_now().await;
        }
        assert_eq!(fs::read_dir(dir.path()).expect("its entries"), Vec::new());
    }
}
