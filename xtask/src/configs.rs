//! `cargo xtask import-configs`: takes over the config definitions that stand in Kafka's classes.
//!
//! Only facts are taken: names, types, defaults, ranges, synonyms, and the messages of refused values as a fixture for
//! the tests. The descriptions of the configs are ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Rewrites the config tables from the jars in `lib`, or in `$KAFKA_HOME/lib` when none is given. Needs a JDK.
pub fn import(lib: Option<&String>) -> Result<(), String> {
    let lib = match (lib, env::var_os("KAFKA_HOME")) {
        (Some(lib), _) => PathBuf::from(lib),
        (None, Some(home)) => Path::new(&home).join("lib"),
        (None, None) => return Err("name Kafka's lib directory, or set KAFKA_HOME".to_owned()),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let config = root.join("crates/metadata/src/config");
    let classes = env::temp_dir().join(format!("thalweg-import-configs-{}", std::process::id()));
    fs::create_dir_all(&classes).map_err(|e| format!("{}: {e}", classes.display()))?;
    let jars = format!("{}/*", lib.display());
    let result = run(Command::new("javac").arg("-d").arg(&classes).args(["-cp", &jars]).args([
        root.join("tools/java/ConfigDump.java"),
        root.join("tools/java/ConfigProbe.java"),
        root.join("tools/java/NodeProbe.java"),
    ]))
    .and_then(|()| {
        let path = format!("{}:{jars}", classes.display());
        run(Command::new("java").args(["-cp", &path, "ConfigDump"]).arg(config.join("tables")))?;
        run(Command::new("java").args(["-cp", &path, "ConfigProbe"]).arg(config.join("testdata/values.txt")))?;
        let nodes = root.join("crates/broker/src/config/testdata/nodes.txt");
        run(Command::new("java").args(["-cp", &path, "NodeProbe"]).arg(nodes))
    });
    let _ = fs::remove_dir_all(&classes);
    result?;
    println!("tables and testdata written to crates/metadata/src/config and crates/broker/src/config");
    Ok(())
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|e| format!("{name}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} ended with {status}")) }
}
