//! Values that the settings of several kinds of groups have in common.

use thalweg_groups::Bounded;
use thalweg_records::{Codec, Compression};

use super::Refused;
use super::properties::Properties;

/// `group.KIND.NAME`, with the bounds `group.KIND.min.NAME` and `group.KIND.max.NAME`.
pub(super) fn bounded(properties: &Properties, kind: &str, name: &str) -> Bounded {
    let value = |prefix: &str| properties.int(&format!("group.{kind}.{prefix}{name}"));
    Bounded { value: value(""), min: value("min."), max: value("max.") }
}

/// The compression of an internal topic, by its number in batches.
pub(super) fn codec(id: i32) -> Result<Codec, Refused> {
    use Compression::{Gzip, Lz4, None, Snappy, Zstd};
    let known = [None, Gzip, Snappy, Lz4, Zstd].into_iter().find(|compression| *compression as i32 == id);
    known.map(Codec::from).ok_or_else(|| Refused::illegal(format!("Unknown compression type id: {id}")))
}
