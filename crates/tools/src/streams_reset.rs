//! `kafka-streams-application-reset.sh`: brings an application of Kafka Streams back to where it began.

use std::collections::BTreeMap;

use regex::Regex;
use thalweg_base::{Timestamp, TopicPartition};
use thalweg_client::OffsetSpec;
use thalweg_sys::time;
use thalweg_wire::messages::delete_topics_request::DeleteTopicState;
use thalweg_wire::messages::leave_group_request::MemberIdentity;
use thalweg_wire::messages::{DeleteTopicsRequest, LeaveGroupRequest};

use crate::admin::{self, Admin, Member, check};
use crate::date;
use crate::failure::Failure;
use crate::java;
use crate::jopt::{Line, Opt, flag, value};
use crate::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "streams-application-reset",
    script: "kafka-streams-application-reset",
    classes: &["org.apache.kafka.tools.StreamsResetter", "kafka.tools.StreamsResetter"],
    about: "Bring an application of Kafka Streams back to where it began.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "Sets the offsets of an application's input topics back, and deletes the internal topics that Kafka Streams made for it. \
    Stop the application first, and clean up its local state, or its results are wrong.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-streams-application-reset --bootstrap-server localhost:9092 --application-id totals --input-topics orders --dry-run",
        "kafka-streams-application-reset --bootstrap-server localhost:9092 --application-id totals --input-topics orders --to-datetime 2026-11-30T00:00:00.000",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Usage,
    uncaught: Uncaught::Trace,
    run,
};

const OPTIONS: &[Opt] = &[
    value("application-id", "id", "The application.").required(),
    BOOTSTRAP_SERVER,
    COMMAND_CONFIG,
    value("config-file", "file name", "Deprecated: use --command-config."),
    value(
        "input-topics",
        "list",
        "Its input topics, between commas: they are read again from the first record, or from elsewhere.",
    )
    .separated(),
    value(
        "intermediate-topics",
        "list",
        "Deprecated. Topics that it writes and reads, between commas: read on from their ends.",
    )
    .separated(),
    value("internal-topics", "list", "Of its internal topics only these are deleted.").separated(),
    value("to-offset", "Long", "Input topics from an offset."),
    value("to-datetime", "String", "From the first record at or after a time: YYYY-MM-DDThh:mm:ss.sss."),
    value("by-duration", "String", "From the first record that is younger than PnDTnHnMnS."),
    flag("to-earliest", "From the first record, which is the default."),
    flag("to-latest", "From behind the last record."),
    value("from-file", "String", "From the offsets of a file of lines topic,partition,offset."),
    value("shift-by", "number-of-offsets", "By so many records, back if negative."),
    flag("force", "Remove members that the group still has."),
    flag("dry-run", "Only say what would be done."),
];

/// Each of them with those beside which it may not stand, as far as they are not refused from the other side.
const SCENARIOS: [&str; 7] =
    ["to-offset", "to-datetime", "by-duration", "to-earliest", "to-latest", "from-file", "shift-by"];

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    for scenario in SCENARIOS {
        let others: Vec<&str> = SCENARIOS.into_iter().filter(|other| *other != scenario).collect();
        line.forbid(scenario, &others)?;
    }
    line.forbid("config-file", &["command-config"])?;
    match reset(line, out) {
        Err(Failure::Thrown(thrown)) => {
            out.error(format_args!("ERROR: {thrown}"));
            Err(thrown.into())
        }
        other => other,
    }
}

fn reset(line: &Line, out: &mut Out) -> Result<(), Failure> {
    if line.has("config-file") {
        out.line(
            "Option --config-file has been deprecated and will be removed in a future version. Use --command-config instead.",
        );
    }
    let path = line.value("config-file")?.or(line.value("command-config")?);
    let mut properties = admin::properties_of(path)?;
    properties.set("bootstrap.servers", line.value("bootstrap-server")?.unwrap_or("localhost:9092"));
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        let group = line.value("application-id")?.unwrap_or_default();
        remove_members(line, &admin, group, out).await?;
        let topics: Vec<String> = admin.list_topics().await?.into_iter().map(|topic| topic.name).collect();
        let topics = java::names_in_hash_order(topics, 16);
        if line.has("dry-run") {
            out.line("----Dry run displays the actions which will be performed when running Streams Reset Tool----");
        }
        let found_all = Resetting { line, admin: &admin, group, topics: &topics }.offsets(out).await?;
        delete_internal(line, &admin, group, &topics, out).await?;
        if found_all { Ok(()) } else { Err(Failure::Exit(1)) }
    })
}

