//! The metadata as directories and files, named as Kafka's shell does.

use std::collections::BTreeMap;
use std::rc::Rc;

use thalweg_metadata::MetadataImage;
use thalweg_metadata::image::{ClientQuotasImage, ConfigsImage, QuotaEntity, TopicImage};

use super::text;
use crate::java;
use crate::tool::KAFKA_VERSION;

/// A directory or a file.
pub(super) enum Node<'a> {
    /// Its entries by name.
    Directory(BTreeMap<String, Rc<Node<'a>>>),
    /// What it holds, written when somebody reads it.
    File(Box<dyn Fn() -> String + 'a>),
}

impl<'a> Node<'a> {
    fn file(content: impl Fn() -> String + 'a) -> Self {
        Self::File(Box::new(content))
    }

    fn directory<N: Into<String>>(entries: impl IntoIterator<Item = (N, Self)>) -> Self {
        Self::Directory(entries.into_iter().map(|(name, node)| (name.into(), Rc::new(node))).collect())
    }

    /// An entry of a directory.
    #[cfg(test)]
    pub(super) fn child(&self, name: &str) -> Option<&Rc<Self>> {
        match self {
            Self::Directory(entries) => entries.get(name),
            Self::File(_) => None,
        }
    }

    /// All of a node, as indented lines.
    pub(super) fn lines(&self, depth: usize, line: &mut dyn FnMut(String)) {
        let indent = "  ".repeat(depth);
        match self {
            Self::File(content) => line(format!("{indent}{}", content())),
            Self::Directory(entries) => {
                for (name, node) in entries {
                    line(format!("{indent}{name}:"));
                    node.lines(depth + 1, line);
                }
            }
        }
    }
}

/// The root of an image's tree.
pub(super) fn of_image(image: &MetadataImage) -> Node<'_> {
    let local =
        [("commitId", Node::file(|| "unknown".to_owned())), ("version", Node::file(|| KAFKA_VERSION.to_owned()))];
    let cluster = [
        (
            "brokers",
            Node::directory(
                image
                    .cluster()
                    .brokers()
                    .map(|broker| (broker.id.0.to_string(), Node::file(move || text::broker(broker)))),
            ),
        ),
        (
            "controllers",
            Node::directory(
                image
                    .cluster()
                    .controllers()
                    .map(|controller| (controller.id.0.to_string(), Node::file(move || text::controller(controller)))),
            ),
        ),
    ];
    let acls = image.acls().iter().map(|(id, acl)| (id.to_string(), Node::file(move || text::acl(acl))));
    let tokens = image.delegation_tokens().iter();
    let tokens = tokens.map(|(id, token)| (&**id, Node::file(move || text::token(id, token))));
    // The first block begins at 0, so that the next one does not.
    let next_producer = Some(image.next_producer_id().0).filter(|next| *next > 0).unwrap_or(-1);
    let parts = [
        ("acls", Node::directory([("byId", Node::directory(acls))])),
        ("clientQuotas", quotas(image.client_quotas())),
        ("cluster", Node::directory(cluster)),
        ("configs", configs(image.configs())),
        ("delegationToken", Node::directory(tokens)),
        ("features", features(image)),
        ("producerIds", Node::directory([("nextProducerId", Node::file(move || next_producer.to_string()))])),
        ("provenance", Node::file(|| text::provenance(image.provenance()))),
        ("scram", scram(image)),
        ("topics", topics(image)),
    ];
    Node::directory([("image", Node::directory(parts)), ("local", Node::directory(local))])
}

fn features(image: &MetadataImage) -> Node<'_> {
    let version = Node::file(|| match image.features().metadata_version() {
        Some(version) => format!("Optional[{version}]"),
        None => "Optional.empty".to_owned(),
    });
    let others = image.features().iter().skip_while(|(name, _)| *name == "metadata.version");
    let others = others.map(|(name, level)| (format!("finalized_{name}"), Node::file(move || level.to_string())));
    Node::directory(others.chain([("metadataVersion".to_owned(), version)]))
}

fn configs(image: &ConfigsImage) -> Node<'_> {
    Node::directory(image.iter().map(|(resource, configs)| {
        let name = match &*resource.name {
            "" => resource.kind.name().to_owned(),
            name => format!("{}:{name}", resource.kind.name()),
        };
        let files = configs.iter().map(|(name, value)| (&**name, Node::file(|| value.to_string())));
        (name, Node::directory(files))
    }))
}

fn quotas(image: &ClientQuotasImage) -> Node<'_> {
    Node::directory(image.iter().map(|(entity, quotas)| {
        let files = quotas.iter().map(|(name, value)| (&**name, Node::file(|| java::double(*value))));
        (quota_entity(entity), Node::directory(files))
    }))
}

/// The name of the directory of an entity's quotas. Kafka's shell has no name for a default.
fn quota_entity(entity: &QuotaEntity) -> String {
    let escaped = |name: &str| name.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
    let part = |(kind, name): &(std::sync::Arc<str>, Option<std::sync::Arc<str>>)| {
        let kind = if &**kind == "client-id" { "clientId" } else { kind };
        format!("{kind}({})", name.as_deref().map_or("<default>".to_owned(), escaped))
    };
    entity.parts().iter().map(part).collect::<Vec<_>>().join("_")
}

fn scram(image: &MetadataImage) -> Node<'_> {
    let of = move |mechanism: i8| {
        let users = image.scram().iter().filter(move |(other, ..)| *other == mechanism);
        Node::directory(users.map(|(_, user, credential)| (user, Node::file(|| text::scram(credential)))))
    };
    Node::directory([("SCRAM-SHA-256", of(1)), ("SCRAM-SHA-512", of(2))])
}

fn topics(image: &MetadataImage) -> Node<'_> {
    let mut by_id = BTreeMap::new();
    let mut by_name = BTreeMap::new();
    for topic in image.topics().iter() {
        let node = Rc::new(of_topic(topic));
        by_id.insert(topic.id.to_string(), Rc::clone(&node));
        by_name.insert(topic.name.to_string(), node);
    }
    Node::directory([("byId", Node::Directory(by_id)), ("byName", Node::Directory(by_name))])
}

fn of_topic(topic: &TopicImage) -> Node<'_> {
    let partitions = topic.partitions.iter();
    let partitions =
        partitions.map(|(index, partition)| (index.to_string(), Node::file(|| text::partition(partition))));
    let about = [
        ("id".to_owned(), Node::file(|| topic.id.to_string())),
        ("name".to_owned(), Node::file(|| topic.name.to_string())),
    ];
    Node::directory(partitions.chain(about))
}
