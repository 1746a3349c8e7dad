//! Records as they are written.

use askama::Template;

use super::{Frame, SearchForm};
use crate::kafka::Topic;
use crate::text;

/// Records as they are written: a script fills the page.
#[derive(Template)]
#[template(path = "tail.html")]
pub(crate) struct TailPage {
    frame: Frame,
    name: String,
    part: String,
    partitions: Vec<i32>,
    form: SearchForm,
}

impl TailPage {
    pub(crate) fn new(frame: Frame, name: &str, topic: &Topic, form: SearchForm) -> Self {
        let partitions = topic.partitions.iter().map(|partition| partition.id).collect();
        Self { frame, name: name.to_owned(), part: text::part(name), partitions, form }
    }
}
