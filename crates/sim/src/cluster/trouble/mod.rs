//! What happens to nodes and network, as the seed says.

mod plots;

use std::collections::BTreeSet;

use thalweg_sys::disk::Unsynced;
use thalweg_sys::faults::Kind;
use thalweg_sys::machine::Machine;

use super::{CLIENTS, Shared, witness};
use crate::world::Host;

/// The cluster and its clients are left alone until so many records are acknowledged, at first and after some of the troubles.
const CALM_RECORDS: usize = 20;
/// That takes so many milliseconds at most.
const CALM_MS_MAX: u64 = 20_000;
/// How many troubles there are, one after another or at once.
const TROUBLES: u64 = 10;
/// The longest time from the beginning of a trouble to that of the next.
const PAUSE_MS_MAX: u64 = 2500;
/// After some of the troubles the next one waits until every replica is in sync again, at most so long.
const RECOVERY_MS_MAX: u64 = 5000;
/// More troubles than this are not going on at once, but for those that belong together.
const AT_ONCE_MAX: usize = 3;
/// How a story says that it ends early.
const GOES_NO_FURTHER: &str = "the story goes no further";
/// How often the history is looked at for what is broken already.
const LOOK_MS: u64 = 100;
/// A node that was asked to stop and has not after so long is killed.
const STOPPING_MS_MAX: u64 = 15_000;

/// Which crashes a story has: what is promised after each differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Faults {
    /// Processes end, of any number of nodes at once: what was written is there when they come back.
    Kills,
    /// The power of any number of nodes fails, and what was not synced is lost. Nodes sync what they acknowledge.
    PowerOfAll,
    /// Nodes do not sync what they acknowledge. The power of one fails only while all replicas are in sync, and no other node
    /// crashes before they are again: what the one loses, the others have. Kafka promises no more: to the controller, a
    /// replica whose process was killed is one that may have lost records.
    PowerOfOne,
}

impl Faults {
    pub(super) fn of_seed(seed: u64) -> Self {
        [Self::Kills, Self::PowerOfAll, Self::PowerOfOne][usize::try_from(seed % 3).unwrap_or(0)]
    }
}

/// How a trouble ends.
#[derive(Clone, Debug)]
enum Undo {
    Start(usize),
    /// It was asked to stop: it starts again when it has.
    Stopped(usize),
    Resume(usize),
    Repair(usize, usize),
    RepairOneWay(usize, usize),
    Release(usize, usize),
    MendDisk(usize),
}

/// Random numbers.
struct Draw(u64);

impl Draw {
    fn below(&mut self, range: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % range
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }
}

/// What makes trouble, and steps the simulation.
pub(super) struct Trouble<'s, 'a> {
    sim: &'s mut turmoil::Sim<'a>,
    hosts: &'s [Host],
    /// What the clients run on.
    machines: &'s [Machine],
    shared: &'s Shared,
    faults: Faults,
    draw: Draw,
    /// When each trouble ends.
    pending: Vec<(u64, Undo)>,
    /// Hosts that are down or paused.
    away: BTreeSet<usize>,
    /// Links that are cut or held, the lower end first. The hosts of clients are counted after those of nodes.
    cut: BTreeSet<(usize, usize)>,
    /// Hosts whose disk fails.
    bad_disks: BTreeSet<usize>,
    /// When a trouble began or ended last.
    changed_at: u64,
    /// A node has lost what others must not lose before all replicas are in sync again.
    is_vulnerable: bool,
    /// The epoch of the metadata quorum after which an election is disturbed.
    disturbs_election_after: Option<i32>,
    /// What was done, for the reader.
    pub(super) told: Vec<String>,
}

impl<'s, 'a> Trouble<'s, 'a> {
    pub(super) fn new(
        sim: &'s mut turmoil::Sim<'a>,
        (hosts, machines): (&'s [Host], &'s [Machine]),
        shared: &'s Shared,
        faults: Faults,
        seed: u64,
    ) -> Self {
        let told = vec![format!("{faults:?}")];
        Self {
            sim,
            hosts,
            machines,
            shared,
            faults,
            draw: Draw(seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(77)),
            pending: Vec::new(),
            away: BTreeSet::new(),
            cut: BTreeSet::new(),
            bad_disks: BTreeSet::new(),
            changed_at: 0,
            is_vulnerable: false,
            disturbs_election_after: None,
            told,
        }
    }

