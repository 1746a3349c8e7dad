//! `cargo xtask sim`: the very node that ships, in the simulator.

use std::process::Command;

use crate::test::{Count, cargo, close, root, step};

/// What can be asked for.
pub const HELP: &str = "\
cargo xtask sim                               all simulations, as the gate runs them
cargo xtask sim --seeds N [--nodes M]         the stories 0 to N-1 of a cluster of M nodes (3)
cargo xtask sim --seed S [--nodes M]          story S alone, as it always is
cargo xtask sim --seed S --bug NAME           the same with a bug that is planted on purpose
cargo xtask sim --planted [--seeds N]         each of these bugs, and how many stories it takes to find it, N at most
With THALWEG_SIM_LOG=info or debug, --seed also shows what the nodes log.";

/// The package of the log's simulation, and of that of whole nodes, each with what turns the simulator on.
const STORAGE: (&str, &str) = ("thalweg-storage", "thalweg-sys/sim");
const CLUSTER: (&str, &str) = ("thalweg-sim", "sim");

/// The test that runs stories of a whole cluster.
const STORIES: &str = "clients_see_no_anomaly_whatever_happens_to_nodes_and_network";
/// A story has so many nodes: three replicas of each partition have to be somewhere, and the names of hosts have one digit.
const NODES: std::ops::RangeInclusive<u64> = 3..=9;

/// What to run, and how it is told to the test.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Planted(Vec<(&'static str, String)>),
    Stories(Vec<(&'static str, String)>),
}

/// Runs what the arguments ask for.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let mut command = build(CLUSTER);
    command.arg("--test");
    match wanted(arguments).map_err(|wrong| format!("{wrong}\n\n{HELP}"))? {
        Wanted::All => close(all()),
        Wanted::Planted(told) => {
            command.args(["planted", "--", "--nocapture"]).envs(told);
            close(step("planted bugs", &mut command, Count::of_cargo))
        }
        Wanted::Stories(told) => {
            command.args(["cluster", "--", "--nocapture", STORIES]).envs(told);
            close(step("stories of a cluster", &mut command, Count::of_cargo))
        }
    }
}

fn wanted(arguments: &[String]) -> Result<Wanted, String> {
    let mut told: Vec<(&'static str, String)> = Vec::new();
    let mut is_planted = false;
    let mut rest = arguments.iter();
    while let Some(option) = rest.next() {
        let variable = match option.as_str() {
            "--planted" => {
                is_planted = true;
                continue;
            }
            "--seeds" => "THALWEG_SEEDS",
            "--seed" => "THALWEG_SEED",
            "--nodes" => "THALWEG_SIM_NODES",
            "--bug" => "THALWEG_SIM_BUG",
            _ => return Err(format!("there is no option `{option}`")),
        };
        let value = rest.next().ok_or_else(|| format!("{option} wants a value"))?;
        if variable != "THALWEG_SIM_BUG" {
            let number: u64 = value.parse().map_err(|_| format!("{option} wants a number, not `{value}`"))?;
            if variable == "THALWEG_SIM_NODES" && !NODES.contains(&number) {
                return Err(format!("a story has {} to {} nodes, not {number}", NODES.start(), NODES.end()));
            }
        }
        told.push((variable, value.clone()));
    }
    let has = |variable: &str| told.iter().any(|(told, _)| *told == variable);
    if has("THALWEG_SEED") && (has("THALWEG_SEEDS") || is_planted) {
        return Err("--seed runs one story, --seeds and --planted run many: choose".to_owned());
    }
    if has("THALWEG_SIM_BUG") && !has("THALWEG_SEED") {
        return Err("--bug wants --seed S, the story to run with it; --planted tries all bugs".to_owned());
    }
    Ok(match (is_planted, told.is_empty()) {
        (true, _) => Wanted::Planted(told),
        (false, true) => Wanted::All,
        (false, false) => Wanted::Stories(told),
    })
}

/// The simulations of a log on its disk, and of whole nodes. `THALWEG_SEED` chooses one seed.
pub fn all() -> Count {
    let mut total = Count::default();
    total.add(step("simulation of a log", build(STORAGE).args(["--test", "persistence"]), Count::of_cargo));
    total.add(step("simulation of nodes", &mut build(CLUSTER), Count::of_cargo));
    total
}

/// The tests of a package with the simulator below it. The crates of the workspace are built once more, with `cfg(sim)`; those of
/// others are the same as in every other test.
fn build((package, feature): (&str, &str)) -> Command {
    let mut command = cargo();
    command.args(["test", "--package", package, "--features", feature]);
    command.env("RUSTC_WORKSPACE_WRAPPER", root().join("xtask/rustc-for-sim"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted_by(line: &str) -> Result<Wanted, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        wanted(&arguments)
    }

    #[test]
    fn arguments_say_what_to_run() {
        let pair = |variable, value: &str| (variable, value.to_owned());
        assert_eq!(wanted_by(""), Ok(Wanted::All));
        let five = vec![pair("THALWEG_SEEDS", "9"), pair("THALWEG_SIM_NODES", "5")];
        assert_eq!(wanted_by("--seeds 9 --nodes 5"), Ok(Wanted::Stories(five)));
        assert_eq!(wanted_by("--planted --seeds 2"), Ok(Wanted::Planted(vec![pair("THALWEG_SEEDS", "2")])));
        let bug = vec![pair("THALWEG_SEED", "1"), pair("THALWEG_SIM_BUG", "SkipsTruncation")];
        assert_eq!(wanted_by("--seed 1 --bug SkipsTruncation"), Ok(Wanted::Stories(bug)));
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused_with_a_reason() {
        for (line, reason) in [
            ("--sed 1", "there is no option `--sed`"),
            ("--seed", "--seed wants a value"),
            ("--seeds ten", "--seeds wants a number, not `ten`"),
            ("--seeds 4 --nodes 2", "a story has 3 to 9 nodes, not 2"),
            ("--seed 1 --seeds 2", "--seed runs one story, --seeds and --planted run many: choose"),
            ("--bug SkipsTruncation", "--bug wants --seed S, the story to run with it; --planted tries all bugs"),
        ] {
            assert_eq!(wanted_by(line), Err(reason.to_owned()));
        }
    }
}
