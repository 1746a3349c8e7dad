//! Several replicas in one thread: their disks, clocks and network, with faults, and what must hold whatever happens.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use thalweg_base::{LeaderEpoch, Moment, NodeId, Offset, Uuid};

use crate::*;

/// SplitMix64: all randomness of a run comes from its seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` up to, not including, `high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low).unsigned_abs()).cast_signed()
    }

    pub fn percent(&mut self, chance: i64) -> bool {
        self.between(0, 100) < chance
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Record {
    epoch: i32,
    value: u64,
    change: Option<Change>,
}

/// What survives a crash, except for what was appended and not flushed.
#[derive(Clone, Debug, Default)]
struct Disk {
    election: Option<ElectionState>,
    start: i64,
    records: Vec<Record>,
    flushed: i64,
    snapshot: Option<(OffsetAndEpoch, Vec<Change>)>,
}

impl Disk {
    fn end(&self) -> i64 {
        self.start + i64::try_from(self.records.len()).unwrap()
    }

    fn at(&self, offset: i64) -> &Record {
        &self.records[usize::try_from(offset - self.start).unwrap()]
    }

    fn truncate(&mut self, to: i64) {
        self.records.truncate(usize::try_from(to - self.start).unwrap());
        self.flushed = self.flushed.min(to);
    }

    /// The newest change of each kind before `offset`.
    fn changes_before(&self, offset: i64) -> Vec<Change> {
        let in_snapshot = self.snapshot.iter().flat_map(|(_, changes)| changes.iter());
        let in_log = self.records.iter().zip(self.start..offset).filter_map(|(record, _)| record.change.as_ref());
        let (mut version, mut voters) = (None, None);
        for change in in_snapshot.chain(in_log) {
            match change {
                Change::KRaftVersion(_) => version = Some(change.clone()),
                Change::Voters(_) => voters = Some(change.clone()),
            }
        }
        version.into_iter().chain(voters).collect()
    }

    fn local_log(&self) -> LocalLog {
        let mut epochs: Vec<EpochStart> = Vec::new();
        let mut changes: Vec<(Offset, Change)> = Vec::new();
        if let Some((id, in_snapshot)) = &self.snapshot {
            let offset = id.offset.plus(-1);
            changes.extend(in_snapshot.iter().map(|change| (offset, change.clone())));
        }
        for (record, offset) in self.records.iter().zip(self.start..) {
            if epochs.last().is_none_or(|last| last.epoch.0 < record.epoch) {
                epochs.push(EpochStart { epoch: LeaderEpoch(record.epoch), start: Offset(offset) });
            }
            changes.extend(record.change.clone().map(|change| (Offset(offset), change)));
        }
        let snapshots = self.snapshot.as_ref().map(|(id, _)| (*id, *id));
        LocalLog { start: Offset(self.start), end: Offset(self.end()), epochs, snapshots, changes }
    }
}

struct Node {
    quorum: Option<Quorum>,
    disk: Disk,
    /// The high watermark that this incarnation has announced.
    announced: i64,
    /// Flushes that began before a truncation do not count.
    truncations: u64,
    /// Thousandths of the true pace at which this node's clock goes, and what it shows at the beginning.
    clock: (i64, i64),
}

impl Node {
    fn now(&self, at: i64) -> Moment {
        Moment(self.clock.1 + at * self.clock.0 / 1000)
    }
}

#[derive(Clone, Debug)]
enum Payload {
    None,
    Records(Vec<Record>),
    Snapshot(Vec<Change>),
}

/// Who waits for an answer. One that comes after a restart finds nobody: its connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sender {
    node: usize,
    incarnation: u64,
}

#[derive(Clone, Debug)]
enum Event {
    Request {
        from: Sender,
        to: usize,
        id: RequestId,
        request: Request,
    },
    Response {
        to: Sender,
        id: RequestId,
        response: Response,
        payload: Payload,
    },
    /// A parked fetch has waited long enough.
    Unpark {
        from: Sender,
        to: usize,
        id: RequestId,
        request: Request,
        may_park: bool,
    },
    Flush {
        node: usize,
        end: i64,
        truncations: u64,
    },
    Restart(usize),
}