/// Refuses a group that still has members, or removes them.
async fn remove_members(line: &Line, admin: &Admin, group: &str, out: &mut Out) -> Result<(), Thrown> {
    let members = match admin.describe_consumer_group(group).await {
        Ok(found) => found.members,
        Err(thrown) if thrown.is("GroupIdNotFoundException") => return Ok(()),
        Err(thrown) => return Err(thrown.execution()),
    };
    if members.is_empty() {
        return Ok(());
    }
    if !line.has("force") {
        let shown = |member: &Member| {
            let (id, client, host) = (&member.id, &member.client, &member.host);
            format!("(memberId={id}, clientId={client}, host={host})")
        };
        let members: Vec<String> = members.iter().map(shown).collect();
        return Err(Thrown::new(
            "java.lang.IllegalStateException",
            format!(
                "Consumer group '{group}' is still active and has following members: [{}]. Make sure to stop all running \
                 application instances before running the reset tool. You can use option '--force' to remove active members from \
                 the group.",
                members.join(", ")
            ),
        ));
    }
    out.line(format_args!("Force deleting all active members in the group: {group}"));
    let identity = |member: &Member| MemberIdentity {
        member_id: member.id.as_str().into(),
        group_instance_id: member.instance.as_deref().map(Into::into),
        ..MemberIdentity::default()
    };
    let members = members.iter().map(identity).collect();
    let request = LeaveGroupRequest { group_id: group.into(), members, ..LeaveGroupRequest::default() };
    let response = admin.coordinator("leaveGroup", group, &request).await.map_err(Thrown::execution)?;
    check(response.error_code, None).map_err(Thrown::execution)
}

/// The part of the work that is about offsets.
struct Resetting<'a> {
    line: &'a Line,
    admin: &'a Admin,
    group: &'a str,
    topics: &'a [String],
}

