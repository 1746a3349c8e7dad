//! Groups under faults, from seeds. `THALWEG_SEED=n` replays one, `THALWEG_SEEDS=n` runs so many of each kind.
//!
//! Members join, leave, die and pause; the partition of the log changes its leader between any two steps, and what was
//! not committed is lost; strangers send requests that are wrong. After every step all that was promised is checked.

mod classic;
mod consumer;

mod hostile;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use thalweg_wire::messages::offset_fetch_request::OffsetFetchRequestGroup;

use crate::request::{Answer, Request};
pub(super) use world::Random;
use world::{GROUP, PARTITIONS, World};

/// How many steps a seed has before the faults end.
const STEPS: usize = 400;

/// Within what time a group is stable once nothing fails any more: a session, a rebalance and the first delay have their
/// place in it.
const STABLE_WITHIN_MS: i64 = 60_000;

/// How a kind of member takes part.
trait Member {
    /// What it does when it is its turn.
    fn turn(&mut self, world: &mut World);
    /// An answer to one of its requests.
    fn answered(&mut self, world: &mut World, ticket: thalweg_coordinator::Ticket, answer: Answer);
    /// Its requests went to a node that no longer leads the partition.
    fn coordinator_lost(&mut self, world: &World);
    /// It stops for ever.
    fn die(&mut self);
    /// It does nothing until then.
    fn pause(&mut self, until: i64);
    /// It says that it leaves, and stops.
    fn leave(&mut self, world: &mut World);
    /// Whether it has not stopped.
    fn is_alive(&self) -> bool;
    /// Whether it has all that it is to have.
    fn is_stable(&self) -> bool;
    /// Its member id.
    fn member_id(&self) -> &str;
    /// What it reads, if two members that read the same are two too many.
    fn owned(&self) -> Vec<i32>;
}

/// Makes the member of that number.
type Make = fn(usize, &mut World) -> Box<dyn Member>;

/// One run: members and their world.
struct Run {
    world: World,
    members: Vec<Box<dyn Member>>,
    make: Make,
}

impl Run {
    fn step(&mut self) {
        match self.world.random.below(100) {
            0..30 => {
                let ms = self.world.random.below(400) as i64;
                self.world.pass(ms);
            }
            30..75 => self.one(|member, world| member.turn(world)),
            75..80 if self.members.len() < 30 => {
                let member = (self.make)(self.members.len(), &mut self.world);
                self.members.push(member);
            }
            80..82 => self.one(|member, _| member.die()),
            82..84 => self.one(|member, world| member.leave(world)),
            84..87 => self.one(|member, world| {
                let until = world.now + world.random.below(15_000) as i64;
                member.pause(until);
            }),
            87..89 => self.world.crash_soon = true,
            89..92 => self.fail_over(),
            92..94 => self.world.refuse_next_write = true,
            94..97 => hostile::strike(&mut self.world),
            _ => self.world.commit_some(),
        }
        self.deliver();
        while self.world.has_crashed {
            self.fail_over();
            self.deliver();
        }
        self.check();
        self.fetch();
    }

    /// Somebody does something.
    fn one(&mut self, act: impl FnOnce(&mut dyn Member, &mut World)) {
        if !self.members.is_empty() {
            let at = self.world.random.below(self.members.len());
            act(&mut *self.members[at], &mut self.world);
        }
    }

    fn fail_over(&mut self) {
        self.world.fail_over();
        for member in &mut self.members {
            member.coordinator_lost(&self.world);
        }
    }

    fn deliver(&mut self) {
        while let Some((ticket, answer)) = self.world.next_delivery() {
            for member in &mut self.members {
                member.answered(&mut self.world, ticket, answer.clone());
            }
        }
    }

    /// What the group has given to members, as it describes it and as they believe it.
    fn check(&mut self) {
        classic::check(&mut self.world);
        consumer::check(&mut self.world);
        let mut owners = std::collections::BTreeMap::new();
        let ids = self.world.consumer_member_ids();
        for member in self.members.iter().filter(|member| ids.contains(member.member_id())) {
            for partition in member.owned() {
                let other = owners.insert(partition, member.member_id());
                assert_eq!(other, None, "{} too reads partition {partition}", member.member_id());
            }
        }
    }

    /// What is committed never goes back.
    fn fetch(&mut self) {
        let group = OffsetFetchRequestGroup {
            group_id: GROUP.into(),
            topics: None,
            member_epoch: -1,
            ..OffsetFetchRequestGroup::default()
        };
        let Answer::OffsetFetch(response) = self.world.look(Request::OffsetFetch { group, require_stable: false })
        else {
            panic!("it is the answer to the request of its name")
        };
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let offsets: Vec<_> = partitions.map(|found| (found.partition_index, found.committed_offset)).collect();
        for (&partition, &acknowledged) in &self.world.acknowledged {
            let found = offsets.iter().find(|(index, _)| *index == partition);
            assert!(
                found.is_some_and(|(_, offset)| *offset >= acknowledged),
                "offset {acknowledged} of partition {partition} was acknowledged, and {found:?} is there"
            );
        }
    }

    /// No more faults: whoever lives goes on until the group is stable, for so long.
    fn settle(&mut self) {
        self.world.calm();
        let until = self.world.now + STABLE_WITHIN_MS;
        loop {
            self.world.pass(50);
            for at in 0..self.members.len() {
                self.members[at].turn(&mut self.world);
                self.world.commit_all();
                self.deliver();
            }
            self.check();
            let living: Vec<_> = self.members.iter().filter(|member| member.is_alive()).collect();
            let described = self.world.members_in_group();
            let stable = self.world.group_state() == "Stable" || living.is_empty();
            if stable && living.len() == described && living.iter().all(|member| member.is_stable()) {
                break;
            }
            assert!(
                self.world.now < until,
                "{} members live, {} of them have what they are to have, the group has {described}",
                living.len(),
                living.iter().filter(|member| member.is_stable()).count(),
            );
        }
        self.world.check_open();
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(count: u64, make: Make) {
    let seeds = match number("THALWEG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("THALWEG_SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut run = Run { world: World::new(Random::new(seed)), members: Vec::new(), make };
            for _ in 0..STEPS {
                run.step();
            }
            run.settle();
        }));
        if let Err(panic) = result {
            eprintln!("replay with THALWEG_SEED={seed}");
            resume_unwind(panic);
        }
    }
}

/// Whether every partition is in exactly one of `owned`.
fn assert_partitioned(owned: impl IntoIterator<Item = i32>) {
    let mut owned: Vec<i32> = owned.into_iter().collect();
    owned.sort_unstable();
    assert_eq!(owned, (0..PARTITIONS).collect::<Vec<_>>(), "a stable group has every partition once");
}

#[test]
fn classic_groups_keep_their_promises_whatever_fails() {
    run(40, |number, world| Box::new(classic::Client::new(number, world)));
}

#[test]
fn consumer_groups_keep_their_promises_whatever_fails() {
    run(40, |number, world| Box::new(consumer::Client::new(number, world)));
}

#[test]
fn groups_of_both_kinds_of_members_keep_their_promises_whatever_fails() {
    run(40, |number, world| match world.random.percent(50) {
        true => Box::new(classic::Client::new(number, world)),
        false => Box::new(consumer::Client::new(number, world)),
    });
}
