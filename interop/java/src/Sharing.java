import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** Share groups (KIP-932): KafkaShareConsumer and what Admin does with its groups. */
final class Sharing {
    private static final int SECONDS = 50;
    private static final String EXPLICIT = "share.acknowledgement.mode=explicit";

    static void list(Features run) {
        run.area("Share group");
        run.feature("subscribe, read, acknowledge by polling", SECONDS, Sharing::subscribe);
        run.feature("accept", SECONDS, Sharing::accept);
        run.feature("release and be given again", SECONDS, Sharing::release);
        run.feature("reject", SECONDS, Sharing::reject);
        run.feature("renew the lock", SECONDS, Sharing::renew);
        run.feature("acknowledge without waiting", SECONDS, Sharing::commitAsync);
        run.feature("two members share one partition", SECONDS, Sharing::twoMembers);
        run.feature("go on after the last member has left", SECONDS, Sharing::comeBack);
        run.feature("start at the latest offset", SECONDS, Sharing::latest);
        run.feature("group configs", SECONDS, Sharing::configs);
        run.feature("Admin: list and describe", SECONDS, Sharing::describe);
        run.feature("Admin: describe groups that do not exist", Sharing::describeUnknown);
        run.feature("Admin: list offsets", SECONDS, Sharing::listOffsets);
        run.feature("Admin: alter offsets", SECONDS, Sharing::alterOffsets);
        run.feature("Admin: delete offsets", SECONDS, Sharing::deleteOffsets);
        run.feature("Admin: delete groups", SECONDS, Sharing::deleteGroup);
    }

    /** A group that starts at the beginning of topics. */
    private static String group() throws Exception {
        var group = Clients.name("share");
        configure(group, "share.auto.offset.reset", "earliest");
        return group;
    }

    private static void configure(String group, String key, String value) throws Exception {
        var resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        var set = new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
        Clients.get(Clients.admin().incrementalAlterConfigs(Map.of(resource, List.of(set))).all());
    }

    private static String ofTen() throws Exception {
        var topic = Clients.topic(1);
        Clients.write(topic, Clients.numbers(10));
        return topic;
    }

    private static KafkaShareConsumer<String, String> member(String group, String topic, String... settings) {
        var member = Clients.shareConsumer(group, settings);
        member.subscribe(List.of(topic));
        return member;
    }

    /** Polls until so many records have come; all but the last poll's must be acknowledged in `each`. */
    private static List<ConsumerRecord<String, String>> poll(KafkaShareConsumer<String, String> member, int count, AcknowledgeType type) throws Exception {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        Clients.eventually(count + " records", () -> {
            member.poll(Duration.ofMillis(200)).forEach(record -> {
                records.add(record);
                if (type != null) {
                    member.acknowledge(record, type);
                }
            });
            return records.size() >= count;
        });
        return records;
    }

    static void subscribe() throws Exception {
        var group = group();
        var topic = ofTen();
        try (var member = member(group, topic)) {
            Clients.equal(Clients.values(poll(member, 10, null)), List.of(Clients.numbers(10)));
            member.commitSync();
        }
        Clients.write(topic, "next");
        try (var member = member(group, topic)) {
            Clients.equal(Clients.values(poll(member, 1, null)), List.of("next"));
        }
    }

    static void accept() throws Exception {
        try (var member = member(group(), ofTen(), EXPLICIT)) {
            poll(member, 10, AcknowledgeType.ACCEPT);
            var done = member.commitSync();
            Clients.expect(done.size() == 1 && done.values().iterator().next().isEmpty(), "committed: " + done);
        }
    }

    static void release() throws Exception {
        try (var member = member(group(), ofTen(), EXPLICIT)) {
            Clients.equal((int) poll(member, 10, AcknowledgeType.RELEASE).get(0).deliveryCount().get(), 1);
            member.commitSync();
            var again = poll(member, 10, AcknowledgeType.ACCEPT);
            Clients.equal((int) again.get(0).deliveryCount().get(), 2);
            Clients.equal(Clients.values(again), List.of(Clients.numbers(10)));
        }
    }

    static void reject() throws Exception {
        var topic = ofTen();
        try (var member = member(group(), topic, EXPLICIT)) {
            poll(member, 10, AcknowledgeType.REJECT);
            member.commitSync();
            Clients.write(topic, "next");
            Clients.equal(Clients.values(poll(member, 1, AcknowledgeType.ACCEPT)), List.of("next"));
        }
    }

    static void renew() throws Exception {
        try (var member = member(group(), ofTen(), EXPLICIT)) {
            var records = poll(member, 10, AcknowledgeType.RENEW);
            member.commitSync();
            Clients.expect(member.acquisitionLockTimeoutMs().orElse(0) > 0, "the lock's time is told");
            Clients.eventually("the renewed records are given back", () -> {
                var count = 0;
                for (var record : member.poll(Duration.ofMillis(200))) {
                    member.acknowledge(record, AcknowledgeType.ACCEPT);
                    count++;
                }
                return count >= records.size();
            });
            member.commitSync();
        }
    }

    static void commitAsync() throws Exception {
        try (var member = member(group(), ofTen(), EXPLICIT)) {
            Map<Long, String> told = new HashMap<>();
            member.setAcknowledgementCommitCallback((offsets, why) -> offsets.values().forEach(some -> some.forEach(offset -> told.put(offset, String.valueOf(why)))));
            poll(member, 10, AcknowledgeType.ACCEPT);
            member.commitAsync();
            Clients.eventually("the callback", () -> {
                member.poll(Duration.ofMillis(100));
                return told.size() == 10;
            });
            Clients.equal(new HashSet<>(told.values()), Set.of("null"));
        }
    }

