//! Why a request has no useful answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thalweg_base::{Offset, TopicPartition};
use thalweg_records::BatchError;
use thalweg_wire::{ApiKey, DecodeError, EncodeError, ErrorCode};

use crate::{Destination, Peer};

/// Why a request has no useful answer. Every variant names the peer where there was one.
///
/// It is cheap to clone, since one broken connection fails every request that was in flight on it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name of the peer's host stands for no address.
    #[error("cannot resolve the host of {peer}: {source}")]
    Resolve {
        /// The peer.
        peer: Peer,
        /// What the resolver says.
        source: Arc<io::Error>,
    },
    /// No connection could be made.
    #[error("cannot connect to {peer}: {source}")]
    Connect {
        /// The peer.
        peer: Peer,
        /// What the kernel says.
        source: Arc<io::Error>,
    },
    /// The peer does not let this client in.
    #[error("authentication at {peer} failed: {reason}")]
    Authentication {
        /// The peer.
        peer: Peer,
        /// What the peer says.
        reason: Arc<str>,
    },
    /// There was no answer within the time that the request had. Whether it was carried out is not known.
    #[error("{peer} did not answer {api} within {} ms", after.as_millis())]
    TimedOut {
        /// The peer.
        peer: Peer,
        /// The API of the request.
        api: Api,
        /// How much time the request had.
        after: Duration,
    },
    /// The connection ended before the answer came. Whether the request was carried out is not known.
    #[error("the connection to {peer} ended: {reason}")]
    Disconnected {
        /// The peer.
        peer: Peer,
        /// Why it ended.
        reason: Arc<str>,
    },
    /// The peer and this client have no version of the API in common, or the peer does not have the forced one.
    #[error("{peer} does not support {api}{}", describe_versions(*version, *theirs))]
    UnsupportedVersion {
        /// The peer.
        peer: Peer,
        /// The API.
        api: Api,
        /// The version that was asked for, if the caller chose one.
        version: Option<i16>,
        /// The versions that the peer has; `None` if it does not have the API.
        theirs: Option<(i16, i16)>,
    },
    /// The request says something that the chosen version has no field for. Nothing was sent.
    #[error("{api} version {version} cannot express the request: {source}")]
    Encode {
        /// The API.
        api: Api,
        /// The version.
        version: i16,
        /// What cannot be expressed.
        source: EncodeError,
    },
    /// The answer is not an encoding of the API's response.
    #[error("{peer} sent a malformed response to {api} version {version}: {source}")]
    Decode {
        /// The peer.
        peer: Peer,
        /// The API.
        api: Api,
        /// The version.
        version: i16,
        /// What is wrong with the bytes.
        source: DecodeError,
    },
    /// No node of the cluster can be reached.
    #[error("{}", describe_attempts(tried))]
    Unreachable {
        /// Why, for each address that was tried.
        tried: Arc<[Error]>,
    },
    /// The cluster does not say where the request belongs.
    #[error("{destination} is not known: {code}: {}", code.message())]
    Unroutable {
        /// The place.
        destination: Destination,
        /// Why it is not known, as an error code of Kafka's.
        code: ErrorCode,
    },
    /// A partition cannot be read or written.
    #[error("partition {partition}: {code}: {}", code.message())]
    Partition {
        /// The partition.
        partition: TopicPartition,
        /// Kafka's error code.
        code: ErrorCode,
    },
    /// A topic cannot be used.
    #[error("topic {topic}: {code}: {}", code.message())]
    Topic {
        /// The topic.
        topic: Arc<str>,
        /// Kafka's error code.
        code: ErrorCode,
    },
    /// A coordinator refused.
    #[error("{destination} refused {api}: {code}: {}", code.message())]
    Coordinator {
        /// The coordinator.
        destination: Destination,
        /// The API.
        api: Api,
        /// Kafka's error code.
        code: ErrorCode,
    },
    /// A record is larger than `max.request.size` or `buffer.memory` allow. It was not taken.
    #[error("the record takes {bytes} bytes; at most {max} are allowed by max.request.size and buffer.memory")]
    RecordTooLarge {
        /// About how many bytes it takes.
        bytes: usize,
        /// How many it may take.
        max: usize,
    },
    /// `buffer.memory` was full for `max.block.ms`. The record was not taken.
    #[error("buffer.memory was full for {} ms", after.as_millis())]
    BufferFull {
        /// `max.block.ms`.
        after: Duration,
    },
    /// A record was not written within `delivery.timeout.ms`, or in as many attempts as `retries` allows. If an attempt's
    /// answer was lost, it may have been written.
    #[error("partition {partition}: not written within {} ms{}", after.as_millis(), describe_last(last.as_deref()))]
    Expired {
        /// The partition.
        partition: TopicPartition,
        /// `delivery.timeout.ms`.
        after: Duration,
        /// What went wrong last.
        last: Option<Box<Error>>,
    },
    /// Not everything was written by the deadline of a flush.
    #[error("not everything was written in time")]
    Unflushed,
    /// A partition has no committed offset, and `auto.offset.reset` is `none`.
    #[error("partition {partition} has no committed offset, and auto.offset.reset is none")]
    NoOffset {
        /// The partition.
        partition: TopicPartition,
    },
    /// Records that the consumer has read are no longer in the log, and `auto.offset.reset` is `none` (KIP-320).
    #[error("partition {partition}: the log was truncated to {} before position {position}", describe_end(*end))]
    Truncated {
        /// The partition.
        partition: TopicPartition,
        /// The consumer's position.
        position: Offset,
        /// The end of what the log and the records that were read have in common, if the leader knows it.
        end: Option<Offset>,
    },
    /// The producer is closed.
    #[error("the producer is closed")]
    Closed,
    /// The producer or consumer cannot do this now, or as it is configured.
    #[error("{0}")]
    State(&'static str),
    /// The records of a partition cannot be read.
    #[error("partition {partition} at offset {offset}: {source}")]
    Batch {
        /// The partition.
        partition: TopicPartition,
        /// The position.
        offset: Offset,
        /// What is wrong with them.
        source: Box<BatchError>,
    },
    /// The broker refused.
    #[error("{peer} refused {api}: {}", describe_refusal(*code, message.as_deref()))]
    Refused {
        /// The peer.
        peer: Peer,
        /// The API.
        api: Api,
        /// Kafka's error code.
        code: ErrorCode,
        /// The broker's own words, if it sent any.
        message: Option<Arc<str>>,
    },
}

