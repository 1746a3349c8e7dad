//! Which topics a client may know of.

use std::fmt;
use std::sync::Arc;

type MayDescribe = dyn Fn(&str) -> bool + Send + Sync;

/// Says of topics whether a client may describe them. A group's regular expressions stand for no others (KIP-848).
#[derive(Clone, Default)]
pub struct Describable(Option<Arc<MayDescribe>>);

impl Describable {
    /// Every topic, as without an authorizer.
    #[must_use]
    pub fn all() -> Self {
        Self(None)
    }

    /// The topics whose names `may` allows.
    pub fn only(may: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(may)))
    }

    pub(crate) fn contains(&self, topic: &str) -> bool {
        self.0.as_ref().is_none_or(|may| may(topic))
    }
}

impl fmt::Debug for Describable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_none() { "all topics" } else { "some topics" })
    }
}

impl PartialEq for Describable {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(another)) => Arc::ptr_eq(one, another),
            _ => false,
        }
    }
}
