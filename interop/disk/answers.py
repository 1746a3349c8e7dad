"""Everything that a node says of what it keeps, as text that does not depend on when, where or by which node it was opened."""

import json
from dataclasses import dataclass, field

from . import batches
from .client import Client, error_codes

INTERNAL = ("__consumer_offsets", "__transaction_state", "__share_group_state")
UNCOMMITTED, COMMITTED = 0, 1
LATEST, EARLIEST, MAX_TIMESTAMP = -1, -2, -3
MIDDLE = 1_700_000_002_550  # lies between records of most topics
TOPIC, BROKER, CLIENT_METRICS, GROUP = 2, 4, 16, 32
ANY = 1


@dataclass
class Answers:
    """Lines by file: what is compared, and kept beside a fixture."""

    records: list = field(default_factory=list)
    batches: list = field(default_factory=list)
    facts: dict = field(default_factory=dict)

    def files(self):
        """The name and the lines of each file."""
        facts = json.dumps(self.facts, indent=1, sort_keys=True).splitlines()
        return {"records.tsv": self.records, "batches.tsv": self.batches, "answers.json": facts}


def ask(node, groups, future):
    """Asks for everything. `groups` are those whose offsets count, `future` the topics whose producers never expire."""
    client = Client(node)
    answers = Answers()
    layout = topics(client)
    facts = answers.facts
    facts["positions"] = {}
    for topic, _, count in layout:
        for partition in range(count):
            epochs = read(client, answers, topic, partition)
            facts["positions"][f"{topic}-{partition}"] = positions(client, topic, partition, epochs)
    facts["topics"] = [[topic, str(topic_id), count] for topic, topic_id, count in layout]
    facts["producers"] = {topic: producers(client, topic) for topic in future}
    facts["groups"] = {group: committed(client, group) for group in groups}
    facts["unstable"] = {group: unstable(client, group) for group in groups}
    facts["described"] = {group: described(client, group) for group in groups}
    facts["group list"] = sorted([row["group_id"], row["group_type"].lower()] for row in client.must("ListGroups", 5)["groups"])
    facts["configs"] = configs(client, [topic for topic, *_ in layout])
    facts["scram"] = scram(client)
    facts["quotas"] = quotas(client)
    facts["features"] = features(client)
    facts["directories"] = directories(client)
    client.close()
    return answers


def topics(client):
    """Name, id and number of partitions of every topic."""
    found = client.must("Metadata", 12, topics=None, allow_auto_topic_creation=False)
    return sorted((topic["name"], topic["topic_id"], len(topic["partitions"])) for topic in found["topics"])


def read(client, answers, topic, partition):
    """Every record of a partition, with a `c` where a reader of committed records sees it. Gives the epochs of its batches."""
    everything = fetch_all(client, topic, partition, UNCOMMITTED)
    visible = {record[0] for batch in committed_only(client, topic, partition) for record in batch.records}
    for batch in everything:
        shown = [batch.base, batch.last, batch.leader_epoch, batch.attributes, batch.producer, batch.producer_epoch, batch.sequence]
        shown += [batch.base_timestamp, batch.max_timestamp, batch.count, batch.size, f"{batch.crc:08x}"]
        answers.batches.append("\t".join(map(str, [topic, partition, *shown])))
        for offset, timestamp, key, value, headers in batch.records:
            seen = "c" if offset in visible else "-"
            told = "".join(f" {name}={text(content)}" for name, content in headers)
            answers.records.append(f"{topic}\t{partition}\t{offset}\t{seen}\t{timestamp}\t{text(key)}\t{text(value)}\t{told.strip()}")
    return sorted({batch.leader_epoch for batch in everything})


def text(raw):
    """Bytes as a few letters; what cannot be shown is escaped."""
    return "null" if raw is None else repr(raw)[1:]


def fetch(client, topic, partition, offset, isolation):
    """One partition's part of one answer."""
    part = {
        "partition": partition,
        "current_leader_epoch": -1,
        "fetch_offset": offset,
        "last_fetched_epoch": -1,
        "log_start_offset": -1,
        "partition_max_bytes": 1 << 20,
    }
    answer = client.must(
        "Fetch",
        12,
        replica_id=-1,
        max_wait_ms=0,
        min_bytes=0,
        max_bytes=1 << 20,
        isolation_level=isolation,
        session_id=0,
        session_epoch=-1,
        topics=[{"topic": topic, "partitions": [part]}],
        forgotten_topics_data=[],
        rack_id="",
    )
    return answer["responses"][0]["partitions"][0]


