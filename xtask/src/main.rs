//! Chores of the project, started as `cargo xtask NAME`.

use std::process::ExitCode;

mod bench;
mod configs;
mod dist;
mod judge;
mod schema;
mod sim;
mod test;
mod tidy;
mod work;

/// Something to be done, by its name.
struct Chore {
    name: &'static str,
    /// What it does, for the list and for its own `--help`.
    about: &'static str,
    /// What else its `--help` says.
    more: &'static str,
    run: fn(&[String]) -> Result<(), String>,
}

const CHORES: [Chore; 10] = [
    Chore { name: "test", about: "all tests", more: test::HELP, run: |_| test::run() },
    Chore {
        name: "sim",
        about: "the simulations alone: of a log on its disk, and of whole nodes",
        more: sim::HELP,
        run: sim::run,
    },
    Chore {
        name: "judge",
        about: "compare the node with Apache Kafka, request by request and tool by tool",
        more: "--quick replays what was recorded and starts no Kafka; --write-docs rewrites docs/compatibility.md.",
        run: judge::run,
    },
    Chore { name: "bench", about: "measure the node beside other brokers in one run", more: "", run: bench::run },
    Chore {
        name: "work",
        about: "count what requests cost in instructions and system calls, and compare with what was recorded",
        more: "--record writes bench/work/baseline.txt instead.",
        run: work::run,
    },
    Chore {
        name: "dist",
        about: "make a release in target/dist: archive, Debian package, image for containers, checksums",
        more: "--processor x86_64|aarch64 chooses one; --no-build packs what was built before. It needs musl-tools, cmake and dpkg-deb.",
        run: dist::run,
    },
    Chore { name: "tidy", about: "check the rules of the house", more: "", run: |_| tidy::run() },
    Chore {
        name: "import-schemas",
        about: "take the schemas of Kafka's messages from its sources",
        more: "import-schemas DIR",
        run: |arguments| schema::import(arguments.first()),
    },
    Chore {
        name: "import-configs",
        about: "take the table of Kafka's configs from its documentation",
        more: "import-configs FILE",
        run: |arguments| configs::import(arguments.first()),
    },
    Chore {
        name: "check-wire-java",
        about: "compare our encoding of messages with that of Kafka's own classes",
        more: "check-wire-java [KAFKA_HOME/lib]",
        run: |arguments| schema::check(arguments.first()),
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let (name, rest) = arguments.split_first().map_or(("--help", arguments), |(name, rest)| (name.as_str(), rest));
    let wants_help = |word: &str| matches!(word, "-h" | "--help" | "help");
    if wants_help(name) {
        println!("usage: cargo xtask CHORE [--help]\n");
        CHORES.iter().for_each(|chore| println!("  {:<16} {}", chore.name, chore.about));
        return Ok(());
    }
    let chore = CHORES.iter().find(|chore| chore.name == name);
    let chore = chore.ok_or_else(|| format!("there is no chore `{name}`; cargo xtask --help lists them"))?;
    if rest.iter().any(|word| wants_help(word)) && chore.name != "bench" {
        println!("cargo xtask {}: {}\n{}", chore.name, chore.about, chore.more);
        return Ok(());
    }
    (chore.run)(rest)
}
