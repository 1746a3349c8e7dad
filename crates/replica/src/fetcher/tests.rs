//! A fetcher with the leader's sessions, leaders and followers, under faults from seeds. `THALWEG_SEED=n` replays one,
//! `THALWEG_SEEDS=n` runs so many.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use thalweg_base::{BrokerEpoch, LeaderEpoch, Offset};

use super::*;
use crate::epochs::{EpochEnd, diverging};
use crate::tests::simulation::{Log, Random, Record};
use crate::{
    Acks, Assignment, BrokerState, FetchParams, FetchedBy, Follower, Leader, LeaderAnswer, Limits, NewSession,
    PartitionEpoch, Refusal, SessionLimits, SessionRequest, Sessions, Shown, TopicRef,
};

const LEADER: NodeId = NodeId(0);
const ME: NodeId = NodeId(1);
const BACKOFF: Duration = Duration::from_millis(100);

fn followed(index: usize) -> Followed {
    Followed { topic: Uuid([7; 16]), partition: i32::try_from(index).expect("few partitions") }
}

fn from(offset: i64) -> FetchFrom {
    FetchFrom {
        leader: LEADER,
        leader_epoch: LeaderEpoch(0),
        fetch_offset: Offset(offset),
        last_fetched_epoch: None,
        log_start: Offset(0),
    }
}

#[test]
fn a_session_lists_only_what_goes_on_from_elsewhere() {
    let mut fetcher = Fetcher::new(LEADER, BACKOFF);
    fetcher.follow(followed(0), from(0));
    fetcher.follow(followed(1), from(5));
    let first = fetcher.next_round(Moment(0)).expect("a request");
    assert_eq!(first.session_epoch, SessionEpoch::INITIAL);
    assert_eq!(first.listed, [(followed(0), from(0)), (followed(1), from(5))]);
    assert_eq!(fetcher.next_round(Moment(0)), None, "one request at a time");
    let asked = fetcher.answered(SessionId(9), [followed(0), followed(1)], Moment(1));
    assert_eq!(asked, first.listed);
    fetcher.advanced(followed(1), from(8));
    let second = fetcher.next_round(Moment(1)).expect("a request");
    assert_eq!((second.session_id, second.session_epoch), (SessionId(9), SessionEpoch(1)));
    assert_eq!(second.listed, [(followed(1), from(8))]);
    assert_eq!(fetcher.answered(SessionId(9), [], Moment(2)), []);
    fetcher.unfollow(followed(0));
    let third = fetcher.next_round(Moment(2)).expect("a request");
    assert_eq!((third.session_epoch, third.listed, third.forgotten), (SessionEpoch(2), vec![], vec![followed(0)]));
}

#[test]
fn what_cannot_be_read_pauses_alone() {
    let mut fetcher = Fetcher::new(LEADER, BACKOFF);
    fetcher.follow(followed(0), from(0));
    fetcher.follow(followed(1), from(0));
    let _ = fetcher.next_round(Moment(0));
    let _ = fetcher.answered(SessionId(9), [followed(0), followed(1)], Moment(0));
    fetcher.delayed(followed(0), Moment(0));
    let second = fetcher.next_round(Moment(0)).expect("a request");
    assert_eq!(second.forgotten, [followed(0)]);
    let _ = fetcher.answered(SessionId(9), [], Moment(50));
    let third = fetcher.next_round(Moment(100)).expect("a request");
    assert_eq!(third.listed, [(followed(0), from(0))]);
}

#[test]
fn a_failed_request_begins_a_new_session_after_a_pause() {
    let mut fetcher = Fetcher::new(LEADER, BACKOFF);
    fetcher.follow(followed(0), from(0));
    let _ = fetcher.next_round(Moment(0));
    let _ = fetcher.answered(SessionId(9), [followed(0)], Moment(0));
    let _ = fetcher.next_round(Moment(0));
    fetcher.failed(Moment(10));
    assert_eq!(fetcher.next_round(Moment(29)), None);
    assert_eq!(fetcher.next_look(), Some(Moment(30)));
    let again = fetcher.next_round(Moment(30)).expect("a request");
    assert_eq!((again.session_id, again.session_epoch), (SessionId(9), SessionEpoch::INITIAL), "the old one is closed");
    assert_eq!(again.listed, [(followed(0), from(0))]);
}