impl Resetting<'_> {
    /// Sets the offsets of input and intermediate topics. Whether all of these exist.
    async fn offsets(&self, out: &mut Out) -> Result<bool, Failure> {
        let (input, intermediate) = (self.line.values("input-topics"), self.line.values("intermediate-topics"));
        if self.line.has("intermediate-topics") {
            out.line("WARN: `--intermediate-topics` is deprecated and will be removed in a future release");
        }
        if input.is_empty() && intermediate.is_empty() {
            out.line("No input or intermediate topics specified. Skipping seek.");
            return Ok(true);
        }
        if !input.is_empty() {
            out.line(format_args!("Reset-offsets for input topics [{}]", input.join(", ")));
        }
        if !intermediate.is_empty() {
            out.line(format_args!("Seek-to-end for intermediate topics [{}]", intermediate.join(", ")));
        }
        let found_input = self.found("input", input, out);
        let found_intermediate = self.found("intermediate", intermediate, out);
        let found_all = found_input.len() == input.len() && found_intermediate.len() == intermediate.len();
        if found_input.is_empty() && found_intermediate.is_empty() {
            return Ok(found_all);
        }
        let mut offsets = self.input(&found_input, out).await.inspect_err(|failure| {
            let class = match failure {
                Failure::Thrown(thrown) => thrown.simple_class(),
                _ => "",
            };
            if matches!(class, "ParseException" | "IOException") {
                out.error("ERROR: Resetting offsets failed.");
            }
        })?;
        if !found_intermediate.is_empty() {
            let group = self.group;
            out.line(format_args!(
                "Following intermediate topics offsets will be reset to end (for consumer group {group})"
            ));
            let partitions = self.partitions(&found_intermediate).await?;
            partitions.iter().for_each(|partition| out.line(format_args!("Topic: {}", partition.topic)));
            offsets.extend(self.look_up(&partitions, OffsetSpec::Latest).await?);
        }
        if !self.line.has("dry-run") {
            let offsets: Vec<(TopicPartition, i64)> = offsets.into_iter().collect();
            self.admin.alter_offsets(self.group, &offsets).await?;
        }
        out.line("Done.");
        Ok(found_all)
    }

    /// Those of the topics that exist; says which do not.
    fn found(&self, what: &str, named: &[String], out: &mut Out) -> Vec<String> {
        let (found, missing): (Vec<_>, Vec<_>) = named.iter().cloned().partition(|topic| self.topics.contains(topic));
        if !missing.is_empty() {
            out.line(format_args!("Following {what} topics are not found, skipping them"));
            let blank = if what == "input" { " " } else { "" };
            missing.iter().for_each(|topic| out.line(format_args!("Topic:{blank}{topic}")));
        }
        found
    }

    async fn partitions(&self, topics: &[String]) -> Result<Vec<TopicPartition>, Thrown> {
        let mut partitions = Vec::new();
        for (name, info) in self.admin.describe_topics(topics).await? {
            partitions.extend(info?.partitions.iter().map(|partition| TopicPartition::new(&*name, partition.index)));
        }
        Ok(partitions)
    }

    async fn look_up(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, i64>, Thrown> {
        Ok(self.admin.offsets_at(partitions.iter().cloned(), spec).await?.into_iter().collect())
    }

    /// The new offsets of the input topics.
    async fn input(&self, topics: &[String], out: &mut Out) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let group = self.group;
        out.line(format_args!("Following input topics offsets will be reset to (for consumer group {group})"));
        let partitions = self.partitions(topics).await?;
        let offsets = self.chosen(&partitions, out).await?;
        let in_order = java::hash_order(partitions, 16, |one| java::topic_partition_hash(&one.topic, one.partition));
        for partition in &in_order {
            let offset = offsets.get(partition).copied().unwrap_or(-1);
            let (topic, index) = (&partition.topic, partition.partition);
            out.line(format_args!("Topic: {topic} Partition: {index} Offset: {offset}"));
        }
        Ok(offsets)
    }

    async fn chosen(
        &self,
        partitions: &[TopicPartition],
        out: &mut Out,
    ) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
        let line = self.line;
        let all = |offset: i64| partitions.iter().map(|partition| (partition.clone(), offset)).collect();
        if let Some(offset) = line.number::<i64>("to-offset")? {
            return Ok(self.in_range(all(offset), out).await?);
        }
        if line.has("to-latest") {
            return Ok(self.look_up(partitions, OffsetSpec::Latest).await?);
        }
        if let Some(by) = line.number::<i64>("shift-by")? {
            let committed = self.admin.committed_offsets(self.group).await?;
            let mut offsets = self.look_up(partitions, OffsetSpec::Latest).await?;
            for (partition, offset) in &mut offsets {
                let from = committed.get(partition).map_or(*offset, |committed| committed.offset);
                *offset = from.saturating_add(by);
            }
            return Ok(self.in_range(offsets, out).await?);
        }
        if let Some(text) = line.value("to-datetime")? {
            let at = date::parse_iso(text).map_err(|message| Thrown::new("java.text.ParseException", message))?;
            return Ok(self.at_time(partitions, at, out).await?);
        }
        if let Some(text) = line.value("by-duration")? {
            let age = date::parse_duration_ms(text).ok_or_else(|| {
                Thrown::new("java.time.format.DateTimeParseException", "Text cannot be parsed to a Duration")
            })?;
            let at = Timestamp(time::wall_clock_ms().saturating_sub(age));
            return Ok(self.at_time(partitions, at, out).await?);
        }
        if let Some(path) = line.value("from-file")? {
            let plan = plan(path)?;
            let known = |partition: &TopicPartition| plan.get(partition).map(|offset| (partition.clone(), *offset));
            return Ok(self.in_range(partitions.iter().filter_map(known).collect(), out).await?);
        }
        Ok(self.look_up(partitions, OffsetSpec::Earliest).await?)
    }

    /// The offsets, moved into the logs where they lie outside.
    async fn in_range(
        &self,
        mut offsets: BTreeMap<TopicPartition, i64>,
        out: &mut Out,
    ) -> Result<BTreeMap<TopicPartition, i64>, Thrown> {
        let partitions: Vec<TopicPartition> = offsets.keys().cloned().collect();
        let starts = self.look_up(&partitions, OffsetSpec::Earliest).await?;
        let ends = self.look_up(&partitions, OffsetSpec::Latest).await?;
        for (partition, offset) in &mut offsets {
            let (start, end) = (starts[partition], ends[partition]);
            let (limit, which) = match *offset {
                offset if offset >= end => (end, "higher than latest"),
                offset if offset <= start => (start, "lower than earliest"),
                _ => continue,
            };
            out.line(format_args!("New offset ({offset}) is {which} offset. Value will be set to {limit}"));
            *offset = limit;
        }
        Ok(offsets)
    }

    async fn at_time(
        &self,
        partitions: &[TopicPartition],
        at: Timestamp,
        out: &mut Out,
    ) -> Result<BTreeMap<TopicPartition, i64>, Thrown> {
        let mut offsets = self.look_up(partitions, OffsetSpec::At(at)).await?;
        let none: Vec<TopicPartition> =
            offsets.iter().filter(|(_, offset)| **offset < 0).map(|(partition, _)| partition.clone()).collect();
        for partition in &none {
            let (index, topic) = (partition.partition, &partition.topic);
            out.line(format_args!(
                "Partition {index} from topic {topic} is empty, without a committed record. Falling back to latest known offset."
            ));
        }
        offsets.extend(self.look_up(&none, OffsetSpec::Latest).await?);
        Ok(offsets)
    }
}

