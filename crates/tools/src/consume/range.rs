//! From where on partitions are read, and up to where.

use std::collections::BTreeMap;

use thalweg_base::{Offset, Timestamp, TopicPartition};
use thalweg_client::{Client, Isolation, OffsetSpec, Start};
use thalweg_wire::ErrorCode;

use crate::failure::Failure;
use crate::plain::{failed, time};

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Beginning,
    End,
    /// The offset that the group has committed.
    Stored,
    At(i64),
    /// So many records before the end.
    Last(i64),
    Time(Timestamp),
}

impl From {
    /// Reads `beginning`, `end`, `stored`, an offset, `-N` for the last N, `@TIME` or kcat's `s@TIME`.
    pub(super) fn parse(text: &str, now: Timestamp) -> Result<Self, String> {
        if let Some(at) = text.strip_prefix('@').or_else(|| text.strip_prefix("s@")) {
            return time(at, now).map(Self::Time);
        }
        match text {
            "beginning" | "earliest" | "start" => return Ok(Self::Beginning),
            "end" | "latest" => return Ok(Self::End),
            "stored" => return Ok(Self::Stored),
            _ => {}
        }
        match text.parse::<i64>() {
            Ok(last) if last < 0 => Ok(Self::Last(last.saturating_neg())),
            Ok(offset) => Ok(Self::At(offset)),
            Err(_) => {
                Err(format!("{text} is no offset: beginning, end, stored, a number, -N for the last N, or @TIME"))
            }
        }
    }
}

/// Looks up one offset of each partition; the end where no record is like that.
pub(super) async fn offsets(
    client: &Client,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
    isolation: Isolation,
) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    let wanted: Vec<_> = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
    let listed = client.list_offsets(&wanted, isolation, client.api_deadline()).await.map_err(|e| failed(&e))?;
    for (partition, listed) in partitions.iter().zip(listed) {
        match listed {
            Ok(listed) => match listed.offset {
                Some(offset) => drop(found.insert(partition.clone(), offset)),
                None => missing.push(partition.clone()),
            },
            Err(code) => return Err(unlisted(partition, code)),
        }
    }
    if !missing.is_empty() && spec != OffsetSpec::Latest {
        found.extend(Box::pin(offsets(client, &missing, OffsetSpec::Latest, isolation)).await?);
    }
    Ok(found)
}

fn unlisted(partition: &TopicPartition, code: ErrorCode) -> Failure {
    Failure::Message(format!("partition {partition}: {code}: {}", code.message()))
}

/// Where each partition begins.
pub(super) async fn starts(
    client: &Client,
    partitions: &[TopicPartition],
    from: From,
    isolation: Isolation,
) -> Result<Vec<(TopicPartition, Start)>, Failure> {
    let all = |start: Start| partitions.iter().map(|partition| (partition.clone(), start)).collect();
    Ok(match from {
        From::Beginning => all(Start::Beginning),
        From::End => all(Start::End),
        From::Stored => all(Start::Committed),
        From::At(offset) => all(Start::At(Offset(offset))),
        From::Time(at) => all(Start::Time(at)),
        From::Last(count) => {
            let ends = offsets(client, partitions, OffsetSpec::Latest, isolation).await?;
            let begins = offsets(client, partitions, OffsetSpec::Earliest, isolation).await?;
            let start = |(partition, end): (TopicPartition, Offset)| {
                let begin = begins.get(&partition).map_or(0, |begin| begin.0);
                let offset = end.0.saturating_sub(count).max(begin);
                (partition, Start::At(Offset(offset)))
            };
            ends.into_iter().map(start).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_a_word_a_number_or_a_time() {
        let now = Timestamp(10_000);
        for (text, from) in [
            ("beginning", From::Beginning),
            ("end", From::End),
            ("stored", From::Stored),
            ("12", From::At(12)),
            ("-3", From::Last(3)),
            ("@5", From::Time(Timestamp(5))),
            ("s@-1s", From::Time(Timestamp(9000))),
        ] {
            assert_eq!(From::parse(text, now), Ok(from), "{text}");
        }
        assert!(From::parse("middle", now).is_err() && From::parse("@never", now).is_err());
    }
}
