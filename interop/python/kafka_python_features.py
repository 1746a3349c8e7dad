"""Which features of kafka-python work against a node.   kafka_python_features.py HOST:PORT [WORD...]"""

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, OffsetSpec, TopicPartition
from kafka.admin import (
    AlterConfigOp,
    ConfigFilterType,
    ConfigResource,
    ConfigResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import KafkaError, MessageSizeTooLargeError, TopicAlreadyExistsError

from features import BOOTSTRAP, WAIT_SECONDS, equal, eventually, feature, main, new_name, refused

NUMBERS = [b"%d" % n for n in range(10)]
_ADMIN = []


def admin():
    if not _ADMIN:
        _ADMIN.append(KafkaAdminClient(bootstrap_servers=BOOTSTRAP, request_timeout_ms=10000))
    return _ADMIN[0]


def topic(partitions=1, **configs):
    name = new_name()
    settings = {key.replace("_", "."): str(value) for key, value in configs.items()}
    admin().create_topics({name: {"num_partitions": partitions, "replication_factor": 1, "configs": settings}}, wait_for_metadata=True)
    return name


def producer(**config):
    return KafkaProducer(bootstrap_servers=BOOTSTRAP, max_block_ms=15000, request_timeout_ms=10000, delivery_timeout_ms=20000, **config)


def consumer(group=None, *topics, **config):
    settings = {"auto_offset_reset": "earliest", "enable_auto_commit": False, **config}
    if group:
        settings = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 500, **settings}
    return KafkaConsumer(*topics, bootstrap_servers=BOOTSTRAP, group_id=group, **settings)


def write(name, *values, partition=0, **config):
    """Produces values; what was told of the last one."""
    sender = producer(**config)
    futures = [sender.send(name, value, partition=partition) for value in values]
    sender.flush(WAIT_SECONDS)
    told = [future.get(WAIT_SECONDS) for future in futures]
    sender.close()
    return told[-1]


def poll(some, count):
    """The next records, as many as are wanted."""
    records = []

    def enough():
        for batch in some.poll(1000).values():
            records.extend(batch)
        return len(records) >= count

    eventually(f"{count} records", enough)
    return records


def read(name, count, **config):
    reader = consumer(**config)
    reader.assign([TopicPartition(name, 0)])
    reader.seek_to_beginning()
    records = poll(reader, count)
    reader.close()
    return records


def values(records):
    return [record.value for record in records]


def of_ten():
    name = topic()
    write(name, *NUMBERS)
    return name


def share(partitions, *members):
    """Polls all members until they own all partitions between them, each about as many."""

    def fair():
        for member in members:
            member.poll(1000)
        owned = [member.assignment() for member in members]
        sizes = [len(each) for each in owned]
        return sum(sizes) == partitions == len(set().union(*owned)) and max(sizes) - min(sizes) <= 1

    eventually(f"{len(members)} members share {partitions} partitions", fair)


# Admin


@feature("Admin", "create, list, describe and delete topics")
def topics():
    name = topic(3)
    assert name in admin().list_topics()
    equal(len(admin().describe_topics([name])[0]["partitions"]), 3)
    refused(lambda: admin().create_topics({name: {"num_partitions": 1, "replication_factor": 1}}), TopicAlreadyExistsError)
    admin().delete_topics([name])
    eventually("it is gone", lambda: name not in admin().list_topics())


@feature("Admin", "describe topics page by page")
def pages():
    name = topic(30)
    first = admin().describe_topic_partitions([name], response_partition_limit=7)
    assert first is not None and name in str(first), first


@feature("Admin", "add partitions")
def add_partitions():
    name = topic()
    admin().create_partitions({name: 4})
    eventually("four partitions", lambda: len(admin().describe_topics([name])[0]["partitions"]) == 4)


@feature("Admin", "describe, alter and reset configs")
def configs():
    name = topic(retention_ms=77777)

    def described():
        resource = ConfigResource(ConfigResourceType.TOPIC, name)
        found = admin().describe_configs([resource], config_filter=ConfigFilterType.ALL)
        return next(iter(found.values()))[name]

    equal(described()["retention.ms"]["value"], "77777")
    admin().alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": (AlterConfigOp.APPEND, "compact")})])
    eventually("the change", lambda: described()["cleanup.policy"]["value"] == "delete,compact")
    admin().reset_configs([ConfigResource(ConfigResourceType.TOPIC, name, ["cleanup.policy"])])
    eventually("the reset", lambda: described()["cleanup.policy"]["value"] == "delete")


@feature("Admin", "delete records")
def delete_records():
    part = TopicPartition(of_ten(), 0)
    admin().delete_records({part: 6})
    equal(values(read(part.topic, 4)), NUMBERS[6:])


@feature("Admin", "list offsets")
def list_offsets():
    part = TopicPartition(of_ten(), 0)
    for spec, wanted in ((OffsetSpec.EARLIEST, 0), (OffsetSpec.LATEST, 10), (1, 0)):
        equal(admin().list_partition_offsets({part: spec})[part].offset, wanted)


