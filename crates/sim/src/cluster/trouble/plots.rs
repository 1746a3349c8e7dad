//! Troubles that aim: at a partition's leader, and at an election of the metadata quorum. Chance alone would seldom put
//! together what each of them puts together. What else goes on at the same time goes on.

use super::{Trouble, Undo, witness};
use crate::cluster::health::Place;
use crate::cluster::topics::{PARTITIONS, TOPICS};
use crate::cluster::{CLIENTS, Move};

/// How long a plot waits for what it waits for: longer than a broker's session lasts.
const PATIENCE_MS: u64 = 12_000;
/// How long it waits for the next record to be acknowledged.
const RECORD_MS_MAX: u64 = 500;

impl Trouble<'_, '_> {
    /// One of them.
    pub(super) fn plot(&mut self) -> Result<(), String> {
        // Nobody is elected while other troubles keep the voters apart.
        let can_elect = self.away.is_empty() && self.cut.is_empty();
        match self.draw.below(if can_elect { 12 } else { 6 }) {
            0 | 1 => self.outlive_the_leader(),
            2 => self.crash_the_leader_that_acknowledged(),
            3 => self.move_a_leader(),
            4 => self.move_a_leader_unheard(),
            5 => self.deliver_late(),
            _ => self.forget_a_vote(),
        }
    }

    /// A partition's leader reaches no other node, until another one leads and for a while after that. Clients reach both.
    fn outlive_the_leader(&mut self) -> Result<(), String> {
        let Some((place, leader, epoch)) = self.choose_leader() else { return Ok(()) };
        if self.away.contains(&leader) {
            return Ok(());
        }
        let is_one_way = self.draw.below(3) == 0;
        let others = self.other_nodes(leader);
        match is_one_way {
            false => {
                self.tell(format_args!("{}, which leads {place:?}, reaches no other node", self.name(leader)));
                self.cut_off(leader, others, PATIENCE_MS);
            }
            true => {
                self.tell(format_args!("{}, which leads {place:?}, hears of no other node", self.name(leader)));
                self.deafen(leader, others, PATIENCE_MS);
            }
        }
        self.wait(PATIENCE_MS, |me| me.epoch_of(place) > epoch)?;
        let longer = self.draw.below(1500);
        self.go_on(longer)?;
        self.end_links_of(leader);
        Ok(())
    }

    /// The leader of a partition crashes as soon as it has acknowledged a record, before others can have heard more.
    fn crash_the_leader_that_acknowledged(&mut self) -> Result<(), String> {
        let before = self.shared.history.borrow().acknowledged();
        self.wait(RECORD_MS_MAX, |me| me.shared.history.borrow().acknowledged() > before)?;
        let newest = self.shared.history.borrow().last_acknowledged();
        let place = (0..TOPICS.len()).flat_map(|topic| (0..PARTITIONS).map(move |partition| (topic, partition)));
        let place = place.into_iter().find(|(topic, partition)| Some(TOPICS[*topic].key(*partition)) == newest);
        if let Some(leader) = place.and_then(|place| self.leader_of(place)) {
            self.crash(leader);
        }
        Ok(())
    }

    /// A partition is given to another leader, while all nodes are alive: whoever writes to the old one hears it from that one.
    fn move_a_leader(&mut self) -> Result<(), String> {
        let Some((place, _, epoch)) = self.choose_leader() else { return Ok(()) };
        self.ask_to_move(place);
        self.wait(PATIENCE_MS / 4, |me| me.epoch_of(place) > epoch)
    }

    /// As [`Trouble::move_a_leader`], but the old leader hears of it late, as it hears nothing from the active controller.
    fn move_a_leader_unheard(&mut self) -> Result<(), String> {
        let Some((place, leader, epoch)) = self.choose_leader() else { return Ok(()) };
        let Some(controller) = self.controller().filter(|controller| *controller != leader) else { return Ok(()) };
        self.tell(format_args!("{} hears nothing from the controller", self.name(leader)));
        let ms = 1 + self.draw.below(2500);
        self.deafen(leader, [controller], ms);
        self.ask_to_move(place);
        self.wait(ms, |me| me.epoch_of(place) > epoch)
    }

