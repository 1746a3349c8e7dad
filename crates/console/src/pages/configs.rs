//! Configs as a table.

use crate::kafka::Config;

/// Configs as a table: those that were set stand first.
pub(crate) struct ConfigTable {
    pub(super) rows: Vec<Row>,
    pub(super) set_count: usize,
}

pub(super) struct Row {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) source: &'static str,
    pub(super) default: String,
    pub(super) documentation: Option<String>,
    pub(super) is_set: bool,
}

impl ConfigTable {
    pub(crate) fn new(mut configs: Vec<Config>) -> Self {
        configs.sort_by_key(|config| !config.is_set());
        let rows: Vec<Row> = configs.into_iter().map(Row::new).collect();
        Self { set_count: rows.iter().filter(|row| row.is_set).count(), rows }
    }
}

impl Row {
    fn new(config: Config) -> Self {
        let value = match (&config.value, config.is_sensitive) {
            (_, true) => "hidden: it is sensitive".to_owned(),
            (Some(value), false) => value.clone(),
            (None, false) => "not set".to_owned(),
        };
        Self {
            source: config.source_name(),
            is_set: config.is_set(),
            name: config.name,
            value,
            default: config.default.unwrap_or_default(),
            documentation: config.documentation,
        }
    }
}
