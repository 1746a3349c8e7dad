//! One partition on several brokers under faults, from seeds. `THALWEG_SEED=n` replays one, `THALWEG_SEEDS=n` runs so many.
//!
//! The controller here is ideal: it never fails, and elects only replicas that are in sync. Then nothing that a leader
//! has called committed may ever be lost, whoever crashes and whatever the network does.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use thalweg_base::{BrokerEpoch, LeaderEpoch, Moment, NodeId, Offset};

use crate::epochs::{EpochEnd, diverging};
use crate::*;

pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) epoch: i32,
    pub(crate) value: u64,
}

/// A log with its leader epoch cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) records: Vec<Record>,
    pub(crate) epochs: Vec<(i32, i64)>,
    pub(crate) high_watermark: i64,
}

impl Log {
    pub(crate) fn end(&self) -> i64 {
        self.records.len() as i64
    }

    pub(crate) fn begin_epoch(&mut self, epoch: i32) {
        let end = self.end();
        self.epochs.retain(|(known, start)| *known < epoch && *start < end);
        self.epochs.push((epoch, end));
    }

    pub(crate) fn append(&mut self, record: Record) {
        // A newer epoch without a record, from when this broker led for a moment, does not count.
        if self.epochs.last().is_none_or(|(epoch, _)| *epoch != record.epoch) {
            self.begin_epoch(record.epoch);
        }
        self.records.push(record);
    }

    pub(crate) fn truncate(&mut self, to: i64) {
        self.records.truncate(to as usize);
        self.epochs.retain(|(_, start)| *start < to);
        self.high_watermark = self.high_watermark.min(to);
    }

    pub(crate) fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.last().map(|(epoch, _)| LeaderEpoch(*epoch))
    }

    pub(crate) fn end_of(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let next = self.epochs.partition_point(|(known, _)| *known <= epoch.0);
        let floor = self.epochs[..next].last().map_or(epoch.0, |(known, _)| *known);
        match self.epochs.get(next) {
            Some((_, start)) => Some(EpochEnd { epoch: LeaderEpoch(floor), end: Offset(*start) }),
            None if floor == epoch.0 && next > 0 => Some(EpochEnd { epoch, end: Offset(self.end()) }),
            None => None,
        }
    }

    pub(crate) fn ends(&self) -> LogEnds {
        LogEnds { start: Offset(0), end: Offset(self.end()), high_watermark: Offset(self.high_watermark) }
    }
}

enum Role {
    Waiting,
    Leader(Box<Leader>),
    Follower(Follower),
}

struct Broker {
    up: bool,
    epoch: BrokerEpoch,
    log: Log,
    role: Role,
    leader_epoch: i32,
}

/// The controller's registration of the partition.
#[derive(Clone, Debug)]
struct Registration {
    leader: Option<usize>,
    leader_epoch: i32,
    partition_epoch: i32,
    isr: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Event {
    Metadata(usize, Registration, Vec<BrokerState>),
    Fetch {
        from: usize,
        broker_epoch: BrokerEpoch,
        fetch: FetchFrom,
    },
    Answer {
        to: usize,
        fetch: FetchFrom,
        answer: Answer,
    },
    Alter {
        from: usize,
        proposal: IsrProposal,
    },
    Altered {
        to: usize,
        based_on: PartitionEpoch,
        result: Result<(i32, Vec<usize>, i32), IsrRefusal>,
    },
    Start(usize),
    /// A follower's next fetch, if none is on its way.
    Poll(usize),
}

#[derive(Clone, Debug)]
enum Answer {
    Records { records: Vec<Record>, high_watermark: Offset },
    Diverging(EpochEnd),
    OutOfRange { end: Offset },
    Fenced,
    Other,
}

struct Cluster {
    random: Random,
    at: i64,
    delay_max: usize,
    lost: usize,
    brokers: Vec<Broker>,
    fenced: Vec<bool>,
    registration: Registration,
    events: BTreeMap<(i64, u64), Event>,
    sequence: u64,
    min_isr: usize,
    committed: Vec<Record>,
    next_value: u64,
    next_broker_epoch: i64,
    /// When each broker gets the newest metadata that is on its way.
    metadata_at: Vec<i64>,
}

const LAG: i64 = 300;

fn node(id: usize) -> NodeId {
    NodeId(id as i32)
}

impl Cluster {
    fn new(seed: u64, replicas: usize) -> Self {
        let mut random = Random(seed);
        let all: Vec<usize> = (0..replicas).collect();
        let brokers = all.iter().map(|_| Broker {
            up: false,
            epoch: BrokerEpoch(0),
            log: Log::default(),
            role: Role::Waiting,
            leader_epoch: -1,
        });
        let registration = Registration { leader: Some(0), leader_epoch: 0, partition_epoch: 0, isr: all.clone() };
        let mut cluster = Self {
            brokers: brokers.collect(),
            fenced: vec![true; replicas],
            registration,
            at: 1000,
            delay_max: 1 + random.below(60),
            lost: random.below(15),
            min_isr: 1 + random.below(2),
            random,
            events: BTreeMap::new(),
            sequence: 0,
            committed: Vec::new(),
            next_value: 0,
            next_broker_epoch: 0,
            metadata_at: vec![0; replicas],
        };
        for id in all {
            cluster.start(id);
        }
        cluster
    }

