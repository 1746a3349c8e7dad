//! The form that creates a topic.

use askama::Template;
use serde::Deserialize;

use super::Frame;

/// The fields of the form that creates a topic, under Kafdrop's names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateForm {
    #[serde(default)]
    pub(crate) name: String,
    /// The cluster's default without one.
    #[serde(default)]
    pub(crate) partitions_number: String,
    /// The cluster's default without one.
    #[serde(default)]
    pub(crate) replication_factor: String,
    /// A config and its value on each line, as `name=value`.
    #[serde(default)]
    pub(crate) configs: String,
    /// Whether it is only found out whether the topic could be created.
    pub(crate) dry_run: Option<String>,
    pub(crate) token: Option<String>,
}

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
