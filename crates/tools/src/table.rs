//! Tables: each cell as wide as the widest of its column, and a tab behind it.

use serde_json::Value;

use crate::out::Out;

/// Prints a head and rows; as JSON, each row as [`print_object`] does.
pub fn print(head: &[&str], rows: &[Vec<String>], out: &mut Out) {
    if out.is_json() {
        for row in rows {
            print_object(head, &row.iter().map(String::as_str).collect::<Vec<_>>(), out);
        }
        return;
    }
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(column, title)| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.max().unwrap_or(0).max(title.chars().count())
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}\t"));
        padded.collect::<String>()
    };
    out.line(line(head.to_vec()));
    for row in rows {
        out.line(line(row.iter().map(String::as_str).collect()));
    }
}

/// Prints a row of a table as an object of `--output json`, with a field for each title. The head itself is none.
pub fn print_object(head: &[&str], row: &[&str], out: &mut Out) {
    if head == row {
        return;
    }
    let fields = head.iter().zip(row).map(|(title, cell)| (field_name(title), scalar(cell)));
    out.object(&Value::Object(fields.collect()));
}

/// `TransactionalId` and `CURRENT-OFFSET` become `transactionalId` and `currentOffset`; what stands in parentheses goes.
fn field_name(title: &str) -> String {
    let title = title.split(" (").next().unwrap_or_default().trim_start_matches('#');
    let is_loud = !title.chars().any(char::is_lowercase);
    let mut name = String::new();
    for (at, word) in title.split('-').enumerate() {
        let rest = word.get(1..).unwrap_or_default();
        let rest = if is_loud { rest.to_lowercase() } else { rest.to_owned() };
        let first = word.get(..1).unwrap_or_default();
        name += &if at == 0 { first.to_lowercase() } else { first.to_uppercase() };
        name += &rest;
    }
    name
}

/// Nothing, a number or a text.
fn scalar(cell: &str) -> Value {
    match cell.trim() {
        "-" => Value::Null,
        cell => cell.parse::<i64>().map_or_else(|_| Value::from(cell), Value::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_numbers_or_texts() {
        let cells = ["-", "-1", "12a", ""].map(scalar);
        assert_eq!(cells, [Value::Null, Value::from(-1), Value::from("12a"), Value::from("")]);
    }

    #[test]
    fn titles_become_names_of_fields() {
        let titles = ["TransactionalId", "CURRENT-OFFSET", "#MEMBERS", "COORDINATOR (ID)", "TOPIC"];
        let names = titles.map(field_name);
        assert_eq!(names, ["transactionalId", "currentOffset", "members", "coordinator", "topic"]);
    }
}
