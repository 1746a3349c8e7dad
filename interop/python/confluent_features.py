"""Which features of confluent-kafka (librdkafka) work against a node.   confluent_features.py HOST:PORT [WORD...]"""

import confluent_kafka
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ElectionType,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from features import BOOTSTRAP, WAIT_SECONDS, equal, eventually, feature, main, new_name, refused

ADMIN = AdminClient({"bootstrap.servers": BOOTSTRAP or "127.0.0.1:9"})


def topic(partitions=1, **configs):
    name = new_name()
    settings = {key.replace("_", "."): str(value) for key, value in configs.items()}
    ADMIN.create_topics([NewTopic(name, partitions, 1, config=settings)])[name].result(WAIT_SECONDS)
    return name


def settings_of(config):
    return {"bootstrap.servers": BOOTSTRAP, "socket.timeout.ms": 10000, **{key.replace("_", "."): value for key, value in config.items()}}


def consumer(group=None, **config):
    group = group or new_name("group")
    return Consumer({"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False, "topic.metadata.refresh.interval.ms": 1000, **settings_of(config)})


def write(name, *values, partition=0, **config):
    """Produces values; the offset of the last one."""
    producer, told = Producer({"message.timeout.ms": 15000, **settings_of(config)}), []
    for value in values:
        producer.produce(name, value, partition=partition, on_delivery=lambda error, message: told.append((error, message.offset())))
    equal(producer.flush(WAIT_SECONDS), 0)
    for error, _ in told:
        if error:
            raise KafkaException(error)
    return told[-1][1]


def poll(some, count):
    """The next messages, as many as are wanted."""
    messages = []

    def enough():
        for message in some.consume(10000, 0.2):
            if message.error():
                raise KafkaException(message.error())
            messages.append(message)
        return len(messages) >= count

    eventually(f"{count} records", enough)
    return messages


def read(name, count, **config):
    reader = consumer(**config)
    reader.assign([TopicPartition(name, 0, OFFSET_BEGINNING)])
    messages = poll(reader, count)
    reader.close()
    return messages


def values(messages):
    return [message.value().decode() for message in messages]


NUMBERS = [str(n) for n in range(10)]


def of_ten():
    name = topic()
    write(name, *NUMBERS)
    return name


def share(partitions, *members):
    """Polls all members until they own all partitions between them, each about as many."""

    def fair():
        owned = []
        for member in members:
            member.poll(0.1)
            owned.append({(part.topic, part.partition) for part in member.assignment()})
        sizes = [len(each) for each in owned]
        return sum(sizes) == partitions == len(set().union(*owned)) and max(sizes) - min(sizes) <= 1

    eventually(f"{len(members)} members share {partitions} partitions", fair)


# Admin


@feature("Admin", "create, list, describe and delete topics")
def topics():
    name = topic(3)
    equal(len(ADMIN.list_topics(name, 10).topics[name].partitions), 3)
    found = ADMIN.describe_topics(TopicCollection([name]))[name].result(WAIT_SECONDS)
    equal([part.id for part in found.partitions], [0, 1, 2])
    refused(lambda: ADMIN.create_topics([NewTopic(name, 1, 1)])[name].result(WAIT_SECONDS), KafkaException, code=KafkaError.TOPIC_ALREADY_EXISTS)
    ADMIN.delete_topics([name])[name].result(WAIT_SECONDS)
    eventually("it is gone", lambda: name not in ADMIN.list_topics(timeout=10).topics)


@feature("Admin", "add partitions")
def add_partitions():
    name = topic(1)
    ADMIN.create_partitions([NewPartitions(name, 4)])[name].result(WAIT_SECONDS)
    eventually("four partitions", lambda: len(ADMIN.list_topics(name, 10).topics[name].partitions) == 4)


@feature("Admin", "describe and alter configs")
def configs():
    resource = ConfigResource(ResourceType.TOPIC, topic(retention_ms=77777))
    equal(ADMIN.describe_configs([resource])[resource].result(WAIT_SECONDS)["retention.ms"].value, "77777")
    change = ConfigResource(ResourceType.TOPIC, resource.name, incremental_configs=[ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND)])
    ADMIN.incremental_alter_configs([change])[change].result(WAIT_SECONDS)
    eventually("the change", lambda: ADMIN.describe_configs([resource])[resource].result(WAIT_SECONDS)["cleanup.policy"].value == "delete,compact")


@feature("Admin", "replace all configs")
def replace_configs():
    change = ConfigResource(ResourceType.TOPIC, topic(retention_ms=77777), set_config={"max.message.bytes": "5000"})
    ADMIN.alter_configs([change])[change].result(WAIT_SECONDS)

    def replaced():
        found = ADMIN.describe_configs([change])[change].result(WAIT_SECONDS)
        return found["max.message.bytes"].value == "5000" and found["retention.ms"].value == "604800000"

    eventually("the change", replaced)


@feature("Admin", "delete records")
def delete_records():
    part = TopicPartition(of_ten(), 0, 6)
    equal(ADMIN.delete_records([part])[part].result(WAIT_SECONDS).low_watermark, 6)
    equal(values(read(part.topic, 4)), NUMBERS[6:])


@feature("Admin", "list offsets")
def list_offsets():
    part = TopicPartition(of_ten(), 0)
    for spec, wanted in ((OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 10), (OffsetSpec.max_timestamp(), None), (OffsetSpec.for_timestamp(1), 0)):
        found = ADMIN.list_offsets({part: spec}, isolation_level=IsolationLevel.READ_COMMITTED)[part].result(WAIT_SECONDS).offset
        assert found == wanted or wanted is None and 0 <= found < 10, found


@feature("Admin", "describe the cluster")
def describe_cluster():
    found = ADMIN.describe_cluster(include_authorized_operations=True).result(WAIT_SECONDS)
    equal((len(found.nodes), found.cluster_id), (1, ADMIN.cluster_id(10)))
    assert AclOperation.CREATE in found.authorized_operations, found.authorized_operations


@feature("Admin", "elect leaders")
def elect():
    part = TopicPartition(topic(), 0)
    found = ADMIN.elect_leaders(ElectionType.PREFERRED, [part]).result(WAIT_SECONDS)
    equal(found[part].code(), KafkaError.ELECTION_NOT_NEEDED)


@feature("Admin", "SCRAM credentials")
def scram():
    user = new_name("user")
    upsertion = UserScramCredentialUpsertion(user, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 8192), b"secret")
    ADMIN.alter_user_scram_credentials([upsertion])[user].result(WAIT_SECONDS)
    eventually("it is described", lambda: user in ADMIN.describe_user_scram_credentials().result(WAIT_SECONDS))
    equal(ADMIN.describe_user_scram_credentials([user])[user].result(WAIT_SECONDS).scram_credential_infos[0].iterations, 8192)
    ADMIN.alter_user_scram_credentials([UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_256)])[user].result(WAIT_SECONDS)


