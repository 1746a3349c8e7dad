//! Whatever is written and cleaned in whatever order: the last value of each key is what a map says.

use std::collections::BTreeMap;

use proptest::prelude::*;
use thalweg_base::{Offset, Timestamp};
use thalweg_records::{BatchOptions, Compression};

use super::harness::{LIMITS, NOW, Rig, compacted, keyed};
use crate::OpenHints;
use crate::cleaner::CleanerLimits;
use crate::{Flush, LogConfig};

#[derive(Clone, Debug)]
enum Step {
    /// Records of these keys in one batch; an odd value is a tombstone.
    Append(Vec<(u8, u8)>),
    Roll,
    /// A cleaning with room for so many keys.
    Clean {
        keys: u8,
    },
    /// Time passes.
    Wait(u16),
    Reopen {
        recover: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec((0u8..12, any::<u8>()), 1..6).prop_map(Step::Append),
        2 => Just(Step::Roll),
        3 => (2u8..40).prop_map(|keys| Step::Clean { keys }),
        1 => (0u16..3000).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(|recover| Step::Reopen { recover }),
    ]
}

struct Model {
    rig: Rig,
    /// What each key's last record says, and where it is.
    last: BTreeMap<String, (i64, Option<String>)>,
    /// When a tombstone may at the earliest be gone.
    now: Timestamp,
    cleaned_to: Option<Offset>,
    written: i64,
}

impl Model {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Append(records) => {
                let named: Vec<(String, Option<String>)> = records
                    .iter()
                    .map(|(key, value)| (format!("k{key}"), (value % 2 == 0).then(|| format!("v{value}"))))
                    .collect();
                let codec = if records.len() % 2 == 0 { Compression::Zstd } else { Compression::None };
                let options = BatchOptions { codec: codec.into(), ..BatchOptions::default() };
                let borrowed: Vec<_> = named.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect();
                let first = self.rig.append(keyed(options, self.now, &borrowed)).0;
                for (at, (key, value)) in named.into_iter().enumerate() {
                    self.last.insert(key, (first + at as i64, value));
                }
                self.written = first + records.len() as i64;
            }
            Step::Roll => {
                let end = self.rig.log.log_end();
                if *self.rig.log.segment_bases().last().unwrap() < end {
                    self.rig.log.roll(end, self.now).unwrap();
                }
            }
            Step::Clean { keys } => self.clean(usize::from(*keys)),
            Step::Wait(ms) => self.now.0 += i64::from(*ms),
            Step::Reopen { recover } => {
                let hints = match recover {
                    true => OpenHints::UNKNOWN,
                    false => {
                        self.rig.log.flush(Flush::All, self.now).unwrap();
                        OpenHints { recovery_point: self.rig.log.recovery_point(), ..OpenHints::UNKNOWN }
                    }
                };
                self.rig.reopen(hints);
            }
        }
    }

    fn clean(&mut self, keys: usize) {
        let end = self.rig.log.log_end();
        let dirt = self.rig.log.dirt(self.cleaned_to, end, self.now).unwrap();
        if self.rig.log.clean_plan(dirt, end).unwrap().is_none() {
            return;
        }
        let limits = CleanerLimits { dedupe_buffer_bytes: keys * super::super::offset_map::SLOT, ..LIMITS };
        let cleaned = self.rig.clean_with(self.cleaned_to, self.now, limits).unwrap();
        assert!(cleaned.to > cleaned.from, "a round gets on: {cleaned:?}");
        self.cleaned_to = Some(cleaned.to);
    }

    fn check(&self) {
        let records = self.rig.records();
        let mut found: BTreeMap<String, (i64, Option<String>)> = BTreeMap::new();
        for record in &records {
            let (offset, rest) = record.split_once('=').unwrap();
            let (key, value) = rest.split_once(':').unwrap();
            let value = (value != "-").then(|| value.to_owned());
            found.insert(key.to_owned(), (offset.parse().unwrap(), value));
        }
        for (key, last) in &self.last {
            match found.get(key) {
                Some(known) => assert_eq!(known, last, "{key} in {records:?}"),
                None => assert!(last.1.is_none(), "{key} is lost: {last:?}"),
            }
        }
        assert!(found.keys().all(|key| self.last.contains_key(key)));
        assert_eq!(self.rig.log.log_end().0, self.written);
        self.rig.reads_from_every_offset();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, max_shrink_iters: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_last_value_of_each_key_survives_any_number_of_cleanings(steps in prop::collection::vec(step(), 1..60)) {
        let config = LogConfig { segment_bytes: 600, delete_retention_ms: 1000, ..compacted() };
        let rig = Rig::new(config);
        let mut model = Model { rig, last: BTreeMap::new(), now: NOW, cleaned_to: None, written: 0 };
        for step in &steps {
            model.apply(step);
            model.check();
        }
    }
}