#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub lost: i64,
    pub duplicated: i64,
    pub delay_max: i64,
    pub crash_per_mille: i64,
    pub down_max: i64,
    pub flush_max: i64,
}

impl Faults {
    pub const NONE: Self =
        Self { lost: 0, duplicated: 0, delay_max: 20, crash_per_mille: 0, down_max: 1000, flush_max: 20 };
}

pub struct Cluster {
    pub random: Random,
    pub faults: Faults,
    pub at: i64,
    nodes: Vec<Node>,
    initial: Voters,
    incarnations: Vec<u64>,
    events: BinaryHeap<Reverse<(i64, u64)>>,
    bodies: BTreeMap<u64, Event>,
    sequence: u64,
    cut: BTreeSet<(usize, usize)>,
    /// What was committed, by anybody's account.
    committed: Vec<Record>,
    leaders: BTreeMap<i32, usize>,
    /// Every record ever appended, by offset and epoch: there is only one.
    written: BTreeMap<(i64, i32), u64>,
    next_value: u64,
    dynamic: bool,
    /// The fetches that wait at each node for news, by who sent them.
    parked: Vec<BTreeMap<Sender, (RequestId, Request)>>,
    pub steps: u64,
}

pub fn voter(id: usize) -> Voter {
    let node = NodeId(i32::try_from(id).unwrap());
    let endpoint = Endpoint { listener: "CONTROLLER".into(), host: format!("host{id}"), port: 9093 };
    Voter {
        key: ReplicaKey { id: node, directory: Some(Uuid([u8::try_from(id).unwrap() + 1; 16])) },
        endpoints: vec![endpoint],
        kraft_version_min: KRaftVersion::STATIC,
        kraft_version_max: KRaftVersion::DYNAMIC,
    }
}

/// The piece of a snapshot of 100 bytes that a request asks for.
fn piece(request: &FetchSnapshotRequest, reply: Reply<()>) -> Reply<SnapshotPiece> {
    let (snapshot, position) = (request.snapshot, request.position);
    let piece = || SnapshotPiece { snapshot, size: 100, position, length: (100 - position).min(40) };
    let Reply { epoch, leader, endpoints, result } = reply;
    Reply { epoch, leader, endpoints, result: result.map(|()| piece()) }
}

fn index(id: NodeId) -> usize {
    usize::try_from(id.0).unwrap()
}

