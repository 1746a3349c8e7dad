//! `thalweg man DIR`: the man pages of Kafka's tools.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use thalweg_sys::fs;
use thalweg_tools::man::pages;

/// Write the man pages of Kafka's tools into a directory.
#[derive(Args)]
pub(crate) struct Man {
    /// The directory, such as /usr/local/share/man/man1. It is created if it does not exist; pages that stand there are
    /// replaced.
    directory: PathBuf,
}

impl Man {
    pub(crate) fn run(&self) -> ExitCode {
        match self.write() {
            Ok(count) => {
                println!("Wrote {count} pages to {}", self.directory.display());
                ExitCode::SUCCESS
            }
            Err(e) => {
                eprintln!("cannot write the pages to {}: {e}", self.directory.display());
                ExitCode::FAILURE
            }
        }
    }

    fn write(&self) -> std::io::Result<usize> {
        fs::create_dir_all(&self.directory)?;
        let pages = pages(crate::TOOLS);
        for page in &pages {
            fs::write(&self.directory.join(&page.file), page.text.as_bytes())?;
        }
        Ok(pages.len())
    }
}