    fn schedule(&mut self, wait: usize, event: Event) {
        self.sequence += 1;
        self.events.insert((self.at + wait as i64, self.sequence), event);
    }

    fn post(&mut self, event: Event) {
        if !self.random.percent(self.lost) {
            let wait = 1 + self.random.below(self.delay_max);
            self.schedule(wait, event);
        }
    }

    fn now(&self) -> Moment {
        Moment(self.at)
    }

    /// Metadata always arrives, in order, but not at once.
    fn publish(&mut self) {
        let states: Vec<BrokerState> = (0..self.brokers.len())
            .map(|id| match self.fenced[id] {
                true => BrokerState::Unavailable,
                false => BrokerState::Active(self.brokers[id].epoch),
            })
            .collect();
        for id in 0..self.brokers.len() {
            let at = self.at + 1 + self.random.below(self.delay_max) as i64;
            self.metadata_at[id] = self.metadata_at[id].max(at);
            let wait = (self.metadata_at[id] - self.at) as usize;
            self.schedule(wait, Event::Metadata(id, self.registration.clone(), states.clone()));
        }
    }

    fn start(&mut self, id: usize) {
        self.next_broker_epoch += 1;
        // A broker that comes back learns all that is known before it takes part.
        self.events.retain(|_, event| !matches!(event, Event::Metadata(to, ..) if *to == id));
        let broker = &mut self.brokers[id];
        broker.up = true;
        broker.epoch = BrokerEpoch(self.next_broker_epoch);
        broker.leader_epoch = -1;
        self.unfence(id);
        self.schedule(1, Event::Poll(id));
    }

    fn unfence(&mut self, id: usize) {
        self.fenced[id] = false;
        if self.registration.leader.is_none() && self.registration.isr.contains(&id) {
            self.registration.leader = Some(id);
            self.registration.leader_epoch += 1;
            self.registration.partition_epoch += 1;
        }
        self.publish();
    }

    /// The controller takes a broker out: out of the ISR, unless it is the last one, and out of the lead.
    fn fence(&mut self, id: usize) {
        self.fenced[id] = true;
        let registration = &mut self.registration;
        if registration.isr.len() > 1 {
            registration.isr.retain(|member| *member != id);
        }
        if registration.leader == Some(id) {
            registration.leader = registration.isr.iter().copied().find(|member| !self.fenced[*member]);
            registration.leader_epoch += 1;
        }
        registration.partition_epoch += 1;
        self.publish();
    }

    /// A crash takes the broker out at once. If others are in sync, it may even lose the end of its log.
    fn crash(&mut self, id: usize) {
        if !self.brokers[id].up {
            return;
        }
        self.fence(id);
        let in_isr = self.registration.isr.contains(&id);
        let broker = &mut self.brokers[id];
        broker.up = false;
        broker.role = Role::Waiting;
        if !in_isr && self.random.percent(50) && broker.log.end() > 0 {
            let keep = self.random.below(broker.log.records.len()) as i64;
            broker.log.truncate(keep);
        }
        let wait = 1 + self.random.below(500);
        self.schedule(wait, Event::Start(id));
    }

