//! Paths from one file of a crate to others.

use super::source::words;

/// A module by its path in its crate: `["drivers", "partition"]`; the crate's root is empty.
pub type Module = Vec<String>;

/// The module of a file by its path below `src/`.
pub fn module_of(inside: &str) -> Module {
    let mut module: Module = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

/// The paths into its own crate that the `code` of a module names, as far as they are written: they end in a type, a function or
/// a module. Each with the position where it, or the list that it stands in, begins.
pub fn named(code: &str, module: &Module) -> Vec<(usize, Module)> {
    let mut found = Vec::new();
    for (word, keeps) in [("crate::", 0), ("self::", module.len()), ("super::", module.len().saturating_sub(1))] {
        for at in words(code, word).into_iter().filter(|at| !code[..*at].ends_with("::")) {
            let (mut base, mut rest) = (module[..keeps].to_vec(), &code[at + word.len()..]);
            while let Some(above) = rest.strip_prefix("super::") {
                base.pop();
                rest = above;
            }
            let mut paths = Vec::new();
            tree(rest, &base, &mut paths);
            found.extend(paths.into_iter().map(|path| (at, path)));
        }
    }
    found
}

/// Reads a path, or a list of them in braces, behind `base`; gives what is left of the text.
fn tree<'a>(text: &'a str, base: &Module, paths: &mut Vec<Module>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = tree(rest, base, paths).trim_start();
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                more => return more.unwrap_or(rest).trim_start().strip_prefix('}').unwrap_or(""),
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let mut path = base.clone();
    path.push(name.to_owned());
    match rest.strip_prefix("::") {
        Some(rest) if !name.is_empty() => tree(rest, &path, paths),
        _ => {
            paths.push(path);
            rest
        }
    }
}
