//! What a group's own dynamic configuration makes of the broker's.

use std::time::Duration;

use thalweg_metadata::MetadataImage;
use thalweg_metadata::image::{ConfigResource, ConfigResourceType};

use crate::millis::millis;

/// A value with the bounds that a group's own may not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// The broker's value.
    pub value: i32,
    /// The least that a group may set.
    pub min: i32,
    /// The most.
    pub max: i32,
}

impl Bounded {
    /// The group's own value within the broker's bounds, which may have been set after it was accepted.
    pub(crate) fn of(self, image: &MetadataImage, group: &str, name: &str) -> i32 {
        let own: Option<i32> = own(image, group, name).and_then(|text| text.trim().parse().ok());
        own.map_or(self.value, |own| own.min(self.max).max(self.min))
    }

    /// The same of a number of milliseconds.
    pub(crate) fn time_of(self, image: &MetadataImage, group: &str, name: &str) -> Duration {
        millis(self.of(image, group, name))
    }
}

/// What the group itself has as `name`.
pub(crate) fn own<'a>(image: &'a MetadataImage, group: &str, name: &str) -> Option<&'a str> {
    let resource = ConfigResource { kind: ConfigResourceType::Group, name: group.into() };
    image.configs().value(&resource, name).map(|text| &**text)
}
