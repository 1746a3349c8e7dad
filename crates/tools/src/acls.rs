//! `kafka-acls.sh`: lists, adds and removes access control lists.

mod wanted;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use serde_json::{Value, json};

use crate::admin::{self, AccessControl, Admin, ResourcePattern};
use crate::failure::Failure;
use crate::jopt::{Line, Opt, flag, optional, value};
use crate::options::{BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
use crate::out::Out;
use crate::principal::Principal;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "acls",
    script: "kafka-acls",
    classes: &["org.apache.kafka.tools.AclCommand", "kafka.admin.AclCommand"],
    about: "List, add and remove ACLs.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool helps to manage acls on kafka.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-acls --bootstrap-server localhost:9092 --list --topic orders",
        "kafka-acls --bootstrap-server localhost:9092 --add --allow-principal User:ann --producer --topic orders",
        "kafka-acls --bootstrap-server localhost:9092 --add --allow-principal User:ann --consumer --topic orders --group billing",
        "kafka-acls --bootstrap-server localhost:9092 --remove --topic orders --force",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Usage,
    uncaught: Uncaught::Printed("Error while executing ACL command: "),
    run,
};

const OPTIONS: &[Opt] = &[
    BOOTSTRAP_SERVER,
    BOOTSTRAP_CONTROLLER,
    COMMAND_CONFIG,
    OUTPUT,
    flag("list", "List ACLs, of all resources or of those that are named."),
    flag("add", "Add ACLs."),
    flag("remove", "Remove ACLs; all of a resource where no principal is named."),
    value("topic", "topic", "A topic; * is all of them. May be repeated."),
    value("group", "group", "A group; * is all of them. May be repeated."),
    flag("cluster", "The cluster."),
    value("transactional-id", "transactional-id", "A transactional id; * is all of them. May be repeated."),
    value("delegation-token", "delegation-token", "A delegation token; * is all of them. May be repeated."),
    value("user-principal", "user-principal", "A user whose tokens others create or describe. May be repeated."),
    value(
        "resource-pattern-type",
        "ANY|MATCH|LITERAL|PREFIXED",
        "How names are meant: literal, which is the default, or prefixed; with --list and --remove also any, which is both, or \
        match, which is every pattern that the name matches.",
    ),
    value(
        "allow-principal",
        "allow-principal",
        "Who is allowed, such as User:ann; User:* is everyone. May be repeated.",
    ),
    value("allow-host", "allow-host", "From which hosts; all, unless one is named. May be repeated."),
    value("deny-principal", "deny-principal", "Who is denied, whatever else allows. May be repeated."),
    value("deny-host", "deny-host", "From which hosts; all, unless one is named. May be repeated."),
    value("operation", "String", "What is done, such as Read or DescribeConfigs. Default: All. May be repeated."),
    flag("producer", "What a producer needs: Write, Describe and Create of the topic."),
    flag("idempotent", "With --producer: IdempotentWrite of the cluster, which brokers before 2.8 ask for."),
    flag("consumer", "What a consumer needs: Read and Describe of the topic, Read of the group."),
    optional("principal", "principal", "With --list: only ACLs of this principal. May be repeated."),
    flag("force", "Do not ask before removing."),
];

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    check(line)?;
    let mut properties = admin::command_config(line)?;
    let (servers, controllers) = (line.value("bootstrap-server")?, line.value("bootstrap-controller")?);
    admin::set_bootstrap(&mut properties, servers, controllers);
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        if line.has("add") {
            add(line, &admin, out).await
        } else if line.has("remove") {
            remove(line, &admin, out).await
        } else {
            list(line, &admin, out).await
        }
    })
}

/// What the options need of each other.
fn check(line: &Line) -> Result<(), Failure> {
    let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
    match line.count(&["bootstrap-server", "bootstrap-controller"]) {
        0 => return usage("One of --bootstrap-server or --bootstrap-controller must be specified"),
        1 => {}
        _ => return usage("Only one of --bootstrap-server or --bootstrap-controller must be specified"),
    }
    if line.count(&["add", "remove", "list"]) != 1 {
        return usage("Command must include exactly one action: --list, --add, --remove. ");
    }
    line.forbid("list", &["producer", "consumer", "allow-host", "allow-principal", "deny-host", "deny-principal"])?;
    line.forbid("producer", &["operation", "deny-principal", "deny-host"])?;
    line.forbid("consumer", &["operation", "deny-principal", "deny-host"])?;
    if line.has("principal") && !line.has("list") {
        return usage("The --principal option is only available if --list is set");
    }
    if line.has("producer") && !line.has("topic") {
        return usage("With --producer you must specify a --topic");
    }
    if line.has("idempotent") && !line.has("producer") {
        return usage("The --idempotent option is only available if --producer is set");
    }
    let has_more = !line.has("producer") && line.has_any(&["cluster", "transactional-id"]);
    if line.has("consumer") && (!line.has("topic") || !line.has("group") || has_more) {
        return usage(
            "With --consumer you must specify a --topic and a --group and no --cluster or --transactional-id option should be \
             specified.",
        );
    }
    Ok(())
}