def fetch_all(client, topic, partition, isolation):
    """Every batch from the log's start to what the isolation level allows."""
    return [batch for batches_of, _ in pages(client, topic, partition, isolation) for batch in batches_of]


def pages(client, topic, partition, isolation):
    """Answer after answer: their batches and aborted transactions."""
    offset = start(client, topic, partition)
    while True:
        part = fetch(client, topic, partition, offset, isolation)
        found = [batch for batch in batches.parse(bytes(part["records"] or b"")) if batch.last >= offset]
        if not found:
            return
        yield found, part["aborted_transactions"] or []
        offset = found[-1].last + 1


def committed_only(client, topic, partition):
    """The batches of records that a reader of committed records passes on: what a client does with the aborted transactions."""
    for found, aborted in pages(client, topic, partition, COMMITTED):
        waiting = sorted((row["first_offset"], row["producer_id"]) for row in aborted)
        lost = set()
        for batch in found:
            while waiting and waiting[0][0] <= batch.last:
                lost.add(waiting.pop(0)[1])
            if batch.is_control:
                if batch.records and batch.records[0][2][2:4] == b"\0\0":
                    lost.discard(batch.producer)
            elif not (batch.is_transactional and batch.producer in lost):
                yield batch


def start(client, topic, partition):
    """The log's start."""
    return list_offset(client, topic, partition, EARLIEST, UNCOMMITTED)["offset"]


def list_offset(client, topic, partition, timestamp, isolation):
    """One offset by time."""
    part = {"partition_index": partition, "current_leader_epoch": -1, "timestamp": timestamp}
    rows = [{"name": topic, "partitions": [part]}]
    answer = client.must("ListOffsets", 7, replica_id=-1, isolation_level=isolation, topics=rows)
    return answer["topics"][0]["partitions"][0]


def positions(client, topic, partition, epochs):
    """Where a partition starts, ends and is stable, its largest timestamp, what lies at a time, and where its epochs end."""
    seek = lambda timestamp, isolation: list_offset(client, topic, partition, timestamp, isolation)
    latest = seek(MAX_TIMESTAMP, UNCOMMITTED)
    middle = seek(MIDDLE, UNCOMMITTED)
    shown = {
        "start": seek(EARLIEST, UNCOMMITTED)["offset"],
        "end": seek(LATEST, UNCOMMITTED)["offset"],
        "stable": seek(LATEST, COMMITTED)["offset"],
        "latest": [latest["offset"], latest["timestamp"]],
        "middle": [middle["offset"], middle["timestamp"], middle["leader_epoch"]],
    }
    if topic in INTERNAL:  # a node goes on writing these by itself
        return {"start": shown["start"]}
    part = fetch(client, topic, partition, shown["start"], COMMITTED)
    shown["aborted"] = sorted([row["producer_id"], row["first_offset"]] for row in part["aborted_transactions"] or [])
    # A start of Kafka begins an epoch, one of Thalweg after a clean stop does not: only epochs with records count.
    shown["epochs"] = [list(epoch_end(client, topic, partition, epoch)) for epoch in epochs]
    return shown


def epoch_end(client, topic, partition, epoch):
    """The largest epoch up to this one that has records, and where it ends."""
    part = {"partition": partition, "current_leader_epoch": -1, "leader_epoch": epoch}
    rows = [{"topic": topic, "partitions": [part]}]
    answer = client.must("OffsetForLeaderEpoch", 4, replica_id=-1, topics=rows)["topics"][0]["partitions"][0]
    return answer["leader_epoch"], answer["end_offset"]


def producers(client, topic):
    """The active producers of a topic's first partition."""
    rows = [{"name": topic, "partition_indexes": [0]}]
    found = client.must("DescribeProducers", 0, topics=rows)["topics"][0]["partitions"][0]["active_producers"]
    return sorted(([producer[name] for name in producer] for producer in found))