#[test]
fn pauses_grow_up_to_the_backoff_until_something_succeeds() {
    let mut fetcher = Fetcher::new(LEADER, BACKOFF);
    fetcher.follow(followed(0), from(0));
    let mut now = 0;
    for pause in [20, 40, 80, 100, 100] {
        let _ = fetcher.next_round(Moment(now)).expect("a request");
        fetcher.failed(Moment(now));
        assert_eq!(fetcher.next_look(), Some(Moment(now + pause)));
        now += pause;
    }
    for pause in [20, 40, 80, 100, 100] {
        let _ = fetcher.next_round(Moment(now)).expect("a request");
        let _ = fetcher.answered(SessionId(9), [followed(0)], Moment(now));
        fetcher.delayed(followed(0), Moment(now));
        assert_eq!(fetcher.next_look(), Some(Moment(now + pause)));
        now += pause;
    }
    let _ = fetcher.next_round(Moment(now)).expect("a request");
    let _ = fetcher.answered(SessionId(9), [followed(0)], Moment(now));
    fetcher.advanced(followed(0), from(1));
    fetcher.delayed(followed(0), Moment(now));
    assert_eq!(fetcher.next_look(), Some(Moment(now + 20)));
}

#[test]
fn partitions_of_a_topic_are_spread_over_the_fetchers() {
    let mut counts = [0; 4];
    for index in 0..40 {
        counts[followed(index).fetcher(4)] += 1;
    }
    assert_eq!(counts, [10; 4]);
}

/// One partition on both brokers.
struct Place {
    epoch: i32,
    leader: Leader,
    leaders_log: Log,
    follower: Follower,
    log: Log,
}

impl Place {
    fn new() -> Self {
        let (leaders_log, log) = (Log::default(), Log::default());
        let leader = lead(&leaders_log, 0);
        let follower = Follower::start(LEADER, LeaderEpoch(0), log.ends(), None);
        Self { epoch: 0, leader, leaders_log, follower, log }
    }

    /// The leader comes back in a new epoch, without records that were not committed.
    fn elect(&mut self, random: &mut Random) {
        let committed = self.leader.high_watermark().0;
        let uncommitted = usize::try_from(self.leaders_log.end() - committed).expect("a count");
        let kept = committed + random.below(uncommitted + 1) as i64;
        self.leaders_log.truncate(kept);
        self.leaders_log.high_watermark = committed;
        self.epoch += 1;
        self.leaders_log.begin_epoch(self.epoch);
        self.leader = lead(&self.leaders_log, self.epoch);
        self.follower.led_by(LEADER, LeaderEpoch(self.epoch));
    }

    fn produce(&mut self, value: u64, now: Moment) {
        assert_eq!(self.leader.may_append(Acks::All), Ok(()));
        self.leaders_log.append(Record { epoch: self.epoch, value });
        let _ = self.leader.appended(Offset(self.leaders_log.end()), now);
    }

    fn serve(&mut self, params: &FetchParams, now: Moment, random: &mut Random) -> Said {
        let refused = |error| Said { error: Some(error), diverging: None, records: Vec::new(), high_watermark: -1 };
        if let Err(refusal) = self.leader.check_epoch(params.current_leader_epoch) {
            return refused(refusal);
        }
        let log = &self.leaders_log;
        let check = |epoch| diverging(params.fetch_offset, epoch, log.end_of(epoch), Offset(0));
        match params.last_fetched_epoch.map_or(Ok(None), check) {
            Err(refusal) => return refused(refusal),
            Ok(Some(end)) => return Said { diverging: Some(end), ..Said::nothing(&self.leader) },
            Ok(None) => {}
        }
        let by = FetchedBy {
            follower: ME,
            broker_epoch: Some(BrokerEpoch(1)),
            fetch_offset: params.fetch_offset,
            log_start: params.log_start,
        };
        if let Err(refusal) = self.leader.fetched(by, now) {
            return refused(refusal);
        }
        let records = log.records[params.fetch_offset.0 as usize..].iter().take(1 + random.below(4)).copied();
        Said { records: records.collect(), ..Said::nothing(&self.leader) }
    }