impl Cluster {
    /// Nodes 0.. of which the first `voters` vote; with `dynamic`, voters stand in the log and may change.
    pub fn new(seed: u64, voters: usize, observers: usize, dynamic: bool) -> Self {
        let mut random = Random(seed);
        let initial = Voters::new((0..voters).map(voter));
        let nodes = (0..voters + observers).map(|_| Node {
            quorum: None,
            disk: Disk::default(),
            announced: 0,
            truncations: 0,
            clock: (random.between(950, 1050), random.between(0, 1_000_000)),
        });
        let mut cluster = Self {
            nodes: nodes.collect(),
            random,
            faults: Faults::NONE,
            at: 0,
            incarnations: vec![0; voters + observers],
            initial,
            events: BinaryHeap::new(),
            bodies: BTreeMap::new(),
            sequence: 0,
            cut: BTreeSet::new(),
            committed: Vec::new(),
            leaders: BTreeMap::new(),
            written: BTreeMap::new(),
            next_value: 0,
            dynamic,
            parked: vec![BTreeMap::new(); voters + observers],
            steps: 0,
        };
        for node in 0..cluster.nodes.len() {
            if dynamic {
                let changes =
                    vec![Change::KRaftVersion(KRaftVersion::DYNAMIC), Change::Voters(cluster.initial.clone())];
                cluster.nodes[node].disk.snapshot = Some((OffsetAndEpoch::default(), changes));
            }
            cluster.restart(node);
        }
        cluster
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    fn restart(&mut self, node: usize) {
        if self.nodes[node].quorum.is_some() {
            return;
        }
        self.incarnations[node] += 1;
        let seed = self.random.next();
        let state = &mut self.nodes[node];
        state.disk.flushed = state.disk.end();
        state.announced = state.disk.start;
        let peers = self.initial.ids().map(Peer::Node);
        // What is configured of the others is where they listen.
        let configured = |voter: &Voter| Voter {
            key: ReplicaKey { id: voter.key.id, directory: None },
            kraft_version_max: KRaftVersion::STATIC,
            ..voter.clone()
        };
        let static_voters = Voters::new(self.initial.iter().map(configured));
        let start = Start {
            local: voter(node),
            may_become_voter: self.dynamic,
            election: state.disk.election.clone(),
            log: state.disk.local_log(),
            static_voters: if self.dynamic { Voters::none() } else { static_voters },
            bootstrap: peers.collect(),
            settings: Settings {
                election_timeout: Duration::from_millis(300),
                fetch_timeout: Duration::from_millis(600),
                election_backoff_max: Duration::from_millis(300),
                request_timeout: Duration::from_millis(500),
                retry_backoff: Duration::from_millis(20),
            },
            seed,
        };
        let (quorum, effects) = Quorum::start(start, state.now(self.at));
        state.quorum = Some(quorum);
        self.carry_out(node, effects, Payload::None);
    }

    /// The node stops where it stands. Of what was not flushed, anything may be lost.
    pub fn crash(&mut self, node: usize) {
        if self.nodes[node].quorum.take().is_none() {
            return;
        }
        let disk = &mut self.nodes[node].disk;
        let kept = self.random.between(disk.flushed, disk.end() + 1);
        disk.truncate(kept);
        self.nodes[node].truncations += 1;
        let back = self.at + self.random.between(1, self.faults.down_max);
        self.schedule(back, Event::Restart(node));
    }

    fn schedule(&mut self, at: i64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence)));
        self.bodies.insert(self.sequence, event);
    }

    /// Puts a message on the wire, where it may be lost, delayed, doubled and overtaken.
    fn post(&mut self, from: usize, to: usize, event: Event) {
        let copies = 1 + i64::from(self.random.percent(self.faults.duplicated));
        for _ in 0..copies {
            let lost = self.random.percent(self.faults.lost) || self.cut.contains(&(from, to));
            let delay = self.random.between(1, self.faults.delay_max);
            if !lost {
                self.schedule(self.at + delay, event.clone());
            }
        }
    }

    pub fn cut(&mut self) {
        self.cut.clear();
        for from in 0..self.len() {
            for to in 0..self.len() {
                if self.random.percent(30) {
                    self.cut.insert((from, to));
                }
            }
        }
    }

    /// Every network fault ends, and every node comes back.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.faults = Faults::NONE;
        for node in 0..self.len() {
            self.restart(node);
        }
    }

    /// Runs for `millis`.
    pub fn run(&mut self, millis: i64) {
        let until = self.at + millis;
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.at = self.at.max(at);
            self.step();
        }
        self.at = until;
    }

    fn next_at(&self) -> Option<i64> {
        let event = self.events.peek().map(|Reverse((at, _))| *at);
        let ticks = (0..self.len()).filter_map(|node| self.tick_at(node));
        ticks.chain(event).min()
    }

    /// When, by the true clock, a node's own clock shows its deadline.
    fn tick_at(&self, node: usize) -> Option<i64> {
        let node = &self.nodes[node];
        let deadline = node.quorum.as_ref()?.deadline()?;
        let (pace, shown) = node.clock;
        Some(((deadline.0 - shown) * 1000 + pace - 1) / pace)
    }

    fn step(&mut self) {
        self.steps += 1;
        let due = (0..self.len()).find(|node| self.tick_at(*node).is_some_and(|at| at <= self.at));
        if let Some(node) = due {
            self.act(node, Payload::None, Quorum::tick);
        } else if let Some(Reverse((_, sequence))) = self.events.pop() {
            let event = self.bodies.remove(&sequence).unwrap();
            self.happen(event);
        }
    }

    fn act(&mut self, node: usize, payload: Payload, event: impl FnOnce(&mut Quorum, Moment) -> Effects) {
        let now = self.nodes[node].now(self.at);
        if let Some(quorum) = &mut self.nodes[node].quorum {
            let effects = event(quorum, now);
            self.carry_out(node, effects, payload);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Restart(node) => self.restart(node),
            Event::Flush { node, end, truncations } => {
                let state = &mut self.nodes[node];
                if state.truncations == truncations && state.quorum.is_some() {
                    state.disk.flushed = state.disk.flushed.max(end);
                    self.act(node, Payload::None, |quorum, now| quorum.flushed(Offset(end), now));
                }
            }
            Event::Response { to, id, response, payload } => {
                if self.incarnations[to.node] == to.incarnation {
                    self.act(to.node, payload, |quorum, now| quorum.answered(id, response, now));
                }
            }
            Event::Request { from, to, id, request } => self.serve(from, to, id, request, true),
            Event::Unpark { from, to, id, request, may_park } => self.serve(from, to, id, request, may_park),
        }
    }

    fn serve(&mut self, from: Sender, to: usize, id: RequestId, request: Request, may_park: bool) {
        let now = self.nodes[to].now(self.at);
        let Node { quorum: Some(quorum), disk, .. } = &mut self.nodes[to] else {
            // Nobody listens: the connection is refused, or nothing comes back at all.
            if self.random.percent(50) {
                self.reply(to, from, id, Response::Failed(QuorumError::Other), Payload::None);
            }
            return;
        };
        let mut payload = Payload::None;
        let (effects, response) = match &request {
            Request::Vote(r) => {
                let answered = quorum.vote_requested(r, now);
                (answered.effects, Response::Vote(answered.reply))
            }
            Request::BeginQuorumEpoch(r) => {
                let answered = quorum.begin_quorum_epoch_requested(r, now);
                (answered.effects, Response::BeginQuorumEpoch(answered.reply))
            }
            Request::EndQuorumEpoch(r) => {
                let answered = quorum.end_quorum_epoch_requested(r, now);
                (answered.effects, Response::EndQuorumEpoch(answered.reply))
            }
            Request::UpdateVoter(r) => {
                let answered = quorum.update_voter_requested(r, now);
                (answered.effects, Response::UpdateVoter(answered.reply))
            }
            Request::AddVoter(voter) => match quorum.add_voter(voter.clone(), now) {
                Ok((_, effects)) => (effects, Response::VotersChanged(Ok(()))),
                Err(_) => (Vec::new(), Response::VotersChanged(Err(QuorumError::RequestTimedOut))),
            },
            Request::RemoveVoter(key) => match quorum.remove_voter(key, now) {
                Ok((_, effects)) => (effects, Response::VotersChanged(Ok(()))),
                Err(_) => (Vec::new(), Response::VotersChanged(Err(QuorumError::RequestTimedOut))),
            },
            Request::Fetch(r) => {
                let answered = quorum.fetch_requested(r, now);
                let mut news = true;
                if let Ok(Fetched::Records { high_watermark }) = answered.reply.result {
                    let first = usize::try_from(r.log_end.offset.0 - disk.start).unwrap();
                    let count = self.random.between(1, 4).unsigned_abs() as usize;
                    let records: Vec<Record> = disk.records[first..].iter().take(count).cloned().collect();
                    news = !records.is_empty() || high_watermark > r.high_watermark;
                    payload = Payload::Records(records);
                }
                if !news && may_park {
                    self.carry_out(to, answered.effects, Payload::None);
                    let timeout = Event::Unpark { from, to, id, request: request.clone(), may_park: false };
                    self.schedule(self.at + 250, timeout);
                    self.parked[to].insert(from, (id, request));
                    return;
                }
                let has_records = matches!(&payload, Payload::Records(records) if !records.is_empty());
                (answered.effects, Response::Fetch { reply: answered.reply, has_records })
            }
            Request::FetchSnapshot(r) => {
                let held = disk.snapshot.clone().filter(|(id, _)| *id == r.snapshot);
                let answered = quorum.fetch_snapshot_requested(r, held.as_ref().map(|_| 100), now);
                payload = Payload::Snapshot(held.map(|(_, changes)| changes).unwrap_or_default());
                (answered.effects, Response::FetchSnapshot(piece(r, answered.reply)))
            }
        };
        self.carry_out(to, effects, Payload::None);
        // Who crashes while carrying out the effects does not reply.
        if self.nodes[to].quorum.is_some() {
            self.reply(to, from, id, response, payload);
        }
    }

    fn reply(&mut self, from: usize, to: Sender, id: RequestId, response: Response, payload: Payload) {
        self.post(from, to.node, Event::Response { to, id, response, payload });
    }

    /// The driver: does what the machine says, in order, and may crash at any point.
    fn carry_out(&mut self, node: usize, effects: Effects, payload: Payload) {
        let mut queue = VecDeque::from(effects);
        let mut news = false;
        while let Some(effect) = queue.pop_front() {
            if self.random.between(0, 1000) < self.faults.crash_per_mille {
                return self.crash(node);
            }
            news |= matches!(effect, Effect::HighWatermark(_) | Effect::Append(_) | Effect::LostLeadership);
            let reported = self.carry_out_one(node, effect, &payload);
            queue.extend(reported);
        }
        if news {
            self.wake(node);
        }
        self.check(node);
    }

    fn carry_out_one(&mut self, node: usize, effect: Effect, payload: &Payload) -> Effects {
        let now = self.nodes[node].now(self.at);
        match effect {
            Effect::Persist(state) => {
                let before = self.nodes[node].disk.election.replace(state.clone());
                let before = before.unwrap_or_default();
                assert!(before.epoch <= state.epoch, "the epoch goes back");
                let both = before.voted.zip(state.voted).filter(|_| before.epoch == state.epoch);
                assert!(both.is_none_or(|(a, b)| a == b), "two votes in one epoch");
            }
            Effect::Send { to: Peer::Node(to), id, request } => {
                let from = Sender { node, incarnation: self.incarnations[node] };
                self.post(node, index(to), Event::Request { from, to: index(to), id, request });
            }
            Effect::Send { to: Peer::Bootstrap(_), .. } => panic!("there are no unnamed servers here"),
            Effect::Append(records) => {
                let changes = records.into_iter().map(|record| match record {
                    ControlRecord::LeaderChange { .. } => None,
                    ControlRecord::KRaftVersion(version) => Some(Change::KRaftVersion(version)),
                    ControlRecord::Voters(voters) => Some(Change::Voters(voters)),
                });
                for change in changes.collect::<Vec<_>>() {
                    self.append(node, change);
                }
                return self.report_appended(node);
            }
            Effect::AppendFetched(epoch_max) => {
                let Payload::Records(records) = payload else { panic!("no records came along") };
                return self.append_fetched(node, records, epoch_max);
            }
            Effect::Truncate(to) => {
                let state = &mut self.nodes[node];
                assert!(to.0 >= state.announced, "committed records are truncated");
                state.disk.truncate(to.0);
                state.truncations += 1;
                // What is left is durable only as far as it was.
                self.begin_flush(node);
            }
            Effect::WriteSnapshot { .. } => {}
            Effect::InstallSnapshot(id) => {
                let Payload::Snapshot(changes) = payload else { panic!("no snapshot came along") };
                let state = &mut self.nodes[node];
                state.disk = Disk {
                    election: state.disk.election.take(),
                    start: id.offset.0,
                    records: Vec::new(),
                    flushed: id.offset.0,
                    snapshot: Some((id, changes.clone())),
                };
                state.truncations += 1;
                state.announced = state.announced.max(id.offset.0 - 1);
                let quorum = state.quorum.as_mut().unwrap();
                return quorum.snapshot_installed(id, changes.clone(), now);
            }
            Effect::HighWatermark(offset) => self.announce(node, offset.0),
            Effect::BecameLeader { epoch, start } => {
                let other = self.leaders.insert(epoch.0, node);
                assert!(other.is_none_or(|other| other == node), "two leaders in epoch {epoch}");
                let disk = &self.nodes[node].disk;
                assert_eq!(start.0, disk.end());
                let committed = i64::try_from(self.committed.len()).unwrap();
                assert!(start.0 >= committed, "the leader of epoch {epoch} lacks committed records");
                if committed > disk.start {
                    assert_eq!(*disk.at(committed - 1), self.committed[self.committed.len() - 1]);
                }
            }
            Effect::LostLeadership | Effect::NewLeader { .. } => {}
        }
        Vec::new()
    }

    fn wake(&mut self, node: usize) {
        for (from, (id, request)) in std::mem::take(&mut self.parked[node]) {
            self.schedule(self.at, Event::Unpark { from, to: node, id, request, may_park: true });
        }
    }

    fn append(&mut self, node: usize, change: Option<Change>) {
        self.next_value += 1;
        let state = &mut self.nodes[node];
        let epoch = state.quorum.as_ref().unwrap().epoch().0;
        let record = Record { epoch, value: self.next_value, change };
        let other = self.written.insert((state.disk.end(), epoch), record.value);
        assert_eq!(other, None, "two records at one offset in one epoch");
        state.disk.records.push(record);
    }

    fn report_appended(&mut self, node: usize) -> Effects {
        self.begin_flush(node);
        let state = &mut self.nodes[node];
        let (end, now) = (Offset(state.disk.end()), state.now(self.at));
        state.quorum.as_mut().unwrap().appended(end, now)
    }

    fn append_fetched(&mut self, node: usize, records: &[Record], epoch_max: LeaderEpoch) -> Effects {
        let state = &mut self.nodes[node];
        let base = state.disk.end();
        let kept: Vec<Record> = records.iter().take_while(|r| r.epoch <= epoch_max.0).cloned().collect();
        let mut last = state.disk.records.last().map_or(-1, |record| record.epoch);
        let (mut epochs, mut changes) = (Vec::new(), Vec::new());
        for (record, offset) in kept.iter().zip(base..) {
            if record.epoch > last {
                last = record.epoch;
                epochs.push(EpochStart { epoch: LeaderEpoch(last), start: Offset(offset) });
            }
            changes.extend(record.change.clone().map(|change| (Offset(offset), change)));
        }
        state.disk.records.extend(kept);
        self.begin_flush(node);
        let state = &mut self.nodes[node];
        let (end, now) = (Offset(state.disk.end()), state.now(self.at));
        state.quorum.as_mut().unwrap().replicated(end, &epochs, changes, now)
    }

    fn begin_flush(&mut self, node: usize) {
        let delay = self.random.between(0, self.faults.flush_max);
        let Node { disk, truncations, .. } = &self.nodes[node];
        let event = Event::Flush { node, end: disk.end(), truncations: *truncations };
        self.schedule(self.at + delay, event);
    }

    /// A node says that records up to `to` are committed: all nodes must mean the same records.
    fn announce(&mut self, node: usize, to: i64) {
        let state = &mut self.nodes[node];
        assert!(to > state.announced, "the high watermark goes back");
        let from = state.announced.max(state.disk.start);
        for offset in from..to {
            let record = state.disk.at(offset);
            let at = usize::try_from(offset).unwrap();
            match self.committed.get(at) {
                Some(committed) => assert_eq!(record, committed, "at {offset}"),
                None => {
                    assert_eq!(at, self.committed.len(), "records are committed in order");
                    self.committed.push(record.clone());
                }
            }
        }
        state.announced = to;
    }

    fn check(&self, node: usize) {
        let state = &self.nodes[node];
        let Some(quorum) = &state.quorum else { return };
        assert!(quorum.high_watermark().0 >= state.announced);
        // A leader in the newest epoch that anybody leads in.
        if quorum.is_leader() {
            assert_eq!(self.leaders.get(&quorum.epoch().0), Some(&node));
        }
    }

    pub fn leader(&self) -> Option<usize> {
        let leads = |node: &usize| self.nodes[*node].quorum.as_ref().is_some_and(Quorum::is_leader);
        (0..self.len()).filter(leads).max_by_key(|node| self.nodes[*node].quorum.as_ref().unwrap().epoch())
    }

    /// A client writes to whoever takes itself for the leader.
    pub fn write(&mut self, node: usize) {
        if self.nodes[node].quorum.as_ref().is_some_and(Quorum::is_leader) {
            for _ in 0..self.random.between(1, 4) {
                self.append(node, None);
            }
            let effects = self.report_appended(node);
            self.carry_out(node, effects, Payload::None);
            self.wake(node);
        }
    }

    /// A node writes a snapshot of what it knows to be committed, and drops that part of its log.
    pub fn snapshot(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        let Some(quorum) = &state.quorum else { return };
        let to = quorum.high_watermark().0;
        if to <= state.disk.start || state.announced < to || state.disk.flushed < to {
            return;
        }
        let id = OffsetAndEpoch { offset: Offset(to), epoch: LeaderEpoch(state.disk.at(to - 1).epoch) };
        let changes = state.disk.changes_before(to);
        state.disk.records.drain(..usize::try_from(to - state.disk.start).unwrap());
        state.disk.start = to;
        state.disk.snapshot = Some((id, changes));
        self.act(node, Payload::None, |quorum, now| quorum.snapshot_written(id, id, Offset(to), now));
    }

    /// Somebody raises `kraft.version`.
    pub fn upgrade(&mut self) {
        let Some(leader) = self.leader() else { return };
        let now = self.nodes[leader].now(self.at);
        let Some(quorum) = self.nodes[leader].quorum.as_mut() else { return };
        if let Ok(Some((_, effects))) = quorum.upgrade(KRaftVersion::DYNAMIC, now) {
            self.carry_out(leader, effects, Payload::None);
        }
    }

    /// Whether everybody knows that voters stand in the log.
    pub fn is_upgraded(&self) -> bool {
        self.nodes
            .iter()
            .all(|node| node.quorum.as_ref().is_some_and(|quorum| quorum.kraft_version() == KRaftVersion::DYNAMIC))
    }

    /// Somebody adds or removes a voter.
    pub fn change_voters(&mut self) {
        let Some(leader) = self.leader() else { return };
        let target = usize::try_from(self.random.between(0, i64::try_from(self.len()).unwrap())).unwrap();
        let now = self.nodes[leader].now(self.at);
        let Some(quorum) = self.nodes[leader].quorum.as_mut() else { return };
        let voters = quorum.voters().len();
        let is_voter = quorum.voters().contains(&voter(target).key);
        let changed = match is_voter {
            true if voters > 2 => quorum.remove_voter(&voter(target).key, now),
            false => quorum.add_voter(voter(target), now),
            true => return,
        };
        if let Ok((_, effects)) = changed {
            self.carry_out(leader, effects, Payload::None);
        }
    }

    pub fn resign(&mut self, node: usize) {
        self.act(node, Payload::None, |quorum, now| quorum.resign(quorum.epoch(), now));
    }

    /// After a time without faults: somebody leads, everybody follows, and all is committed everywhere.
    pub fn assert_settled(&self) {
        let leader = self.leader().expect("a leader is elected");
        let quorum = self.nodes[leader].quorum.as_ref().unwrap();
        let end = quorum.log_end();
        for (id, node) in self.nodes.iter().enumerate() {
            let own = node.quorum.as_ref().unwrap();
            let found = (own.epoch(), own.leader(), own.log_end(), own.high_watermark());
            let leader = Some(NodeId(i32::try_from(leader).unwrap()));
            assert_eq!(found, (quorum.epoch(), leader, end, end), "node {id} is {}", own.state_name());
        }
    }

    pub fn committed(&self) -> usize {
        self.committed.len()
    }

    pub fn epochs(&self) -> usize {
        self.leaders.len()
    }
}