@feature("Admin", "describe the cluster, its features and quorum")
def cluster():
    found = admin().describe_cluster()
    equal((len(found["brokers"]), len(found["cluster_id"])), (1, 22))
    assert "metadata.version" in str(admin().describe_features())
    quorum = admin().describe_metadata_quorum()
    assert quorum["topics"][0]["partitions"][0]["high_watermark"] > 0, quorum


@feature("Admin", "log directories")
def log_dirs():
    name = of_ten()
    assert name in str(admin().describe_log_dirs())


@feature("Admin", "reassignments and elections")
def reassignments():
    part = TopicPartition(topic(), 0)
    assert not admin().list_partition_reassignments()
    admin().elect_leaders(0, [part], raise_errors=False)


@feature("Admin", "config resources")
def config_resources():
    name = topic()
    assert name in str(admin().list_config_resources())


@feature("Admin", "SCRAM credentials")
def scram():
    user = new_name("user")
    equal(admin().alter_user_scram_credentials([UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_256, "secret", iterations=8192)])[user], None)
    eventually("it is described", lambda: user in admin().describe_user_scram_credentials())
    equal(admin().alter_user_scram_credentials([UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_256)])[user], None)


@feature("Admin", "list, describe and delete groups")
def groups():
    group = new_name("group")
    member = consumer(group, of_ten())
    poll(member, 10)
    found = admin().describe_groups([group])[group]
    equal((found["group_state"], len(found["members"])), ("Stable", 1))
    assert group in str(admin().list_groups())
    member.close()
    admin().delete_groups([group])
    assert group not in str(admin().list_groups())


@feature("Admin", "alter, list, reset and delete a group's offsets")
def group_offsets():
    group, part = new_name("group"), TopicPartition(of_ten(), 0)
    admin().alter_group_offsets(group, {part: OffsetAndMetadata(7, "moved", -1)})
    equal(admin().list_group_offsets([group])[group][part].offset, 7)
    admin().reset_group_offsets(group, {part: OffsetSpec.EARLIEST})
    equal(admin().list_group_offsets([group])[group][part].offset, 0)
    admin().delete_group_offsets(group, [part])
    equal(admin().list_group_offsets([group])[group], {})


@feature("Admin", "producers and transactions")
def transactions_admin():
    part = TopicPartition(of_ten(), 0)
    assert admin().describe_producers([part])[part]
    sender, identity = begun()
    sender.send(part.topic, b"a", partition=0).get(WAIT_SECONDS)
    assert identity in str(admin().list_transactions())
    assert part.topic in str(admin().describe_transactions([identity]))
    sender.abort_transaction()
    sender.close()


# Producer


def acks_of(acks):
    def run():
        name = topic()
        told = write(name, *NUMBERS, acks=acks, enable_idempotence=False).offset
        assert acks == 0 or told == 9, told
        equal(values(read(name, 10)), NUMBERS)

    return run


def compression_of(codec):
    def run():
        name = topic()
        many = [b"value %d" % n for n in range(2000)]
        write(name, *many, compression_type=codec, linger_ms=50)
        equal(values(read(name, 2000)), many)

    return run


for each in (0, 1, "all"):
    feature("Producer", f"acks={each}")(acks_of(each))
for each in (None, "gzip", "snappy", "lz4", "zstd"):
    feature("Producer", f"compression {each or 'none'}")(compression_of(each))


@feature("Producer", "idempotent, many in flight, in order")
def idempotent():
    name = topic()
    many = [b"%d" % n for n in range(3000)]
    write(name, *many, enable_idempotence=True, batch_size=500)
    equal(values(read(name, 3000)), many)


@feature("Producer", "keys, headers and timestamps")
def headers():
    name, sender = topic(retention_ms=-1), producer()
    sender.send(name, b"v", key=b"k", partition=0, timestamp_ms=1234567, headers=[("h", b"1"), ("h", b"")]).get(WAIT_SECONDS)
    sender.send(name, None, key=b"tombstone", partition=0).get(WAIT_SECONDS)
    sender.close()
    first, second = read(name, 2)
    equal((first.key, first.value, first.timestamp, [tuple(each) for each in first.headers]), (b"k", b"v", 1234567, [("h", b"1"), ("h", b"")]))
    equal((second.key, second.value), (b"tombstone", None))


@feature("Producer", "records of 5 MB")
def large():
    name = topic(max_message_bytes=6000000)
    write(name, b"x" * 5000000, max_request_size=6000000)
    equal(len(read(name, 1)[0].value), 5000000)


@feature("Producer", "refuse records that are too large")
def too_large():
    name = topic(max_message_bytes=1000)
    refused(lambda: write(name, b"x" * 2000), MessageSizeTooLargeError)


@feature("Producer", "create a topic by producing to it")
def auto_create():
    name = new_name("auto")
    write(name, b"first", partition=None)
    equal(values(read(name, 1)), [b"first"])


# Consumer


