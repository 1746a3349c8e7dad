//! `cargo xtask sim`: the very node that ships, in the simulator.

use std::process::Command;

use crate::test::{Count, cargo, close, step, target};

/// What can be asked for.
pub const HELP: &str = "cargo xtask sim: all simulations, as the gate runs them
cargo xtask sim --seeds N [--nodes M]: the stories 0 to N-1 of a cluster of M nodes (3)
cargo xtask sim --seed S [--nodes M]: story S alone, as it always is
cargo xtask sim --planted: bugs that are planted on purpose, and how many stories it takes to find each
THALWEG_SIM_LOG=info or debug shows what the nodes of a single story log";

/// The test that runs stories of a whole cluster.
const STORIES: &str = "clients_see_no_anomaly_whatever_happens_to_nodes_and_network";

/// Runs what the arguments ask for.
pub fn run(arguments: &[String]) -> Result<(), String> {
    if arguments.is_empty() {
        return close(all());
    }
    if arguments == ["--planted"] {
        let mut command = build();
        command.args(["--package", "thalweg-sim", "--test", "planted", "--", "--nocapture"]);
        return close(step("planted bugs", &mut command, Count::of_cargo));
    }
    let mut command = build();
    command.args(["--package", "thalweg-sim", "--test", "cluster", "--", "--nocapture", STORIES]);
    for pair in arguments.chunks(2) {
        let [option, value] = pair else { return Err(HELP.to_owned()) };
        let variable = match option.as_str() {
            "--seeds" => "THALWEG_SEEDS",
            "--seed" => "THALWEG_SEED",
            "--nodes" => "THALWEG_SIM_NODES",
            _ => return Err(HELP.to_owned()),
        };
        value.parse::<u64>().map_err(|_| HELP.to_owned())?;
        command.env(variable, value);
    }
    close(step("stories of a cluster", &mut command, Count::of_cargo))
}

/// The simulations of a log on its disk, and of whole nodes. `THALWEG_SEED` chooses one seed.
pub fn all() -> Count {
    let mut total = Count::default();
    for which in [&["--package", "thalweg-storage", "--test", "persistence"][..], &["--package", "thalweg-sim"]] {
        total.add(step("simulation", build().args(which), Count::of_cargo));
    }
    total
}

/// They are another build of everything, so they have a target directory of their own.
fn build() -> Command {
    let mut command = cargo();
    command.arg("test").arg("--target-dir").arg(target().join("sim")).env("RUSTFLAGS", "--cfg sim");
    command
}