    /// Makes trouble, then lets the clients come to their end.
    pub(super) fn run(&mut self) -> Result<(), String> {
        while self.shared.history.borrow().acknowledged() < CALM_RECORDS {
            self.step()?;
            if self.now() > CALM_MS_MAX {
                return Err("a cluster without troubles takes no records".to_owned());
            }
        }
        for _ in 0..TROUBLES {
            match self.draw.below(4) {
                0 => {
                    self.end_all();
                    self.wait(RECOVERY_MS_MAX, Self::is_all_in_sync)?;
                    let before = self.shared.history.borrow().acknowledged();
                    let goes_on = |this: &Self| this.shared.history.borrow().acknowledged() > before + CALM_RECORDS;
                    self.wait(CALM_MS_MAX, goes_on)?;
                }
                _ if self.pending.len() >= AT_ONCE_MAX => {}
                1 | 2 => self.plot()?,
                _ => self.begin_one(),
            }
            let pause_ms = 1 + self.draw.below(PAUSE_MS_MAX);
            self.go_on(pause_ms)?;
        }
        self.end_all();
        self.tell("everybody is well");
        self.shared.stop.set(true);
        while !self.step()? {}
        Ok(())
    }

    /// So many milliseconds.
    fn go_on(&mut self, ms: u64) -> Result<(), String> {
        for _ in 0..ms {
            self.disturb_election();
            self.step()?;
        }
        Ok(())
    }

    /// Goes on until something is so, or so many milliseconds.
    fn wait(&mut self, ms_max: u64, is_so: impl Fn(&Self) -> bool) -> Result<(), String> {
        let until = self.now() + ms_max;
        while self.now() < until && !is_so(self) {
            self.go_on(1)?;
        }
        Ok(())
    }

    /// All troubles end.
    fn end_all(&mut self) {
        self.disturbs_election_after = None;
        let all = std::mem::take(&mut self.pending);
        all.into_iter().for_each(|(_, undo)| self.undo(undo));
    }

    fn now(&self) -> u64 {
        self.shared.clock.get()
    }

    fn tell(&mut self, what: impl std::fmt::Display) {
        let line = format!("{} ms: {what}", self.now());
        witness::log(&line);
        self.told.push(line);
    }

    /// One millisecond. Says whether all clients have ended.
    fn step(&mut self) -> Result<bool, String> {
        let due = |(at, _): &mut (u64, Undo)| *at <= self.shared.clock.get();
        let due: Vec<(u64, Undo)> = self.pending.extract_if(.., due).collect();
        due.into_iter().for_each(|(_, undo)| self.undo(undo));
        let ended = self.sim.step();
        self.shared.clock.set(self.now() + 1);
        witness::set_clock(self.now());
        match (witness::panicked(), ended) {
            (Some(panicked), _) => Err(panicked),
            (None, Err(why)) => Err(why.to_string()),
            (None, Ok(_)) if self.now().is_multiple_of(LOOK_MS) && self.is_broken() => Err(GOES_NO_FURTHER.to_owned()),
            (None, Ok(ended)) => Ok(ended),
        }
    }

    /// Whether something is broken that no later event mends: the story need not go on.
    fn is_broken(&self) -> bool {
        witness::is_broken() || !self.shared.history.borrow().two_leaders().is_empty()
    }

    /// The hosts of nodes and clients but for one.
    fn all_but(&self, host: usize) -> Vec<usize> {
        (0..self.hosts.len() + CLIENTS.len()).filter(|other| *other != host).collect()
    }

    /// The hosts of nodes but for one.
    fn other_nodes(&self, host: usize) -> Vec<usize> {
        (0..self.hosts.len()).filter(|other| *other != host).collect()
    }

    /// The host of the node that was elected last to lead the metadata quorum.
    fn controller(&self) -> Option<usize> {
        let (_, node) = witness::metadata_leader()?;
        usize::try_from(node - 1).ok()
    }

    fn machine(&self, index: usize) -> &Machine {
        self.hosts.get(index).map_or_else(|| &self.machines[index - self.hosts.len()], |host| &host.machine)
    }

    fn name(&self, index: usize) -> String {
        self.hosts.get(index).map_or_else(|| CLIENTS[index - self.hosts.len()], |host| &*host.name).to_owned()
    }

    fn begin_one(&mut self) {
        let host = self.choose_host();
        // A node that ends by its disk would be a second one that may have lost records.
        let kinds = if self.faults == Faults::PowerOfOne { 12 } else { 14 };
        match self.draw.below(kinds) {
            0..=2 => self.crash(host),
            3 => self.stop(host),
            4 | 5 => self.cut_link(host),
            6 => self.isolate(host),
            7 if self.draw.below(2) == 0 => self.pause(host),
            // A member of groups.
            7 => {
                let client = 1 + self.draw.index(CLIENTS.len() - 1);
                self.pause(self.hosts.len() + client);
            }
            8 => self.jump_clock(host),
            9 | 10 => self.disturb_next_election(),
            11 => self.crash_all(),
            _ => self.fail_disk(host),
        }
    }

    /// Any host; that of the active controller more often than others.
    fn choose_host(&mut self) -> usize {
        let any = self.draw.index(self.hosts.len());
        match self.controller() {
            Some(controller) if self.draw.below(4) == 0 => controller,
            _ => any,
        }
    }

