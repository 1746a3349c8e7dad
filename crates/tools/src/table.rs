//! Tables: each cell as wide as the widest of its column, and a tab behind it.

use crate::out::Out;

/// Prints a head and rows.
pub fn print(head: &[&str], rows: &[Vec<String>], out: &mut Out) {
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
