//! Named clusters: addresses and client properties that a person has given a name, so that nobody types them.
//!
//! They stand in one file, `thalweg/config.toml` in `$XDG_CONFIG_HOME` or `~/.config`. A tool whose line names no cluster uses
//! the current one. Without the file nothing changes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use thalweg_client::Peer;
use thalweg_sys::fs;

use crate::argparse;
use crate::jopt;
use crate::out::Out;

/// The environment variable that names a cluster for one command or shell.
pub const CLUSTER_VARIABLE: &str = "THALWEG_CLUSTER";

/// Options and properties with which a line says itself which cluster it is for.
const SAYS_ITSELF: [&str; 6] = [
    "bootstrap-server",
    "bootstrap-controller",
    "broker-list",
    "zookeeper",
    "authorizer-properties",
    "bootstrap.servers=",
];

/// A cluster that has a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedCluster {
    /// The brokers to begin with.
    pub bootstrap_server: String,
    /// A properties file for the client, such as security settings.
    pub command_config: Option<String>,
}

impl NamedCluster {
    /// A cluster with these brokers.
    ///
    /// # Errors
    /// When they are not addresses.
    pub fn new(bootstrap_server: String, command_config: Option<String>) -> Result<Self, String> {
        Peer::parse_list(&bootstrap_server).map_err(|e| e.to_string())?;
        Ok(Self { bootstrap_server, command_config })
    }
}

/// The clusters of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clusters {
    /// The name of the one that is used.
    pub current: Option<String>,
    /// All of them, by name.
    pub named: BTreeMap<String, NamedCluster>,
}

/// The file of named clusters; `None` where there is no home directory.
#[must_use]
pub fn path() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let home = || variable("HOME").map(|home| Path::new(&home).join(".config"));
    let dir = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)?;
    Some(dir.join("thalweg/config.toml"))
}

impl Clusters {
    /// Reads the file; nothing if it does not exist.
    ///
    /// # Errors
    /// When it cannot be read, with the line at fault.
    pub fn load(path: &Path) -> Result<Self, String> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|error| format!("{}:{error}", path.display())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(format!("{}: {e}", path.display())),
        }
    }

    /// Reads TOML with tables and strings, which is all that the file needs.
    fn parse(text: &str) -> Result<Self, String> {
        let mut clusters = Self::default();
        let mut table: Option<String> = None;
        for (at, line) in text.lines().enumerate() {
            let wrong = |what: &str| format!("{}: {what}", at + 1);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                let name = rest.split_once(']').map(|(name, _)| name.trim());
                let name = name.and_then(|name| name.strip_prefix("clusters.")).map(|name| name.trim_matches('"'));
                let name = name.filter(|name| is_name(name)).ok_or_else(|| wrong("expected [clusters.NAME]"))?;
                clusters.named.entry(name.to_owned()).or_default();
                table = Some(name.to_owned());
                continue;
            }
            let (key, value) = line.split_once('=').ok_or_else(|| wrong("expected key = \"value\""))?;
            let value = string(value.trim()).ok_or_else(|| wrong("expected a string in quotation marks"))?;
            match (table.as_ref().and_then(|name| clusters.named.get_mut(name)), key.trim()) {
                (None, "current") => clusters.current = Some(value),
                (Some(cluster), "bootstrap-server") => cluster.bootstrap_server = value,
                (Some(cluster), "command-config") => cluster.command_config = Some(value),
                (_, key) => return Err(wrong(&format!("unknown key {key}"))),
            }
        }
        match clusters.named.iter().find(|(_, cluster)| cluster.bootstrap_server.is_empty()) {
            Some((name, _)) => Err(format!("1: cluster {name} has no bootstrap-server")),
            None => Ok(clusters),
        }
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), String> {
        let failed = |e: std::io::Error| format!("{}: {e}", path.display());
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(failed)?;
        }
        fs::write_atomic(path, self.to_string().as_bytes()).map_err(failed)
    }

    /// The cluster that is used: the one that the environment names, or the current one.
    ///
    /// # Errors
    /// When the name is none of the file's.
    fn used(&self, variable: Option<&str>) -> Result<Option<(&str, &NamedCluster)>, String> {
        let Some(name) = variable.filter(|name| !name.is_empty()).or(self.current.as_deref()) else { return Ok(None) };
        match self.named.get_key_value(name) {
            Some((name, cluster)) => Ok(Some((name.as_str(), cluster))),
            None => Err(format!("there is no cluster {name}; thalweg cluster list shows those that there are")),
        }
    }
}

impl std::fmt::Display for Clusters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(current) = &self.current {
            writeln!(f, "current = {}", quoted(current))?;
        }
        for (name, cluster) in &self.named {
            writeln!(f, "\n[clusters.{name}]\nbootstrap-server = {}", quoted(&cluster.bootstrap_server))?;
            if let Some(file) = &cluster.command_config {
                writeln!(f, "command-config = {}", quoted(file))?;
            }
        }
        Ok(())
    }
}

/// Whether a cluster may be called so: letters, digits, `_` and `-`, as a bare key of TOML.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// A string of TOML at the end of a line: in single quotation marks as it stands, in double ones with escapes.
fn string(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix('\'') {
        let (value, rest) = rest.split_once('\'')?;
        return is_rest(rest).then(|| value.to_owned());
    }
    let mut value = String::new();
    let mut chars = text.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return is_rest(chars.as_str()).then_some(value),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    value.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                c @ ('"' | '\\') => value.push(c),
                _ => return None,
            },
            c => value.push(c),
        }
    }
}

fn is_rest(text: &str) -> bool {
    let text = text.trim_start();
    text.is_empty() || text.starts_with('#')
}

