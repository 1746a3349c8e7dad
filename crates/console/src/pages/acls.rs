//! ACLs as a table.

use askama::Template;

use super::Frame;
use crate::kafka::Acl;

/// ACLs as a table.
#[derive(Template)]
#[template(path = "acls.html")]
pub(crate) struct AclPage {
    frame: Frame,
    acls: Vec<Acl>,
    /// Whether the cluster checks ACLs at all.
    are_checked: bool,
}

impl AclPage {
    /// These ACLs; `None` where the cluster has no authorizer.
    pub(crate) fn new(frame: Frame, acls: Option<Vec<Acl>>) -> Self {
        Self { frame, are_checked: acls.is_some(), acls: acls.unwrap_or_default() }
    }
}