    fn step(&mut self) -> bool {
        let Some(((at, _), event)) = self.events.pop_first() else { return false };
        self.at = self.at.max(at);
        match event {
            Event::Start(id) => self.start(id),
            Event::Metadata(id, registration, states) => self.metadata(id, &registration, &states),
            Event::Poll(id) => self.poll(id),
            Event::Fetch { from, broker_epoch, fetch } => self.serve(from, broker_epoch, fetch),
            Event::Answer { to, fetch, answer } => self.answered(to, fetch, answer),
            Event::Alter { from, proposal } => self.alter(from, &proposal),
            Event::Altered { to, based_on, result } => self.altered(to, based_on, result),
        }
        true
    }

    fn metadata(&mut self, id: usize, registration: &Registration, states: &[BrokerState]) {
        let now = self.now();
        let broker = &mut self.brokers[id];
        if !broker.up {
            return;
        }
        let assignment = Assignment {
            leader_epoch: LeaderEpoch(registration.leader_epoch),
            partition_epoch: PartitionEpoch(registration.partition_epoch),
            replicas: (0..states.len()).map(node).collect(),
            isr: registration.isr.iter().copied().map(node).collect(),
        };
        let newer = registration.leader_epoch > broker.leader_epoch;
        let mut all = Vec::new();
        match (&mut broker.role, registration.leader) {
            (Role::Leader(leader), Some(lead)) if lead == id => {
                if newer {
                    broker.log.begin_epoch(registration.leader_epoch);
                }
                all.push(leader.assigned(&assignment, now));
            }
            (role, Some(lead)) if lead == id && newer => {
                broker.log.begin_epoch(registration.leader_epoch);
                let limits = Limits { min_isr: self.min_isr, lag_max: Duration::from_millis(LAG as u64) };
                let (leader, effects) = Leader::start(node(id), &assignment, broker.log.ends(), limits, now);
                *role = Role::Leader(Box::new(leader));
                all.push(effects);
            }
            (Role::Follower(follower), Some(lead)) if lead != id => {
                follower.led_by(node(lead), assignment.leader_epoch)
            }
            (role, Some(lead)) if lead != id && newer => {
                let last = broker.log.last_epoch();
                *role = Role::Follower(Follower::start(node(lead), assignment.leader_epoch, broker.log.ends(), last));
            }
            (role, None) if newer => *role = Role::Waiting,
            _ => {}
        }
        broker.leader_epoch = broker.leader_epoch.max(registration.leader_epoch);
        if let Role::Leader(leader) = &mut broker.role {
            for (other, state) in states.iter().enumerate() {
                all.push(leader.broker_changed(node(other), *state, now));
            }
        }
        for effects in all {
            self.carry_out(id, effects);
        }
    }

    fn carry_out(&mut self, id: usize, effects: Effects) {
        if let Some(Offset(to)) = effects.high_watermark {
            let log = &mut self.brokers[id].log;
            for offset in 0..to as usize {
                match self.committed.get(offset) {
                    Some(committed) => assert_eq!(log.records[offset], *committed, "committed records change"),
                    None => self.committed.push(log.records[offset]),
                }
            }
            assert!(to > log.high_watermark, "the high watermark goes back");
            log.high_watermark = to;
        }
        if let Some(proposal) = effects.propose_isr {
            self.post_alter(id, proposal);
        }
    }

    /// Requests to the controller are repeated until they are answered.
    fn post_alter(&mut self, id: usize, proposal: IsrProposal) {
        let wait = 1 + self.random.below(self.delay_max);
        self.schedule(wait, Event::Alter { from: id, proposal });
    }

