//! What a change would do, before it is done.

use askama::Template;
use serde::Serialize;

use super::Frame;

/// What a change would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Plan {
    /// What it is, such as `Delete group readers`.
    pub(crate) title: String,
    /// What goes and what comes, in a sentence.
    pub(crate) effect: String,
    /// What should be known before.
    pub(crate) warnings: Vec<String>,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// So many rows of a plan are shown.
const SHOWN_MAX: usize = 1000;

/// A plan, and the form that carries it out.
#[derive(Template)]
#[template(path = "plan.html")]
pub(crate) struct PlanPage<'a> {
    pub(crate) frame: Frame,
    pub(crate) plan: &'a Plan,
    /// Where the form goes.
    pub(crate) action: &'a str,
    /// The fields that say what is asked for.
    pub(crate) fields: Vec<(&'a str, &'a str)>,
    /// What must be typed.
    pub(crate) name: &'a str,
    /// Where to go without doing it.
    pub(crate) back: &'a str,
    /// Whether a password is typed in here, so that it is in no page.
    pub(crate) asks_password: bool,
}

impl PlanPage<'_> {
    fn shown(&self) -> &[Vec<String>] {
        &self.plan.rows[..self.plan.rows.len().min(SHOWN_MAX)]
    }

    fn hidden(&self) -> usize {
        self.plan.rows.len() - self.shown().len()
    }
}
