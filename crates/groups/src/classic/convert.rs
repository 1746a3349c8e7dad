//! What a classic group does when it becomes a consumer group, or was one.

use bytestring::ByteString;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::group::ClassicGroup;
use super::member::Protocols;
use super::rebalance::Desk;
use crate::request::refused_join;

impl ClassicGroup {
    /// Tells what a member supports besides the protocol that the log holds.
    pub(crate) fn set_supported(&mut self, id: &str, protocols: Protocols) {
        if let Some((rebalance, session)) =
            self.members().get(id).map(|member| (member.rebalance_timeout, member.session_timeout))
        {
            self.update(id, protocols, rebalance, session);
        }
    }
}

impl ClassicGroup {
    /// The members are to rebalance, also if a coordinator that knows nothing but the log takes over.
    pub(crate) fn set_unfinished(&mut self) {
        self.unfinished = true;
    }
}

impl Desk<'_> {
    /// Sends away everyone who waits for the rebalance that is under way: the group goes on in another form.
    pub(crate) fn interrupt(&mut self) {
        let error = ErrorCode::RebalanceInProgress;
        for id in self.group.members().keys().cloned().collect::<Vec<ByteString>>() {
            self.answer_join(&id, m::JoinGroupResponse { member_id: id.clone(), ..refused_join(error) });
            self.answer_sync(&id, m::SyncGroupResponse { error_code: error.code(), ..Default::default() });
        }
    }

    /// The group was a consumer group: sessions of the members begin, and if it must, a rebalance.
    pub(crate) fn take_over(&mut self, rebalance: bool) {
        self.group.converted = true;
        for id in self.group.members().keys().cloned().collect::<Vec<ByteString>>() {
            self.keep_session(&id);
        }
        if rebalance {
            self.prepare_rebalance();
        }
    }
}