/// An API as errors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Api(pub ApiKey);

impl std::fmt::Display for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Error {
    /// Why the client was not let in, if that is what kept it from every node.
    #[must_use]
    pub fn authentication(&self) -> Option<&str> {
        match self {
            Self::Authentication { reason, .. } => Some(reason),
            Self::Unreachable { tried } => tried.iter().find_map(Self::authentication),
            _ => None,
        }
    }

    /// Whether the same request may succeed when it is sent again, perhaps to another node: the connection is at fault,
    /// or the broker's error code is a retriable one.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } | Self::TimedOut { .. } | Self::Disconnected { .. } => true,
            Self::Unreachable { tried } => tried.is_empty() || tried.iter().any(Self::is_retriable),
            Self::Refused { code, .. }
            | Self::Partition { code, .. }
            | Self::Topic { code, .. }
            | Self::Coordinator { code, .. } => {
                // The client begins again with its bootstrap nodes, and then asks again (KIP-1102).
                code.is_retriable() || *code == ErrorCode::RebootstrapRequired
            }
            Self::BufferFull { .. } | Self::Expired { .. } | Self::Unflushed => true,
            // A node that is not there now may come back.
            Self::Unroutable { code, .. } => code.is_retriable() || *code == ErrorCode::BrokerNotAvailable,
            Self::Authentication { .. }
            | Self::UnsupportedVersion { .. }
            | Self::Encode { .. }
            | Self::Decode { .. }
            | Self::Batch { .. }
            | Self::RecordTooLarge { .. }
            | Self::NoOffset { .. }
            | Self::Truncated { .. }
            | Self::Closed
            | Self::State(_) => false,
        }
    }
}

fn describe_attempts(tried: &[Error]) -> String {
    if tried.is_empty() {
        return "no node could be asked in time".to_owned();
    }
    let reasons: Vec<String> = tried.iter().map(ToString::to_string).collect();
    reasons.join("; ")
}

fn describe_versions(version: Option<i16>, theirs: Option<(i16, i16)>) -> String {
    let wanted = version.map(|version| format!(" version {version}")).unwrap_or_default();
    match theirs {
        Some((low, high)) => format!("{wanted}; it has versions {low} to {high}"),
        None => wanted,
    }
}

fn describe_last(last: Option<&Error>) -> String {
    last.map(|error| format!("; the last attempt: {error}")).unwrap_or_default()
}

fn describe_end(end: Option<Offset>) -> String {
    end.map_or_else(|| "an unknown offset".to_owned(), |end| format!("offset {end}"))
}

fn describe_refusal(code: ErrorCode, message: Option<&str>) -> String {
    format!("{code}: {}", message.unwrap_or_else(|| code.message()))
}
