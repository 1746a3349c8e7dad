//! The command line of `kafka-storage.sh`.

use thalweg_tools::argparse::{Command, Group, Opt, flag, value};

const CONFIG: Opt = value("config", "CONFIG", "The node's server.properties.").short('c').required();

/// The program and its commands.
pub(super) const PROGRAM: Command = Command {
    name: "kafka-storage",
    about: "Formats a node's directories and says what stands in them.",
    commands: &[
        Command {
            name: "info",
            about: "Say what stands in the node's directories.",
            options: &[CONFIG],
            ..Command::EMPTY
        },
        FORMAT,
        Command {
            name: "version-mapping",
            about: "Say which features a release begins with.",
            options: &[
                value("release-version", "RELEASE_VERSION", "The release, such as 4.3; else the latest.").short('r')
            ],
            ..Command::EMPTY
        },
        Command {
            name: "feature-dependencies",
            about: "Say what levels of features need of other features.",
            options: &[value("feature", "FEATURE", "A feature and its level, as feature=level.")
                .short('f')
                .repeated()
                .required()],
            ..Command::EMPTY
        },
        Command { name: "random-uuid", about: "Print a random id.", ..Command::EMPTY },
    ],
    ..Command::EMPTY
};

const FORMAT: Command = Command {
    name: "format",
    about: "Format the node's directories.",
    options: &[
        CONFIG,
        value("cluster-id", "CLUSTER_ID", "The id of the cluster that the node belongs to.").short('t').required(),
        value("add-scram", "ADD_SCRAM", "A SCRAM credential: SCRAM-SHA-256=[name=NAME,password=PASSWORD].")
            .short('S')
            .repeated(),
        flag("ignore-formatted", "Pass over directories that are formatted already.").short('g'),
        value("release-version", "RELEASE_VERSION", "The release whose features the cluster begins with.").short('r'),
        value("feature", "FEATURE", "The level of one feature, as feature=level.").short('f').repeated(),
    ],
    groups: &[Group {
        required: false,
        options: &[
            flag("standalone", "The node is the only voter of a new quorum.").short('s'),
            flag("no-initial-controllers", "The node is no voter yet: it will be added.").short('N'),
            value(
                "initial-controllers",
                "INITIAL_CONTROLLERS",
                "The first voters: id@host:port:directory, between commas.",
            )
            .short('I'),
        ],
    }],
    ..Command::EMPTY
};

#[cfg(test)]
mod tests;
