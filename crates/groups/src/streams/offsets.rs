//! Who may commit and fetch the offsets of a streams group.

use bytestring::ByteString;
use thalweg_wire::ErrorCode;

use super::group::StreamsGroup;
use super::member::StreamsMember;
use crate::consumer::CommitCheck;

/// From this version of OffsetCommit on, members say their epoch.
const KNOWS_EPOCHS: i16 = 9;

impl StreamsGroup {
    /// Whether an offset commit is let in.
    ///
    /// # Errors
    /// If it comes from no member, or from one in a later epoch.
    pub(crate) fn validate_offset_commit(&self, commit: &CommitCheck<'_>) -> Result<(), ErrorCode> {
        let Some(member) = self.committer(commit)? else { return Ok(()) };
        if !commit.transactional && commit.version < KNOWS_EPOCHS {
            return Err(ErrorCode::UnsupportedVersion);
        }
        match commit.epoch > member.epoch {
            true => Err(ErrorCode::StaleMemberEpoch),
            false => Ok(()),
        }
    }

    /// Whether a commit that was let in may be about a partition: one of an earlier epoch may, if the member has had the
    /// task that reads it since then. Otherwise the whole request is refused.
    ///
    /// # Errors
    /// If the member was given the task later, or does not have it.
    pub(crate) fn validate_commit_partition(
        &self,
        commit: &CommitCheck<'_>,
        topic: &str,
        partition: i32,
    ) -> Result<(), ErrorCode> {
        match self.committer(commit)? {
            Some(member) if commit.epoch < member.epoch => {
                let reader = self.topology.as_ref().and_then(|topology| topology.reader_of(topic));
                let reader = reader.ok_or(ErrorCode::StaleMemberEpoch)?;
                let given = |tasks: &super::tasks::ActiveTasks| tasks.get(reader)?.get(&partition).copied();
                let given = given(&member.assigned.active).or_else(|| given(&member.revoking.active));
                match given {
                    Some(given) if given <= commit.epoch => Ok(()),
                    _ => Err(ErrorCode::StaleMemberEpoch),
                }
            }
            _ => Ok(()),
        }
    }

    /// The member that commits; `None` if it need not be one.
    fn committer(&self, commit: &CommitCheck<'_>) -> Result<Option<&StreamsMember>, ErrorCode> {
        let anonymous = commit.epoch == -1 && commit.member_id.is_empty() && commit.instance_id.is_none();
        if (commit.epoch < 0 && self.is_empty()) || (commit.transactional && anonymous) {
            return Ok(None);
        }
        self.members.get(commit.member_id).map(Some).ok_or(ErrorCode::UnknownMemberId)
    }

    /// Whether a member may fetch offsets in `epoch`; without a member id and with a negative epoch everyone may.
    ///
    /// # Errors
    /// If it is no member, or in another epoch.
    pub(crate) fn validate_offset_fetch(&self, member_id: Option<&ByteString>, epoch: i32) -> Result<(), ErrorCode> {
        if member_id.is_none() && epoch < 0 {
            return Ok(());
        }
        let member = member_id.and_then(|id| self.members.get(id)).ok_or(ErrorCode::UnknownMemberId)?;
        if member.epoch == epoch { Ok(()) } else { Err(ErrorCode::StaleMemberEpoch) }
    }
}
