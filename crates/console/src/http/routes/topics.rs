//! `/topic`: topics, and the groups that read one.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use thalweg_base::TopicPartition;

use super::super::{Answer, Wants};
use super::{Console, answered, queried};
use crate::console::Shared;
use crate::kafdrop::{self, Consumer};
use crate::kafka::{ConfigScope, Range, Topic};
use crate::pages::{ConfigTable, ListQuery, TopicFound, TopicGroupsPage, TopicList, TopicPage, TopicsPage};
use crate::text;
use crate::trouble::Trouble;

/// All topics. Kafdrop has only the JSON.
pub(super) async fn list(
    State(shared): Console,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Response {
    let work = async {
        let snapshot = shared.kafka.snapshot().await?;
        if Wants::of(&headers, Wants::Json) == Wants::Json {
            let mut configs = shared.kafka.configs_of_topics(&snapshot).await?;
            return Ok(Answer::json(&kafdrop::topics(&snapshot, &mut configs)));
        }
        let list = TopicList::new(format!("{}/topic", shared.base), &snapshot, &queried(query)?);
        let frame = shared.frame(&headers).at("topics").with_tool("kafka-topics.sh", "--list").with_curl("/topic");
        Ok(Answer::page(&TopicsPage::new(frame, list)))
    };
    answered(&shared, &headers, Wants::Json, work).await
}

/// A topic.
pub(super) async fn one(State(shared): Console, headers: HeaderMap, Path(name): Path<String>) -> Response {
    answered(&shared, &headers, Wants::Html, detail(&shared, &headers, &name)).await
}

async fn detail(shared: &Shared, headers: &HeaderMap, name: &str) -> Result<Answer, Trouble> {
    let snapshot = shared.kafka.snapshot_with(name).await?;
    let topic = snapshot.topic(name)?;
    let ranges = shared.kafka.topic_ranges(name, topic).await?;
    let configs = shared.kafka.configs(ConfigScope::Topic(name)).await;
    if Wants::of(headers, Wants::Html) == Wants::Json {
        let set = configs.unwrap_or_default().into_iter().filter(crate::kafka::Config::is_set);
        let set = set.map(|config| (config.name, config.value)).collect();
        return Ok(Answer::json(&kafdrop::Topic::new(name, topic, set, Some(&ranges))));
    }
    let mut troubles: Vec<String> = configs.as_ref().err().map(ToString::to_string).into_iter().collect();
    let (sizes, (producers, silent), acls) = tokio::join!(
        shared.kafka.replica_sizes(name, topic),
        shared.kafka.producers(name, topic),
        shared.kafka.acls_of_topic(name),
    );
    troubles.extend(silent.iter().map(ToString::to_string));
    let acls = acls.unwrap_or_else(|trouble| {
        troubles.push(trouble.to_string());
        None
    });
    let part = text::part(name);
    let frame = shared
        .frame(headers)
        .at("topics")
        .with_tool("kafka-topics.sh", &format!("--describe --topic {}", text::shell(name)))
        .with_curl(&format!("/topic/{part}"));
    let configs = ConfigTable::new(configs.unwrap_or_default());
    let found = TopicFound { ranges: &ranges, sizes: &sizes, configs, producers: &producers, acls, troubles };
    Ok(Answer::page(&TopicPage::new(frame, name, topic, found)))
}

/// The groups that have committed offsets of a topic. Kafdrop has only the JSON.
pub(super) async fn consumers(State(shared): Console, headers: HeaderMap, Path(name): Path<String>) -> Response {
    let work = async {
        let snapshot = shared.kafka.snapshot_with(&name).await?;
        let topic = snapshot.topic(&name)?;
        let ranges = named(&name, topic, &shared.kafka.topic_ranges(&name, topic).await?);
        let (groups, troubles) = shared.kafka.groups(&snapshot).await?;
        let progress = shared.kafka.progress_in(&name, &ranges, &groups).await?;
        if Wants::of(&headers, Wants::Json) == Wants::Json {
            let consumers: Vec<Consumer> =
                progress.iter().map(|(group, progress)| Consumer::new(group, progress)).collect();
            return Ok(Answer::json(&consumers));
        }
        let frame = shared
            .frame(&headers)
            .at("topics")
            .with_tool("kafka-consumer-groups.sh", "--describe --all-groups")
            .with_curl(&format!("/topic/{}/consumers", text::part(&name)));
        Ok(Answer::page(&TopicGroupsPage::new(frame, &name, &groups, &progress, &troubles)))
    };
    answered(&shared, &headers, Wants::Json, work).await
}

/// The offsets of a topic by partition, of those that are known.
fn named(name: &str, topic: &Topic, ranges: &[Option<Range>]) -> BTreeMap<TopicPartition, Range> {
    let pairs = topic.partitions.iter().zip(ranges);
    pairs.filter_map(|(partition, range)| Some((TopicPartition::new(name, partition.id), (*range)?))).collect()
}
