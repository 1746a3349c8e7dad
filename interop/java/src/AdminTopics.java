import static org.apache.kafka.clients.admin.OffsetSpec.earliest;
import static org.apache.kafka.clients.admin.OffsetSpec.earliestLocal;
import static org.apache.kafka.clients.admin.OffsetSpec.forTimestamp;
import static org.apache.kafka.clients.admin.OffsetSpec.latest;
import static org.apache.kafka.clients.admin.OffsetSpec.latestTiered;
import static org.apache.kafka.clients.admin.OffsetSpec.maxTimestamp;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Topics, partitions, and the records in them, as Admin manages them. */
final class AdminTopics {
    static void list(Features run) {
        run.area("Admin: topics");
        run.feature("create a topic", AdminTopics::create);
        run.feature("create with configs, told in the answer", AdminTopics::createWithConfigs);
        run.feature("create with a replica assignment", AdminTopics::createAssigned);
        run.feature("create, validate only", AdminTopics::validateOnly);
        run.feature("refuse wrong topics", AdminTopics::refuseWrong);
        run.feature("list topics", AdminTopics::listTopics);
        run.feature("describe by name", AdminTopics::describe);
        run.feature("describe by id", AdminTopics::describeById);
        run.feature("describe page by page", AdminTopics::describePaged);
        run.feature("describe authorized operations", AdminTopics::authorizedOperations);
        run.feature("add partitions", AdminTopics::addPartitions);
        run.feature("delete by name", AdminTopics::delete);
        run.feature("delete by id", AdminTopics::deleteById);
        run.feature("delete records", AdminTopics::deleteRecords);
        run.feature("offsets: earliest and latest", AdminTopics::offsetsAtEnds);
        run.feature("offsets: by timestamp", AdminTopics::offsetsByTimestamp);
        run.feature("offsets: max timestamp", AdminTopics::offsetsMaxTimestamp);
        run.feature("offsets: earliest local and latest tiered", AdminTopics::offsetsTiered);
    }

    static void create() throws Exception {
        var name = Clients.name("topic");
        var created = Clients.admin().createTopics(List.of(new NewTopic(name, 3, (short) 1)));
        Clients.equal(Clients.get(created.numPartitions(name)), 3);
        Clients.equal(Clients.get(created.replicationFactor(name)), 1);
        Clients.eventually("the topic is listed", () -> Clients.get(Clients.admin().listTopics().names()).contains(name));
        Clients.equal(describeOne(name).topicId(), Clients.get(created.topicId(name)));
    }

    static void createWithConfigs() throws Exception {
        var name = Clients.name("topic");
        var created = Clients.admin().createTopics(List.of(new NewTopic(name, 1, (short) 1).configs(Map.of("retention.ms", "12345"))));
        Clients.equal(Clients.get(created.config(name)).get("retention.ms").value(), "12345");
        Clients.expect(Clients.get(created.config(name)).get("cleanup.policy").isDefault(), "cleanup.policy is a default");
    }

    static void createAssigned() throws Exception {
        var name = Clients.name("topic");
        var node = Clients.get(Clients.admin().describeCluster().nodes()).iterator().next().id();
        Clients.get(Clients.admin().createTopics(List.of(new NewTopic(name, Map.of(0, List.of(node), 1, List.of(node))))).all());
        Clients.eventually("the topic is listed", () -> Clients.get(Clients.admin().listTopics().names()).contains(name));
        Clients.equal(describeOne(name).partitions().size(), 2);
    }

    static void validateOnly() throws Exception {
        var name = Clients.name("topic");
        var only = new CreateTopicsOptions().validateOnly(true);
        Clients.get(Clients.admin().createTopics(List.of(new NewTopic(name, 1, (short) 1)), only).all());
        Clients.expect(!Clients.get(Clients.admin().listTopics().names()).contains(name), "nothing is created");
    }

    static void refuseWrong() throws Exception {
        var name = Clients.topic(1);
        var admin = Clients.admin();
        Clients.refused(admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all(), TopicExistsException.class);
        Clients.refused(admin.createTopics(List.of(new NewTopic("a b", 1, (short) 1))).all(), InvalidTopicException.class);
        Clients.refused(admin.createTopics(List.of(new NewTopic(name + "x", 0, (short) 1))).all(), InvalidPartitionsException.class);
        Clients.refused(admin.createTopics(List.of(new NewTopic(name + "x", 1, (short) 9))).all(), InvalidReplicationFactorException.class);
        Clients.refused(admin.describeTopics(List.of(name + "x")).allTopicNames(), UnknownTopicOrPartitionException.class);
    }

    static void listTopics() throws Exception {
        var name = Clients.topic(1);
        var listings = Clients.get(Clients.admin().listTopics(new ListTopicsOptions().listInternal(true)).namesToListings());
        Clients.expect(!listings.get(name).isInternal(), "the topic is not internal");
        Clients.equal(listings.get(name).topicId(), describeOne(name).topicId());
    }

