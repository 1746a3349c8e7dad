//! `thalweg install-tools DIR`: links that call the tools by the names of Kafka's scripts.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use thalweg_sys::fs;

/// Make links in a directory, so that kafka-topics.sh, kafka-topics and the other tools are this program.
#[derive(Args)]
pub(crate) struct Install {
    /// The directory, such as /usr/local/bin. It is created if it does not exist; links that stand there are replaced.
    directory: PathBuf,
}

impl Install {
    pub(crate) fn run(&self) -> ExitCode {
        match self.link() {
            Ok(count) => {
                println!("Made {count} links in {}", self.directory.display());
                ExitCode::SUCCESS
            }
            Err(e) => {
                eprintln!("cannot make the links in {}: {e}", self.directory.display());
                ExitCode::FAILURE
            }
        }
    }

    fn link(&self) -> std::io::Result<usize> {
        let program = std::env::current_exe()?;
        fs::create_dir_all(&self.directory)?;
        let mut count = 0;
        for tool in thalweg_tools::TOOLS.iter().chain(crate::TOOLS) {
            for name in tool.links() {
                fs::replace_link(&program, &self.directory.join(name))?;
                count += 1;
            }
        }
        Ok(count)
    }
}
