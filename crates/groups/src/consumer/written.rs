//! Records of a group as a whole.

use bytestring::ByteString;
use thalweg_wire::messages as m;

use super::group::Resolved;
use crate::records::Record;

/// The record of a group's epoch.
pub(super) fn epoch_record(group_id: &ByteString, epoch: i32, metadata_hash: i64) -> Record {
    let key = m::ConsumerGroupMetadataKey { group_id: group_id.clone() };
    (key, m::ConsumerGroupMetadataValue { epoch, metadata_hash }).into()
}

/// The record of what a regular expression stands for.
pub(super) fn regex_record(group_id: &ByteString, regex: &ByteString, resolved: &Resolved) -> Record {
    let key = m::ConsumerGroupRegularExpressionKey { group_id: group_id.clone(), regular_expression: regex.clone() };
    let value = m::ConsumerGroupRegularExpressionValue {
        topics: resolved.topics.iter().cloned().collect(),
        version: resolved.version,
        timestamp: resolved.timestamp,
    };
    (key, value).into()
}