@feature("Consumer", "assign, seek, pause and resume")
def assign():
    name, reader = of_ten(), consumer()
    part = TopicPartition(name, 0)
    reader.assign([part])
    equal(values(poll(reader, 10)), NUMBERS)
    reader.seek(part, 8)
    equal(values(poll(reader, 2)), NUMBERS[8:])
    reader.pause(part)
    write(name, b"later")
    equal(reader.poll(500), {})
    reader.resume(part)
    equal(values(poll(reader, 1)), [b"later"])
    reader.close()


@feature("Consumer", "beginning, end and offsets for times")
def offsets():
    part, reader = TopicPartition(of_ten(), 0), consumer()
    equal((reader.beginning_offsets([part])[part], reader.end_offsets([part])[part]), (0, 10))
    equal(reader.offsets_for_times({part: 1})[part].offset, 0)
    reader.close()


@feature("Consumer", "topics and partitions")
def metadata():
    name, reader = topic(3), consumer()
    assert name in reader.topics()
    equal(reader.partitions_for_topic(name), {0, 1, 2})
    reader.close()


# Groups


@feature("Group (classic)", "subscribe, commit, and go on from there")
def commit():
    name, group = of_ten(), new_name("group")
    first = consumer(group, name)
    equal(values(poll(first, 10)), NUMBERS)
    first.commit()
    first.close()
    write(name, b"next")
    second = consumer(group, name)
    equal(second.committed(TopicPartition(name, 0)), 10)
    equal(values(poll(second, 1)), [b"next"])
    second.close()


@feature("Group (classic)", "commit without waiting")
def commit_async():
    group, told = new_name("group"), []
    member = consumer(group, of_ten())
    poll(member, 10)
    member.commit_async(callback=lambda offsets, answer: told.append(answer))
    eventually("the callback", lambda: member.poll(100) is not None and told)
    assert not isinstance(told[0], Exception), told
    member.close()


@feature("Group (classic)", "commit by itself")
def auto_commit():
    name, group = of_ten(), new_name("group")
    member = consumer(group, name, enable_auto_commit=True)
    poll(member, 10)
    member.close()
    equal(consumer(group).committed(TopicPartition(name, 0)), 10)


@feature("Group (classic)", "subscribe by pattern")
def pattern():
    name = of_ten()
    member = consumer(new_name("group"))
    member.subscribe(pattern=f"^{name}.*")
    equal(values(poll(member, 10)), NUMBERS)
    member.close()


def two_members(**config):
    def run():
        name, group = topic(4), new_name("group")
        first, second = consumer(group, name, **config), consumer(group, **config)
        share(4, first)
        second.subscribe([name])
        share(4, first, second)
        second.close()
        share(4, first)
        first.close()

    return run


feature("Group (classic)", "share partitions between two members, take over")(two_members())
for assignor in (RangePartitionAssignor, RoundRobinPartitionAssignor, StickyPartitionAssignor, CooperativeStickyAssignor):
    feature("Group (classic)", f"assignor {assignor.__name__}")(two_members(partition_assignment_strategy=[assignor]))


@feature("Group (classic)", "static members come back to their partitions")
def static_member():
    name, group = topic(4), new_name("group")
    first, second = consumer(group, name, group_instance_id="one"), consumer(group, name, group_instance_id="two")
    share(4, first, second)
    before = second.assignment()
    second.close()
    again = consumer(group, name, group_instance_id="two")
    share(4, first, again)
    equal(again.assignment(), before)
    first.close()
    again.close()


# Transactions


def begun(identity=None):
    identity = identity or new_name("txn")
    sender = producer(transactional_id=identity)
    sender.init_transactions()
    sender.begin_transaction()
    return sender, identity


@feature("Transactions", "commit and abort")
def transactions():
    name, (sender, _) = topic(), begun()
    sender.send(name, b"gone", partition=0)
    sender.flush(WAIT_SECONDS)
    sender.abort_transaction()
    sender.begin_transaction()
    sender.send(name, b"kept", partition=0)
    sender.commit_transaction()
    sender.close()
    equal(values(read(name, 1, isolation_level="read_committed")), [b"kept"])
    equal(values(read(name, 2)), [b"gone", b"kept"])


@feature("Transactions", "send a group's offsets")
def transaction_offsets():
    name, (sender, _) = of_ten(), begun()
    member, part = consumer(new_name("group"), name), TopicPartition(name, 0)
    poll(member, 10)
    sender.send_offsets_to_transaction({part: OffsetAndMetadata(10, "", -1)}, member.group_metadata())
    sender.commit_transaction()
    sender.close()
    equal(member.committed(part), 10)
    member.close()


@feature("Transactions", "fence an older producer")
def fence():
    name, (old, identity) = topic(), begun()
    old.send(name, b"of the old", partition=0)
    old.flush(WAIT_SECONDS)
    young, _ = begun(identity)
    young.abort_transaction()
    refused(old.commit_transaction, KafkaError)
    young.close()


if __name__ == "__main__":
    main("kafka-python")
