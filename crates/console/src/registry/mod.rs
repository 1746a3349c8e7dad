//! A schema registry: the schemas by which keys and values were written.
//!
//! What a serializer with a registry writes begins with a zero byte and the schema's id in four bytes. Schemas are fetched once
//! and kept, so many that they stay small; one that cannot be fetched is asked for again after a while.

mod avro;
mod fetch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use thalweg_client::{ConfigError, Properties};
use thalweg_sys::time::{Duration, Instant, now, timeout};
use tokio::sync::Semaphore;

use fetch::Door;

/// So many schemas are kept; the one that was fetched longest ago goes first.
const SCHEMAS_MAX: usize = 500;
/// A schema that could not be fetched is asked for again after so long.
const TROUBLE_TIME: Duration = Duration::from_secs(30);
/// So many questions to the registry wait at once.
const QUESTIONS_MAX: usize = 4;
/// All schemas of one page must have come within this time; what lacks its schema is shown as bytes.
const LEARN_TIME_MAX: Duration = Duration::from_secs(8);
/// A schema refers to so many others at most, directly or through these.
const REFERENCES_MAX: usize = 64;
/// The head of what was written with a schema: a zero, and the id.
const HEAD_BYTES: usize = 5;

/// A schema that decodes.
#[derive(Debug)]
pub(crate) enum Schema {
    Avro(avro::Schema),
    /// What follows the id is JSON.
    Json,
}

impl Schema {
    /// What it is a schema of, as a page says it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Avro(_) => "Avro",
            Self::Json => "JSON Schema",
        }
    }

    /// What was written with it, as JSON on one line; `bytes` begin behind the id.
    fn decode(&self, bytes: &[u8]) -> Result<String, String> {
        match self {
            Self::Avro(schema) => schema.decode(bytes),
            Self::Json => {
                let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
                serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|e| e.to_string())?;
                Ok(text.to_owned())
            }
        }
    }
}

/// A schema, or why there is none.
pub(crate) type Found = Result<Arc<Schema>, Arc<str>>;

/// A registry.
#[derive(Debug)]
pub(crate) struct Registry {
    door: Door,
    kept: Mutex<Kept>,
    questions: Semaphore,
}

#[derive(Debug, Default)]
struct Kept {
    schemas: BTreeMap<u32, (Instant, Found)>,
    /// The ids in the order in which they came.
    order: VecDeque<u32>,
}

/// What the registry says of a schema.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    schema: String,
    #[serde(default)]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

/// Another schema, by the name under which this one uses it.
#[derive(Clone, Debug, Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

/// The id of the schema by which bytes were written, and what follows it; `None` if they were not written so.
pub(crate) fn head(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let [0, id @ ..] = head else { return None };
    Some((u32::from_be_bytes(id.try_into().ok()?), rest))
}

impl Registry {
    /// The registry that a client's properties name as `schema.registry.url`; `None` if they name none.
    ///
    /// # Errors
    /// When the address or what is needed for its encryption cannot be used.
    pub(crate) fn of(properties: &Properties) -> Result<Option<Self>, ConfigError> {
        let door = Door::of(properties)?;
        Ok(door.map(|door| Self { door, kept: Mutex::default(), questions: Semaphore::new(QUESTIONS_MAX) }))
    }

    /// The schemas of these ids.
    pub(crate) async fn schemas(&self, ids: &BTreeSet<u32>) -> BTreeMap<u32, Found> {
        let deadline = now() + LEARN_TIME_MAX;
        let mut found = BTreeMap::new();
        for id in ids {
            let left = deadline.saturating_duration_since(now());
            let schema = timeout(left, self.schema(*id)).await;
            found.insert(*id, schema.unwrap_or_else(|_| Err("the registry is too slow".into())));
        }
        found
    }

    async fn schema(&self, id: u32) -> Found {
        if let Some(found) = self.kept(id) {
            return found;
        }
        // The semaphore is never closed.
        let _question = self.questions.acquire().await;
        if let Some(found) = self.kept(id) {
            return found;
        }
        let found = self.fetch(id).await.map(Arc::new).map_err(Arc::from);
        let mut kept = self.kept.lock();
        if kept.schemas.insert(id, (now(), found.clone())).is_none() {
            kept.order.push_back(id);
        }
        while kept.order.len() > SCHEMAS_MAX {
            let oldest = kept.order.pop_front();
            oldest.and_then(|id| kept.schemas.remove(&id));
        }
        found
    }

    fn kept(&self, id: u32) -> Option<Found> {
        let kept = self.kept.lock();
        let (at, found) = kept.schemas.get(&id)?;
        // A schema never changes; a trouble may pass.
        (found.is_ok() || at.elapsed() < TROUBLE_TIME).then(|| found.clone())
    }

    async fn fetch(&self, id: u32) -> Result<Schema, String> {
        let described: Description = self.door.document(&format!("/schemas/ids/{id}")).await?;
        let kind = described.schema_type.as_deref().unwrap_or("AVRO");
        match kind {
            "AVRO" => {}
            "JSON" => return Ok(Schema::Json),
            other => return Err(format!("it is of the type {other}, which is not read here")),
        }
        let others = self.references(described.references).await?;
        let texts: Vec<&str> = others.iter().map(|(_, text)| text.as_str()).collect();
        avro::Schema::parse(&described.schema, &texts).map(Schema::Avro)
    }

    /// The schemas to which one refers, those that others need before them.
    async fn references(&self, first: Vec<Reference>) -> Result<Vec<(String, String)>, String> {
        let mut waiting = first;
        let mut texts: Vec<(String, String)> = Vec::new();
        while let Some(reference) = waiting.pop() {
            if texts.iter().any(|(name, _)| *name == reference.name) {
                continue;
            }
            if texts.len() == REFERENCES_MAX {
                return Err(format!("the schema refers to more than {REFERENCES_MAX} others"));
            }
            let Reference { name, subject, version } = reference;
            let path = format!("/subjects/{}/versions/{version}", crate::text::part(&subject));
            let described: Description = self.door.document(&path).await?;
            waiting.extend(described.references);
            texts.push((name, described.schema));
        }
        texts.reverse();
        Ok(texts)
    }
}

/// What was written with a schema, as JSON on one line, or why it cannot be read; `None` if it was written with none.
pub(crate) fn decode<'a>(
    bytes: &[u8],
    schemas: &'a BTreeMap<u32, Found>,
) -> Option<Result<(String, &'a Schema), String>> {
    let (id, rest) = head(bytes)?;
    Some(match schemas.get(&id)? {
        Ok(schema) => match schema.decode(rest) {
            Ok(text) => Ok((text, schema)),
            Err(why) => Err(format!("it does not fit schema {id}: {why}")),
        },
        Err(why) => Err(format!("schema {id}: {why}")),
    })
}