    static void twoMembers() throws Exception {
        var topic = Clients.topic(1);
        var group = group();
        try (var one = member(group, topic, "max.poll.records=1"); var other = member(group, topic, "max.poll.records=1"); var producer = Clients.producer()) {
            Set<String> ofOne = new HashSet<>();
            Set<String> ofOther = new HashSet<>();
            Clients.eventually("both have records", () -> {
                Clients.send(producer, new TopicPartition(topic, 0), "v" + System.nanoTime());
                one.poll(Duration.ofMillis(50)).forEach(record -> ofOne.add(record.value()));
                other.poll(Duration.ofMillis(50)).forEach(record -> ofOther.add(record.value()));
                return !ofOne.isEmpty() && !ofOther.isEmpty();
            });
            ofOne.retainAll(ofOther);
            Clients.equal(ofOne, Set.of());
        }
    }

    static void comeBack() throws Exception {
        var topic = ofTen();
        var group = group();
        try (var member = member(group, topic, EXPLICIT, "max.poll.records=10")) {
            var first = new boolean[] {true};
            Clients.eventually("records", () -> {
                for (var record : member.poll(Duration.ofMillis(200))) {
                    member.acknowledge(record, record.offset() < 5 ? AcknowledgeType.ACCEPT : AcknowledgeType.RELEASE);
                    first[0] = false;
                }
                return !first[0];
            });
            member.commitSync();
        }
        try (var member = member(group, topic)) {
            Clients.equal(Clients.values(poll(member, 5, null)), List.of("5", "6", "7", "8", "9"));
        }
    }

    static void latest() throws Exception {
        var topic = ofTen();
        try (var member = member(Clients.name("share"), topic); var producer = Clients.producer()) {
            List<String> read = new ArrayList<>();
            Clients.eventually("a new record", () -> {
                Clients.send(producer, new TopicPartition(topic, 0), "new");
                member.poll(Duration.ofMillis(300)).forEach(record -> read.add(record.value()));
                return !read.isEmpty();
            });
            Clients.equal(new HashSet<>(read), Set.of("new"));
        }
    }

    static void configs() throws Exception {
        var group = group();
        configure(group, "share.isolation.level", "read_committed");
        configure(group, "share.record.lock.duration.ms", "20000");
        try (var member = member(group, ofTen())) {
            poll(member, 10, null);
            Clients.eventually("the lock's time is that of the config", () -> {
                member.poll(Duration.ofMillis(100));
                return member.acquisitionLockTimeoutMs().orElse(0) == 20000;
            });
        }
    }

    static void describe() throws Exception {
        var group = group();
        var topic = ofTen();
        try (var member = member(group, topic)) {
            poll(member, 10, null);
            var found = Clients.get(Clients.admin().describeShareGroups(List.of(group)).all()).get(group);
            Clients.equal(found.groupState(), GroupState.STABLE);
            Clients.equal(found.members().iterator().next().assignment().topicPartitions(), Set.of(new TopicPartition(topic, 0)));
            var listed = Clients.get(Clients.admin().listGroups(ListGroupsOptions.forShareGroups()).all());
            Clients.expect(listed.stream().anyMatch(each -> each.groupId().equals(group)), "it is listed");
        }
    }

    static void describeUnknown() throws Exception {
        Clients.refused(Clients.admin().describeShareGroups(List.of(Clients.name("none"))).all(), org.apache.kafka.common.errors.GroupIdNotFoundException.class);
    }

    /** A group without members that has accepted ten records. */
    private static String emptied(String topic) throws Exception {
        var group = group();
        try (var member = member(group, topic, EXPLICIT)) {
            poll(member, 10, AcknowledgeType.ACCEPT);
            member.commitSync();
        }
        return group;
    }

    private static long startOffset(String group, TopicPartition part) throws Exception {
        var found = Clients.get(Clients.admin().listShareGroupOffsets(Map.of(group, new ListShareGroupOffsetsSpec())).partitionsToOffsetInfo(group)).get(part);
        return found == null ? -1 : found.startOffset();
    }

    static void listOffsets() throws Exception {
        var part = new TopicPartition(ofTen(), 0);
        var group = emptied(part.topic());
        Clients.eventually("the start offset is told", () -> startOffset(group, part) >= 0);
    }

    static void alterOffsets() throws Exception {
        var part = new TopicPartition(ofTen(), 0);
        var group = emptied(part.topic());
        Clients.get(Clients.admin().alterShareGroupOffsets(group, Map.of(part, 7L)).all());
        try (var member = member(group, part.topic())) {
            Clients.equal(Clients.values(poll(member, 3, null)), List.of("7", "8", "9"));
        }
    }

    static void deleteOffsets() throws Exception {
        var part = new TopicPartition(ofTen(), 0);
        var group = emptied(part.topic());
        Clients.get(Clients.admin().deleteShareGroupOffsets(group, Set.of(part.topic())).all());
        Clients.equal(startOffset(group, part), -1L);
    }

    static void deleteGroup() throws Exception {
        var group = emptied(ofTen());
        Clients.get(Clients.admin().deleteShareGroups(List.of(group)).all());
        Clients.expect(Clients.get(Clients.admin().listGroups().all()).stream().noneMatch(each -> each.groupId().equals(group)), "it is gone");
    }
}