@feature("Admin", "ACLs, told to be off")
def acls():
    allow = AclBinding(ResourceType.TOPIC, "t", ResourcePatternType.LITERAL, "User:a", "*", AclOperation.READ, AclPermissionType.ALLOW)
    refused(lambda: ADMIN.create_acls([allow])[allow].result(WAIT_SECONDS), KafkaException, code=KafkaError.SECURITY_DISABLED)


@feature("Admin", "list, describe and delete groups")
def groups():
    name, group = of_ten(), new_name("group")
    member = consumer(group)
    member.subscribe([name])
    poll(member, 10)
    found = ADMIN.describe_consumer_groups([group])[group].result(WAIT_SECONDS)
    equal((found.state, len(found.members), found.partition_assignor), (ConsumerGroupState.STABLE, 1, "range"))
    assert group in [each.group_id for each in ADMIN.list_consumer_groups(states={ConsumerGroupState.STABLE}).result(WAIT_SECONDS).valid]
    assert group in [each.id for each in ADMIN.list_groups(timeout=10)]
    member.close()
    ADMIN.delete_consumer_groups([group])[group].result(WAIT_SECONDS)
    assert group not in [each.group_id for each in ADMIN.list_consumer_groups().result(WAIT_SECONDS).valid]


@feature("Admin", "list and alter a group's offsets")
def group_offsets():
    group, part = new_name("group"), TopicPartition(of_ten(), 0, 7)
    ADMIN.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [part])])[group].result(WAIT_SECONDS)
    found = ADMIN.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(WAIT_SECONDS)
    equal([(each.topic, each.offset) for each in found.topic_partitions], [(part.topic, 7)])


# Producer


def acks_of(acks):
    def run():
        name = topic()
        write(name, *NUMBERS, acks=acks)
        equal(values(read(name, 10)), NUMBERS)

    return run


def compression_of(codec):
    def run():
        name = topic()
        many = [f"value {n}" for n in range(2000)]
        write(name, *many, compression_type=codec, linger_ms=50)
        equal(values(read(name, 2000)), many)

    return run


