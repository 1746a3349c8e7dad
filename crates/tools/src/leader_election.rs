//! `kafka-leader-election.sh`: elects the leaders of partitions.

use thalweg_base::TopicPartition;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::ElectLeadersRequest;
use thalweg_wire::messages::elect_leaders_request::TopicPartitions;

use crate::admin::{self, Admin, by_topic, check};
use crate::failure::Failure;
use crate::java;
use crate::jopt::{Line, Opt, flag, value};
use crate::json;
use crate::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "leader-election",
    script: "kafka-leader-election",
    classes: &["org.apache.kafka.tools.LeaderElectionCommand", "kafka.admin.LeaderElectionCommand"],
    about: "Elect the preferred leaders of partitions, or replicas that are not in sync.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool attempts to elect a new leader for a set of topic partitions. The type of elections supported are preferred replicas and unclean replicas.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-leader-election --bootstrap-server localhost:9092 --election-type preferred --all-topic-partitions",
        "kafka-leader-election --bootstrap-server localhost:9092 --election-type unclean --topic orders --partition 0",
        "kafka-leader-election --bootstrap-server localhost:9092 --election-type preferred --path-to-json-file partitions.json",
        "  partitions.json: {\"partitions\": [{\"topic\": \"orders\", \"partition\": 0}]}",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Uncaught,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

const OPTIONS: &[Opt] = &[
    BOOTSTRAP_SERVER,
    COMMAND_CONFIG,
    value("admin.config", "config file", "Deprecated: use --command-config."),
    value(
        "election-type",
        "[PREFERRED,UNCLEAN]: election type",
        "preferred: the first replica becomes the leader, if it is in sync. unclean: of a partition without a leader any replica \
        does, and records may be lost.",
    ),
    flag("all-topic-partitions", "All partitions that need an election."),
    value("topic", "topic name", "A topic, with --partition."),
    value("partition", "partition id", "A partition of it."),
    value("path-to-json-file", "Path to JSON file", "A file with partitions."),
];

/// How long an election may take, unless the properties say otherwise.
const TIMEOUT_MS: i32 = 30_000;

/// Which replicas can become leaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Election {
    Preferred,
    Unclean,
}

impl Election {
    fn name(self) -> &'static str {
        match self {
            Self::Preferred => "PREFERRED",
            Self::Unclean => "UNCLEAN",
        }
    }
}

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    check_options(line)?;
    let types = [("preferred", Election::Preferred), ("unclean", Election::Unclean)];
    let election = line.choice("election-type", &types, "[PREFERRED,UNCLEAN]")?.unwrap_or(Election::Preferred);
    let partitions = match (line.value("path-to-json-file")?, line.value("topic")?) {
        (Some(path), _) => Some(of_file(path)?),
        (None, Some(topic)) => {
            Some(vec![TopicPartition::new(topic, line.number::<i32>("partition")?.unwrap_or_default())])
        }
        (None, None) => None,
    };
    if line.has("admin.config") {
        out.line(
            "Option --admin.config has been deprecated and will be removed in a future version. Use --command-config \
             instead.",
        );
    }
    let path = line.value("admin.config")?.or(line.value("command-config")?);
    let mut properties = admin::properties_of(path)?;
    properties.set("bootstrap.servers", line.value("bootstrap-server")?.unwrap_or_default());
    properties.set_default("default.api.timeout.ms", &TIMEOUT_MS.to_string());
    properties.set_default("request.timeout.ms", &(TIMEOUT_MS / 2).to_string());
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        elect(&admin, election, partitions.as_deref(), out).await
    })
}

fn check_options(line: &Line) -> Result<(), Failure> {
    let missing: Vec<&str> =
        ["bootstrap-server", "election-type"].into_iter().filter(|option| !line.has(option)).collect();
    if !missing.is_empty() {
        return Err(Thrown::command_failed(format!("Missing required option(s): {}", missing.join(", "))).into());
    }
    line.forbid("admin.config", &["command-config"])?;
    let which = ["topic", "all-topic-partitions", "path-to-json-file"];
    if line.count(&which) != 1 {
        let text = format!("One and only one of the following options is required: {}", which.join(", "));
        return Err(Thrown::command_failed(text).into());
    }
    match (line.has("topic"), line.has("partition")) {
        (true, false) => Err(Thrown::command_failed("Missing required option(s): partition").into()),
        (false, true) => Err(Thrown::command_failed("Option partition is only allowed if topic is used").into()),
        _ => Ok(()),
    }
}

