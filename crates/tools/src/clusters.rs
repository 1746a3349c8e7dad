//! Named clusters: addresses and client properties that a person has given a name, so that nobody types them.
//!
//! They stand in one file, `thalweg/config.toml` in `$XDG_CONFIG_HOME` or `~/.config`. A tool whose line names no cluster uses
//! the current one. Without the file nothing changes.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use thalweg_client::Peer;
use thalweg_sys::fs;
use toml_edit::{Document, DocumentMut, Item, Table, TableLike, TomlError, Value};

use crate::argparse;
use crate::jopt;
use crate::out::Out;

/// The environment variable that names a cluster for one command or shell.
pub const CLUSTER_VARIABLE: &str = "THALWEG_CLUSTER";

/// The keys of the file.
const CURRENT: &str = "current";
const CLUSTERS: &str = "clusters";
const BOOTSTRAP_SERVER: &str = "bootstrap-server";
const COMMAND_CONFIG: &str = "command-config";

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

    fn of_table(text: &str, name: &str, item: &Item) -> Result<Self, String> {
        let table =
            item.as_table_like().ok_or_else(|| wrong(text, item, format_args!("clusters.{name} is a table")))?;
        let mut cluster = Self::default();
        for (key, value) in table.iter() {
            match key {
                BOOTSTRAP_SERVER => cluster.bootstrap_server = string(text, key, value)?,
                COMMAND_CONFIG => cluster.command_config = Some(string(text, key, value)?),
                _ => return Err(wrong(text, value, format_args!("unknown key {key}"))),
            }
        }
        if cluster.bootstrap_server.is_empty() {
            return Err(wrong(text, item, format_args!("cluster {name} has no {BOOTSTRAP_SERVER}")));
        }
        Ok(cluster)
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
            Ok(text) => Self::parse(&text).map_err(|error| format!("{}: {error}", path.display())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(format!("{}: {e}", path.display())),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document = Document::parse(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        let mut clusters = Self::default();
        for (key, item) in document.iter() {
            match (key, item.as_table_like()) {
                (CURRENT, _) => clusters.current = Some(string(text, key, item)?),
                (CLUSTERS, Some(tables)) => {
                    for (name, table) in tables.iter() {
                        clusters.named.insert(name.to_owned(), NamedCluster::of_table(text, name, table)?);
                    }
                }
                _ => return Err(wrong(text, item, format_args!("unknown key {key}"))),
            }
        }
        Ok(clusters)
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
        let before = match fs::read_to_string(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(failed)?,
        };
        let text = self.written_into(&before).map_err(|error| format!("{}: {error}", path.display()))?;
        fs::write_atomic(path, text.as_bytes()).map_err(failed)
    }

    /// A file that says this, with the comments and the order of the one before.
    fn written_into(&self, before: &str) -> Result<String, String> {
        let mut document: DocumentMut = before.parse().map_err(|e: TomlError| e.to_string())?;
        put(document.as_table_mut(), CURRENT, self.current.as_deref());
        let mut tables = Table::new();
        // The head of the table of tables says nothing.
        tables.set_implicit(true);
        let clusters = document.entry(CLUSTERS).or_insert(Item::Table(tables));
        let clusters = clusters.as_table_like_mut().ok_or("clusters is no table")?;
        let gone: Vec<String> = clusters.iter().map(|(name, _)| name.to_owned()).collect();
        for name in gone.iter().filter(|name| !self.named.contains_key(*name)) {
            clusters.remove(name);
        }
        for (name, cluster) in &self.named {
            let table = clusters.entry(name).or_insert(Item::Table(Table::new()));
            let table = table.as_table_like_mut().ok_or_else(|| format!("clusters.{name} is no table"))?;
            put(table, BOOTSTRAP_SERVER, Some(&cluster.bootstrap_server));
            put(table, COMMAND_CONFIG, cluster.command_config.as_deref());
        }
        Ok(document.to_string())
    }

    /// The cluster that is used: the one that the environment names, or the current one.
    ///
    /// # Errors
    /// When the name is none of the file's.
    fn used(&self, variable: Option<&str>) -> Result<Option<(&str, &NamedCluster)>, String> {
        let Some(name) = variable.filter(|name| !name.is_empty()).or(self.current.as_deref()) else { return Ok(None) };
        match self.named.get_key_value(name) {
            Some((name, cluster)) => Ok(Some((name.as_str(), cluster))),
            None => Err(unknown(name)),
        }
    }
}

/// Says that no cluster has this name.
#[must_use]
pub fn unknown(name: &str) -> String {
    format!("there is no cluster {name}; thalweg cluster list shows those that there are")
}

/// Whether a cluster may be called so: letters, digits, `_` and `-`, as a bare key of TOML.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Says what is wrong with a part of the file, behind the number of its line.
fn wrong(text: &str, item: &Item, what: impl Display) -> String {
    let at = item.span().map_or(0, |span| span.start);
    format!("line {}: {what}", text[..at].matches('\n').count() + 1)
}

/// Sets a key, or removes it. What stands around a value stays there.
fn put(table: &mut dyn TableLike, key: &str, text: Option<&str>) {
    let Some(text) = text else { return drop(table.remove(key)) };
    match table.get_mut(key) {
        Some(item) if item.as_str() == Some(text) => {}
        Some(item) => {
            let mut value = Value::from(text);
            if let Some(before) = item.as_value() {
                *value.decor_mut() = before.decor().clone();
            }
            *item = Item::Value(value);
        }
        None => drop(table.insert(key, toml_edit::value(text))),
    }
}

fn string(text: &str, key: &str, item: &Item) -> Result<String, String> {
    item.as_str().map(str::to_owned).ok_or_else(|| wrong(text, item, format_args!("{key} is a string")))
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
    let says =
        |word: &String| word == "-b" || SAYS_ITSELF.iter().any(|name| word.trim_start_matches('-').starts_with(name));
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
        let text = clusters.written_into("").expect("a file");
        assert_eq!(Clusters::parse(&text), Ok(clusters));
        assert!(text.starts_with("current = \"prod\"\n\n[clusters.prod]\n"), "{text}");
    }

    #[test]
    fn what_stands_there_by_hand_stays() {
        let by_hand = "# mine\ncurrent = 'x' # now\n\n[clusters.x]\n# the old ones\nbootstrap-server = \"h:1\"\n\n[clusters.y]\nbootstrap-server = \"i:1\"\n";
        let mut read = Clusters::parse(by_hand).expect("clusters");
        assert_eq!((read.current.as_deref(), &*read.named["x"].bootstrap_server), (Some("x"), "h:1"));
        read.named.remove("y");
        read.named.insert("z".into(), NamedCluster { bootstrap_server: "j:1".into(), command_config: None });
        let text = read.written_into(by_hand).expect("a file");
        for kept in ["# mine\n", "# the old ones\n", "[clusters.z]\nbootstrap-server = \"j:1\"\n"] {
            assert!(text.contains(kept), "{text}");
        }
        assert_eq!(Clusters::parse(&text), Ok(read));
        assert!(Clusters::parse("clusters.x = { bootstrap-server = 'h:1' }").is_ok(), "any TOML will do");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, error) in [
            ("\ncurrent = 1", "line 2: current is a string"),
            ("\n[servers.x]", "line 2: unknown key servers"),
            ("[clusters.x]\nport = \"1\"", "line 2: unknown key port"),
            ("\n[clusters.x]\n", "line 2: cluster x has no bootstrap-server"),
            ("[clusters]\nx = 'h:1'", "line 2: clusters.x is a table"),
        ] {
            assert_eq!(Clusters::parse(text).expect_err("no clusters"), error);
        }
        let error = Clusters::parse("\ncurrent = prod").expect_err("no TOML");
        assert!(error.starts_with("TOML parse error at line 2, column 11"), "{error}");
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
