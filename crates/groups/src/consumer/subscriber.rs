//! What a member changes about itself.

use std::borrow::Cow;
use std::sync::Arc;

use super::member::Member;

/// Who a member is about to be, and who it was.
pub(super) struct Subscriber<'a> {
    pub(super) before: Cow<'a, Member>,
    pub(super) updated: Cow<'a, Member>,
}

impl Subscriber<'_> {
    pub(super) fn names_changed(&self) -> bool {
        !Arc::ptr_eq(&self.before.topics, &self.updated.topics) && self.before.topics != self.updated.topics
    }
}
