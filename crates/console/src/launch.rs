//! How a console of its own is started: with options, or as Kafdrop is.
//!
//! Kafdrop takes settings such as `topic.deleteEnabled` from its command line (`--topic.deleteEnabled=false`), from the variable
//! `CMD_ARGS` in the same form, and from variables such as `TOPIC_DELETEENABLED`, in this order. So does this one, so that a
//! compose file whose image was replaced works.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use thalweg_base::base64::{self, Alphabet};
use thalweg_client::Properties;

use crate::settings::Switch;
use crate::{Format, LogIn, Masks, Settings, Users, Writes};

/// Where a console listens that is told nothing: where Kafdrop does, for this machine only.
const PORT: u16 = 9000;

/// The options of a command line.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--bootstrap-server`.
    pub bootstrap: Option<String>,
    /// `--listen`: `HOST:PORT`, or a port alone.
    pub listen: Option<String>,
    /// The text of the file that `--command-config` names.
    pub command_config: Option<String>,
    /// `--allow-host`.
    pub hosts: Vec<String>,
    /// The text of the file that `--users` names.
    pub users: Option<String>,
    /// `--login`: `cluster`, for visitors to log in to the cluster.
    pub login: Option<String>,
    /// `--mask`.
    pub masks: Vec<String>,
    /// Kafdrop's own options, `--name=value`.
    pub words: Vec<String>,
}

/// A file that a variable carries: its path and what it is to hold.
pub type CarriedFile = (PathBuf, Vec<u8>);

/// What a console is started with.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What the console is told.
    pub settings: Settings,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Files that Kafdrop's variables carry: they are to be written before the console is made.
    pub files: Vec<CarriedFile>,
    /// Settings that were given and have no effect.
    pub without_effect: Vec<String>,
}

/// Settings of Kafdrop by their names, wherever they come from.
struct Given<'a> {
    words: Vec<(String, String)>,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

/// The names of Kafdrop's settings that count here.
const NAMES: [&str; 21] = [
    "kafka.brokerConnect",
    "kafka.propertiesFile",
    "kafka.properties",
    "kafka.truststoreFile",
    "kafka.truststore",
    "kafka.keystoreFile",
    "kafka.keystore",
    "kafka.securityProtocol",
    "schemaregistry.connect",
    "schemaregistry.auth",
    "server.address",
    "server.port",
    "server.servlet.contextPath",
    "message.format",
    "message.keyFormat",
    "message.sendEnabled",
    "topic.createEnabled",
    "topic.deleteEnabled",
    "topic.alterEnabled",
    "group.alterEnabled",
    "cluster.alterEnabled",
];

impl Launch {
    /// Reads options and, through `variable`, the environment. `read` reads a file.
    ///
    /// # Errors
    /// When something cannot be meant; says what.
    pub fn new(
        options: &Options,
        variable: &dyn Fn(&str) -> Option<String>,
        read: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let given = Given::new(&options.words, variable)?;
        let is_kafdrop = given.value("kafka.brokerConnect").is_some() || given.value("server.port").is_some();
        let listen = listen(options.listen.as_deref(), &given, is_kafdrop)?;
        let (client, files) = client(options, &given, read)?;
        let by_default = if listen.ip().is_loopback() { Writes::ALL } else { Writes::NONE };
        let format = given.format("message.format")?;
        let mut settings = Settings::new(client, listen.ip());
        settings.writes = Writes {
            create_topics: given.switch(Switch::CreateTopics.name())?.unwrap_or(by_default.create_topics),
            delete_topics: given.switch(Switch::DeleteTopics.name())?.unwrap_or(by_default.delete_topics),
            send_messages: given.switch(Switch::SendMessages.name())?.unwrap_or(by_default.send_messages),
            alter_topics: given.switch(Switch::AlterTopics.name())?.unwrap_or(by_default.alter_topics),
            alter_groups: given.switch(Switch::AlterGroups.name())?.unwrap_or(by_default.alter_groups),
            alter_cluster: given.switch(Switch::AlterCluster.name())?.unwrap_or(by_default.alter_cluster),
        };
        settings.format = format.unwrap_or(Format::Default);
        settings.key_format = given.format("message.keyFormat")?.unwrap_or(settings.format);
        settings.path = given.value("server.servlet.contextPath").unwrap_or_default();
        settings.hosts.clone_from(&options.hosts);
        settings.login = login(options)?;
        settings.masks = Masks::new(options.masks.iter().map(String::as_str))?;
        Ok(Self { settings, listen, files, without_effect: given.without_effect() })
    }
}

