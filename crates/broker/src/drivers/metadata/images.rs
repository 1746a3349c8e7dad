//! The cluster as the metadata log says it: with everything that is in the log, and with what is committed.

use std::collections::VecDeque;

use thalweg_base::LeaderEpoch;
use thalweg_base::{Offset, Timestamp};
use thalweg_metadata::{MetadataImage, MetadataRecord, Provenance};

/// The image of a prefix of the log.
#[derive(Clone, Debug)]
pub(super) struct Prefix {
    /// The offset after the last record that the image has seen.
    pub(super) end: Offset,
    pub(super) image: MetadataImage,
    /// How many bytes of records the image has seen.
    pub(super) appended: u64,
}

/// The images of the log.
///
/// An image is cheap to copy, so that one is kept for each batch that is not committed: when that is committed, its image is the
/// one that counts; when it is cut off, the one before counts again.
///
/// Invariants: the ends of the uncommitted prefixes ascend, and lie behind the committed one; `newest` is the image of the
/// last of them.
#[derive(Debug, Default)]
pub(super) struct Images {
    newest: MetadataImage,
    uncommitted: VecDeque<Prefix>,
    committed: Option<Prefix>,
}

impl Images {
    /// Everything in the log, committed or not.
    pub(super) fn newest(&self) -> &MetadataImage {
        &self.newest
    }

    /// What is committed; `None` before that is known.
    pub(super) fn committed(&self) -> Option<&Prefix> {
        self.committed.as_ref()
    }

    /// The images of a log that was opened and read up to `end`.
    pub(super) fn restored(image: MetadataImage, end: Offset, appended: u64) -> Self {
        let mut images = Self::default();
        images.restore(image, end, appended);
        images
    }

    /// The image of a log that was read anew, up to `end`. Its beginning may be committed already.
    pub(super) fn restore(&mut self, image: MetadataImage, end: Offset, appended: u64) {
        self.uncommitted.clear();
        self.newest = image;
        if self.committed.as_ref().is_none_or(|committed| committed.end < end) && end > Offset::ZERO {
            self.uncommitted.push_back(Prefix { end, image: self.newest.clone(), appended });
        }
    }

    /// A record was appended at `offset`.
    pub(super) fn replay(&mut self, record: &MetadataRecord, offset: Offset) {
        self.newest.replay(record, offset);
    }

    /// What is in the log up to `end` belongs together.
    pub(super) fn note(&mut self, end: Offset, epoch: LeaderEpoch, timestamp: Timestamp, appended: u64) {
        let before = self.uncommitted.back().or(self.committed.as_ref()).map_or(Offset::ZERO, |prefix| prefix.end);
        assert!(before < end, "a batch adds to the log");
        self.newest.set_provenance(Provenance { offset: Offset(end.0 - 1), epoch, timestamp });
        self.uncommitted.push_back(Prefix { end, image: self.newest.clone(), appended });
    }

    /// Batches that another leader wrote were appended: `image` has seen them.
    pub(super) fn follow(
        &mut self,
        image: MetadataImage,
        end: Offset,
        epoch: LeaderEpoch,
        timestamp: Timestamp,
        appended: u64,
    ) {
        self.newest = image;
        self.note(end, epoch, timestamp, appended);
    }

    /// Records before `high_watermark` are committed. Gives what that reveals, if anything.
    pub(super) fn commit(&mut self, high_watermark: Offset) -> Option<&Prefix> {
        let revealed = self.uncommitted.partition_point(|prefix| prefix.end <= high_watermark);
        let newest = self.uncommitted.drain(..revealed).next_back()?;
        Some(self.committed.insert(newest))
    }

    /// Records from `to` on were cut off. Returns whether the image of what is left is known; else it must be read from the
    /// disk, and handed in by [`Images::restore`].
    #[must_use]
    pub(super) fn truncate(&mut self, to: Offset) -> bool {
        assert!(self.committed.as_ref().is_none_or(|c| c.end <= to), "what is committed is never cut off");
        self.uncommitted.retain(|prefix| prefix.end <= to);
        let Some(last) = self.uncommitted.back().or(self.committed.as_ref()) else {
            self.newest = MetadataImage::default();
            return to == Offset::ZERO;
        };
        self.newest = last.image.clone();
        last.end == to
    }

    /// The whole log was replaced by a snapshot, which holds what is committed up to `end`.
    pub(super) fn install(&mut self, image: MetadataImage, end: Offset, appended: u64) -> &Prefix {
        self.uncommitted.clear();
        self.newest = image.clone();
        self.committed.insert(Prefix { end, image, appended })
    }
}

#[cfg(test)]
mod tests {
    use thalweg_base::Uuid;
    use thalweg_wire::messages::TopicRecord;

    use super::*;

    fn append(images: &mut Images, name: &str, offset: i64) {
        let topic = TopicRecord { name: name.into(), topic_id: Uuid::from_random([offset as u8 + 1; 16]) };
        images.replay(&topic.into(), Offset(offset));
        images.note(Offset(offset + 1), LeaderEpoch(1), Timestamp(0), 0);
    }

    fn topics(image: &MetadataImage) -> Vec<String> {
        image.topics().iter_by_name("").map(|topic| topic.name.to_string()).collect()
    }

    #[test]
    fn only_what_is_committed_is_revealed() {
        let mut images = Images::default();
        append(&mut images, "a", 0);
        append(&mut images, "b", 1);
        assert!(images.commit(Offset(0)).is_none());
        assert_eq!(images.commit(Offset(1)).map(|prefix| topics(&prefix.image)), Some(vec!["a".to_owned()]));
        assert!(images.commit(Offset(1)).is_none(), "it is revealed once");
        assert_eq!(topics(images.newest()), ["a", "b"]);
    }

    #[test]
    fn what_is_cut_off_is_forgotten() {
        let mut images = Images::default();
        append(&mut images, "a", 0);
        append(&mut images, "b", 1);
        append(&mut images, "c", 2);
        images.commit(Offset(1));
        assert!(images.truncate(Offset(2)));
        assert_eq!(topics(images.newest()), ["a", "b"]);
        assert!(images.truncate(Offset(1)));
        assert_eq!(topics(images.newest()), ["a"]);
        append(&mut images, "d", 1);
        assert_eq!(images.commit(Offset(2)).map(|p| topics(&p.image)), Some(vec!["a".to_owned(), "d".to_owned()]));
    }

    #[test]
    fn a_log_that_was_read_as_a_whole_is_read_again_where_it_is_cut() {
        let mut images = Images::default();
        let mut read = Images::default();
        append(&mut read, "a", 0);
        append(&mut read, "b", 1);
        images.restore(read.newest().clone(), Offset(2), 0);
        assert!(!images.truncate(Offset(1)), "where `b` was added is not known");
        assert!(topics(images.newest()).is_empty());
    }
}
