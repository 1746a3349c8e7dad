//! Whole quorums under faults, from seeds. `THALWEG_SEED=n` replays one, `THALWEG_SEEDS=n` runs so many of each kind.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::cluster::{Cluster, Faults};

#[derive(Clone, Copy)]
struct Kind {
    voters: usize,
    observers: usize,
    dynamic: bool,
}

fn choice(cluster: &mut Cluster, of: usize) -> usize {
    cluster.random.next() as usize % of
}

/// Some seconds of faults, then some without: nothing committed may be lost, and in the end all agree.
fn run(seed: u64, kind: Kind) -> Cluster {
    let mut cluster = Cluster::new(seed, kind.voters, kind.observers, kind.dynamic);
    cluster.faults = Faults {
        lost: cluster.random.between(0, 15),
        duplicated: cluster.random.between(0, 10),
        delay_max: cluster.random.between(10, 250),
        crash_per_mille: [0, 3, 20][choice(&mut cluster, 3)],
        down_max: [20, 300, 3000][choice(&mut cluster, 3)],
        flush_max: [5, 50, 400][choice(&mut cluster, 3)],
    };
    for _ in 0..120 {
        let millis = cluster.random.between(1, 150);
        cluster.run(millis);
        let nodes = cluster.len();
        let node = choice(&mut cluster, nodes);
        match cluster.random.between(0, 100) {
            0..60 => {
                for node in 0..cluster.len() {
                    cluster.write(node);
                }
            }
            60..65 => cluster.crash(node),
            // The power goes for some of them, or all.
            65..67 => (node..nodes).for_each(|node| cluster.crash(node)),
            67..72 => cluster.cut(),
            72..78 => cluster.snapshot(node),
            78..80 => cluster.resign(node),
            80..88 if kind.dynamic => cluster.change_voters(),
            88..90 => cluster.upgrade(),
            _ => {}
        }
    }
    cluster.heal();
    cluster.run(5000);
    cluster.assert_settled();
    cluster.upgrade();
    cluster.run(1000);
    cluster.assert_settled();
    assert!(cluster.is_upgraded(), "all voters have said that they support it");
    cluster
}

fn run_all(kind: Kind) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("THALWEG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("THALWEG_SEEDS").unwrap_or(120),
    };
    let (mut steps, mut committed, mut epochs) = (0, 0, 0);
    for seed in seeds.clone() {
        match catch_unwind(AssertUnwindSafe(|| run(seed, kind))) {
            Ok(cluster) => {
                steps += cluster.steps;
                committed += cluster.committed();
                epochs += cluster.epochs();
            }
            Err(panic) => {
                eprintln!("replay with THALWEG_SEED={seed}");
                resume_unwind(panic);
            }
        }
    }
    println!("{seeds:?}: {steps} steps, {epochs} elections, {committed} records committed");
}

#[test]
fn three_voters_agree_whatever_happens() {
    run_all(Kind { voters: 3, observers: 1, dynamic: false });
}

#[test]
fn five_voters_agree_whatever_happens() {
    run_all(Kind { voters: 5, observers: 0, dynamic: false });
}

#[test]
fn voters_that_change_agree_whatever_happens() {
    run_all(Kind { voters: 3, observers: 2, dynamic: true });
}
