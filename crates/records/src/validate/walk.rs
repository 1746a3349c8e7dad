//! One pass over the records of a batch, decompressing if need be, that keeps none of them.

use thalweg_base::Timestamp;

use super::{Invalid, InvalidKind, Meter, RECORD_ERRORS_MAX, Rules, from_batch_error};
use crate::error::Fault;
use crate::record::Layout;
use crate::stream::{Found, Scratch};
use crate::{BatchError, BatchHeader, BatchView, Compression, HEAD, TimestampType};

/// What a pass finds out about a batch that is valid.
pub(super) struct Walked {
    /// The largest timestamp, -1 when no record has one.
    pub(super) max_timestamp: Timestamp,
    pub(super) offsets_are_consecutive: bool,
}

/// Walks over the records of `view`, which `source` compressed. `in_place` says that the records are going to stay as
/// they are, which only shows in messages.
pub(super) fn walk(
    view: &BatchView,
    source: Compression,
    in_place: bool,
    rules: &Rules,
    now: Timestamp,
    scratch: &mut Scratch,
) -> Result<Walked, Invalid> {
    let mut walk = Walk {
        header: view.header(),
        rules,
        now: now.0,
        partial: in_place && source != Compression::None,
        checks_timestamps: checks_timestamps(view.header(), rules),
        max_timestamp: -1,
        offsets_are_consecutive: true,
        index: 0,
        errors: Vec::new(),
        errors_total: 0,
        meter: None,
        any_timestamp: false,
    };
    let payload = &view.bytes()[HEAD..];
    match source {
        Compression::None => walk.walk_slice(payload),
        _ => walk.walk_stream(source, payload, scratch),
    }
    .map_err(|error| from_batch_error(&error, rules))?;
    walk.finish()
}

/// Log append time makes the producer's timestamps irrelevant, unless it claims to have set log append time itself.
fn checks_timestamps(header: &BatchHeader, rules: &Rules) -> bool {
    rules.timestamp_type == TimestampType::CreateTime
        || header.attributes.timestamp_type() == TimestampType::LogAppendTime
}

struct Walk<'a> {
    header: &'a BatchHeader,
    rules: &'a Rules,
    now: i64,
    /// Whether Kafka would have skipped keys and values, which it says in messages.
    partial: bool,
    checks_timestamps: bool,
    max_timestamp: i64,
    offsets_are_consecutive: bool,
    index: i32,
    errors: Vec<(i32, String)>,
    errors_total: usize,
    meter: Option<Meter>,
    /// Whether one of the errors is about a timestamp.
    any_timestamp: bool,
}

impl Walk<'_> {
    fn walk_slice(&mut self, payload: &[u8]) -> Result<(), BatchError> {
        let mut at = 0;
        for _ in 0..self.header.count {
            let layout = Layout::read(payload, &mut at)?;
            self.record(&Found::from(&layout));
        }
        match at == payload.len() {
            true => Ok(()),
            false => Err(Fault::BytesLeft.into()),
        }
    }

    fn walk_stream(&mut self, source: Compression, payload: &[u8], scratch: &mut Scratch) -> Result<(), BatchError> {
        let mut stream = scratch.stream(source, payload, self.rules.decompressed_bytes_max);
        for _ in 0..self.header.count {
            let found = stream.next_record()?;
            self.record(&found);
        }
        stream.expect_end()
    }

    #[inline]
    fn record(&mut self, found: &Found) {
        self.offsets_are_consecutive &= found.offset_delta == self.index;
        let timestamp = self.header.timestamp_of(found.timestamp_delta).0;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        if self.rules.compacted && found.key_len < 0 {
            self.refuse_key();
        } else if self.checks_timestamps && !self.timestamp_is_valid(timestamp) {
            self.refuse_timestamp(found, timestamp);
        }
        self.index += 1;
    }

    #[inline]
    fn timestamp_is_valid(&self, timestamp: i64) -> bool {
        if self.rules.timestamp_type == TimestampType::CreateTime && timestamp != -1 {
            let age = self.now.wrapping_sub(timestamp);
            return age <= self.rules.timestamp_before_max_ms
                && age.wrapping_neg() <= self.rules.timestamp_after_max_ms;
        }
        self.header.attributes.timestamp_type() == TimestampType::CreateTime
    }

    #[cold]
    fn refuse_key(&mut self) {
        self.meter = Some(Meter::NoKeyCompactedTopic);
        let topic_partition = &self.rules.topic_partition;
        self.refuse(format!("Compacted topic cannot accept message without key in topic partition {topic_partition}"));
    }

    #[cold]
    fn refuse_timestamp(&mut self, found: &Found, timestamp: i64) {
        self.any_timestamp = true;
        let offset = self.header.offset_of(found.offset_delta);
        if self.rules.timestamp_type == TimestampType::CreateTime && timestamp != -1 {
            let earliest = self.now.wrapping_sub(self.rules.timestamp_before_max_ms);
            let latest = self.now.wrapping_add(self.rules.timestamp_after_max_ms);
            self.refuse(format!(
                "Timestamp {timestamp} of message with offset {offset} is out of range. The timestamp should be within \
                 [{earliest}, {latest}]"
            ));
            return;
        }
        let (class, key, value) = match self.partial {
            true => ("PartialDefaultRecord", found.key_len, found.value_len),
            false => ("DefaultRecord", found.key_len.max(0), found.value_len.max(0)),
        };
        self.refuse(format!(
            "Invalid timestamp type in message {class}(offset={offset}, timestamp={timestamp}, key={key} bytes, \
             value={value} bytes). Producer should not set timestamp type to LogAppendTime."
        ));
    }

    fn refuse(&mut self, message: String) {
        self.errors_total += 1;
        if self.errors.len() < RECORD_ERRORS_MAX {
            self.errors.push((self.index, message));
        }
    }

    fn finish(self) -> Result<Walked, Invalid> {
        if self.errors.is_empty() {
            let max_timestamp = Timestamp(self.max_timestamp);
            return Ok(Walked { max_timestamp, offsets_are_consecutive: self.offsets_are_consecutive });
        }
        let (kind, message) = match self.any_timestamp {
            true => (
                InvalidKind::InvalidTimestamp,
                "One or more records have been rejected due to invalid timestamp".to_owned(),
            ),
            false => (InvalidKind::InvalidRecord, self.record_errors_message()),
        };
        Err(Invalid { record_errors: self.errors, ..Invalid::new(kind, self.meter, message) })
    }

    /// What clients print.
    fn record_errors_message(&self) -> String {
        let first = self.errors.iter().take(3);
        let shown: Vec<String> =
            first.map(|(at, why)| format!("RecordError(batchIndex={at}, message='{why}')")).collect();
        format!(
            "One or more records have been rejected due to {} record errors in total, and only showing the first three \
             errors at most: [{}]",
            self.errors_total,
            shown.join(", ")
        )
    }
}
