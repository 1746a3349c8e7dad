//! Control records: what brokers write into the log for each other (KIP-98, KIP-595, KIP-630, KIP-853).
//!
//! A control batch has the control flag and, in practice, one record, whose key says what it is. The values other than
//! those of transaction markers are messages of the protocol, encoded and decoded by the caller.

use bytes::{Buf, Bytes};

use crate::BatchError;

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum ControlType {
    /// The producer's transaction was aborted.
    Abort = 0,
    /// The producer's transaction was committed.
    Commit = 1,
    /// A leader of the metadata quorum began its epoch (`LeaderChangeMessage`).
    LeaderChange = 2,
    /// The first record of a snapshot (`SnapshotHeaderRecord`).
    SnapshotHeader = 3,
    /// The last record of a snapshot (`SnapshotFooterRecord`).
    SnapshotFooter = 4,
    /// The version of the quorum's protocol (`KRaftVersionRecord`).
    KRaftVersion = 5,
    /// The quorum's voters (`VotersRecord`).
    KRaftVoters = 6,
}

impl ControlType {
    /// The type with this number; `None` for one that a newer version defines, which readers skip.
    #[must_use]
    pub fn from_i16(number: i16) -> Option<Self> {
        use ControlType::*;
        [Abort, Commit, LeaderChange, SnapshotHeader, SnapshotFooter, KRaftVersion, KRaftVoters]
            .into_iter()
            .find(|control| *control as i16 == number)
    }

    /// The key of such a record: version 0 and the type.
    #[must_use]
    pub fn key(self) -> [u8; 4] {
        let [high, low] = (self as i16).to_be_bytes();
        [0, 0, high, low]
    }

    /// Reads the key of a control record. Newer versions are read as version 0, an unknown type is `None`.
    pub fn parse_key(mut key: &[u8]) -> Result<Option<Self>, BatchError> {
        if key.len() < 4 {
            return Err(BatchError::Record("the key of a control record is too short"));
        }
        if key.get_i16() < 0 {
            return Err(BatchError::Record("the version of a control record is negative"));
        }
        Ok(Self::from_i16(key.get_i16()))
    }
}

/// The value of a [`ControlType::Commit`] or [`ControlType::Abort`] record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// The epoch of the transaction coordinator that ended the transaction: older ones are fenced.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// The value's bytes: version 0 and the epoch.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        Bytes::copy_from_slice(&[0, 0, a, b, c, d])
    }

    /// Reads the value's bytes. Newer versions are read as version 0.
    pub fn parse(mut value: &[u8]) -> Result<Self, BatchError> {
        if value.len() < 6 {
            return Err(BatchError::Record("the value of a transaction marker is too short"));
        }
        if value.get_i16() < 0 {
            return Err(BatchError::Record("the version of a transaction marker is negative"));
        }
        Ok(Self { coordinator_epoch: value.get_i32() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_markers_are_read_back() {
        for number in 0..7 {
            let control = ControlType::from_i16(number).expect("a known type");
            assert_eq!(ControlType::parse_key(&control.key()), Ok(Some(control)));
        }
        assert_eq!(ControlType::parse_key(&[0, 9, 0, 1, 5]), Ok(Some(ControlType::Commit)), "a newer version");
        assert_eq!(ControlType::parse_key(&[0, 0, 0, 7]), Ok(None), "a newer type");
        assert!(ControlType::parse_key(&[0, 0, 1]).is_err());
        assert!(ControlType::parse_key(&[0xff, 0xff, 0, 1]).is_err());

        let marker = EndTxnMarker { coordinator_epoch: 77 };
        assert_eq!(EndTxnMarker::parse(&marker.to_bytes()), Ok(marker));
        assert!(EndTxnMarker::parse(&[0, 0, 0]).is_err());
    }
}