    /// What clients send to a leader arrives when another one leads.
    fn deliver_late(&mut self) -> Result<(), String> {
        let Some((place, leader, epoch)) = self.choose_leader() else { return Ok(()) };
        let ms = 500 + self.draw.below(3000);
        self.tell(format_args!("what clients send to {} arrives late", self.name(leader)));
        for client in self.hosts.len()..self.hosts.len() + CLIENTS.len() {
            self.hold(leader, client, ms);
        }
        let crashes = self.draw.below(2) == 0;
        if crashes {
            self.crash(leader);
        } else {
            self.ask_to_move(place);
        }
        self.wait(ms, |me| me.epoch_of(place) > epoch)
    }

    /// The active controller is cut off, and another one is elected. At this moment all who may have voted for it crash and come
    /// back at once, and it is cut off itself. So the voters hear only the old controller, which asks for their votes in the
    /// same epoch: they must still know whom they have voted for.
    fn forget_a_vote(&mut self) -> Result<(), String> {
        let (Some(old), Some((epoch, _))) = (self.controller(), witness::metadata_leader()) else { return Ok(()) };
        self.tell(format_args!("{}, the active controller, is cut off from the other nodes", self.name(old)));
        let others = self.other_nodes(old);
        self.cut_off(old, others.clone(), PATIENCE_MS);
        let is_newer = move |_: &Self| witness::metadata_leader().is_some_and(|(newest, _)| newest > epoch);
        self.wait(PATIENCE_MS, is_newer)?;
        let Some(new) = self.controller().filter(|new| is_newer(self) && *new != old) else {
            self.end_links_of(old);
            return Ok(());
        };
        self.tell(format_args!("{} is elected instead, and is cut off", self.name(new)));
        let voters = others.into_iter().filter(|voter| *voter != new);
        for voter in voters.clone() {
            self.cut_off(new, [voter], PATIENCE_MS);
            let down_ms = self.draw.below(20);
            self.crash_for(voter, down_ms);
        }
        // Seldom the old one still takes itself for the leader when it is let back in.
        let alone_ms = if self.draw.below(4) == 0 { self.draw.below(1500) } else { PATIENCE_MS / 2 };
        self.wait(alone_ms, |_| !witness::leads_metadata(host_id(old)))?;
        voters.for_each(|voter| self.end_link(old, voter));
        self.wait(PATIENCE_MS / 4, |_| witness::metadata_leader().is_some_and(|(_, leader)| leader != host_id(new)))?;
        self.end_links_of(new);
        Ok(())
    }

    /// A partition whose leader is known, that leader's host, and its epoch.
    fn choose_leader(&mut self) -> Option<(Place, usize, i32)> {
        let topic = self.draw.index(TOPICS.len());
        let place = (topic, self.draw.below(PARTITIONS as u64).try_into().ok()?);
        Some((place, self.leader_of(place)?, self.epoch_of(place)))
    }

    fn leader_of(&self, place: Place) -> Option<usize> {
        let (leader, _) = self.shared.health.leader(place)?;
        usize::try_from(leader - 1).ok().filter(|host| *host < self.hosts.len())
    }

    fn epoch_of(&self, place: Place) -> i32 {
        self.shared.health.leader(place).map_or(-1, |(_, epoch)| epoch)
    }

    /// Asks the operator to move a partition's leader to any other node.
    fn ask_to_move(&mut self, place: Place) {
        let Some(leader) = self.leader_of(place) else { return };
        let next = 1 + self.draw.index(self.hosts.len() - 1);
        let to = (leader + next) % self.hosts.len();
        self.tell(format_args!("{} is to lead {place:?} instead of {}", self.name(to), self.name(leader)));
        self.shared.wanted_move.set(Some(Move { place, to: host_id(to) }));
    }

    /// The troubles of all links between this node and others end now.
    fn end_links_of(&mut self, host: usize) {
        self.other_nodes(host).into_iter().for_each(|other| self.end_link(host, other));
    }

    fn end_link(&mut self, a: usize, b: usize) {
        let is_of_link = |(_, undo): &mut (u64, Undo)| match undo {
            Undo::Repair(c, d) | Undo::RepairOneWay(c, d) | Undo::Release(c, d) => {
                super::link(*c, *d) == super::link(a, b)
            }
            Undo::Start(_) | Undo::Stopped(_) | Undo::Resume(_) | Undo::MendDisk(_) => false,
        };
        let ended: Vec<(u64, Undo)> = self.pending.extract_if(.., is_of_link).collect();
        ended.into_iter().for_each(|(_, undo)| self.undo(undo));
    }
}

/// The id of the node on this host.
fn host_id(host: usize) -> i32 {
    i32::try_from(host).unwrap_or(0) + 1
}
