//! What records are made of: the lines of files or of standard input, or each of them as a whole.

use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use thalweg_sys::fs;

/// How large a record may be; brokers take far less.
const RECORD_MAX: u64 = 1 << 30;

/// Reads record by record.
pub(super) struct Input<'a> {
    files: std::slice::Iter<'a, String>,
    /// What stands behind a record; empty: nothing does, and each file is one record.
    delimiter: Vec<u8>,
    current: Option<(String, Box<dyn BufRead>)>,
    number: u64,
    bytes: Vec<u8>,
}

impl<'a> Input<'a> {
    /// Reads these files, `-` being standard input; standard input if there is none.
    pub(super) fn new(files: &'a [String], delimiter: Vec<u8>) -> Self {
        let current = files.is_empty().then(|| ("standard input".to_owned(), stdin()));
        Self { files: files.iter(), delimiter, current, number: 0, bytes: Vec::new() }
    }

    /// The bytes of the record that was read last.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads the next record, and says where it stands; `None` when there is none.
    pub(super) fn next(&mut self) -> Result<Option<String>, String> {
        loop {
            let Some((name, reader)) = &mut self.current else {
                let Some(file) = self.files.next() else { return Ok(None) };
                let reader = open(file).map_err(|e| format!("{file}: {e}"))?;
                (self.current, self.number) = (Some((file.clone(), reader)), 0);
                continue;
            };
            self.bytes.clear();
            let read = read(reader.as_mut(), &self.delimiter, &mut self.bytes).map_err(|e| format!("{name}: {e}"))?;
            self.number += 1;
            let place = match self.delimiter[..] {
                [] => name.clone(),
                _ => format!("{name}, record {}", self.number),
            };
            let is_whole = self.delimiter.is_empty();
            if is_whole || !read {
                self.current = None;
            }
            if read || is_whole {
                return Ok(Some(place));
            }
        }
    }
}

fn stdin() -> Box<dyn BufRead> {
    Box::new(BufReader::new(io::stdin()))
}

fn open(file: &str) -> io::Result<Box<dyn BufRead>> {
    if file == "-" { Ok(stdin()) } else { fs::reader(Path::new(file)) }
}

/// Reads up to a delimiter, which is left out; says whether there was something.
fn read(mut reader: &mut dyn BufRead, delimiter: &[u8], bytes: &mut Vec<u8>) -> io::Result<bool> {
    let too_large = || io::Error::other(format!("a record has more than {RECORD_MAX} bytes"));
    let Some(last) = delimiter.last() else {
        reader.take(RECORD_MAX + 1).read_to_end(bytes)?;
        return if bytes.len() as u64 > RECORD_MAX { Err(too_large()) } else { Ok(true) };
    };
    loop {
        let left = (RECORD_MAX + 1).saturating_sub(bytes.len() as u64);
        if left == 0 {
            return Err(too_large());
        }
        let count = (&mut reader).take(left).read_until(*last, bytes)?;
        if bytes.ends_with(delimiter) {
            bytes.truncate(bytes.len() - delimiter.len());
            return Ok(true);
        }
        if count == 0 {
            return Ok(!bytes.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, delimiter: &str) -> Vec<String> {
        let mut reader = io::Cursor::new(text.as_bytes().to_vec());
        let mut found = Vec::new();
        let mut bytes = Vec::new();
        while read(&mut reader, delimiter.as_bytes(), &mut bytes).expect("bytes") {
            found.push(String::from_utf8_lossy(&std::mem::take(&mut bytes)).into_owned());
        }
        found
    }

    #[test]
    fn records_end_at_the_delimiter_or_with_the_file() {
        assert_eq!(all("a\n\nb", "\n"), ["a", "", "b"]);
        assert_eq!(all("a;;b;c;;", ";;"), ["a", "b;c"]);
        assert_eq!(all("", "\n"), [""; 0]);
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let files = ["/no/such/file".to_owned()];
        let error = Input::new(&files, b"\n".to_vec()).next().unwrap_err();
        assert!(error.starts_with("/no/such/file: "), "{error}");
    }
}