    /// The follower takes an answer; gives where it goes on.
    fn take(&mut self, asked: &FetchFrom, said: Said) -> Option<FetchFrom> {
        if !self.follower.is_current(asked) {
            return self.follower.next_fetch();
        }
        let high_watermark = Offset(said.high_watermark);
        match (said.error, said.diverging) {
            (Some(Refusal::FencedLeaderEpoch), _) => {
                let _ = self.follower.answered(LeaderAnswer::Fenced);
            }
            (Some(Refusal::OffsetOutOfRange), _) => {
                let end = Offset(self.leaders_log.end());
                let effects = self.follower.answered(LeaderAnswer::OutOfRange { start: Offset(0), end });
                self.cut(effects.truncate_to);
            }
            (Some(_), _) => {}
            (None, Some(leaders)) => {
                let own = self.log.end_of(leaders.epoch);
                let effects = self.follower.answered(LeaderAnswer::Diverging { leaders, own });
                self.cut(effects.truncate_to);
            }
            (None, None) => {
                let _ = self.follower.answered(LeaderAnswer::Records { high_watermark, log_start: Offset(0) });
                said.records.into_iter().for_each(|record| self.log.append(record));
                let _ = self.follower.appended(Offset(self.log.end()), self.log.last_epoch());
            }
        }
        let committed = self.follower.high_watermark().0 as usize;
        assert_eq!(
            self.log.records[..committed],
            self.leaders_log.records[..committed],
            "what is committed is the same"
        );
        self.follower.next_fetch()
    }

    fn cut(&mut self, to: Option<Offset>) {
        if let Some(Offset(to)) = to {
            self.log.truncate(to);
        }
        self.follower.truncated(self.log.last_epoch());
    }
}

/// What the leader answers about a partition.
struct Said {
    error: Option<Refusal>,
    diverging: Option<EpochEnd>,
    records: Vec<Record>,
    high_watermark: i64,
}

impl Said {
    fn nothing(leader: &Leader) -> Self {
        Self { error: None, diverging: None, records: Vec::new(), high_watermark: leader.high_watermark().0 }
    }

    fn shown(&self) -> Shown {
        Shown {
            high_watermark: Offset(self.high_watermark),
            log_start: Offset(0),
            has_records: !self.records.is_empty(),
            urgent: self.diverging.is_some(),
            has_error: self.error.is_some(),
        }
    }
}

fn lead(log: &Log, epoch: i32) -> Leader {
    let assignment = Assignment {
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch: PartitionEpoch(epoch),
        replicas: vec![LEADER, ME],
        isr: vec![LEADER, ME],
    };
    let (mut leader, _) = Leader::start(LEADER, &assignment, log.ends(), Limits::default(), Moment(0));
    let _ = leader.broker_changed(ME, BrokerState::Active(BrokerEpoch(1)), Moment(0));
    leader
}