def committed(client, group):
    """A group's committed offsets, whether they are stable or not."""
    client.must("FindCoordinator", 4, key_type=0, coordinator_keys=[group])
    asked = [{"group_id": group, "member_id": None, "member_epoch": -1, "topics": None}]
    rows = client.must("OffsetFetch", 9, groups=asked, require_stable=False)["groups"][0]["topics"]
    return sorted(
        [row["name"], part["partition_index"], part["committed_offset"], part["committed_leader_epoch"], part["metadata"]]
        for row in rows
        for part in row["partitions"]
    )


def unstable(client, group):
    """The partitions whose offsets a transaction that has not ended may change."""
    rows = [{"name": name, "partition_indexes": [0]} for name in ("ledger", "open", "spread")]
    asked = [{"group_id": group, "member_id": None, "member_epoch": -1, "topics": rows}]
    found = client.ask("OffsetFetch", 9, groups=asked, require_stable=True)["groups"][0]["topics"]
    return sorted([row["name"], part["error_code"], part["committed_offset"]] for row in found for part in row["partitions"])


def described(client, group):
    """What kind of classic group it is, and in which state."""
    found = client.ask("DescribeGroups", 5, groups=[group], include_authorized_operations=False)["groups"][0]
    return [found[name] for name in ("error_code", "group_state", "protocol_type", "protocol_data")]


def transactions(client):
    """Every transactional id with its producer and state; only Kafka tells."""
    rows = client.must("ListTransactions", 1, state_filters=[], producer_id_filters=[], duration_filter=-1)["transaction_states"]
    return sorted([row["transactional_id"], row["producer_id"], row["transaction_state"]] for row in rows)


def configs(client, names):
    """What was set dynamically, for every kind of resource, with the names of the resources."""
    kinds = {TOPIC: names, BROKER: ["1", ""], CLIENT_METRICS: None, GROUP: None}
    listed = client.must("ListConfigResources", 1, resource_types=[CLIENT_METRICS, GROUP])["config_resources"]
    shown = {}
    for kind, given in kinds.items():
        known = given if given is not None else sorted(row["resource_name"] for row in listed if row["resource_type"] == kind)
        for name in known:
            asked = [{"resource_type": kind, "resource_name": name, "configuration_keys": None}]
            found = client.must("DescribeConfigs", 4, resources=asked, include_synonyms=False, include_documentation=False)
            rows = found["results"][0]["configs"]
            dynamic = {row["name"]: row["value"] for row in rows if row["config_source"] in (1, 2, 3, 7, 8)}
            shown[f"{kind}/{name}"] = dynamic
    return shown


def scram(client):
    """Users with their mechanisms and iterations."""
    rows = client.must("DescribeUserScramCredentials", 0, users=None)["results"]
    return sorted([row["user"], sorted([info["mechanism"], info["iterations"]] for info in row["credential_infos"])] for row in rows)


def quotas(client):
    """Every client quota."""
    rows = client.must("DescribeClientQuotas", 1, components=[], strict=False)["entries"] or []
    return sorted(
        [
            sorted([part["entity_type"], part["entity_name"] or "<default>"] for part in row["entity"]),
            sorted([value["key"], value["value"]] for value in row["values"]),
        ]
        for row in rows
    )


def features(client):
    """The finalized features."""
    found = client.must("ApiVersions", 3, client_software_name="disk", client_software_version="1")
    return sorted([row["name"], row["max_version_level"]] for row in found["finalized_features"])


def directories(client):
    """Which partitions lie in the same directory."""
    rows = client.must("DescribeLogDirs", 4, topics=None)["results"]
    shown = []
    for row in rows:
        topics_of = row["topics"]
        shown.append(sorted(f"{topic['name']}-{part['partition_index']}" for topic in topics_of for part in topic["partitions"]))
    return sorted(shown)


def acls(client):
    """Every ACL; a node without an authorizer says that security is disabled."""
    fields = {"resource_type_filter": ANY, "resource_name_filter": None, "pattern_type_filter": ANY, "principal_filter": None}
    answer = client.ask("DescribeAcls", 3, host_filter=None, operation=ANY, permission_type=ANY, **fields)
    if list(error_codes(answer)):
        return answer["error_message"]
    return sorted(
        [row["resource_type"], row["resource_name"], row["pattern_type"]]
        + [acl[name] for name in ("principal", "host", "operation", "permission_type")]
        for row in answer["resources"]
        for acl in row["acls"]
    )