    /// A crash of the kind that the story has now.
    fn crash(&mut self, host: usize) {
        let down_ms = match self.draw.below(3) {
            0 => self.draw.below(20),
            1 => self.draw.below(1500),
            _ => self.draw.below(8000),
        };
        self.crash_for(host, down_ms);
    }

    fn crash_for(&mut self, host: usize, down_ms: u64) {
        let is_in_sync = self.is_all_in_sync();
        self.is_vulnerable &= !is_in_sync;
        if self.is_vulnerable || !self.away.insert(host) {
            return;
        }
        let may_lose = match self.faults {
            Faults::Kills => false,
            Faults::PowerOfAll => true,
            Faults::PowerOfOne => is_in_sync,
        };
        self.is_vulnerable = may_lose && self.faults == Faults::PowerOfOne;
        let name = self.name(host);
        match may_lose.then(|| self.unsynced()) {
            None => {
                self.tell(format_args!("{name} is killed for {down_ms} ms"));
                self.sim.crash(&*name);
            }
            Some(unsynced) => {
                self.tell(format_args!("{name} has no power for {down_ms} ms, {unsynced:?}"));
                self.go_silent(host, down_ms);
                self.sim.crash(&*name);
                self.hosts[host].lose_power(unsynced);
            }
        }
        self.end_after(down_ms, Undo::Start(host));
    }

    /// Without power nobody closes connections.
    fn go_silent(&mut self, host: usize, down_ms: u64) {
        let others = self.all_but(host);
        if others.iter().any(|other| self.cut.contains(&link(host, *other))) {
            return;
        }
        self.cut_off(host, others, down_ms);
    }

    /// A host and others do not hear each other; links that are cut or held already stay as they are.
    fn cut_off(&mut self, host: usize, others: impl IntoIterator<Item = usize>, ms: u64) {
        for other in others {
            if self.cut.insert(link(host, other)) {
                self.sim.partition(self.name(host), self.name(other));
                self.end_after(ms, Undo::Repair(host, other));
            }
        }
    }

    fn crash_all(&mut self) {
        for host in 0..self.hosts.len() {
            let down_ms = 1 + self.draw.below(3000);
            self.crash_for(host, down_ms);
        }
    }

    fn unsynced(&mut self) -> Unsynced {
        [Unsynced::Lost, Unsynced::PartlyThere, Unsynced::AnyOrder][self.draw.index(3)]
    }

    /// Whether every replica was in sync after the last trouble had ended.
    fn is_all_in_sync(&self) -> bool {
        self.pending.is_empty() && self.shared.health.was_seen_well_after(self.changed_at)
    }

    fn stop(&mut self, host: usize) {
        if !self.away.insert(host) {
            return;
        }
        self.tell(format_args!("{} is asked to stop", self.name(host)));
        self.hosts[host].stop();
        self.end_after(STOPPING_MS_MAX, Undo::Stopped(host));
    }

    fn cut_link(&mut self, host: usize) {
        let others = self.all_but(host);
        let other = others[self.draw.index(others.len())];
        let ms = self.draw.below(8000);
        let kind = self.draw.below(3);
        if self.cut.contains(&link(host, other)) {
            return;
        }
        let (here, there) = (self.name(host), self.name(other));
        match kind {
            0 => {
                self.tell(format_args!("{here} and {there} are cut off from each other for {ms} ms"));
                self.cut_off(host, [other], ms);
            }
            1 => {
                self.tell(format_args!("nothing arrives from {here} at {there} for {ms} ms"));
                self.deafen(other, [host], ms);
            }
            _ => {
                self.tell(format_args!("what {here} and {there} send to each other arrives after {ms} ms"));
                self.hold(host, other, ms);
            }
        }
    }

    /// What a host and another one send to each other arrives later.
    fn hold(&mut self, host: usize, other: usize, ms: u64) {
        if self.cut.insert(link(host, other)) {
            self.sim.hold(self.name(host), self.name(other));
            self.end_after(ms, Undo::Release(host, other));
        }
    }

    /// A host hears nothing from others, though they hear it.
    fn deafen(&mut self, host: usize, others: impl IntoIterator<Item = usize>, ms: u64) {
        for other in others {
            if self.cut.insert(link(host, other)) {
                self.sim.partition_oneway(self.name(other), self.name(host));
                self.end_after(ms, Undo::RepairOneWay(other, host));
            }
        }
    }

    /// A node that reaches no other node, though clients may reach it.
    fn isolate(&mut self, host: usize) {
        let ms = self.draw.below(10_000);
        self.tell(format_args!("{} is cut off from the other nodes for {ms} ms", self.name(host)));
        self.cut_off(host, self.other_nodes(host), ms);
    }

