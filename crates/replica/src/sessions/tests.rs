use thalweg_base::{Offset, Uuid};

use super::*;
use crate::session::Slot;

const MINUTE: i64 = 60_000;
const QUIET: Shown =
    Shown { high_watermark: Offset(10), log_start: Offset(0), has_records: false, urgent: false, has_error: false };

fn params(offset: i64) -> FetchParams {
    FetchParams {
        fetch_offset: Offset(offset),
        log_start: Offset(-1),
        max_bytes: 1 << 20,
        current_leader_epoch: None,
        last_fetched_epoch: None,
    }
}

fn sessions(slots: usize) -> Sessions {
    Sessions::new(SessionLimits { slots, ..SessionLimits::default() })
}

fn name(name: &str) -> TopicRef<'_> {
    TopicRef::Name(name)
}

fn request(id: SessionId, epoch: i32) -> SessionRequest {
    SessionRequest { id, epoch: SessionEpoch(epoch), uses_topic_ids: false }
}

/// Creates a consumer's session over partitions 0.. of topic `t`, whose answer was `QUIET`.
fn create(sessions: &mut Sessions, size: i32, at: i64) -> SessionId {
    create_as(sessions, size, at, false)
}

fn create_as(sessions: &mut Sessions, size: i32, at: i64, privileged: bool) -> SessionId {
    let head = NewSession { privileged, uses_topic_ids: false, size: size.unsigned_abs() as usize };
    let answer = (0..size).map(|p| (name("t"), p, params(0), QUIET));
    sessions.create(head, answer, 7, Moment(at))
}

/// An incremental request that lists and forgets partitions of `t`.
fn begin(sessions: &mut Sessions, id: SessionId, epoch: i32, listed: &[i32], forgotten: &[i32], at: i64) -> Begun {
    let listed = listed.iter().map(|&p| (name("t"), p, params(99)));
    let forgotten = forgotten.iter().map(|&p| (name("t"), p));
    sessions.begin(request(id, epoch), listed, forgotten, Moment(at))
}

fn lent(begun: Begun) -> Box<Session> {
    match begun {
        Begun::Incremental(session) => session,
        other => panic!("not incremental: {other:?}"),
    }
}

fn refused(begun: Begun) -> SessionError {
    match begun {
        Begun::Refused(error) => error,
        other => panic!("not refused: {other:?}"),
    }
}

fn order(session: &Session) -> Vec<i32> {
    session.partitions().map(|(_, cached)| cached.partition).collect()
}

fn slots(session: &Session) -> Vec<Slot> {
    session.partitions().map(|(slot, _)| slot).collect()
}

#[test]
fn a_full_fetch_makes_a_session_and_the_next_lists_only_changes() {
    let mut sessions = sessions(10);
    assert!(matches!(begin(&mut sessions, SessionId::NONE, 0, &[0], &[], 0), Begun::Full));
    let id = create(&mut sessions, 3, 0);
    assert_eq!(id, SessionId(7));
    let session = lent(begin(&mut sessions, id, 1, &[1, 5], &[0], 1));
    assert_eq!(order(&session), [1, 2, 5]);
    assert_eq!(session.get(slots(&session)[0]).map(|c| c.params), Some(params(99)));
    assert_eq!(session.get(slots(&session)[1]).map(|c| c.params), Some(params(0)));
    sessions.finish(id, session);
    assert_eq!((sessions.len(), sessions.partitions()), (1, 3));
    assert_eq!(order(&lent(begin(&mut sessions, id, 2, &[], &[], 2))), [1, 2, 5]);
}

#[test]
fn a_final_epoch_wants_no_session_and_ends_the_one_it_names() {
    let mut sessions = sessions(10);
    let id = create(&mut sessions, 1, 0);
    assert!(matches!(begin(&mut sessions, id, -1, &[], &[], 0), Begun::Sessionless));
    assert!(sessions.is_empty());
    assert_eq!(sessions.partitions(), 0);
}

#[test]
fn wrong_ids_epochs_and_kinds_are_refused() {
    let mut sessions = sessions(10);
    let id = create(&mut sessions, 1, 0);
    assert_eq!(refused(begin(&mut sessions, SessionId(8), 1, &[], &[], 0)), SessionError::IdNotFound);
    assert_eq!(refused(begin(&mut sessions, id, 2, &[], &[], 0)), SessionError::InvalidEpoch);
    let by_id = SessionRequest { uses_topic_ids: true, ..request(id, 1) };
    assert_eq!(refused(sessions.begin(by_id, [], [], Moment(0))), SessionError::TopicIdError);
    let session = lent(begin(&mut sessions, id, 1, &[], &[], 0));
    assert_eq!(refused(begin(&mut sessions, id, 1, &[], &[], 0)), SessionError::InvalidEpoch, "sent twice");
    assert_eq!(refused(begin(&mut sessions, id, 2, &[], &[], 0)), SessionError::InvalidEpoch, "still being served");
    sessions.finish(id, session);
    assert_eq!(order(&lent(begin(&mut sessions, id, 2, &[], &[], 0))), [0]);
}

