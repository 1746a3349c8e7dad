//! The text in which Prometheus reads metrics (its exposition format 0.0.4).

use std::fmt::{Display, Write as _};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the process starts anew.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// Metrics as text. Samples of one family must follow its head at once.
#[derive(Debug, Default)]
pub struct Text {
    out: String,
    name: String,
}

impl Text {
    /// Begins a family: all samples of this name.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        name.clone_into(&mut self.name);
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One number of the family that was begun last.
    pub fn sample(&mut self, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.out.push_str(&self.name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.out.push_str(if index == 0 { "{" } else { "," });
            self.out.push_str(label);
            self.out.push_str("=\"");
            let begin = self.out.len();
            self.push(format_args!("{text}"));
            self.escape(begin);
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        self.push(format_args!(" {value}\n"));
    }

    /// How long it is by now, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Takes what was written; the family goes on.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.out.write_fmt(text);
    }

    /// Label values may hold anything; three characters are written otherwise.
    fn escape(&mut self, begin: usize) {
        if self.out[begin..].contains(['\\', '"', '\n']) {
            let escaped = self.out[begin..].replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.out.truncate(begin);
            self.out.push_str(&escaped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_samples_are_written_as_prometheus_reads_them() {
        let mut text = Text::default();
        text.family("a_total", Kind::Counter, "What a counts.");
        text.sample(&[], 7);
        text.family("b", Kind::Gauge, "What b is.");
        text.sample(&[("topic", &"t"), ("partition", &3)], 0.5);
        text.sample(&[("path", &"a\\b\"c\nd")], -1);
        let expected = "# HELP a_total What a counts.\n# TYPE a_total counter\na_total 7\n\
                        # HELP b What b is.\n# TYPE b gauge\nb{topic=\"t\",partition=\"3\"} 0.5\n\
                        b{path=\"a\\\\b\\\"c\\nd\"} -1\n";
        assert_eq!(text.take(), expected);
        assert!(text.is_empty());
    }
}