struct Cluster {
    random: Random,
    now: i64,
    lost: usize,
    places: Vec<Place>,
    sessions: Sessions,
    fetcher: Fetcher,
    next_value: u64,
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let places: Vec<Place> = (0..1 + random.below(6)).map(|_| Place::new()).collect();
        let lost = random.below(20);
        let mut fetcher = Fetcher::new(LEADER, BACKOFF);
        for (index, place) in places.iter().enumerate() {
            fetcher.follow(followed(index), place.follower.next_fetch().expect("a leader"));
        }
        let sessions = Sessions::new(SessionLimits::default());
        Self { random, now: 0, lost, places, sessions, fetcher, next_value: 0 }
    }

    fn serve(&mut self, round: &FetchRound) -> Result<(SessionId, Vec<(Followed, Said)>), SessionError> {
        let params = |from: &FetchFrom| FetchParams {
            fetch_offset: from.fetch_offset,
            log_start: from.log_start,
            max_bytes: 1,
            current_leader_epoch: Some(from.leader_epoch),
            last_fetched_epoch: from.last_fetched_epoch,
        };
        let head = SessionRequest { id: round.session_id, epoch: round.session_epoch, uses_topic_ids: true };
        let now = Moment(self.now);
        let listed = round.listed.iter().map(|(one, from)| (TopicRef::Id(one.topic), one.partition, params(from)));
        let forgotten = round.forgotten.iter().map(|one| (TopicRef::Id(one.topic), one.partition));
        match self.sessions.begin(head, listed.clone(), forgotten, now) {
            crate::Begun::Refused(error) => Err(error),
            crate::Begun::Sessionless => Ok((SessionId::NONE, Vec::new())),
            crate::Begun::Full => {
                let mut said = Vec::new();
                for (one, from) in &round.listed {
                    let place = &mut self.places[one.partition as usize];
                    said.push((*one, place.serve(&params(from), now, &mut self.random)));
                }
                let head = NewSession { privileged: true, uses_topic_ids: true, size: said.len() };
                let answer =
                    listed.zip(&said).map(|((topic, index, params), (_, said))| (topic, index, params, said.shown()));
                let random = self.random.next() as u32;
                Ok((self.sessions.create(head, answer, random, now), said))
            }
            crate::Begun::Incremental(mut session) => {
                let asked: Vec<_> = session.partitions().map(|(slot, one)| (slot, one.partition, one.params)).collect();
                let mut said = Vec::new();
                for (slot, index, params) in asked {
                    let answer = self.places[index as usize].serve(&params, now, &mut self.random);
                    if session.answered(slot, &answer.shown()) {
                        said.push((followed(index as usize), answer));
                    }
                }
                self.sessions.finish(round.session_id, session);
                Ok((round.session_id, said))
            }
        }
    }

    fn fetch(&mut self) -> Option<usize> {
        let round = self.fetcher.next_round(Moment(self.now))?;
        let listed = round.listed.len();
        let (request_lost, answer_lost) = (self.random.percent(self.lost), self.random.percent(self.lost));
        let answered = if request_lost { None } else { Some(self.serve(&round)) };
        match answered.filter(|_| !answer_lost) {
            None => self.fetcher.failed(Moment(self.now)),
            Some(Err(refusal)) => self.fetcher.refused(refusal),
            Some(Ok((id, said))) => {
                let named: Vec<Followed> = said.iter().map(|(one, _)| *one).collect();
                let asked = self.fetcher.answered(id, named, Moment(self.now));
                for (one, said) in said {
                    let Some((_, from)) = asked.iter().find(|(asked, _)| *asked == one) else { continue };
                    if self.random.percent(self.lost) {
                        self.fetcher.delayed(one, Moment(self.now));
                        continue;
                    }
                    match self.places[one.partition as usize].take(from, said) {
                        Some(next) => self.fetcher.advanced(one, next),
                        None => self.fetcher.stopped(one, from),
                    }
                }
            }
        }
        Some(listed)
    }

    fn step(&mut self) {
        self.now += self.random.below(60) as i64;
        let index = self.random.below(self.places.len());
        match self.random.below(100) {
            0..50 => {
                self.next_value += 1;
                self.places[index].produce(self.next_value, Moment(self.now));
            }
            50..54 => self.sessions = Sessions::new(SessionLimits::default()),
            54..58 => {
                self.places[index].elect(&mut self.random);
                self.fetcher.follow(followed(index), self.places[index].follower.next_fetch().expect("a leader"));
            }
            58..60 => self.fetcher.unfollow(followed(index)),
            60..64 => {
                if let Some(from) = self.places[index].follower.next_fetch() {
                    self.fetcher.follow(followed(index), from);
                }
            }
            _ => drop(self.fetch()),
        }
    }

    /// After a time without faults the logs are the same, all is committed, and nothing is listed any more.
    fn settle(&mut self) {
        self.lost = 0;
        for (index, place) in self.places.iter().enumerate() {
            if let Some(from) = place.follower.next_fetch() {
                self.fetcher.follow(followed(index), from);
            }
        }
        let mut listed = None;
        for _ in 0..500 {
            self.now += 10;
            listed = self.fetch().or(listed);
        }
        assert_eq!(listed, Some(0), "a session at rest");
        for place in &self.places {
            assert_eq!(place.log.records, place.leaders_log.records);
            assert_eq!(place.leader.high_watermark().0, place.leaders_log.end());
        }
    }
}

#[test]
fn followers_end_up_with_what_their_leaders_have_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("THALWEG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("THALWEG_SEEDS").unwrap_or(300),
    };
    let mut records = 0;
    for seed in seeds {
        let run = || {
            let mut cluster = Cluster::new(seed);
            (0..400).for_each(|_| cluster.step());
            cluster.settle();
            cluster.next_value
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(produced) => records += produced,
            Err(panic) => {
                eprintln!("replay with THALWEG_SEED={seed}");
                resume_unwind(panic);
            }
        }
    }
    assert!(records > 0, "records were produced");
}
