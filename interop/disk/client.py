"""Raw requests to one node, written as dictionaries: kafka-python's schemas know the fields, nothing of its client is used."""

import time

import kafka.protocol.admin as admin
import kafka.protocol.consumer as consumer
import kafka.protocol.metadata as metadata
import kafka.protocol.producer as producer
from harness import frames

APIS = {
    name.removesuffix("Request"): getattr(module, name)
    for module in (admin, consumer, metadata, producer)
    for name in dir(module)
    if name.endswith("Request")
}
PATIENCE_SECONDS = 180
# The node is not ready yet: leader not available, not leader, loading, coordinator not available, not coordinator, unknown topic.
SOON = {3, 5, 6, 14, 15, 16, 41, 51, 100}


class Refused(AssertionError):
    """The node answered with an error code."""


class Client:
    """One connection. `ask` gives the answer as a dictionary; `must` also insists that it has no error code."""

    def __init__(self, node):
        self.connection = frames.Connection(node.address, timeout=PATIENCE_SECONDS)

    def close(self):
        """Ends the connection."""
        self.connection.close()

    def ask(self, api, version, **fields):
        """One request at one version."""
        kind = APIS[api]
        request = fill(kind, fields, version)
        request.with_header(1, "disk")
        self.connection.send(request.encode(framed=True, header=True))
        _, body = self.connection.read()
        flexible = kind.flexible_version_q(version) and api != "ApiVersions"
        answer = RESPONSES[api].decode(body[1:] if flexible else body, version=version)
        return answer.to_dict(json=False)

    def must(self, api, version, **fields):
        """The same, again and again while the node says that it is not ready; raises at any other error."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = self.ask(api, version, **fields)
            errors = set(error_codes(answer))
            if not errors:
                return answer
            if not errors <= SOON or time.monotonic() > deadline:
                raise Refused(f"{api} {fields}: {answer}"[:2000])
            time.sleep(0.05)

    def produce(self, topic, partition, batch, acks=-1, transactional_id=None, version=9):
        """Appends one batch; gives its base offset."""
        part = {"index": partition, "records": batch}
        answer = self.must(
            "Produce",
            version,
            transactional_id=transactional_id,
            acks=acks,
            timeout_ms=30000,
            topic_data=[{"name": topic, "partition_data": [part]}],
        )
        return answer["responses"][0]["partition_responses"][0]["base_offset"]

    def create(self, topic, partitions=1, assignments=None, **configs):
        """Creates a topic; a config's dots are written as underscores."""
        settings = [{"name": name.replace("_", "."), "value": str(value)} for name, value in configs.items()]
        given = [{"partition_index": index, "broker_ids": [1]} for index in range(assignments or 0)]
        row = {
            "name": topic,
            "num_partitions": -1 if given else partitions,
            "replication_factor": -1 if given else 1,
            "assignments": given,
            "configs": settings,
        }
        self.must("CreateTopics", 7, topics=[row], timeout_ms=30000, validate_only=False)

    def delete(self, *topics):
        """Deletes topics."""
        rows = [{"name": topic} for topic in topics]
        self.must("DeleteTopics", 6, topics=rows, timeout_ms=30000)

    def configure(self, kind, name, **configs):
        """Sets configs of a resource, or takes them back with `None`: 2 topic, 4 broker, 16 client metrics, 32 group."""
        rows = [
            {"name": key.replace("_", "."), "config_operation": 1 if value is None else 0, "value": value} for key, value in configs.items()
        ]
        resource = {"resource_type": kind, "resource_name": name, "configs": rows}
        self.must("IncrementalAlterConfigs", 1, resources=[resource], validate_only=False)

    def delete_records(self, topic, partition, offset):
        """Moves the log's start."""
        rows = [{"name": topic, "partitions": [{"partition_index": partition, "offset": offset}]}]
        self.must("DeleteRecords", 2, topics=rows, timeout_ms=30000)

    def commit(self, group, offsets, note=""):
        """Commits offsets as a tool does, without being a member."""
        self.must("FindCoordinator", 4, key_type=0, coordinator_keys=[group])
        topics = {}
        for (topic, partition), offset in offsets.items():
            row = {"partition_index": partition, "committed_offset": offset, "committed_leader_epoch": 0, "committed_metadata": note}
            topics.setdefault(topic, []).append(row)
        rows = [{"name": topic, "partitions": partitions} for topic, partitions in topics.items()]
        fields = {"generation_id_or_member_epoch": -1, "member_id": "", "group_instance_id": None}
        self.must("OffsetCommit", 8, group_id=group, topics=rows, **fields)

    def producer_id(self, transactional_id=None):
        """A new producer's id and epoch."""
        fields = {"transaction_timeout_ms": 60000, "producer_id": -1, "producer_epoch": -1}
        answer = self.must("InitProducerId", 4, transactional_id=transactional_id, **fields)
        return answer["producer_id"], answer["producer_epoch"]


RESPONSES = {
    name: next(getattr(module, name + "Response") for module in (admin, consumer, metadata, producer) if hasattr(module, name + "Response"))
    for name in APIS
}


def fill(kind, values, version):
    """An object of kafka-python's from dictionaries and lists."""
    known = {field.name: field for field in kind._struct._fields}
    built = {}
    for name, value in values.items():
        field = known[name]
        if field.is_struct_array() and value is not None:
            value = [fill(getattr(kind, field.type_str), item, version) for item in value]
        elif field.is_struct() and value is not None:
            value = fill(getattr(kind, field.type_str), value, version)
        built[name] = value
    return kind(version=version, **built)


def error_codes(value):
    """Every error code in an answer, wherever it stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name.endswith("error_code"):
                if inner:
                    yield inner
            else:
                yield from error_codes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from error_codes(inner)
