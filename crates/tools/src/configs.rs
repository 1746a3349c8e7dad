//! `kafka-configs.sh`: configs of topics, brokers, loggers, groups and client metrics, quotas, and SCRAM credentials.

mod add;
mod checks;
mod describe;
mod entities;
mod quotas;
mod scram;

use crate::admin::{self, Admin, AlterConfig, Resource};
use crate::failure::Failure;
use crate::jopt::{Line, Opt, flag, value};
use crate::options::{BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};
use entities::{Entities, Kind};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "configs",
    script: "kafka-configs",
    classes: &["kafka.admin.ConfigCommand", "org.apache.kafka.tools.ConfigCommand"],
    about: "Describe and alter configs, quotas and SCRAM credentials.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, client-metrics or group";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-configs --bootstrap-server localhost:9092 --describe --topic orders",
        "kafka-configs --bootstrap-server localhost:9092 --describe --topic orders --all",
        "kafka-configs --bootstrap-server localhost:9092 --alter --topic orders --add-config retention.ms=60000",
        "kafka-configs --bootstrap-server localhost:9092 --alter --topic orders --add-config cleanup.policy=[compact,delete]",
        "kafka-configs --bootstrap-server localhost:9092 --alter --broker-defaults --delete-config log.cleaner.threads",
        "kafka-configs --bootstrap-server localhost:9092 --alter --user ann --add-config producer_byte_rate=1048576",
        "kafka-configs --bootstrap-server localhost:9092 --alter --user ann --add-config SCRAM-SHA-512=[password=secret]",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Message(""),
    uncaught: Uncaught::Message,
    run,
};

const OPTIONS: &[Opt] = &[
    BOOTSTRAP_SERVER,
    BOOTSTRAP_CONTROLLER,
    COMMAND_CONFIG,
    OUTPUT,
    flag("alter", "Alter configs."),
    flag("describe", "Describe configs."),
    flag("all", "With --describe: all configs, not only those set at run time."),
    value("entity-type", "String", "topics, clients, users, brokers, broker-loggers, ips, client-metrics or groups."),
    value("entity-name", "String", "The name or id of the entity."),
    flag("entity-default", "The defaults of clients, users, brokers or ips."),
    value("add-config", "String", "Configs to set: k1=v1,k2=[v1,v2],k3=v3. Brackets group values with commas."),
    value("add-config-file", "String", "A properties file with configs to set."),
    value("delete-config", "String", "Configs to remove: k1,k2.").separated(),
    value("topic", "String", "A topic."),
    value("client", "String", "A client id."),
    flag("client-defaults", "The defaults of all clients."),
    value("user", "String", "A user."),
    flag("user-defaults", "The defaults of all users."),
    value("broker", "String", "A broker's id."),
    flag("broker-defaults", "The defaults of all brokers."),
    value("broker-logger", "String", "A broker's id, for its loggers."),
    value("ip", "String", "An IP address."),
    flag("ip-defaults", "The defaults of all IP addresses."),
    value("group", "String", "A group's id."),
    value("client-metrics", "String", "A subscription to client metrics."),
];

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    let entities = entities::of_line(line);
    checks::check(line, &entities)?;
    match act(line, &entities, out) {
        Ok(()) => Ok(()),
        Err(Failure::Thrown(thrown)) if is_plain(&thrown) => Err(Failure::Message(thrown.text().to_owned())),
        Err(Failure::Thrown(thrown)) => {
            let words = line.words.join(" ");
            out.error(format_args!(
                "Error while executing config command with args '{words}'\n{}",
                thrown.trace().trim_end_matches('\n')
            ));
            Err(Failure::Exit(1))
        }
        Err(failure) => Err(failure),
    }
}

/// Whether Kafka's tool shows only the message of an exception.
fn is_plain(thrown: &Thrown) -> bool {
    let simple = ["IllegalArgumentException", "InvalidConfigurationException", "InvalidTopicException"];
    let unsupported = thrown.chain().any(|thrown| thrown.is("UnsupportedVersionException"));
    simple.iter().any(|class| thrown.is(class)) || thrown.class.starts_with("joptsimple.") || unsupported
}

fn act(line: &Line, entities: &Entities, out: &mut Out) -> Result<(), Failure> {
    let mut properties = admin::command_config(line)?;
    admin::set_bootstrap(&mut properties, line.value("bootstrap-server")?, line.value("bootstrap-controller")?);
    let is_alter = line.has("alter");
    if is_alter && entities.kinds.len() != entities.names.len() {
        return Err(Thrown::illegal_argument("An entity name must be specified for every entity type").into());
    }
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        if is_alter {
            alter(line, entities, &admin, out).await?;
        } else {
            describe::describe(line, entities, &admin, out).await?;
        }
        Ok(())
    })
}

