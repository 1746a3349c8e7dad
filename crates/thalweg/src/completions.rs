//! `thalweg completions SHELL`: a script with which a shell completes command lines.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use thalweg_tools::completions::{Shell, script};
use thalweg_tools::out::Out;

/// Print a script with which a shell completes the command lines of thalweg and Kafka's tools, topics and groups included.
#[derive(Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Name,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(crate) fn run(&self) -> ExitCode {
        let shell = match self.shell {
            Name::Bash => Shell::Bash,
            Name::Zsh => Shell::Zsh,
            Name::Fish => Shell::Fish,
        };
        let mut out = Out::default();
        out.text(script(shell, crate::TOOLS));
        out.finish();
        ExitCode::SUCCESS
    }
}