    fn alter(&mut self, from: usize, proposal: &IsrProposal) {
        let registration = &mut self.registration;
        let current = proposal.partition_epoch.0 == registration.partition_epoch;
        let result =
            if registration.leader != Some(from) || proposal.leader_epoch.0 != registration.leader_epoch || !current {
                Err(IsrRefusal::OutOfDate)
            } else {
                let brokers = &self.brokers;
                let eligible = |member: &IsrMember| {
                    let id = member.broker.0 as usize;
                    !self.fenced[id] && member.broker_epoch.is_none_or(|epoch| epoch == brokers[id].epoch)
                };
                if proposal.isr.iter().all(eligible) {
                    registration.isr = proposal.isr.iter().map(|member| member.broker.0 as usize).collect();
                    registration.partition_epoch += 1;
                    Ok((registration.leader_epoch, registration.isr.clone(), registration.partition_epoch))
                } else {
                    Err(IsrRefusal::NotApplied)
                }
            };
        if result.is_ok() {
            self.publish();
        }
        // The answer may get lost on its way: the leader knows only that it does not know.
        let result = if self.random.percent(self.lost) { Err(IsrRefusal::Unknown) } else { result };
        let wait = 1 + self.random.below(self.delay_max);
        self.schedule(wait, Event::Altered { to: from, based_on: proposal.partition_epoch, result });
    }

    fn altered(&mut self, to: usize, based_on: PartitionEpoch, result: Result<(i32, Vec<usize>, i32), IsrRefusal>) {
        let now = self.now();
        let Role::Leader(leader) = &mut self.brokers[to].role else { return };
        let effects = match result {
            Ok((leader_epoch, isr, partition_epoch)) => {
                let isr: Vec<NodeId> = isr.into_iter().map(node).collect();
                leader.isr_committed(LeaderEpoch(leader_epoch), &isr, PartitionEpoch(partition_epoch), now)
            }
            Err(refusal) => leader.isr_refused(based_on, refusal, now),
        };
        self.carry_out(to, effects);
    }

    /// A follower fetches, a leader looks at the clock.
    fn poll(&mut self, id: usize) {
        let now = self.now();
        let broker = &mut self.brokers[id];
        if !broker.up {
            return;
        }
        match &mut broker.role {
            Role::Leader(leader) => {
                let effects = leader.tick(now);
                self.carry_out(id, effects);
            }
            Role::Follower(follower) => {
                let broker_epoch = broker.epoch;
                if let Some(fetch) = follower.next_fetch() {
                    self.post(Event::Fetch { from: id, broker_epoch, fetch });
                }
            }
            Role::Waiting => {}
        }
        let wait = 5 + self.random.below(self.delay_max * 2);
        self.schedule(wait, Event::Poll(id));
    }

    fn serve(&mut self, from: usize, broker_epoch: BrokerEpoch, fetch: FetchFrom) {
        let now = self.now();
        let to = fetch.leader.0 as usize;
        let broker = &mut self.brokers[to];
        let Role::Leader(leader) = &mut broker.role else { return };
        let mut effects = Effects::default();
        let answer = match leader.check_epoch(Some(fetch.leader_epoch)) {
            Err(Refusal::FencedLeaderEpoch) => Answer::Fenced,
            Err(_) => Answer::Other,
            Ok(()) => {
                let log = &broker.log;
                let check = |epoch| diverging(fetch.fetch_offset, epoch, log.end_of(epoch), Offset(0));
                match fetch.last_fetched_epoch.map_or(Ok(None), check) {
                    Err(_) => Answer::OutOfRange { end: Offset(log.end()) },
                    Ok(Some(end)) => Answer::Diverging(end),
                    Ok(None) => {
                        let offset = fetch.fetch_offset;
                        let by = FetchedBy {
                            follower: node(from),
                            broker_epoch: Some(broker_epoch),
                            fetch_offset: offset,
                            log_start: Offset(0),
                        };
                        match leader.fetched(by, now) {
                            Err(Refusal::OffsetOutOfRange) => Answer::OutOfRange { end: Offset(log.end()) },
                            Err(_) => Answer::Other,
                            Ok(found) => {
                                effects = found;
                                let count = 1 + self.random.below(16);
                                let records = log.records[offset.0 as usize..].iter().take(count).copied().collect();
                                Answer::Records { records, high_watermark: leader.high_watermark() }
                            }
                        }
                    }
                }
            }
        };
        self.carry_out(to, effects);
        self.post(Event::Answer { to: from, fetch, answer });
    }