async fn alter(line: &Line, entities: &Entities, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let added = add::added(line)?;
    let deleted = add::deleted(line);
    let Some((kind, name)) = entities.first() else { return Ok(()) };
    match kind {
        Kind::Users | Kind::Clients => alter_principals(entities, admin, &added, &deleted).await?,
        Kind::Ips => {
            let names = added.iter().map(|(name, _)| name).chain(&deleted);
            let unknown: Vec<String> = names.filter(|name| !quotas::is_of_ips(name)).cloned().collect();
            if !unknown.is_empty() {
                return Err(Thrown::illegal_argument(format!(
                    "Only connection quota configs can be added for 'ips' using --bootstrap-server. Unexpected config names: {}",
                    unknown.join(", ")
                )));
            }
            quotas::alter(entities, admin, &added, &deleted).await?;
        }
        _ => alter_resource(kind, name, admin, added, deleted).await?,
    }
    if name.is_empty() {
        out.line(format_args!("Completed updating default config for {} in the cluster.", kind.plural()));
    } else {
        out.line(format_args!("Completed updating config for {} {name}.", kind.singular()));
    }
    Ok(())
}

async fn alter_resource(
    kind: Kind,
    name: &str,
    admin: &Admin,
    added: Vec<(String, String)>,
    deleted: Vec<String>,
) -> Result<(), Thrown> {
    let Some(resource) = kind.resource() else { return Ok(()) };
    let resource = Resource { kind: resource, name: name.to_owned() };
    if kind == Kind::BrokerLoggers {
        let known = describe::entries(admin, &resource).await?;
        let known = |name: &str| known.iter().any(|entry| entry.name == name);
        let names = deleted.iter().chain(added.iter().map(|(name, _)| name));
        let unknown: Vec<&str> = names.map(String::as_str).filter(|name| !known(name)).collect();
        if !unknown.is_empty() {
            let class = "org.apache.kafka.common.errors.InvalidConfigurationException";
            return Err(Thrown::new(class, format!("Invalid broker logger(s): {}", unknown.join(","))));
        }
    }
    let deletions = deleted.into_iter().map(|name| AlterConfig { name, value: None });
    let settings = added.into_iter().map(|(name, value)| AlterConfig { name, value: Some(value) });
    let changes: Vec<AlterConfig> = deletions.chain(settings).collect();
    admin.alter_configs(&resource, &changes).await.map_err(Thrown::execution)
}

/// Quotas and credentials of users and clients: one of the two in one command.
async fn alter_principals(
    entities: &Entities,
    admin: &Admin,
    added: &[(String, String)],
    deleted: &[String],
) -> Result<(), Thrown> {
    let quotas_only = entities.kinds.contains(&Kind::Clients);
    let is_known = |name: &str| quotas::is_of_principals(name) || !quotas_only && scram::is_mechanism(name);
    let what = if quotas_only { "quota" } else { "quota and SCRAM credential" };
    let whose = if quotas_only { "clients" } else { "users" };
    let names =
        [("added", added.iter().map(|(name, _)| name).collect::<Vec<_>>()), ("deleted", deleted.iter().collect())];
    for (verb, names) in names {
        let unknown: Vec<String> = names.into_iter().filter(|name| !is_known(name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(Thrown::illegal_argument(format!(
                "Only {what} configs can be {verb} for '{whose}' using --bootstrap-server. Unexpected config names: Set({})",
                unknown.join(", ")
            )));
        }
    }
    let credentials: Vec<&(String, String)> = added.iter().filter(|(name, _)| scram::is_mechanism(name)).collect();
    let deletions: Vec<&String> = deleted.iter().filter(|name| scram::is_mechanism(name)).collect();
    let has_quotas = added.len() + deleted.len() > credentials.len() + deletions.len();
    if !credentials.is_empty() || !deletions.is_empty() {
        if entities.names.iter().any(String::is_empty) {
            return Err(Thrown::illegal_argument(
                "The use of --entity-default or --user-defaults is not allowed with User SCRAM Credentials using \
                 --bootstrap-server.",
            ));
        }
        if has_quotas {
            return Err(Thrown::illegal_argument(
                "Cannot alter both quota and SCRAM credential configs simultaneously for 'users' using --bootstrap-server.",
            ));
        }
        return scram::alter(&entities.names[0], admin, &credentials, &deletions).await;
    }
    quotas::alter(entities, admin, added, deleted).await
}
