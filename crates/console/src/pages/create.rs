//! The form that creates a topic.

use askama::Template;

use super::Frame;
use crate::http::CreateForm;

/// The form that creates a topic, and what came of it.
#[derive(Template)]
#[template(path = "create.html")]
pub(crate) struct CreatePage {
    frame: Frame,
    name: String,
    partitions: String,
    replication: String,
    configs: String,
    done: Option<String>,
    error: Option<String>,
}

impl CreatePage {
    /// The form as it was filled in; `said` is what came of it.
    pub(crate) fn new(frame: Frame, form: &CreateForm, said: Option<Result<String, String>>) -> Self {
        let (done, error) = match said {
            Some(Ok(done)) => (Some(done), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        Self {
            frame,
            name: form.name.clone(),
            partitions: form.partitions_number.clone(),
            replication: form.replication_factor.clone(),
            configs: form.configs.clone(),
            done,
            error,
        }
    }
}
