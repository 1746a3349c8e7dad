//! The cluster as an immutable image, the metadata records that change it, and the features and names around it.
//!
//! The metadata log (`__cluster_metadata-0`) is a list of [`MetadataRecord`]s. Replaying them gives a
//! [`MetadataImage`]; [`Changes`] tells what differs between two of them. Nothing here decides anything: the
//! controller does.

pub mod acl;
pub mod bootstrap;
mod changes;
pub mod config;
pub mod feature;
pub mod image;
mod record;
pub mod scram;
pub mod topic_name;
mod version;

pub use changes::{Changes, PartitionDiff};
pub use image::{MetadataImage, Provenance};
pub use record::{MetadataRecord, RecordError};
pub use version::{MetadataVersion, UnknownVersion};