async fn add(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    for (resource, acls) in wanted::to_add(line)? {
        let standing: Vec<AccessControl> = admin
            .describe_acls(&resource)
            .await
            .map_err(Thrown::execution)?
            .into_iter()
            .flat_map(|(_, acls)| acls)
            .collect();
        let (old, new): (Vec<_>, Vec<_>) = acls.into_iter().partition(|acl| standing.contains(acl));
        for acl in old {
            out.line(format_args!("Acl (pattern={resource}, entry={acl}) already exists."));
        }
        if new.is_empty() {
            continue;
        }
        out.line(format_args!("Adding ACLs for resource `{resource}`: \n {}\n", lines(&new)));
        admin.create_acls(&resource, &new).await.map_err(Thrown::execution)?;
    }
    Ok(())
}

/// A line for each, behind a tab.
fn lines(acls: &[AccessControl]) -> String {
    acls.iter().map(|acl| format!("\t{acl}")).collect::<Vec<_>>().join("\n")
}

async fn remove(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    for (filter, acls) in wanted::to_remove(line)? {
        let question = if acls.is_empty() {
            format!("Are you sure you want to delete all ACLs for resource filter `{filter}`? (y/n)")
        } else {
            let shown = lines(&acls);
            format!("Are you sure you want to remove ACLs: \n {shown}\n from resource filter `{filter}`? (y/n)")
        };
        if line.has("force") || confirmed(&question, out)? {
            admin.delete_acls(&filter, &acls).await.map_err(Thrown::execution)?;
        }
    }
    Ok(())
}

/// Asks at the terminal. Without one Java has no console, and fails.
fn confirmed(question: &str, out: &mut Out) -> Result<bool, Thrown> {
    out.line(question);
    out.flush();
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        let text = "Cannot invoke \"java.io.Console.readLine()\" because the return value of \"java.lang.System.console()\" \
                    is null";
        return Err(Thrown::new("java.lang.NullPointerException", text));
    }
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.map_err(|e| Thrown::new("java.io.IOException", e.to_string()))?;
    Ok(answer.trim_end().eq_ignore_ascii_case("y"))
}

async fn list(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let mut filters = wanted::resources(line)?;
    if filters.is_empty() {
        filters.push(ResourcePattern::ANY);
    }
    let principals = Principal::parse_all(line.values("principal"))?;
    let mut found: BTreeMap<ResourcePattern, Vec<AccessControl>> = BTreeMap::new();
    for filter in &filters {
        for (resource, acls) in admin.describe_acls(filter).await.map_err(Thrown::execution)? {
            let all = found.entry(resource).or_default();
            all.extend(acls);
            all.sort();
            all.dedup();
        }
    }
    if principals.is_empty() {
        print(&found, |_| true, out);
    }
    for principal in principals.iter().map(ToString::to_string) {
        out.line(format_args!("ACLs for principal `{principal}`"));
        print(&found, |acl| acl.principal == principal, out);
    }
    Ok(())
}

fn object(resource: &ResourcePattern, acl: &AccessControl) -> Value {
    json!({
        "resourceType": resource.kind.name(),
        "resourceName": resource.name,
        "patternType": resource.pattern.name(),
        "principal": acl.principal,
        "host": acl.host,
        "operation": acl.operation.name(),
        "permissionType": acl.permission.name(),
    })
}

fn print(
    found: &BTreeMap<ResourcePattern, Vec<AccessControl>>,
    is_wanted: impl Fn(&AccessControl) -> bool,
    out: &mut Out,
) {
    for (resource, acls) in found {
        let acls: Vec<AccessControl> = acls.iter().filter(|acl| is_wanted(acl)).cloned().collect();
        if out.is_json() {
            acls.iter().for_each(|acl| out.object(&object(resource, acl)));
            continue;
        }
        if !acls.is_empty() {
            out.line(format_args!("Current ACLs for resource `{resource}`:\n{}\n", lines(&acls)));
        }
    }
}