/// The partitions of a file.
fn of_file(path: &str) -> Result<Vec<TopicPartition>, Thrown> {
    let text = admin::read_input(path).map_err(Thrown::runtime)?;
    let value = json::parse(&text).ok_or_else(|| Thrown::operation_failed("Replica election data is empty"))?;
    let list = value
        .get("partitions")
        .ok_or_else(|| Thrown::operation_failed("Replica election data is missing \"partitions\" field"))?;
    let mut partitions = Vec::new();
    for entry in json::list(list).map_err(Thrown::runtime)? {
        let topic = json::field(entry, "topic").and_then(json::text).map_err(Thrown::runtime)?;
        let index = json::field(entry, "partition").and_then(json::int).map_err(Thrown::runtime)?;
        partitions.push(TopicPartition::new(topic, index));
    }
    let mut twice: Vec<String> = Vec::new();
    for (at, partition) in partitions.iter().enumerate() {
        let shown = partition.to_string();
        if partitions[..at].contains(partition) && !twice.contains(&shown) {
            twice.push(shown);
        }
    }
    if twice.is_empty() {
        return Ok(partitions);
    }
    Err(Thrown::operation_failed(format!(
        "Replica election data contains duplicate partitions: [{}]",
        twice.join(", ")
    )))
}

async fn elect(
    admin: &Admin,
    election: Election,
    partitions: Option<&[TopicPartition]>,
    out: &mut Out,
) -> Result<(), Failure> {
    let topic = |(topic, partitions): (&str, Vec<i32>)| TopicPartitions { topic: topic.into(), partitions };
    let request = ElectLeadersRequest {
        election_type: i8::from(election == Election::Unclean),
        topic_partitions: partitions.map(|partitions| by_topic(partitions).into_iter().map(topic).collect()),
        timeout_ms: TIMEOUT_MS,
    };
    let answered = admin.controller("electLeaders", &request).await;
    let checked = answered.and_then(|response| check(response.error_code, None).map(|()| response));
    let response = checked.map_err(|thrown| unelected(thrown, out))?;
    let (mut done, mut needless, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
    for topic in &response.replica_election_results {
        for result in &topic.partition_result {
            let partition = TopicPartition::new(&*topic.topic, result.partition_id);
            let code = ErrorCode::from(result.error_code);
            match code {
                ErrorCode::None => done.push(partition),
                ErrorCode::ElectionNotNeeded => needless.push(partition),
                _ => refusals.push((partition, Thrown::of_code(code, result.error_message.as_deref()))),
            }
        }
    }
    let hash = |partition: &TopicPartition| java::topic_partition_hash(&partition.topic, partition.partition);
    let name = election.name();
    if !done.is_empty() {
        let partitions = java::joined(&java::hash_order(done, 16, hash), ", ");
        out.line(format_args!("Successfully completed leader election ({name}) for partitions {partitions}"));
    }
    if !needless.is_empty() {
        let partitions = java::joined(&java::hash_order(needless, 16, hash), ", ");
        out.line(format_args!("Valid replica already elected for partitions {partitions}"));
    }
    if refusals.is_empty() {
        return Ok(());
    }
    let refusals = java::hash_order(refusals, 16, |(partition, _)| hash(partition));
    for (partition, thrown) in &refusals {
        out.line(format_args!("Error completing leader election ({name}) for partition: {partition}: {thrown}"));
    }
    let whole = Thrown::command_failed(format!("{} replica(s) could not be elected", refusals.len()));
    let suppressed: String = refusals.iter().map(|(_, thrown)| format!("\tSuppressed: {thrown}\n")).collect();
    out.error(format_args!("{}\n{}{suppressed}", whole.text(), whole.trace()));
    Err(Failure::Exit(1))
}

/// What the tool throws when there is no result at all.
fn unelected(thrown: Thrown, out: &mut Out) -> Failure {
    let known = [
        ("TimeoutException", "Timeout waiting for election results"),
        ("ClusterAuthorizationException", "Not authorized to perform leader election"),
    ];
    let Some((class, text)) = known.into_iter().find(|(class, _)| thrown.is(class)) else {
        return thrown.execution().runtime().into();
    };
    out.line(text);
    if class == "TimeoutException" {
        let class = "org.apache.kafka.tools.AdminCommandFailedException";
        return Thrown::caused_by(class, text, thrown).into();
    }
    Thrown::command_failed(text).into()
}
