//! Lines of the log as JSON: one object each.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes each event as one object with `timestamp`, `level`, `target`, `message` and, if there are any, `fields`.
pub(super) struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::from("{\"timestamp\":\"");
        SystemTime.format_time(&mut Writer::new(&mut line))?;
        write!(line, "\",\"level\":\"{}\",\"target\":", event.metadata().level())?;
        string(&mut line, event.metadata().target());
        let mut parts = Parts::default();
        event.record(&mut parts);
        line.push_str(",\"message\":");
        string(&mut line, &parts.message);
        if !parts.fields.is_empty() {
            write!(line, ",\"fields\":{{{}}}", parts.fields)?;
        }
        writeln!(writer, "{line}}}")
    }
}

/// What an event says.
#[derive(Default)]
struct Parts {
    message: String,
    /// `"name":value` pairs with commas between them.
    fields: String,
}

impl Parts {
    fn key(&mut self, field: &Field) {
        if !self.fields.is_empty() {
            self.fields.push(',');
        }
        string(&mut self.fields, field.name());
        self.fields.push(':');
    }

    fn text(&mut self, field: &Field, text: &str) {
        if field.name() == "message" {
            self.message.push_str(text);
        } else {
            self.key(field);
            string(&mut self.fields, text);
        }
    }

    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.key(field);
        // Writing to a string does not fail.
        let _ = write!(self.fields, "{value}");
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field, &value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }
}

/// A JSON string.
fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().map_err(|_| io::ErrorKind::Other)?.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// The line of one event, from its level on.
    fn line(log: impl FnOnce()) -> String {
        let written = Written::default();
        let subscriber = tracing_subscriber::fmt().event_format(Lines).with_writer(written.clone()).finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = written.0.lock().expect("nobody panicked").clone();
        let line = String::from_utf8(bytes).expect("text");
        let (time, rest) = line.split_once(",").expect("a first member");
        assert!(time.starts_with("{\"timestamp\":\"2") && time.ends_with("Z\""), "{time}");
        rest.to_owned()
    }

    #[test]
    fn an_event_is_an_object_on_a_line_of_its_own() {
        let said = line(|| tracing::warn!(target: "a::b", peer = %"x\"y", count = 3, sure = true, "two\nlines"));
        let expected = "\"level\":\"WARN\",\"target\":\"a::b\",\"message\":\"two\\nlines\",\
                        \"fields\":{\"peer\":\"x\\\"y\",\"count\":3,\"sure\":true}}\n";
        assert_eq!(said, expected);
        let plain = line(|| tracing::info!(target: "a", "\u{1}"));
        assert_eq!(plain, "\"level\":\"INFO\",\"target\":\"a\",\"message\":\"\\u0001\"}\n");
    }
}
