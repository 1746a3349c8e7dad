//! The node's own properties, which may change while it runs.

use std::sync::Arc;

use parking_lot::RwLock;
use thalweg_metadata::config::ConfigMap;

/// The node's properties that apply now.
#[derive(Debug)]
pub(crate) struct LiveProperties(RwLock<Arc<ConfigMap>>);

impl LiveProperties {
    /// The properties that the node was started with.
    pub(crate) fn new(properties: ConfigMap) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::new(properties))))
    }

    /// The properties that apply now.
    pub(crate) fn get(&self) -> Arc<ConfigMap> {
        Arc::clone(&self.0.read())
    }

    /// Others apply from now on.
    pub(crate) fn set(&self, properties: ConfigMap) {
        *self.0.write() = Arc::new(properties);
    }
}