/// The words of a tool of jopt-simple with the cluster that is used, where they name none.
///
/// # Errors
/// When the file cannot be read, or has no such cluster.
pub fn complete_jopt(options: &[jopt::Opt], words: &[String], out: &mut Out) -> Result<Vec<String>, String> {
    let has = |name: &str| options.iter().any(|option| option.name == name);
    if !has("bootstrap-server") || !needs_cluster(words) {
        return Ok(words.to_vec());
    }
    let added = options_of_used(&has, words, out)?;
    Ok(words.iter().cloned().chain(added).collect())
}

/// As [`complete_jopt`], for a tool of argparse4j: an option stands before the command, or behind it if it is the command's.
///
/// # Errors
/// As [`complete_jopt`].
pub fn complete_argparse(program: &argparse::Command, words: &[String], out: &mut Out) -> Result<Vec<String>, String> {
    if !needs_cluster(words) {
        return Ok(words.to_vec());
    }
    let has = |command: &argparse::Command, name: &str| command.all().any(|option| option.name == name);
    if has(program, "bootstrap-server") {
        let mut completed = options_of_used(&|name: &str| has(program, name), words, out)?;
        completed.extend_from_slice(words);
        return Ok(completed);
    }
    let named = words.iter().find_map(|word| program.commands.iter().find(|command| command.name == word));
    match named.filter(|command| has(command, "bootstrap-server")) {
        Some(command) => {
            let added = options_of_used(&|name: &str| has(command, name), words, out)?;
            Ok(words.iter().cloned().chain(added).collect())
        }
        None => Ok(words.to_vec()),
    }
}

/// Whether a line asks for something, and does not say of which cluster.
fn needs_cluster(words: &[String]) -> bool {
    let is_help = |word: &String| matches!(word.trim_start_matches('-'), "help" | "h" | "version");
    let says = |word: &String| SAYS_ITSELF.iter().any(|name| word.trim_start_matches('-').starts_with(name));
    !words.is_empty() && !words.iter().any(is_help) && !words.iter().any(says)
}

fn options_of_used(has: &dyn Fn(&str) -> bool, words: &[String], out: &mut Out) -> Result<Vec<String>, String> {
    let Some(path) = path() else { return Ok(Vec::new()) };
    let clusters = Clusters::load(&path)?;
    let variable = std::env::var(CLUSTER_VARIABLE).ok();
    let Some((name, cluster)) = clusters.used(variable.as_deref())? else { return Ok(Vec::new()) };
    if std::io::stderr().is_terminal() {
        out.error(format_args!("cluster {name}: {}", cluster.bootstrap_server));
    }
    Ok(options_of(cluster, has, words))
}

fn options_of(cluster: &NamedCluster, has: &dyn Fn(&str) -> bool, words: &[String]) -> Vec<String> {
    let mut options = vec!["--bootstrap-server".to_owned(), cluster.bootstrap_server.clone()];
    let names_config = words.iter().any(|word| word.trim_start_matches('-').starts_with("command-config"));
    if let Some(file) = cluster.command_config.as_ref().filter(|_| has("command-config") && !names_config) {
        options.extend(["--command-config".to_owned(), file.clone()]);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn two() -> Clusters {
        let prod = NamedCluster { bootstrap_server: "a:1,b:1".into(), command_config: Some("/x \"y\"\\z".into()) };
        let test = NamedCluster { bootstrap_server: "c:1".into(), command_config: None };
        Clusters { current: Some("prod".into()), named: [("prod".into(), prod), ("test".into(), test)].into() }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let clusters = two();
        assert_eq!(Clusters::parse(&clusters.to_string()), Ok(clusters));
        let by_hand = "# mine\ncurrent = 'x' # now\n[clusters.\"x\"]\n  bootstrap-server=\"h:1\"\n";
        let read = Clusters::parse(by_hand).expect("clusters");
        assert_eq!((read.current.as_deref(), &*read.named["x"].bootstrap_server), (Some("x"), "h:1"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, error) in [
            ("current = prod", "1: expected a string in quotation marks"),
            ("\n[servers.x]", "2: expected [clusters.NAME]"),
            ("[clusters.x]\nport = \"1\"", "2: unknown key port"),
            ("[clusters.x]\n", "1: cluster x has no bootstrap-server"),
        ] {
            assert_eq!(Clusters::parse(text).expect_err("no clusters"), error);
        }
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let clusters = two();
        let used = |variable| clusters.used(variable).map(|used| used.map(|(name, _)| name));
        assert_eq!(used(None), Ok(Some("prod")));
        assert_eq!(used(Some("test")), Ok(Some("test")));
        assert!(used(Some("other")).is_err());
        assert_eq!(Clusters::default().used(None), Ok(None));
    }

    #[test]
    fn only_lines_without_a_cluster_are_completed() {
        assert!(needs_cluster(&words("--list")));
        for line in [
            "",
            "--help",
            "--list --bootstrap-server x:1",
            "--bootstrap-server=x:1",
            "--zookeeper x:2181",
            "--producer-props bootstrap.servers=x:1",
        ] {
            assert!(!needs_cluster(&words(line)), "{line}");
        }
        let prod = &two().named["prod"];
        let all = options_of(prod, &|_| true, &words("--list"));
        assert_eq!(all, ["--bootstrap-server", "a:1,b:1", "--command-config", "/x \"y\"\\z"]);
        assert_eq!(options_of(prod, &|_| true, &words("--command-config f")).len(), 2);
        assert_eq!(options_of(prod, &|name| name == "bootstrap-server", &[]).len(), 2);
    }
}