fn login(options: &Options) -> Result<LogIn, String> {
    match (options.login.as_deref(), &options.users) {
        (None, None) => Ok(LogIn::Open),
        (None, Some(users)) => Ok(LogIn::Users(Users::parse(users).map_err(|why| format!("--users: {why}"))?)),
        (Some("cluster"), None) => Ok(LogIn::Cluster),
        (Some("cluster"), Some(_)) => Err("--users and --login cannot be had at once".to_owned()),
        (Some(other), _) => Err(format!("--login {other}: it can only be cluster")),
    }
}

fn listen(option: Option<&str>, given: &Given<'_>, is_kafdrop: bool) -> Result<SocketAddr, String> {
    if let Some(text) = option {
        let wrong = || format!("--listen {text}: it must be HOST:PORT with an address as HOST, or a port");
        if let Ok(port) = text.parse::<u16>() {
            return Ok((Ipv4Addr::LOCALHOST, port).into());
        }
        if let Some(port) = text.strip_prefix(':') {
            return Ok((Ipv4Addr::UNSPECIFIED, port.parse().map_err(|_| wrong())?).into());
        }
        let text = text.replace("localhost:", "127.0.0.1:");
        return SocketAddr::from_str(&text).map_err(|_| wrong());
    }
    let port = given.value("server.port").map(|port| port.parse::<u16>().map_err(|_| format!("{port} is no port")));
    let port = port.transpose()?.unwrap_or(PORT);
    let ip = match given.value("server.address") {
        Some(address) => address.parse().map_err(|_| format!("server.address: {address} is no address"))?,
        // In a container, other machines come through an interface of its own.
        None if is_kafdrop => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    Ok(SocketAddr::new(ip, port))
}

/// The properties of the client, and the files that they name and that variables carry.
fn client(
    options: &Options,
    given: &Given<'_>,
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<(Properties, Vec<CarriedFile>), String> {
    let mut files = Vec::new();
    let mut text = String::new();
    for (file, store, property) in [
        ("kafka.truststoreFile", "kafka.truststore", "ssl.truststore.location"),
        ("kafka.keystoreFile", "kafka.keystore", "ssl.keystore.location"),
    ] {
        let path = given.value(file);
        if let Some(content) = given.decoded(store)? {
            let path = path.unwrap_or_else(|| format!("{store}.jks"));
            text += &format!("{property}={path}\n");
            files.push((path.into(), content));
        } else if let Some(path) = path {
            text += &format!("{property}={path}\n");
        }
    }
    if let Some(protocol) = given.value("kafka.securityProtocol").filter(|protocol| protocol == "SSL") {
        text += &format!("security.protocol={protocol}\n");
    }
    if let Some(content) = given.decoded("kafka.properties")? {
        text += &String::from_utf8(content).map_err(|_| "KAFKA_PROPERTIES is no text in base64".to_owned())?;
        text.push('\n');
    } else if let Some(path) = given.value("kafka.propertiesFile") {
        text += &read(&path).ok_or_else(|| format!("{path} cannot be read"))?;
        text.push('\n');
    }
    text += options.command_config.as_deref().unwrap_or_default();
    let mut properties = Properties::parse(&text);
    let bootstrap = options.bootstrap.clone().or_else(|| given.value("kafka.brokerConnect"));
    for (name, property) in
        [("schemaregistry.connect", "schema.registry.url"), ("schemaregistry.auth", "basic.auth.user.info")]
    {
        if let Some(value) = given.value(name) {
            properties.set(property, &value);
        }
    }
    match bootstrap {
        Some(servers) => properties.set("bootstrap.servers", &servers),
        None => properties.set_default("bootstrap.servers", "localhost:9092"),
    }
    Ok((properties, files))
}

impl<'a> Given<'a> {
    fn new(words: &[String], variable: &'a dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let from_variable = variable("CMD_ARGS").unwrap_or_default();
        let all = from_variable.split_whitespace().map(str::to_owned).chain(words.iter().cloned());
        let pair = |word: String| {
            let setting = word.strip_prefix("--").and_then(|rest| rest.split_once('='));
            let setting = setting.filter(|(name, _)| name.contains('.'));
            setting.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or(format!("{word} is no option"))
        };
        Ok(Self { words: all.map(pair).collect::<Result<_, String>>()?, variable })
    }

    /// A setting; an empty one counts as not given.
    fn value(&self, name: &str) -> Option<String> {
        let word = self.words.iter().rev().find(|(given, _)| plain(given) == plain(name));
        let value = word.map(|(_, value)| value.clone()).or_else(|| (self.variable)(&variable_of(name)));
        value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn switch(&self, name: &str) -> Result<Option<bool>, String> {
        let parsed = |value: String| match value.to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Ok(true),
            "false" | "off" | "no" | "0" => Ok(false),
            _ => Err(format!("{name} must be true or false, not {value}")),
        };
        self.value(name).map(parsed).transpose()
    }

    fn format(&self, name: &str) -> Result<Option<Format>, String> {
        self.value(name).map(|value| value.parse()).transpose().map_err(|why: String| format!("{name}: {why}"))
    }

    /// What a setting says in base64.
    fn decoded(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let decoded = |value: String| {
            let digits: String = value.chars().filter(|c| !c.is_whitespace()).collect();
            base64::decode(Alphabet::Standard, &digits).ok_or_else(|| format!("{} is not base64", variable_of(name)))
        };
        self.value(name).map(decoded).transpose()
    }

    /// The words whose names mean nothing here.
    fn without_effect(&self) -> Vec<String> {
        let is_known = |name: &str| NAMES.iter().any(|known| plain(known) == plain(name));
        self.words.iter().filter(|(name, _)| !is_known(name)).map(|(name, _)| name.clone()).collect()
    }
}

/// A setting's name as Spring compares it: without dashes and case.
fn plain(name: &str) -> String {
    name.replace('-', "").to_ascii_lowercase()
}

/// The variable of a setting: `KAFKA_PROPERTIES_FILE` where Kafdrop's start script has a name of its own.
fn variable_of(name: &str) -> String {
    match name {
        "kafka.propertiesFile" => "KAFKA_PROPERTIES_FILE".to_owned(),
        "kafka.truststoreFile" => "KAFKA_TRUSTSTORE_FILE".to_owned(),
        "kafka.keystoreFile" => "KAFKA_KEYSTORE_FILE".to_owned(),
        name => name.replace('.', "_").replace('-', "").to_ascii_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(options: &Options, variables: &[(&str, &str)]) -> Result<Launch, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Launch::new(options, &variable, &|path| (path == "k.properties").then(|| "client.rack=r".to_owned()))
    }

    fn words(words: &[&str]) -> Options {
        Options { words: words.iter().map(|word| (*word).to_owned()).collect(), ..Options::default() }
    }

    #[test]
    fn without_anything_it_serves_this_machine() {
        let launch = launch(&Options::default(), &[]).expect("a launch");
        assert_eq!(launch.listen.to_string(), "127.0.0.1:9000");
        assert_eq!(launch.settings.client.text("bootstrap.servers"), Some("localhost:9092"));
        assert_eq!(launch.settings.writes, Writes::ALL);
    }

    #[test]
    fn as_kafdrop_it_serves_all_machines_and_changes_nothing_unless_told_so() {
        let compose = [("KAFKA_BROKERCONNECT", "kafka:9092"), ("SERVER_PORT", "8080")];
        let launched = launch(&Options::default(), &compose).expect("a launch");
        assert_eq!(launched.listen.to_string(), "0.0.0.0:8080");
        assert_eq!(launched.settings.client.text("bootstrap.servers"), Some("kafka:9092"));
        assert_eq!(launched.settings.writes, Writes::NONE);
        let more = [
            compose[0],
            ("TOPIC_DELETEENABLED", "true"),
            ("SERVER_SERVLET_CONTEXTPATH", "/kafka/"),
            (
                "CMD_ARGS",
                "--message.format=HEX --topic.deleteEnabled=false --schemaregistry.connect=http://x --protobufdesc.directory=/x",
            ),
            ("KAFKA_PROPERTIES", "Y2xpZW50LnJh\nY2s9cjE="),
            ("KAFKA_TRUSTSTORE", "AAEC"),
        ];
        let launched = launch(&words(&["--message.send-enabled=true"]), &more).expect("a launch");
        assert_eq!(launched.settings.writes, Writes { send_messages: true, ..Writes::NONE });
        assert_eq!((launched.settings.format, launched.settings.key_format), (Format::Hex, Format::Hex));
        assert_eq!(launched.settings.path, "/kafka/");
        assert_eq!(launched.settings.client.text("client.rack"), Some("r1"));
        assert_eq!(launched.settings.client.text("ssl.truststore.location"), Some("kafka.truststore.jks"));
        assert_eq!(launched.files, [("kafka.truststore.jks".into(), vec![0, 1, 2])]);
        assert_eq!(launched.settings.client.text("schema.registry.url"), Some("http://x"));
        assert_eq!(launched.without_effect, ["protobufdesc.directory"]);
    }

    #[test]
    fn options_come_first() {
        let options = Options {
            bootstrap: Some("a:1".to_owned()),
            listen: Some(":7000".to_owned()),
            command_config: Some("client.rack=mine".to_owned()),
            ..Options::default()
        };
        let launched = launch(&options, &[("KAFKA_BROKERCONNECT", "b:1"), ("KAFKA_PROPERTIES_FILE", "k.properties")]);
        let launched = launched.expect("a launch");
        assert_eq!(launched.listen.to_string(), "0.0.0.0:7000");
        assert_eq!(launched.settings.client.text("bootstrap.servers"), Some("a:1"));
        assert_eq!(launched.settings.client.text("client.rack"), Some("mine"));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let why = |options: &Options, variables: &[(&str, &str)]| launch(options, variables).expect_err("a refusal");
        assert_eq!(why(&words(&["--bootstrap-serve"]), &[]), "--bootstrap-serve is no option");
        assert_eq!(why(&Options::default(), &[("SERVER_PORT", "x")]), "x is no port");
        assert_eq!(why(&Options::default(), &[("KAFKA_PROPERTIES", "*")]), "KAFKA_PROPERTIES is not base64");
        assert_eq!(why(&Options::default(), &[("KAFKA_PROPERTIES_FILE", "no")]), "no cannot be read");
        assert!(
            why(&Options::default(), &[("MESSAGE_FORMAT", "MSGPACK")])
                .starts_with("message.format: the format MSGPACK")
        );
        assert!(why(&Options::default(), &[("TOPIC_CREATEENABLED", "maybe")]).contains("must be true or false"));
        let listen = Options { listen: Some("nowhere".to_owned()), ..Options::default() };
        assert!(why(&listen, &[]).starts_with("--listen nowhere"));
    }
}
