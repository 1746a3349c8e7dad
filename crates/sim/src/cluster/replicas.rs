//! Whether the logs on all disks are the same, in the end.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytes::Bytes;
use thalweg_records::batches;
use thalweg_sys::fs::{self, File};

use crate::world::Host;

/// By the base offset of each batch: its epoch and its checksum.
type Batches = BTreeMap<i64, (i32, u32)>;

/// What differs between the logs of the hosts. Where one has a batch and the other none, that is no difference: one may have
/// deleted it, or not have fetched it yet; clients read every record besides.
pub(super) fn compare(hosts: &[Host]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut known: BTreeMap<String, (String, Batches)> = BTreeMap::new();
    for host in hosts {
        let data = host.disk.join("data");
        for dir in fs::read_dir(&data).unwrap_or_default().into_iter().filter(|entry| entry.is_dir) {
            // A log that is about to be deleted has a longer name.
            let is_log = dir.name.rsplit_once('-').is_some_and(|(_, index)| index.parse::<u32>().is_ok());
            if !is_log {
                continue;
            }
            let own = read_log(&data.join(&dir.name)).unwrap_or_else(|e| panic!("{}: {}: {e}", host.name, dir.name));
            match known.get_mut(&dir.name) {
                None => {
                    known.insert(dir.name, (host.name.clone(), own));
                }
                Some((other, theirs)) => {
                    let differs =
                        own.iter().find(|(base, batch)| theirs.get(base).is_some_and(|there| there != *batch));
                    if let Some((base, batch)) = differs {
                        let (there, here) = (theirs[base], batch);
                        broken.push(format!(
                            "{} differs at {base}: epoch {} and checksum {:x} on {other}, {} and {:x} on {}",
                            dir.name, there.0, there.1, here.0, here.1, host.name
                        ));
                    }
                    theirs.extend(own);
                }
            }
        }
    }
    broken
}

fn read_log(dir: &Path) -> io::Result<Batches> {
    let mut found = Batches::new();
    for entry in fs::read_dir(dir)?.into_iter().filter(|entry| entry.name.ends_with(".log")) {
        let file = File::open(&dir.join(&entry.name))?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        for batch in batches(Bytes::from(bytes)) {
            let Ok(batch) = batch else { break };
            let header = batch.header();
            found.insert(header.base_offset.0, (header.leader_epoch.0, header.crc));
        }
    }
    Ok(found)
}