    fn answered(&mut self, to: usize, fetch: FetchFrom, answer: Answer) {
        let broker = &mut self.brokers[to];
        let Role::Follower(follower) = &mut broker.role else { return };
        if !follower.is_current(&fetch) {
            return;
        }
        let log = &mut broker.log;
        let said = match answer {
            Answer::Records { high_watermark, .. } => LeaderAnswer::Records { high_watermark, log_start: Offset(0) },
            Answer::Diverging(leaders) => LeaderAnswer::Diverging { leaders, own: log.end_of(leaders.epoch) },
            Answer::OutOfRange { end } => LeaderAnswer::OutOfRange { start: Offset(0), end },
            Answer::Fenced => LeaderAnswer::Fenced,
            Answer::Other => return,
        };
        let mut effects = follower.answered(said);
        if let Some(Offset(at)) = effects.truncate_to {
            log.truncate(at);
            follower.truncated(log.last_epoch());
        }
        if let (true, Answer::Records { records, .. }) = (effects.append, answer) {
            for record in records.into_iter().filter(|record| record.epoch <= fetch.leader_epoch.0) {
                log.append(record);
            }
            effects = follower.appended(Offset(log.end()), log.last_epoch());
        }
        if let Some(Offset(to)) = effects.high_watermark {
            log.high_watermark = to;
            let known = &self.committed[..(to as usize).min(self.committed.len())];
            assert!(log.records[..to as usize] == *known, "a follower has other records below its high watermark");
        }
    }

    fn produce(&mut self, id: usize) {
        let now = self.now();
        let broker = &mut self.brokers[id];
        if let Role::Leader(leader) = &mut broker.role
            && leader.may_append(Acks::All).is_ok()
        {
            for _ in 0..1 + self.random.below(3) {
                self.next_value += 1;
                broker.log.append(Record { epoch: leader.leader_epoch().0, value: self.next_value });
            }
            let effects = leader.appended(Offset(broker.log.end()), now);
            self.carry_out(id, effects);
        }
    }

    fn run(&mut self, millis: i64) {
        let until = self.at + millis;
        while self.events.first_key_value().is_some_and(|((at, _), _)| *at <= until) && self.step() {}
        self.at = until;
    }

    /// After a time without faults: all are in sync with one leader, and all is committed.
    fn assert_settled(&self) {
        let lead = self.registration.leader.expect("somebody leads");
        let Role::Leader(leader) = &self.brokers[lead].role else {
            panic!("broker {lead} does not know that it leads")
        };
        let end = leader.log_end();
        assert_eq!(leader.high_watermark(), end);
        assert_eq!(leader.isr().len(), self.brokers.len(), "{:?}", self.registration);
        for broker in &self.brokers {
            assert_eq!(broker.log.records, self.committed);
        }
    }
}

fn run(seed: u64) -> usize {
    let replicas = 2 + seed as usize % 3;
    let mut cluster = Cluster::new(seed, replicas);
    for _ in 0..150 {
        let millis = cluster.random.below(60) as i64;
        cluster.run(millis);
        let id = cluster.random.below(replicas);
        match cluster.random.below(100) {
            0..75 => (0..replicas).for_each(|id| cluster.produce(id)),
            75..81 => cluster.crash(id),
            81..85 if cluster.brokers[id].up => cluster.fence(id),
            85..95 if cluster.brokers[id].up && cluster.fenced[id] => cluster.unfence(id),
            _ => {}
        }
    }
    cluster.lost = 0;
    cluster.run(1000);
    (0..replicas).filter(|id| cluster.fenced[*id]).collect::<Vec<_>>().into_iter().for_each(|id| cluster.unfence(id));
    cluster.run(10_000);
    cluster.assert_settled();
    cluster.committed.len()
}

#[test]
fn what_is_committed_stays_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("THALWEG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("THALWEG_SEEDS").unwrap_or(500),
    };
    let mut committed = 0;
    for seed in seeds.clone() {
        match catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(records) => committed += records,
            Err(panic) => {
                eprintln!("replay with THALWEG_SEED={seed}");
                resume_unwind(panic);
            }
        }
    }
    println!("{seeds:?}: {committed} records committed");
}
