//! Tables of what a cluster says about itself, as a page and as JSON.

use askama::Template;
use serde_json::{Map, Value, json};

use super::Frame;

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) title: &'static str,
    /// What it says where it has no rows.
    pub(crate) empty: &'static str,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A column: its name in JSON, and what stands above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) head: &'static str,
}

/// What stands in a row below a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    /// As JSON has it.
    pub(crate) value: Value,
    /// As the page has it.
    pub(crate) text: String,
    /// Where it leads, below the console's path.
    pub(crate) link: Option<String>,
    /// Whether it needs attention.
    pub(crate) is_bad: bool,
    /// A change of what the row shows.
    pub(crate) change: Option<ChangeForm>,
}

impl Cell {
    /// A text or a number that stands as it is.
    pub(crate) fn plain(value: impl Into<Value>) -> Self {
        let value = value.into();
        let text = match &value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        Self { value, text, link: None, is_bad: false, change: None }
    }

    /// A number that a page shows otherwise.
    pub(crate) fn shown(value: i64, text: String) -> Self {
        Self { value: value.into(), text, link: None, is_bad: false, change: None }
    }

    /// A button that leads to a change of what the row shows.
    pub(crate) fn button(change: ChangeForm) -> Self {
        Self { change: Some(change), ..Self::plain("") }
    }

    /// This cell, leading somewhere.
    pub(crate) fn leading_to(self, link: String) -> Self {
        Self { link: Some(link), ..self }
    }

    /// This cell, marked where `is_bad`.
    pub(crate) fn marked(self, is_bad: impl Into<bool>) -> Self {
        Self { is_bad: is_bad.into(), ..self }
    }
}

/// A form that leads to a change, below the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangeForm {
    /// Where it goes, below the console's path.
    pub(crate) action: String,
    pub(crate) button: String,
    /// The fields that are filled in.
    pub(crate) inputs: Vec<Input>,
    /// Fields that are sent as they are.
    pub(crate) fields: Vec<(String, String)>,
}

impl ChangeForm {
    /// A button that sends these fields.
    pub(crate) fn button(action: &str, button: impl Into<String>, fields: &[(&str, &str)]) -> Self {
        let field = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let fields = fields.iter().map(field).collect();
        Self { action: action.to_owned(), button: button.into(), inputs: Vec::new(), fields }
    }

    /// A form that is filled in.
    pub(crate) fn to_fill(action: &str, button: &str, inputs: Vec<Input>) -> Self {
        Self { action: action.to_owned(), button: button.to_owned(), inputs, fields: Vec::new() }
    }
}

/// A field that is filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) label: &'static str,
    pub(crate) name: &'static str,
    /// What stands there while it is empty.
    pub(crate) hint: &'static str,
    /// What can be chosen; nothing where anything may be typed.
    pub(crate) choices: Vec<&'static str>,
}

impl Input {
    /// A field in which anything may be typed.
    pub(crate) fn text(label: &'static str, name: &'static str, hint: &'static str) -> Self {
        Self { label, name, hint, choices: Vec::new() }
    }

    /// A field in which one of these is chosen.
    pub(crate) fn choice(label: &'static str, name: &'static str, choices: Vec<&'static str>) -> Self {
        Self { label, name, hint: "", choices }
    }
}

/// A page of tables.
#[derive(Template)]
#[template(path = "sheet.html")]
pub(crate) struct SheetPage {
    pub(crate) frame: Frame,
    pub(crate) title: &'static str,
    pub(crate) note: String,
    /// The label of a field that narrows what is shown, its name in the address, and what was typed.
    pub(crate) search: Option<(&'static str, &'static str, String)>,
    /// What could not be found out, and why.
    pub(crate) troubles: Vec<String>,
    pub(crate) tables: Vec<Table>,
    pub(crate) forms: Vec<ChangeForm>,
}

impl SheetPage {
    /// The tables by their titles, each row with the names of its columns, and what could not be found out.
    pub(crate) fn document(&self) -> Value {
        let mut document = Map::new();
        for table in &self.tables {
            let row = |row: &Vec<Cell>| {
                // A column without a name has buttons.
                let pairs = table.columns.iter().zip(row).filter(|(column, _)| !column.name.is_empty());
                Value::Object(pairs.map(|(column, cell)| (column.name.to_owned(), cell.value.clone())).collect())
            };
            document.insert(name_of(table.title), table.rows.iter().map(row).collect());
        }
        if !self.troubles.is_empty() {
            document.insert("troubles".to_owned(), json!(self.troubles));
        }
        Value::Object(document)
    }
}

/// A title as a name in JSON: `Log directories` as `logDirectories`.
fn name_of(title: &str) -> String {
    let mut name = String::new();
    for word in title.split_whitespace() {
        let mut letters = word.chars();
        let first = letters.next().into_iter();
        if name.is_empty() {
            name.extend(first.flat_map(char::to_lowercase));
        } else {
            name.extend(first.flat_map(char::to_uppercase));
        }
        name.extend(letters);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_become_names() {
        assert_eq!((name_of("Voters"), name_of("Log directories")), ("voters".to_owned(), "logDirectories".to_owned()));
    }
}