#[test]
fn a_session_without_partitions_ends() {
    let mut sessions = sessions(10);
    let id = create(&mut sessions, 2, 0);
    assert!(matches!(begin(&mut sessions, id, 1, &[], &[0, 1], 0), Begun::Sessionless));
    assert!(sessions.is_empty());
}

#[test]
fn only_what_changed_is_mentioned_and_busy_partitions_go_last() {
    let mut sessions = sessions(10);
    let id = create(&mut sessions, 4, 0);
    let mut session = lent(begin(&mut sessions, id, 1, &[], &[], 0));
    let slots = slots(&session);
    let busy = Shown { has_records: true, ..QUIET };
    let committed = Shown { high_watermark: Offset(11), ..QUIET };
    assert!(session.answered(slots[0], &busy));
    assert!(!session.answered(slots[1], &QUIET));
    assert!(session.answered(slots[2], &committed));
    assert!(!session.answered(slots[2], &committed), "it was told so already");
    assert!(session.answered(slots[3], &Shown { log_start: Offset(1), ..QUIET }));
    assert_eq!(order(&session), [1, 2, 3, 0]);
    assert!(session.answered(slots[1], &Shown { urgent: true, ..QUIET }));
}

#[test]
fn a_partition_is_mentioned_again_when_its_error_is_gone() {
    let mut sessions = sessions(10);
    let id = create(&mut sessions, 1, 0);
    let mut session = lent(begin(&mut sessions, id, 1, &[], &[], 0));
    let slot = slots(&session)[0];
    let error = Shown { has_error: true, ..QUIET };
    assert!(session.answered(slot, &error));
    assert!(session.answered(slot, &error), "errors are always mentioned");
    assert!(session.answered(slot, &QUIET));
    assert!(!session.answered(slot, &QUIET));
}

#[test]
fn a_slot_is_used_again() {
    let mut session = Session::new(0);
    let topic = TopicRef::Id(Uuid::ONE);
    for partition in 0..100 {
        let slot = session.put(topic, partition, params(0));
        session.forget(topic, partition);
        assert_eq!(session.get(slot), None);
        assert!(!session.answered(slot, &QUIET));
    }
    assert!(session.is_empty());
    session.put(topic, 3, params(0));
    session.put(topic, 3, params(1));
    assert_eq!((session.len(), slots(&session)), (1, vec![session.put(topic, 3, params(2))]));
}

#[test]
fn a_full_cache_gives_no_session_to_an_equal() {
    let mut sessions = sessions(2);
    create(&mut sessions, 1, 0);
    create(&mut sessions, 2, 0);
    assert_eq!(create(&mut sessions, 9, MINUTE), SessionId::NONE, "the others are too young to be replaced");
    assert_eq!(sessions.len(), 2);
}

#[test]
fn an_idle_session_makes_room_for_any() {
    let mut sessions = sessions(1);
    create(&mut sessions, 9, 0);
    assert_eq!(create(&mut sessions, 1, 2 * MINUTE), SessionId::NONE);
    let id = create(&mut sessions, 1, 2 * MINUTE + 1);
    assert_eq!(order(&lent(begin(&mut sessions, id, 1, &[], &[], 3 * MINUTE))), [0]);
    assert_eq!((sessions.len(), sessions.evictions()), (1, 1));
}

#[test]
fn an_old_smaller_session_makes_room_for_a_larger() {
    let mut sessions = sessions(1);
    let id = create(&mut sessions, 2, 0);
    let session = lent(begin(&mut sessions, id, 1, &[], &[], MINUTE));
    sessions.finish(id, session);
    assert_eq!(create(&mut sessions, 3, 2 * MINUTE), SessionId::NONE, "it was young when it was last used");
    let session = lent(begin(&mut sessions, id, 2, &[], &[], 2 * MINUTE + 1));
    assert_eq!(create(&mut sessions, 2, 2 * MINUTE + 2), SessionId::NONE, "no larger");
    assert_ne!(create(&mut sessions, 3, 2 * MINUTE + 2), SessionId::NONE);
    sessions.finish(id, session);
    assert_eq!((sessions.len(), sessions.partitions()), (1, 3), "what was lent out is not the new one");
}

#[test]
fn a_follower_replaces_a_consumer_but_no_consumer_a_follower() {
    let mut sessions = sessions(1);
    create(&mut sessions, 9, 0);
    let id = create_as(&mut sessions, 1, 1, true);
    assert_ne!(id, SessionId::NONE);
    let session = lent(begin(&mut sessions, id, 1, &[], &[], 3 * MINUTE));
    sessions.finish(id, session);
    assert_eq!(create(&mut sessions, 9, 3 * MINUTE), SessionId::NONE);
}

#[test]
fn the_epoch_after_the_largest_is_one() {
    assert_eq!(SessionEpoch(i32::MAX).next(), SessionEpoch(1));
    assert_eq!(SessionEpoch::INITIAL.next(), SessionEpoch(1));
}
