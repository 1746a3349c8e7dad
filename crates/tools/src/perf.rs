//! What the tools that measure how fast records are read have in common.

use std::time::Duration;

use thalweg_base::Timestamp;
use thalweg_client::{ConsumerRecord, Properties};

use crate::admin;
use crate::date;
use crate::failure::Failure;
use crate::jopt::{Line, key_values};
use crate::out::Out;
use crate::thrown::Thrown;

const DATE_FORMAT: &str = "yyyy-MM-dd HH:mm:ss:SSS";
const MEGABYTE: f64 = 1024.0 * 1024.0;

/// So many bytes in megabytes.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / MEGABYTE
}

/// So many milliseconds; none where the number is negative.
pub(crate) fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// So many a second, as Java prints it.
pub(crate) fn rate(amount: f64, time: Duration) -> String {
    let rate = amount / time.as_secs_f64();
    match rate {
        rate if rate.is_nan() => "NaN".into(),
        rate if rate.is_infinite() => "Infinity".into(),
        rate => format!("{rate:.4}"),
    }
}

/// Records and their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Count {
    /// Counts a record.
    pub(crate) fn add(&mut self, record: &ConsumerRecord) {
        let len = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, |part| part.len() as u64);
        self.records += 1;
        self.bytes += len(&record.key) + len(&record.value);
    }

    /// What was counted after `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { records: self.records - before.records, bytes: self.bytes - before.bytes }
    }

    pub(crate) fn megabytes(self) -> f64 {
        megabytes(self.bytes)
    }
}

/// How much is read, how long, and how it is printed.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) records: u64,
    timeout: Duration,
    pub(crate) interval: Duration,
    pub(crate) is_detailed: bool,
    date_format: String,
}

impl Plan {
    pub(crate) fn of_line(line: &Line) -> Result<Self, Failure> {
        Ok(Self {
            records: line.number::<i64>("messages")?.or(line.number("num-records")?).unwrap_or(0).max(0).unsigned_abs(),
            timeout: millis(line.number::<i64>("timeout")?.unwrap_or(10_000)),
            interval: millis(line.number::<i64>("reporting-interval")?.unwrap_or(5000)),
            is_detailed: line.has("show-detailed-stats"),
            date_format: line.value("date-format")?.unwrap_or(DATE_FORMAT).to_owned(),
        })
    }

    /// A time of the wall clock in milliseconds, as it is printed.
    pub(crate) fn date(&self, at: i64) -> String {
        date::formatted(&self.date_format, Timestamp(at))
    }

    /// Whether it was too long that nothing has come.
    pub(crate) fn is_over(&self, silent: Duration) -> bool {
        silent > self.timeout
    }

    /// Says so when time was up before there were enough records.
    pub(crate) fn warn_of_missing(&self, read: u64, out: &mut Out) {
        if read < self.records {
            out.line(format_args!(
                "WARNING: Exiting before consuming the expected number of records: timeout ({} ms) exceeded. You can use the \
                 --timeout option to increase the timeout.",
                self.timeout.as_millis()
            ));
        }
    }
}

/// Checks the options that have an older name too, and warns of the older ones.
pub(crate) fn check_renamed(line: &Line, out: &mut Out) -> Result<(), Failure> {
    line.require_one_of(&["messages", "num-records"])?;
    line.forbid("consumer.config", &["command-config"])?;
    for (old, new) in [("messages", "num-records"), ("consumer.config", "command-config")] {
        if line.has(old) {
            out.line(format_args!("Warning: --{old} is deprecated. Use --{new} instead."));
        }
    }
    Ok(())
}

/// The consumer's properties as far as file, `--command-property` and `--bootstrap-server` name them.
pub(crate) fn properties(line: &Line) -> Result<Properties, Thrown> {
    let path = line.value("consumer.config")?.or(line.value("command-config")?);
    let mut properties = admin::properties_of(path)?;
    for (key, value) in key_values(line.values("command-property")) {
        properties.set(&key, &value);
    }
    properties.set("bootstrap.servers", line.value("bootstrap-server")?.unwrap_or_default());
    Ok(properties)
}
