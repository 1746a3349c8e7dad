//! DeleteTopics.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_metadata::MetadataImage;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::delete_topics_response::DeletableTopicResult;
use thalweg_wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse, RemoveTopicRecord};

use crate::{Controller, Mutations, Outcome, Refusal};

/// What a request names, sorted, each once; and what it names twice.
#[derive(Default)]
struct Named<T> {
    once: BTreeSet<T>,
    twice: BTreeSet<T>,
}

impl<T: Ord + Clone> Named<T> {
    fn add(&mut self, item: T) {
        if self.twice.contains(&item) || !self.once.insert(item.clone()) {
            self.once.remove(&item);
            self.twice.insert(item);
        }
    }
}

impl Controller {
    /// Deletes topics by name or id. Each of them succeeds or fails by itself.
    ///
    /// # Errors
    /// If topics cannot be deleted at all (`delete.topic.enable`).
    pub fn delete_topics(
        &self,
        image: &MetadataImage,
        request: &DeleteTopicsRequest,
        request_version: i16,
        mutations: &mut Mutations,
    ) -> Result<Outcome<DeleteTopicsResponse>, Refusal> {
        if !self.settings().delete_topic_enable {
            return Err(match request_version {
                ..3 => Refusal::because(ErrorCode::InvalidRequest, "This version does not support topic deletion."),
                _ => Refusal::bare(ErrorCode::TopicDeletionDisabled),
            });
        }
        let mut responses = Vec::new();
        let (names, ids) = read(request, &mut responses);
        let mut by_id: BTreeMap<Uuid, ByteString> = BTreeMap::new();
        for id in &ids.once {
            match image.topics().by_id(*id) {
                Some(topic) => {
                    by_id.insert(*id, (&*topic.name).into());
                }
                None => responses.push(result(None, *id, Err(Refusal::usual(ErrorCode::UnknownTopicId)))),
            }
        }
        for name in names.once {
            let Some(topic) = image.topics().by_name(&name) else {
                let unknown = Refusal::usual(ErrorCode::UnknownTopicOrPartition);
                responses.push(result(Some(name), Uuid::ZERO, Err(unknown)));
                continue;
            };
            if ids.twice.contains(&topic.id) || by_id.insert(topic.id, name.clone()).is_some() {
                by_id.remove(&topic.id);
                let text = "The provided topic name maps to an ID that was already supplied.";
                responses.push(result(Some(name), topic.id, Err(invalid(text))));
            }
        }
        let mut records = Vec::with_capacity(by_id.len());
        for (id, name) in by_id {
            let partitions = image.topics().by_id(id).map_or(0, |topic| topic.partition_count());
            let allowed = mutations.take(partitions);
            if allowed.is_ok() {
                records.push(RemoveTopicRecord { topic_id: id }.into());
            }
            responses.push(result(Some(name), id, allowed));
        }
        Ok(Outcome { records, response: DeleteTopicsResponse { responses, ..Default::default() } })
    }
}

/// What the request names, in either of its two forms. What it names wrongly is answered at once.
fn read(request: &DeleteTopicsRequest, responses: &mut Vec<DeletableTopicResult>) -> (Named<ByteString>, Named<Uuid>) {
    let (mut names, mut ids) = (Named::default(), Named::default());
    for name in &request.topic_names {
        names.add(name.clone());
    }
    for topic in &request.topics {
        match (&topic.name, topic.topic_id.is_zero()) {
            (None, true) => {
                let refusal = invalid("Neither topic name nor id were specified.");
                responses.push(result(None, Uuid::ZERO, Err(refusal)));
            }
            (None, false) => ids.add(topic.topic_id),
            (Some(name), true) => names.add(name.clone()),
            (Some(name), false) => {
                let refusal = invalid("You may not specify both topic name and topic id.");
                responses.push(result(Some(name.clone()), topic.topic_id, Err(refusal)));
            }
        }
    }
    for name in &names.twice {
        responses.push(result(Some(name.clone()), Uuid::ZERO, Err(invalid("Duplicate topic name."))));
    }
    for id in &ids.twice {
        responses.push(result(None, *id, Err(invalid("Duplicate topic id."))));
    }
    (names, ids)
}

fn invalid(text: &str) -> Refusal {
    Refusal::because(ErrorCode::InvalidRequest, text)
}

fn result(name: Option<ByteString>, topic_id: Uuid, result: Result<(), Refusal>) -> DeletableTopicResult {
    let (error_code, error_message) = crate::refusal::parts(&result);
    DeletableTopicResult { name, topic_id, error_code, error_message }
}

#[cfg(test)]
mod tests;
