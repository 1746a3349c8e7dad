//! What the node says about itself on standard error: which lines, and in which form.

mod json;

use std::io::IsTerminal as _;

use clap::ValueEnum;
use thalweg_broker::Loggers;
use tracing::warn;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

/// The environment variable that says what is logged when the command line does not.
const VARIABLE: &str = "THALWEG_LOG";
/// What is logged when nobody says: also of modules that nobody names.
const DEFAULT: &str = "info";

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people: time, level, module, message and its fields.
    #[default]
    Text,
    /// For programs: one JSON object a line, with timestamp, level, target, message and fields.
    Json,
}

/// The logs of this process. What they show can be changed while it runs.
pub(crate) struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
    /// The command line or the environment has said what is shown: the properties do not.
    is_fixed: bool,
}

impl Logs {
    /// Begins to log; `levels` is what the command line says.
    pub(crate) fn start(format: LogFormat, levels: Option<&str>) -> Result<Self, ParseError> {
        let variable = std::env::var(VARIABLE).ok();
        let said = levels.or(variable.as_deref());
        let (filter, handle) = reload::Layer::new(filter(said.unwrap_or(DEFAULT))?);
        let lines = fmt::layer().with_writer(std::io::stderr);
        let lines = match format {
            LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
            LogFormat::Json => lines.event_format(json::Lines).with_ansi(false).boxed(),
        };
        tracing_subscriber::registry().with(filter).with(lines).init();
        Ok(Self { filter: handle, is_fixed: said.is_some() })
    }

    /// What the properties say counts, unless the command line or the environment have said something. Says whether it
    /// does.
    pub(crate) fn follow_properties(&self, levels: Option<&str>) -> Result<bool, ParseError> {
        let filter = filter(levels.unwrap_or(DEFAULT))?;
        if self.is_fixed {
            return Ok(false);
        }
        // It fails only when nobody logs any more.
        Ok(self.filter.reload(filter).is_ok())
    }

    /// Loggers whose levels clients may change; the last word on what is shown counts.
    pub(crate) fn loggers(&self) -> Loggers {
        let handle = self.filter.clone();
        Loggers::new(move |levels| {
            let reloaded = filter(levels).map(|filter| handle.reload(filter).is_ok());
            if !matches!(reloaded, Ok(true)) {
                warn!(levels, "the levels of the log could not be changed");
            }
        })
    }
}

/// Reads levels: one for all, single ones for modules. What nobody names has the default.
fn filter(levels: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(format!("{DEFAULT},{levels}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_that_nobody_names_keep_the_default() {
        let shown = |levels: &str| filter(levels).map(|filter| filter.to_string()).map_err(|_| ());
        assert_eq!(shown("thalweg_network=debug"), Ok("thalweg_network=debug,info".to_owned()));
        assert_eq!(shown("warn,thalweg_storage=trace"), Ok("thalweg_storage=trace,warn".to_owned()));
        assert_eq!(shown("info,a=loud"), Err(()));
    }
}
