//! Circles of files: files of one crate that import each other, directly or through others. What is in a circle can only be
//! read, and changed, as a whole; a type that two sides need has a file of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::paths::{Module, module_of, named};
use super::source::{Source, without_test_modules};

/// The files of every crate, with what they name.
#[derive(Default)]
pub struct Circles(BTreeMap<String, BTreeMap<Module, File>>);

struct File {
    path: String,
    /// Paths into the crate, as far as they are written: they end in a type, a function, or a module.
    named: Vec<Module>,
}

impl Circles {
    /// Notes a file. Tests may import what they test.
    pub fn add(&mut self, source: &Source<'_>) {
        let is_test = source.path.contains("/tests/") || source.path.ends_with("tests.rs");
        let inside = source.path.strip_prefix("crates/").and_then(|rest| rest.split_once("/src/"));
        let Some((krate, inside)) = inside.filter(|_| !is_test) else { return };
        let module = module_of(inside);
        let named = named(&without_test_modules(&source.code), &module).into_iter().map(|(_, path)| path).collect();
        let file = File { path: source.path.to_owned(), named };
        self.0.entry(krate.to_owned()).or_default().insert(module, file);
    }

    /// One finding for each circle.
    pub fn check(&self, findings: &mut Vec<Finding>) {
        for files in self.0.values() {
            let arrows: BTreeMap<&Module, BTreeSet<&Module>> =
                files.iter().map(|(module, file)| (module, targets(files, module, file))).collect();
            let reached: BTreeMap<&Module, BTreeSet<&Module>> =
                arrows.keys().map(|module| (*module, reach(&arrows, module))).collect();
            let mut done = BTreeSet::new();
            for (module, others) in &reached {
                if !others.contains(module) || !done.insert(*module) {
                    continue;
                }
                let circle: Vec<&Module> =
                    others.iter().filter(|other| reached[**other].contains(module)).copied().collect();
                done.extend(&circle);
                let names: Vec<String> = circle.iter().map(|module| module.join("/")).collect();
                let what = format!("files import each other in a circle: {}", names.join(" "));
                findings.push(Finding { rule: "circle", place: files[*module].path.clone(), line: None, what });
            }
        }
    }
}

/// The modules that a file imports. The crate's root only names its parts.
fn targets<'a>(files: &'a BTreeMap<Module, File>, module: &Module, file: &File) -> BTreeSet<&'a Module> {
    let of_path = |path: &Module| {
        let mut prefixes = (1..=path.len()).rev().map(|len| path[..len].to_vec());
        prefixes.find_map(|prefix| files.get_key_value(&prefix)).map(|(module, _)| module)
    };
    file.named.iter().filter_map(of_path).filter(|target| *target != module).collect()
}

/// All modules that the arrows lead to from `module`; itself only if a circle leads back.
fn reach<'a>(arrows: &BTreeMap<&'a Module, BTreeSet<&'a Module>>, module: &Module) -> BTreeSet<&'a Module> {
    let (mut found, mut next) = (BTreeSet::new(), vec![module.clone()]);
    while let Some(from) = next.pop() {
        for target in arrows.get(&from).into_iter().flatten() {
            if found.insert(*target) {
                next.push((*target).clone());
            }
        }
    }
    found
}
