//! Creating topics and writing a message, as Kafdrop has it.

use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Form, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use thalweg_client::ProducerRecord;

use super::super::{Answer, Wants};
use super::change::config_lines;
use super::{Console, answered};
use crate::console::Shared;
use crate::kafka::NewTopic;
use crate::login::Visitor;
use crate::pages::{CreateForm, CreatePage};
use crate::settings::Switch;
use crate::text;
use crate::trouble::Trouble;

/// The fields of the form that writes a message, under Kafdrop's names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageForm {
    /// The key's partition without one.
    #[serde(default)]
    topic_partition: String,
    key: Option<String>,
    #[serde(default)]
    value: String,
    token: Option<String>,
}

/// A form of ours, or why it is none.
type Filled<T> = Result<Form<T>, FormRejection>;

/// The form that creates a topic.
pub(super) async fn create_form(State(shared): Console, headers: HeaderMap) -> Response {
    let work =
        async { Ok(Answer::page(&CreatePage::new(create_frame(&shared, &headers), &CreateForm::default(), None))) };
    answered(&shared, &headers, Wants::Html, work).await
}

/// Creates a topic, or finds out whether it could be.
pub(super) async fn create(
    State(shared): Console,
    Extension(from): Extension<thalweg_http::From>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    form: Filled<CreateForm>,
) -> Response {
    let work = async {
        let form = filled(form)?;
        shared.guard.may_write(&headers, form.token.as_deref())?;
        shared.settings.writes.check(Switch::CreateTopics)?;
        let dry_run = form.dry_run.is_some();
        let result = async { shared.kafka.create_topic(&new_topic(&form)?, dry_run).await }.await;
        tracing::info!(from = %from.0, %visitor, topic = form.name, dry_run, ok = result.is_ok(), "audit: create a topic");
        if Wants::of(&headers, Wants::Html) == Wants::Json {
            result?;
            return Ok(Answer::json(&serde_json::json!({ "name": form.name, "created": !dry_run })));
        }
        let said = match result {
            Ok(()) if dry_run => Ok(format!("Topic {} could be created.", form.name)),
            Ok(()) => return Ok(Answer::SeeOther(format!("{}/topic/{}", shared.base, text::part(&form.name)))),
            Err(trouble) => Err(trouble.to_string()),
        };
        Ok(Answer::page(&CreatePage::new(create_frame(&shared, &headers), &form, Some(said))))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

fn create_frame(shared: &Shared, headers: &HeaderMap) -> crate::pages::Frame {
    let frame = shared.frame(headers).at("topics");
    frame.with_tool("kafka-topics.sh", "--create --topic NAME --partitions N --replication-factor N")
}

fn new_topic(form: &CreateForm) -> Result<NewTopic, Trouble> {
    Ok(NewTopic {
        name: form.name.trim().to_owned(),
        partitions: number(&form.partitions_number, "the number of partitions")?.unwrap_or(-1),
        replication_factor: number(&form.replication_factor, "the replication factor")?.unwrap_or(-1),
        configs: config_lines(&form.configs)?,
    })
}

/// A number that was typed in; `None` if nothing was.
fn number<T: std::str::FromStr>(typed: &str, what: &str) -> Result<Option<T>, Trouble> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Ok(None);
    }
    typed.parse().map(Some).map_err(|_| Trouble::Bad(format!("{what} must be a whole number, not `{typed}`")))
}

/// Writes a message, and shows the partition from there on.
pub(super) async fn add_message(
    State(shared): Console,
    Extension(from): Extension<thalweg_http::From>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Path(name): Path<String>,
    form: Filled<MessageForm>,
) -> Response {
    let work = async {
        let form = filled(form)?;
        shared.guard.may_write(&headers, form.token.as_deref())?;
        shared.settings.writes.check(Switch::SendMessages)?;
        shared.kafka.snapshot_with(&name).await?;
        let partition: Option<i32> = number(&form.topic_partition, "the partition")?;
        let key = form.key.filter(|key| !key.is_empty()).map(Bytes::from);
        let record = ProducerRecord { partition, key, ..ProducerRecord::new(name.as_str(), form.value) };
        let result = shared.kafka.send(record).await;
        tracing::info!(from = %from.0, %visitor, topic = name, partition, ok = result.is_ok(), "audit: write a message");
        let written = result?;
        if Wants::of(&headers, Wants::Html) == Wants::Json {
            let at = serde_json::json!({ "topic": name, "partition": written.partition, "offset": written.offset });
            return Ok(Answer::json(&at));
        }
        let (base, part, partition) = (&shared.base, text::part(&name), written.partition);
        let offset = written.offset.max(0);
        Ok(Answer::SeeOther(format!("{base}/topic/{part}/messages?partition={partition}&offset={offset}&count=100")))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

fn filled<T>(form: Filled<T>) -> Result<T, Trouble> {
    form.map(|Form(form)| form).map_err(|e| Trouble::Bad(e.body_text()))
}
