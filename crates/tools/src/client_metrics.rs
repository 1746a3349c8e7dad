//! `kafka-client-metrics.sh`: subscriptions to the metrics of clients (KIP-714).

use serde_json::{Value, json};
use thalweg_base::Uuid;
use thalweg_sys::random;

use crate::admin::{self, Admin, AlterConfig, ConfigEntry, Resource, ResourceKind, WithSynonyms};
use crate::failure::Failure;
use crate::java;
use crate::jopt::{Line, flag, value};
use crate::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "client-metrics",
    script: "kafka-client-metrics",
    classes: &["org.apache.kafka.tools.ClientMetricsCommand"],
    about: "List, describe and alter subscriptions to client metrics.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool helps to manipulate and describe client metrics configurations.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-client-metrics --bootstrap-server localhost:9092 --list",
        "kafka-client-metrics --bootstrap-server localhost:9092 --alter --name lag --metrics org.apache.kafka.consumer. --interval 60000",
    ],
    options: &[
        BOOTSTRAP_SERVER,
        COMMAND_CONFIG,
        OUTPUT,
        flag("alter", "Create or alter a subscription."),
        flag("delete", "Delete a subscription."),
        flag("describe", "Describe subscriptions."),
        flag("list", "List subscriptions."),
        value("name", "name", "The name of the subscription."),
        flag("generate-name", "With --alter: under a new random name."),
        value("interval", "push interval", "How often clients push, in milliseconds; empty: the default."),
        value(
            "match",
            "k1=v1,k2=v2",
            "Which clients: client_id, client_instance_id, client_software_name, \
            client_software_version, client_source_address or client_source_port with a regular expression.",
        )
        .separated(),
        value("metrics", "m1,m2", "The beginnings of the names of metrics.").separated(),
    ],
    parse_errors: ParseErrors::Usage,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

const LOGGER: &str = "org.apache.kafka.tools.ClientMetricsCommand";

fn check(line: &Line) -> Result<(), Failure> {
    if line.count(&["alter", "delete", "describe", "list"]) != 1 {
        let text = "Command must include exactly one action: --alter, --delete, --describe or --list.";
        return Err(Failure::Usage(text.into()));
    }
    let refuse = |text: &str| Err(Thrown::illegal_argument(text).into());
    if !line.has("bootstrap-server") {
        return refuse("--bootstrap-server must be specified.");
    }
    let settings = ["generate-name", "interval", "match", "metrics"];
    line.forbid("delete", &settings)?;
    line.forbid("describe", &settings)?;
    line.forbid("list", &["name", "generate-name", "interval", "match", "metrics"])?;
    if line.has("alter") {
        if line.has("name") == line.has("generate-name") {
            return refuse("One of --name or --generate-name must be specified with --alter.");
        }
        let interval = line.value("interval")?.unwrap_or_default();
        if !interval.is_empty() && java::number::<i32>(interval).is_err() {
            return refuse("Invalid interval value. Enter an integer, or leave empty to reset.");
        }
    }
    if line.has("delete") && !line.has("name") {
        return refuse("A client metrics resource name must be specified with --delete.");
    }
    Ok(())
}

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    check(line)?;
    admin::block_on(async {
        let admin = Admin::of_line(line, out).await?;
        match act(line, &admin, out).await {
            Ok(()) => Ok(()),
            Err(thrown) => {
                out.line(format_args!("Error while executing client metrics command : {}", thrown.text()));
                out.log("ERROR", thrown.trace(), LOGGER);
                Err(Failure::Exit(1))
            }
        }
    })
}

async fn act(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    if line.has("alter") {
        alter(line, admin, out).await
    } else if line.has("describe") {
        describe(line, admin, out).await
    } else if line.has("delete") {
        delete(line, admin, out).await
    } else {
        let names = admin.list_config_resources(ResourceKind::ClientMetrics).await?;
        if out.is_json() {
            names.iter().for_each(|name| out.object(&json!({"name": name})));
        } else {
            out.line(names.join("\n"));
        }
        Ok(())
    }
}

fn resource(name: &str) -> Resource {
    Resource { kind: ResourceKind::ClientMetrics, name: name.to_owned() }
}

async fn entries(admin: &Admin, name: &str) -> Result<Vec<ConfigEntry>, Thrown> {
    admin.describe_configs(&[resource(name)], WithSynonyms::No).await?.remove(0)
}

async fn alter(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let name = match line.value("name")? {
        Some(name) => name.to_owned(),
        None => Uuid::from_random(random::bytes16()).to_string(),
    };
    let mut changes = Vec::new();
    let mut set = |name: &str, value: String| {
        let value = (!value.is_empty()).then_some(value);
        changes.push(AlterConfig { name: name.to_owned(), value });
    };
    if let Some(interval) = line.value("interval")? {
        set("interval.ms", interval.to_owned());
    }
    for name in ["metrics", "match"] {
        if line.has(name) {
            set(name, line.values(name).join(","));
        }
    }
    admin.alter_configs(&resource(&name), &changes).await?;
    out.line(format_args!("Altered client metrics config for {name}."));
    Ok(())
}

async fn delete(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let name = line.value("name")?.unwrap_or_default();
    let standing = entries(admin, name).await?;
    let changes: Vec<AlterConfig> =
        standing.into_iter().map(|entry| AlterConfig { name: entry.name, value: None }).collect();
    admin.alter_configs(&resource(name), &changes).await?;
    out.line(format_args!("Deleted client metrics config for {name}."));
    Ok(())
}

async fn describe(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let mut names = admin.list_config_resources(ResourceKind::ClientMetrics).await?;
    if let Some(name) = line.value("name")? {
        if !names.iter().any(|other| other == name) {
            out.line(format_args!("The client metric resource {name} doesn't exist and doesn't have dynamic config."));
            return Ok(());
        }
        names = vec![name.to_owned()];
    }
    for name in names {
        if out.is_json() {
            let configs: serde_json::Map<String, Value> =
                entries(admin, &name).await?.into_iter().map(|entry| (entry.name, Value::from(entry.value))).collect();
            out.object(&json!({"name": name, "configs": configs}));
            continue;
        }
        out.line(format_args!("Client metrics configs for {name} are:"));
        for entry in entries(admin, &name).await? {
            out.line(format_args!("  {}={}", entry.name, entry.value.as_deref().unwrap_or("null")));
        }
    }
    Ok(())
}