/// Reads a file of lines `topic,partition,offset`.
fn plan(path: &str) -> Result<BTreeMap<TopicPartition, i64>, Thrown> {
    let malformed = |text: &str| Thrown::new("java.text.ParseException", text);
    let text = admin::read_file(path)?;
    if text.is_empty() {
        return Err(malformed("Error parsing reset plan CSV file. It is empty,"));
    }
    let mut plan = BTreeMap::new();
    for line in text.lines() {
        let [topic, partition, offset] = java::split(line, ',')[..] else {
            return Err(malformed("Reset plan CSV file is not following the format `TOPIC,PARTITION,OFFSET`."));
        };
        plan.insert(TopicPartition::new(topic, java::number(partition)?), java::number(offset)?);
    }
    Ok(plan)
}

/// Whether Kafka Streams gives such names to its internal topics.
fn is_internal(topic: &str) -> bool {
    let endings = ["-changelog", "-repartition", "-subscription-registration-topic", "-subscription-response-topic"];
    let joins = Regex::new(r"^.+-KTABLE-FK-JOIN-SUBSCRIPTION-(REGISTRATION|RESPONSE)-\d+-topic$");
    endings.iter().any(|ending| topic.ends_with(ending)) || joins.is_ok_and(|joins| joins.is_match(topic))
}

async fn delete_internal(
    line: &Line,
    admin: &Admin,
    group: &str,
    topics: &[String],
    out: &mut Out,
) -> Result<(), Failure> {
    let is_read = |topic: &String| {
        line.values("input-topics").contains(topic) || line.values("intermediate-topics").contains(topic)
    };
    let prefix = format!("{group}-");
    let is_inferred = |topic: &&String| topic.starts_with(&prefix) && is_internal(topic) && !is_read(topic);
    let inferred: Vec<String> = topics.iter().filter(is_inferred).cloned().collect();
    let named = line.values("internal-topics");
    let gone = if named.is_empty() {
        out.line(format_args!("Deleting inferred internal topics [{}]", inferred.join(", ")));
        inferred
    } else {
        if !named.iter().all(|topic| inferred.contains(topic)) {
            return Err(Thrown::illegal_argument(
                "Invalid topic specified in the --internal-topics option. Ensure that the topics specified are all internal topics. Do \
                 a dry run without the --internal-topics option to see the list of all internal topics that can be deleted.",
            )
            .into());
        }
        out.line(format_args!("Deleting specified internal topics [{}]", named.join(", ")));
        named.to_vec()
    };
    if !line.has("dry-run") && !gone.is_empty() {
        delete(admin, &gone, out).await?;
    }
    out.line("Done.");
    Ok(())
}

async fn delete(admin: &Admin, topics: &[String], out: &mut Out) -> Result<(), Thrown> {
    let named = |topic: &String| DeleteTopicState { name: Some(topic.as_str().into()), ..DeleteTopicState::default() };
    let request = DeleteTopicsRequest {
        topics: topics.iter().map(named).collect(),
        topic_names: topics.iter().map(|topic| topic.as_str().into()).collect(),
        timeout_ms: 30_000,
    };
    let response = admin.controller("deleteTopics", &request).await?;
    let mut failed = false;
    for result in &response.responses {
        if let Err(thrown) = check(result.error_code, result.error_message.as_deref()) {
            out.error(format_args!("ERROR: deleting topic {}", result.name.as_deref().unwrap_or_default()));
            out.error(thrown.execution().trace().trim_end_matches('\n'));
            failed = true;
        }
    }
    if failed {
        let text = "Encountered an error deleting one or more topics";
        return Err(Thrown::new("java.lang.RuntimeException", text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_topics_have_the_names_that_streams_gives() {
        for name in ["a-store-changelog", "a-x-repartition", "a-KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-0000000012-topic"]
        {
            assert!(is_internal(name), "{name}");
        }
        assert!(!is_internal("a-changelog-copy") && !is_internal("orders"));
    }
}