    static void describe() throws Exception {
        var found = describeOne(Clients.topic(4));
        Clients.equal(found.partitions().stream().map(part -> part.partition()).toList(), List.of(0, 1, 2, 3));
        var first = found.partitions().get(0);
        Clients.equal(first.isr(), List.of(first.leader()));
        Clients.equal(first.replicas(), List.of(first.leader()));
    }

    static void describeById() throws Exception {
        var name = Clients.topic(2);
        var id = describeOne(name).topicId();
        var found = Clients.get(Clients.admin().describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds());
        Clients.equal(found.get(id).name(), name);
        var unknown = TopicCollection.ofTopicIds(List.of(org.apache.kafka.common.Uuid.randomUuid()));
        Clients.refused(Clients.admin().describeTopics(unknown).allTopicIds(), UnknownTopicIdException.class);
    }

    static void describePaged() throws Exception {
        var name = Clients.topic(30);
        var pages = new DescribeTopicsOptions().partitionSizeLimitPerResponse(7);
        Clients.equal(Clients.get(Clients.admin().describeTopics(List.of(name), pages).allTopicNames()).get(name).partitions().size(), 30);
    }

    static void authorizedOperations() throws Exception {
        var name = Clients.topic(1);
        var options = new DescribeTopicsOptions().includeAuthorizedOperations(true);
        var operations = Clients.get(Clients.admin().describeTopics(List.of(name), options).allTopicNames()).get(name).authorizedOperations();
        Clients.expect(operations.contains(AclOperation.READ) && operations.contains(AclOperation.ALTER_CONFIGS), "everything is allowed, not " + operations);
    }

    static void addPartitions() throws Exception {
        var name = Clients.topic(1);
        var admin = Clients.admin();
        Clients.get(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(9)), new CreatePartitionsOptions().validateOnly(true)).all());
        Clients.get(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(3))).all());
        Clients.eventually("three partitions", () -> describeOne(name).partitions().size() == 3);
        Clients.refused(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(2))).all(), InvalidPartitionsException.class);
    }

    static void delete() throws Exception {
        var name = Clients.topic(1);
        Clients.get(Clients.admin().deleteTopics(List.of(name)).all());
        Clients.eventually("the topic is gone", () -> !Clients.get(Clients.admin().listTopics().names()).contains(name));
        Clients.refused(Clients.admin().deleteTopics(List.of(name)).all(), UnknownTopicOrPartitionException.class);
    }

    static void deleteById() throws Exception {
        var name = Clients.topic(1);
        var id = describeOne(name).topicId();
        Clients.get(Clients.admin().deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
        Clients.eventually("the topic is gone", () -> !Clients.get(Clients.admin().listTopics().names()).contains(name));
    }

    static void deleteRecords() throws Exception {
        var part = new TopicPartition(Clients.topic(1), 0);
        Clients.writeTo(part, Clients.numbers(10));
        var deleted = Clients.admin().deleteRecords(Map.of(part, RecordsToDelete.beforeOffset(6)));
        Clients.equal(Clients.get(deleted.lowWatermarks().get(part)).lowWatermark(), 6L);
        Clients.equal(Clients.values(Clients.read(part.topic(), 4)), List.of("6", "7", "8", "9"));
        Clients.refused(Clients.admin().deleteRecords(Map.of(part, RecordsToDelete.beforeOffset(99))).all(), OffsetOutOfRangeException.class);
    }

    static void offsetsAtEnds() throws Exception {
        var part = new TopicPartition(Clients.topic(1), 0);
        Clients.writeTo(part, Clients.numbers(5));
        Clients.equal(offset(part, earliest()), 0L);
        Clients.equal(offset(part, latest()), 5L);
    }

    static void offsetsByTimestamp() throws Exception {
        var part = stamped();
        Clients.equal(offset(part, forTimestamp(2500)), 2L);
        Clients.equal(offset(part, forTimestamp(4000)), -1L);
    }

    static void offsetsMaxTimestamp() throws Exception {
        Clients.equal(offset(stamped(), maxTimestamp()), 2L);
    }

    static void offsetsTiered() throws Exception {
        var part = new TopicPartition(Clients.topic(1), 0);
        Clients.writeTo(part, "a");
        Clients.equal(offset(part, earliestLocal()), 0L);
        Clients.equal(offset(part, latestTiered()), -1L);
    }

    /** A partition whose records carry the times 1000, 2000, 3000 and 1500. */
    private static TopicPartition stamped() throws Exception {
        var part = new TopicPartition(Clients.topic(1, "message.timestamp.type=CreateTime", "retention.ms=-1"), 0);
        try (var producer = Clients.producer()) {
            for (var time : new long[] {1000, 2000, 3000, 1500}) {
                Clients.get(producer.send(new ProducerRecord<>(part.topic(), 0, time, null, "at " + time)));
            }
        }
        return part;
    }

    private static long offset(TopicPartition part, OffsetSpec spec) throws Exception {
        return Clients.get(Clients.admin().listOffsets(Map.of(part, spec)).partitionResult(part)).offset();
    }

    private static org.apache.kafka.clients.admin.TopicDescription describeOne(String name) throws Exception {
        return Clients.get(Clients.admin().describeTopics(Set.of(name)).allTopicNames()).get(name);
    }
}
