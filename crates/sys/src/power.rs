//! A power failure, or the end of the process, at every operation of a story that changes the disk.

use std::path::Path;

use crate::disk::{self, Image, Unsynced};
use crate::random;

/// How often the power fails at one operation with each way of losing what was not synced.
pub type Ways = &'static [(Unsynced, u64)];
/// For stories of one log.
pub const MANY_WAYS: Ways = &[(Unsynced::Lost, 1), (Unsynced::PartlyThere, 2), (Unsynced::AnyOrder, 9)];
/// For stories of a whole node, where each check takes a start.
pub const FEW_WAYS: Ways = &[(Unsynced::Lost, 1), (Unsynced::AnyOrder, 1)];
/// Of so many checks one has the power fail again at some of its own operations.
const AGAIN_OF: u64 = 97;
/// The seeds to run: the one of `THALWEG_SEED`, or the first `count`.
#[must_use]
pub fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("THALWEG_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..count).collect(),
    }
}

/// A story on an empty disk that says from time to time what must be there from then on, whatever happens.
#[derive(Debug)]
pub struct Story<K> {
    known: Vec<(usize, K)>,
}

impl<K: Clone> Story<K> {
    /// Begins to watch the disk, on which `known` is there.
    pub fn begin(known: K) -> Self {
        disk::record();
        Self { known: vec![(0, known)] }
    }

    /// From now on, `known` must be there.
    pub fn now(&mut self, known: K) {
        self.known.push((disk::recorded_count(), known));
    }

    /// Lets the power fail, or the process end, at every operation of the story, and hands what must be there, and how it
    /// ended, to `check`, which opens everything again. Gives how many operations there were.
    pub fn fail_everywhere(self, seed: u64, ways: Ways, check: impl Fn(&K, &str)) -> usize {
        let images = disk::recorded();
        for (at, image) in images.iter().enumerate() {
            // What was known when the image was taken: later entries count from later images on.
            let known = self.known.iter().rfind(|(from, _)| *from <= at).map(|(_, known)| known);
            let Some(known) = known else { continue };
            disk::restore(image);
            check(known, &format!("the process ended at {at}"));
            let seed_here = seed.wrapping_mul(10_007).wrapping_add(at as u64);
            fail(image, ways, seed_here, &format!("at {at}"), |how, draw| {
                if draw % AGAIN_OF == 0 {
                    fail_again(draw, how, known, &check);
                } else {
                    check(known, how);
                }
            });
        }
        images.len()
    }
}

/// The power fails in each way while the disk is as in `image`; `then` goes on with what is left.
fn fail(image: &Image, ways: Ways, seed: u64, what: &str, mut then: impl FnMut(&str, u64)) {
    for (unsynced, times) in ways.iter().copied() {
        for time in 0..times {
            random::seed(seed.wrapping_mul(1009).wrapping_add(time));
            disk::restore(image);
            disk::lose_power(Path::new("/"), unsynced);
            let draw = random::u64();
            then(&format!("seed {seed}: {unsynced:?} {time} {what}"), draw);
        }
    }
}

/// The power fails while everything is being opened again.
fn fail_again<K>(seed: u64, how: &str, known: &K, check: &impl Fn(&K, &str)) {
    disk::record();
    check(known, how);
    // One in three of its operations.
    for (at, image) in disk::recorded().iter().enumerate().filter(|(at, _)| *at as u64 % 3 == seed % 3) {
        disk::restore(image);
        check(known, &format!("{how}, then the process ended at {at}"));
        fail(image, FEW_WAYS, seed ^ at as u64, &format!("{how}, then at {at}"), |how, _| check(known, how));
    }
}