for each in ("0", "1", "all"):
    feature("Producer", f"acks={each}")(acks_of(each))
for each in ("none", "gzip", "snappy", "lz4", "zstd"):
    feature("Producer", f"compression {each}")(compression_of(each))


@feature("Producer", "idempotent, many in flight, in order")
def idempotent():
    name = topic()
    many = [str(n) for n in range(5000)]
    write(name, *many, enable_idempotence=True, batch_num_messages=50, linger_ms=0)
    equal(values(read(name, 5000)), many)


@feature("Producer", "keys, headers and timestamps")
def headers():
    name, producer = topic(retention_ms=-1), Producer(settings_of({}))
    producer.produce(name, b"v", b"k", partition=0, timestamp=1234567, headers=[("h", b"1"), ("h", None)])
    producer.produce(name, None, b"tombstone", partition=0)
    equal(producer.flush(WAIT_SECONDS), 0)
    first, second = read(name, 2)
    equal((first.key(), first.value(), first.timestamp()[1], first.headers()), (b"k", b"v", 1234567, [("h", b"1"), ("h", None)]))
    equal((second.key(), second.value()), (b"tombstone", None))


@feature("Producer", "records of 5 MB")
def large():
    name = topic(max_message_bytes=6000000)
    write(name, b"x" * 5000000, message_max_bytes=6000000)
    equal(len(read(name, 1, fetch_message_max_bytes=6000000)[0].value()), 5000000)


@feature("Producer", "refuse records that are too large")
def too_large():
    name = topic(max_message_bytes=1000)
    refused(lambda: write(name, b"x" * 2000), KafkaException, code=KafkaError.MSG_SIZE_TOO_LARGE)


@feature("Producer", "create a topic by producing to it")
def auto_create():
    name = new_name("auto")
    write(name, b"first", partition=-1)
    equal(values(read(name, 1)), ["first"])


# Consumer


@feature("Consumer", "assign, seek, pause and resume")
def assign():
    name, reader = of_ten(), consumer()
    reader.assign([TopicPartition(name, 0, 0)])
    equal(values(poll(reader, 10)), NUMBERS)
    reader.seek(TopicPartition(name, 0, 8))
    equal(values(poll(reader, 2)), NUMBERS[8:])
    reader.pause([TopicPartition(name, 0)])
    write(name, "later")
    equal(reader.consume(10, 0.5), [])
    reader.resume([TopicPartition(name, 0)])
    equal(values(poll(reader, 1)), ["later"])
    reader.close()


@feature("Consumer", "the end of a partition is told")
def eof():
    reader = consumer(enable_partition_eof=True)
    reader.assign([TopicPartition(of_ten(), 0, 10)])
    event = eventually("the event", lambda: reader.poll(0.2))
    equal(event.error().code(), KafkaError._PARTITION_EOF)
    reader.close()


@feature("Consumer", "watermarks and offsets for times")
def watermarks():
    name, reader = of_ten(), consumer()
    equal(reader.get_watermark_offsets(TopicPartition(name, 0), 10), (0, 10))
    equal(reader.offsets_for_times([TopicPartition(name, 0, 1)], 10)[0].offset, 0)
    reader.close()


@feature("Consumer", "out of range: reset or tell")
def out_of_range():
    reader = consumer(auto_offset_reset="error")
    reader.assign([TopicPartition(of_ten(), 0, 99)])
    refused(lambda: poll(reader, 1), KafkaException, code=KafkaError._AUTO_OFFSET_RESET)
    reader.close()


# Groups, with both protocols


def protocol_config(protocol):
    return {"group_protocol": protocol} if protocol == "consumer" else {"session_timeout_ms": 6000, "heartbeat_interval_ms": 500}


def subscribes(protocol):
    def run():
        member = consumer(**protocol)
        member.subscribe([of_ten()])
        equal(values(poll(member, 10)), NUMBERS)
        member.close()

    return run


def subscribes_pattern(protocol):
    def run():
        name = of_ten()
        member = consumer(**protocol)
        member.subscribe([f"^{name}.*"])
        equal(values(poll(member, 10)), NUMBERS)
        member.close()

    return run


def commits(protocol, commit, **config):
    def run():
        name, group = of_ten(), new_name("group")
        first = consumer(group, **protocol, **config)
        first.subscribe([name])
        poll(first, 10)
        commit(first)
        first.close()
        second = consumer(group, **protocol)
        equal(second.committed([TopicPartition(name, 0)], 10)[0].offset, 10)
        second.subscribe([name])
        write(name, "next")
        equal(values(poll(second, 1)), ["next"])
        second.close()

    return run


