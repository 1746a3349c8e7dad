//! Standard output, and log lines on standard error.

use std::fmt::Display;
use std::io::{self, BufWriter, Stdout, Write};

use serde_json::Value;
use thalweg_base::Timestamp;
use thalweg_sys::time;

use crate::date;
use crate::thrown::Thrown;

/// How much is held back before it is written.
const BUFFER: usize = 64 * 1024;

/// What standard output is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    /// People, and scripts that know Kafka's tools.
    #[default]
    Text,
    /// Programs: one array of objects, of which so many were printed. Text goes to standard error.
    Json(usize),
}

/// Standard output, buffered. When nobody reads it any more, what is written is dropped silently, as Java's does.
#[derive(Debug)]
pub struct Out {
    writer: BufWriter<Stdout>,
    is_broken: bool,
    form: Form,
}

impl Default for Out {
    fn default() -> Self {
        Self { writer: BufWriter::with_capacity(BUFFER, io::stdout()), is_broken: false, form: Form::Text }
    }
}

impl Out {
    /// From now on standard output is an array of the objects that [`Out::object`] prints (`--output json`).
    pub fn begin_json(&mut self) {
        self.form = Form::Json(0);
    }

    /// Whether objects are asked for in the place of text.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.form != Form::Text
    }

    /// Prints an object of the array, one a line.
    pub fn object(&mut self, object: &Value) {
        let Form::Json(count) = self.form else { return self.line(object) };
        self.form = Form::Json(count + 1);
        let before = if count == 0 { "[\n" } else { ",\n" };
        self.is_broken |= write!(self.writer, "{before}{object}").is_err();
    }

    /// Ends what was begun, and writes what was held back.
    pub fn finish(&mut self) {
        if let Form::Json(count) = self.form {
            let end = if count == 0 { "[]" } else { "\n]" };
            self.is_broken |= writeln!(self.writer, "{end}").is_err();
        }
        self.form = Form::Text;
        self.flush();
    }

    /// Prints a line.
    pub fn line(&mut self, text: impl Display) {
        if self.is_json() {
            return self.error(text);
        }
        let written = writeln!(self.writer, "{text}");
        self.is_broken |= written.is_err();
    }

    /// Prints text without a line end.
    pub fn text(&mut self, text: impl Display) {
        if self.is_json() {
            return self.error_text(text);
        }
        let written = write!(self.writer, "{text}");
        self.is_broken |= written.is_err();
    }

    /// Writes bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.is_broken |= self.writer.write_all(bytes).is_err();
    }

    /// Writes what was held back.
    pub fn flush(&mut self) {
        self.is_broken |= self.writer.flush().is_err();
    }

    /// Whether nobody reads any more.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Prints a line on standard error, after what standard output has.
    pub fn error(&mut self, text: impl Display) {
        self.flush();
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Prints text on standard error without a line end, after what standard output has.
    pub fn error_text(&mut self, text: impl Display) {
        self.flush();
        let _ = write!(io::stderr(), "{text}");
    }

    /// Writes a log line on standard error as Kafka's tools do.
    pub fn log(&mut self, level: &str, text: impl Display, logger: &str) {
        let time = date::log_time(Timestamp(time::wall_clock_ms()));
        self.error(format_args!("[{time}] {level} {text} ({logger})"));
    }

    /// Writes a log line about an exception, and the exception with its causes.
    pub fn log_thrown(&mut self, text: impl Display, thrown: &Thrown, logger: &str) {
        self.log("ERROR", text, logger);
        self.error(thrown.trace().trim_end_matches('\n'));
    }
}
