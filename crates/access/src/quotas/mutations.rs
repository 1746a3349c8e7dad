//! Changes of partitions that users may make (KIP-599): a bucket of tokens for each, which may be overdrawn once.

use std::collections::BTreeMap;

use thalweg_base::Moment;
use thalweg_metadata::image::ClientQuotasImage;

use super::{Limits, MEASURED_MAX, Measured, Windows};

/// The key of the quota: partitions created and deleted a second.
const KEY: &str = "controller_mutation_rate";

/// What is left to one entity.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    tokens: f64,
    counted: Moment,
}

/// What users may still create and delete, as the controller that decides knows it.
#[derive(Debug)]
pub struct MutationQuotas {
    windows: Windows,
    buckets: BTreeMap<Measured, Bucket>,
    /// The limits of the image that was looked at last.
    limits: Option<(ClientQuotasImage, Limits)>,
}

impl MutationQuotas {
    /// Full buckets for everybody. They hold what the quota allows in all windows.
    #[must_use]
    pub fn new(windows: Windows) -> Self {
        assert!(windows.count >= 1 && windows.size_ms >= 1, "usage is measured over time");
        Self { windows, buckets: BTreeMap::new(), limits: None }
    }

    /// How many partitions a user's client may still create and delete, rounded down; `None` where nothing limits it.
    pub fn left(&mut self, image: &ClientQuotasImage, user: &str, client_id: &str, now: Moment) -> Option<i64> {
        Some(self.bucket(image, user, client_id, now)?.1.tokens.floor() as i64)
    }

    /// So many partitions were created and deleted, or would have been. Gives for how many milliseconds the client is to be
    /// throttled.
    pub fn record(
        &mut self,
        image: &ClientQuotasImage,
        user: &str,
        client_id: &str,
        partitions: u64,
        now: Moment,
    ) -> u32 {
        let Some((rate, bucket)) = self.bucket(image, user, client_id, now) else { return 0 };
        bucket.tokens -= partitions as f64;
        if bucket.tokens >= 0.0 {
            return 0;
        }
        let throttle_ms = (-bucket.tokens / rate * 1000.0).round();
        if throttle_ms >= f64::from(u32::MAX) { u32::MAX } else { throttle_ms as u32 }
    }

    /// The rate of a user's client and its bucket, filled up to now.
    fn bucket(
        &mut self,
        image: &ClientQuotasImage,
        user: &str,
        client_id: &str,
        now: Moment,
    ) -> Option<(f64, &mut Bucket)> {
        let limit = self.limits_of(image).find(user, client_id)?;
        let full = limit.rate * f64::from(self.windows.count) * self.windows.size_ms as f64 / 1000.0;
        let filled = |bucket: &Bucket| {
            let passed = (now.0 - bucket.counted.0).max(0) as f64 / 1000.0;
            (bucket.tokens + limit.rate * passed).min(full)
        };
        if self.buckets.len() >= MEASURED_MAX && !self.buckets.contains_key(&limit.measured) {
            // Nobody who was not heard of for all windows owes anything to speak of.
            let span_ms = i64::from(self.windows.count).saturating_mul(self.windows.size_ms);
            self.buckets.retain(|_, bucket| now.0 - bucket.counted.0 < span_ms);
            if self.buckets.len() >= MEASURED_MAX {
                return None;
            }
        }
        let bucket = self.buckets.entry(limit.measured).or_insert(Bucket { tokens: full, counted: now });
        *bucket = Bucket { tokens: filled(bucket), counted: now };
        Some((limit.rate, bucket))
    }

    /// The limits of this image, which are found out once for each of its states.
    fn limits_of(&mut self, image: &ClientQuotasImage) -> &Limits {
        let known = self.limits.take().filter(|(known, _)| known.is_same(image));
        let current = known.unwrap_or_else(|| (image.clone(), Limits::of(image, KEY)));
        &self.limits.insert(current).1
    }
}