def two_members(protocol, **config):
    def run():
        name, group = topic(4), new_name("group")
        first, second = consumer(group, **protocol, **config), consumer(group, **protocol, **config)
        first.subscribe([name])
        share(4, first)
        second.subscribe([name])
        share(4, first, second)
        second.close()
        share(4, first)
        first.close()

    return run


def static_member(protocol):
    def run():
        name, group = topic(4), new_name("group")
        first, second = consumer(group, group_instance_id="one", **protocol), consumer(group, group_instance_id="two", **protocol)
        first.subscribe([name])
        second.subscribe([name])
        share(4, first, second)
        before = second.assignment()
        second.close()
        again = consumer(group, group_instance_id="two", **protocol)
        again.subscribe([name])
        share(4, first, again)
        equal(again.assignment(), before)
        first.close()
        again.close()

    return run


for word in ("classic", "consumer"):
    area, given = f"Group ({word})", protocol_config(word)
    feature(area, "subscribe and read")(subscribes(given))
    feature(area, "subscribe by pattern")(subscribes_pattern(given))
    feature(area, "commit, and go on from there")(commits(given, lambda member: member.commit(asynchronous=False)))
    feature(area, "commit without waiting")(commits(given, lambda member: member.commit(asynchronous=True)))
    feature(area, "commit by itself")(commits(given, lambda member: None, enable_auto_commit=True))
    feature(area, "share partitions between two members, take over")(two_members(given))
    feature(area, "static members come back to their partitions")(static_member(given))
for assignor in ("range", "roundrobin", "cooperative-sticky"):
    feature("Group (classic)", f"assignor {assignor}")(two_members(protocol_config("classic"), partition_assignment_strategy=assignor))
for assignor in ("range", "uniform"):
    feature("Group (consumer)", f"assignor {assignor}")(two_members(protocol_config("consumer"), group_remote_assignor=assignor))


@feature("Share group", "subscribe, read, acknowledge by polling")
def share_group():
    name, group = of_ten(), new_name("share")
    change = ConfigResource(ResourceType.GROUP, group, incremental_configs=[ConfigEntry("share.auto.offset.reset", "earliest", incremental_operation=AlterConfigOpType.SET)])
    ADMIN.incremental_alter_configs([change])[change].result(WAIT_SECONDS)
    member = confluent_kafka.ShareConsumer({"bootstrap.servers": BOOTSTRAP, "group.id": group})
    member.subscribe([name])
    found = []

    def enough():
        found.extend(message for message in member.poll(0.2) if not message.error())
        return len(found) >= 10

    eventually("ten records", enough)
    equal(values(found), NUMBERS)
    member.close()


# Transactions


def transactional(**config):
    producer = Producer({"transactional.id": new_name("txn"), **settings_of(config)})
    producer.init_transactions(WAIT_SECONDS)
    producer.begin_transaction()
    return producer


@feature("Transactions", "commit and abort")
def transactions():
    name, producer = topic(), transactional()
    producer.produce(name, "gone", partition=0)
    producer.flush(WAIT_SECONDS)
    producer.abort_transaction(WAIT_SECONDS)
    producer.begin_transaction()
    producer.produce(name, "kept", partition=0)
    producer.commit_transaction(WAIT_SECONDS)
    equal(values(read(name, 1, isolation_level="read_committed")), ["kept"])
    equal(values(read(name, 2, isolation_level="read_uncommitted")), ["gone", "kept"])


@feature("Transactions", "send a group's offsets")
def transaction_offsets():
    name, producer, member = of_ten(), transactional(), consumer()
    member.subscribe([name])
    poll(member, 10)
    producer.send_offsets_to_transaction(member.position(member.assignment()), member.consumer_group_metadata(), WAIT_SECONDS)
    producer.commit_transaction(WAIT_SECONDS)
    equal(member.committed([TopicPartition(name, 0)], 10)[0].offset, 10)
    member.close()


@feature("Transactions", "fence an older producer")
def fence():
    name, identity = topic(), new_name("txn")
    old = transactional(transactional_id=identity)
    old.produce(name, "of the old", partition=0)
    old.flush(WAIT_SECONDS)
    young = transactional(transactional_id=identity)
    young.abort_transaction(WAIT_SECONDS)
    refused(lambda: old.commit_transaction(WAIT_SECONDS), KafkaException, code=KafkaError._FENCED)


if __name__ == "__main__":
    main("confluent")