    fn pause(&mut self, host: usize) {
        if !self.away.insert(host) {
            return;
        }
        let ms = self.draw.below(12_000);
        self.tell(format_args!("{} is paused for {ms} ms", self.name(host)));
        self.machine(host).pause();
        self.end_after(ms, Undo::Resume(host));
    }

    fn jump_clock(&mut self, host: usize) {
        let ms = self.draw.below(7_200_000).cast_signed() - 3_600_000;
        self.tell(format_args!("the clock of {} is {ms} ms ahead", self.name(host)));
        self.hosts[host].machine.set_clock_ahead_ms(ms);
    }

    /// Operations of a disk fail, some of them or all, until it is mended and the node started again.
    fn fail_disk(&mut self, host: usize) {
        if !self.bad_disks.insert(host) {
            return;
        }
        let kind = [Kind::Io, Kind::Full, Kind::ReadOnly, Kind::Unreadable][self.draw.index(4)];
        let (after, ms) = (self.draw.below(100), self.draw.below(8000));
        let times = if self.draw.below(2) == 0 { 1 + self.draw.below(5) } else { u64::MAX };
        let what =
            if times == u64::MAX { "all operations fail".to_owned() } else { format!("{times} operations fail") };
        self.tell(format_args!(
            "on the disk of {} {what} with {kind:?} after {after} more, for {ms} ms",
            self.name(host)
        ));
        self.hosts[host].fail_disk(kind, after, times);
        self.end_after(ms, Undo::MendDisk(host));
    }

    /// The disk is well again. What the node met may end it yet, so that it is started anew, once it is not away.
    fn mend_disk(&mut self, host: usize) {
        self.hosts[host].mend_disk();
        if self.away.contains(&host) {
            return self.pending.push((self.now() + LOOK_MS, Undo::MendDisk(host)));
        }
        self.bad_disks.remove(&host);
        self.tell(format_args!("the disk of {} is well", self.name(host)));
        if self.sim.is_host_running(self.name(host)) {
            self.sim.crash(self.name(host));
        }
        self.start(host);
    }

    /// The active controller goes away; when another one is elected, that is disturbed, too.
    fn disturb_next_election(&mut self) {
        let Some((epoch, leader)) = witness::metadata_leader() else { return };
        let leader = usize::try_from(leader - 1).unwrap_or(0);
        self.disturbs_election_after = Some(epoch);
        if self.draw.below(2) == 0 {
            self.crash(leader);
        } else {
            self.isolate(leader);
        }
    }

    /// A leader was elected just now: one of the voters crashes, and another one hears nothing of it.
    fn disturb_election(&mut self) {
        let Some(after) = self.disturbs_election_after else { return };
        let Some((epoch, leader)) = witness::metadata_leader().filter(|(epoch, _)| *epoch > after) else { return };
        self.disturbs_election_after = (self.draw.below(3) == 0).then_some(epoch);
        let leader = usize::try_from(leader - 1).unwrap_or(0);
        let others: Vec<usize> = (0..self.hosts.len()).filter(|other| *other != leader).collect();
        let crashes = self.draw.index(others.len());
        let down_ms = self.draw.below(30);
        self.tell(format_args!("{} leads in epoch {epoch}", self.name(leader)));
        self.isolate(leader);
        self.crash_for(others[crashes], down_ms);
    }

    fn end_after(&mut self, ms: u64, undo: Undo) {
        self.changed_at = self.now();
        self.pending.push((self.now() + ms, undo));
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Start(host) => self.start(host),
            Undo::Stopped(host) => {
                if self.sim.is_host_running(self.name(host)) {
                    if self.is_vulnerable {
                        return self.pending.push((self.now() + 1000, Undo::Stopped(host)));
                    }
                    self.tell(format_args!("{} does not stop in time and is killed", self.name(host)));
                    self.sim.crash(self.name(host));
                }
                self.start(host);
            }
            Undo::Resume(host) => {
                self.away.remove(&host);
                self.machine(host).resume();
            }
            Undo::Repair(a, b) => {
                self.cut.remove(&link(a, b));
                self.sim.repair(self.name(a), self.name(b));
            }
            Undo::RepairOneWay(a, b) => {
                self.cut.remove(&link(a, b));
                self.sim.repair_oneway(self.name(a), self.name(b));
            }
            Undo::Release(a, b) => {
                self.cut.remove(&link(a, b));
                self.sim.release(self.name(a), self.name(b));
            }
            Undo::MendDisk(host) => self.mend_disk(host),
        }
        self.changed_at = self.now();
    }

    fn start(&mut self, host: usize) {
        self.away.remove(&host);
        self.tell(format_args!("{} starts", self.name(host)));
        self.sim.bounce(self.name(host));
    }
}

fn link(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}
