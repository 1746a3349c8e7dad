import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;

/** Consumer groups, with the classic protocol and with that of KIP-848. */
final class Groups {
    private static final int SECONDS = 50;
    private static String protocol;

    static void list(Features run) {
        for (var name : List.of("classic", "consumer")) {
            run.area("Group (" + name + ")");
            both(run, name, "subscribe and read", Groups::subscribe);
            both(run, name, "subscribe by pattern", Groups::pattern);
            both(run, name, "commit, and go on from there", Groups::commitSync);
            both(run, name, "commit without waiting", Groups::commitAsync);
            both(run, name, "commit by itself", Groups::autoCommit);
            both(run, name, "commit for partitions that are assigned by hand", Groups::commitAssigned);
            both(run, name, "metadata of a commit", Groups::commitMetadata);
            both(run, name, "seek and pause in a group", Groups::seek);
            both(run, name, "share partitions between two members", Groups::twoMembers);
            both(run, name, "take over from a member that leaves", Groups::memberLeaves);
            both(run, name, "take over from a member that dies", Groups::memberDies);
            both(run, name, "listeners of rebalances", Groups::listeners);
            both(run, name, "static members come back to their partitions", Groups::staticMember);
            both(run, name, "notice new partitions", Groups::newPartitions);
            both(run, name, "wait for a topic that does not exist yet", Groups::laterTopic);
            both(run, name, "change the subscription", Groups::resubscribe);
            both(run, name, "group metadata", Groups::metadata);
        }
        run.area("Group (classic)");
        for (var assignor : List.of("Range", "RoundRobin", "Sticky", "CooperativeSticky")) {
            both(run, "classic", "assignor " + assignor, () -> assignor("partition.assignment.strategy=org.apache.kafka.clients.consumer." + assignor + "Assignor"));
        }
        both(run, "classic", "cooperative: keep what is not moved", () -> keeps("partition.assignment.strategy=org.apache.kafka.clients.consumer.CooperativeStickyAssignor"));
        both(run, "classic", "refuse a commit of a member that was removed", Groups::removedMember);
        both(run, "classic", "ask for a rebalance", Groups::enforceRebalance);
        run.area("Group (consumer)");
        both(run, "consumer", "assignor uniform", () -> assignor("group.remote.assignor=uniform"));
        both(run, "consumer", "assignor range", () -> assignor("group.remote.assignor=range"));
        both(run, "consumer", "keep what is not moved", () -> keeps("group.remote.assignor=uniform"));
        both(run, "consumer", "subscribe by a pattern of the broker", Groups::brokerPattern);
        both(run, "consumer", "go online from the classic protocol", Groups::migrate);
    }

    private static void both(Features run, String name, String feature, Features.Body body) {
        run.feature(feature, SECONDS, () -> {
            protocol = "group.protocol=" + name;
            body.run();
        });
    }

    /** A member; short sessions where the client decides on them. */
    private static KafkaConsumer<String, String> member(String group, String... settings) {
        return memberOf(protocol, group, settings);
    }

    private static KafkaConsumer<String, String> memberOf(String protocol, String group, String... settings) {
        List<String> all = new ArrayList<>(List.of(protocol, "group.id=" + group, "enable.auto.commit=false", "metadata.max.age.ms=1000"));
        if (protocol.endsWith("classic")) {
            all.addAll(List.of("session.timeout.ms=6000", "heartbeat.interval.ms=500"));
        }
        all.addAll(Arrays.asList(settings));
        return Clients.consumer(all.toArray(String[]::new));
    }

    /** A topic with the numbers up to 9 in partition 0. */
    private static String ofTen() throws Exception {
        var topic = Clients.topic(1);
        Clients.write(topic, Clients.numbers(10));
        return topic;
    }

    static void subscribe() throws Exception {
        var topic = ofTen();
        try (var member = member(Clients.name("group"))) {
            member.subscribe(List.of(topic));
            Clients.equal(Clients.values(Clients.poll(member, 10)), List.of(Clients.numbers(10)));
        }
    }

    static void pattern() throws Exception {
        var topic = ofTen();
        try (var member = member(Clients.name("group"))) {
            member.subscribe(Pattern.compile(topic + ".*"));
            Clients.poll(member, 10);
            member.commitSync();
            var more = topic + "more";
            Clients.write(more, "later");
            Clients.equal(Clients.values(Clients.poll(member, 1)), List.of("later"));
        }
    }

    static void commitSync() throws Exception {
        goesOn(member -> member.commitSync());
    }

    static void commitAsync() throws Exception {
        goesOn(member -> {
            var told = new AtomicReference<Object>();
            member.commitAsync((offsets, why) -> told.set(why == null ? offsets : why));
            Clients.eventually("the callback", () -> {
                member.poll(Duration.ZERO);
                return told.get() != null;
            });
            Clients.expect(told.get() instanceof Map, "committed, not " + told.get());
        });
    }

    static void autoCommit() throws Exception {
        goesOn(member -> {}, "enable.auto.commit=true");
    }

    private interface Commit {
        void by(KafkaConsumer<String, String> member) throws Exception;
    }

    /** A member that commits after four records is followed by one that reads the rest. */
    private static void goesOn(Commit commit, String... settings) throws Exception {
        var topic = ofTen();
        var group = Clients.name("group");
        var part = new TopicPartition(topic, 0);
        try (var first = member(group, java.util.stream.Stream.concat(Arrays.stream(settings), java.util.stream.Stream.of("max.poll.records=4")).toArray(String[]::new))) {
            first.subscribe(List.of(topic));
            Clients.equal(Clients.poll(first, 4).size(), 4);
            commit.by(first);
        }
        try (var second = member(group)) {
            var wanted = second.committed(Set.of(part)).get(part).offset();
            Clients.expect(wanted == 4 || wanted == 8, "committed " + wanted);
            second.subscribe(List.of(topic));
            Clients.equal(Clients.poll(second, 1).get(0).offset(), wanted);
        }
    }

    static void commitAssigned() throws Exception {
        var topic = ofTen();
        var group = Clients.name("group");
        var part = new TopicPartition(topic, 0);
        for (var wanted = 0L; wanted < 9; wanted += 3) {
            try (var consumer = member(group, "max.poll.records=3")) {
                consumer.assign(List.of(part));
                Clients.equal(Clients.poll(consumer, 3).get(0).offset(), wanted);
                consumer.commitSync();
            }
        }
    }

    static void commitMetadata() throws Exception {
        var part = new TopicPartition(ofTen(), 0);
        try (var consumer = member(Clients.name("group"))) {
            consumer.assign(List.of(part));
            consumer.commitSync(Map.of(part, new OffsetAndMetadata(5, "a note")));
            Clients.equal(consumer.committed(Set.of(part)).get(part).metadata(), "a note");
            Clients.equal(consumer.position(part), 5L);
        }
    }

    static void seek() throws Exception {
        var topic = ofTen();
        var part = new TopicPartition(topic, 0);
        try (var member = member(Clients.name("group"))) {
            member.subscribe(List.of(topic));
            Clients.poll(member, 10);
            member.seek(part, 8);
            Clients.equal(Clients.values(Clients.poll(member, 2)), List.of("8", "9"));
            member.pause(List.of(part));
            Clients.write(topic, "after the pause");
            Clients.equal(member.poll(Duration.ofMillis(500)).count(), 0);
            member.resume(List.of(part));
            Clients.equal(Clients.values(Clients.poll(member, 1)), List.of("after the pause"));
        }
    }

    /** Polls all members until they own all partitions between them, each as many as the others or one more. */
    @SafeVarargs
    private static void share(int partitions, KafkaConsumer<String, String>... members) throws Exception {
        Clients.eventually(members.length + " members share " + partitions + " partitions", () -> {
            Set<TopicPartition> owned = new HashSet<>();
            var sizes = new TreeSet<Integer>();
            var sum = 0;
            for (var member : members) {
                member.poll(Duration.ofMillis(100));
                owned.addAll(member.assignment());
                sizes.add(member.assignment().size());
                sum += member.assignment().size();
            }
            return owned.size() == partitions && sum == partitions && sizes.last() - sizes.first() <= 1;
        });
    }

    static void twoMembers() throws Exception {
        var topic = Clients.topic(4);
        var group = Clients.name("group");
        try (var first = member(group); var second = member(group)) {
            first.subscribe(List.of(topic));
            share(4, first);
            second.subscribe(List.of(topic));
            share(4, first, second);
        }
    }

    static void memberLeaves() throws Exception {
        var topic = Clients.topic(4);
        var group = Clients.name("group");
        try (var first = member(group)) {
            first.subscribe(List.of(topic));
            try (var second = member(group)) {
                second.subscribe(List.of(topic));
                share(4, first, second);
            }
            share(4, first);
        }
    }

    /** A member whose thread polls no more is removed after max.poll.interval.ms. */
    static void memberDies() throws Exception {
        var topic = Clients.topic(4);
        var group = Clients.name("group");
        try (var first = member(group); var second = member(group, "max.poll.interval.ms=6000")) {
            first.subscribe(List.of(topic));
            second.subscribe(List.of(topic));
            share(4, first, second);
            share(4, first);
        }
    }

    static void listeners() throws Exception {
        var topic = Clients.topic(2);
        var group = Clients.name("group");
        List<String> told = new ArrayList<>();
        var listener = new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> parts) {
                told.add("assigned " + parts.size());
            }

            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> parts) {
                told.add("revoked " + parts.size());
            }
        };
        try (var first = member(group); var second = member(group)) {
            first.subscribe(List.of(topic), listener);
            share(2, first);
            Clients.equal(told, List.of("assigned 2"));
            second.subscribe(List.of(topic));
            share(2, first, second);
            Clients.expect(told.size() > 1 && told.get(1).startsWith("revoked"), "told " + told);
        }
    }

    static void staticMember() throws Exception {
        var topic = Clients.topic(4);
        var group = Clients.name("group");
        try (var first = member(group, "group.instance.id=one")) {
            first.subscribe(List.of(topic));
            Set<TopicPartition> before;
            try (var second = member(group, "group.instance.id=two")) {
                second.subscribe(List.of(topic));
                share(4, first, second);
                before = second.assignment();
            }
            first.poll(Duration.ofMillis(1000));
            Clients.equal(first.assignment().size(), 2);
            try (var again = member(group, "group.instance.id=two")) {
                again.subscribe(List.of(topic));
                share(4, first, again);
                Clients.equal(again.assignment(), before);
            }
        }
    }

    static void newPartitions() throws Exception {
        var topic = Clients.topic(1);
        try (var member = member(Clients.name("group"))) {
            member.subscribe(List.of(topic));
            share(1, member);
            Clients.get(Clients.admin().createPartitions(Map.of(topic, org.apache.kafka.clients.admin.NewPartitions.increaseTo(3))).all());
            share(3, member);
        }
    }

    static void laterTopic() throws Exception {
        var topic = Clients.name("later");
        try (var member = member(Clients.name("group"), "allow.auto.create.topics=false")) {
            member.subscribe(List.of(topic));
            Clients.equal(member.poll(Duration.ofMillis(1000)).count(), 0);
            Clients.write(topic, "at last");
            Clients.equal(Clients.values(Clients.poll(member, 1)), List.of("at last"));
        }
    }

    static void resubscribe() throws Exception {
        var one = ofTen();
        var other = ofTen();
        try (var member = member(Clients.name("group"))) {
            member.subscribe(List.of(one));
            Clients.poll(member, 10);
            member.subscribe(List.of(other));
            Clients.equal(Clients.poll(member, 10).get(0).topic(), other);
            member.unsubscribe();
            Clients.equal(member.assignment(), Set.of());
        }
    }

    static void removedMember() throws Exception {
        var topic = ofTen();
        var group = Clients.name("group");
        try (var late = member(group, "max.poll.interval.ms=2000", "max.poll.records=1"); var other = member(group)) {
            late.subscribe(List.of(topic));
            Clients.poll(late, 1);
            other.subscribe(List.of(topic));
            share(1, other);
            Clients.refused(() -> late.commitSync(), CommitFailedException.class);
        }
    }

    static void metadata() throws Exception {
        var topic = ofTen();
        var group = Clients.name("group");
        try (var member = member(group)) {
            member.subscribe(List.of(topic));
            Clients.poll(member, 1);
            var found = member.groupMetadata();
            Clients.equal(found.groupId(), group);
            Clients.expect(found.generationId() > 0 && !found.memberId().isEmpty(), "a member of the group: " + found);
        }
    }

    static void assignor(String strategy) throws Exception {
        var topic = Clients.topic(4);
        var group = Clients.name("group");
        try (var first = member(group, strategy); var second = member(group, strategy)) {
            first.subscribe(List.of(topic));
            second.subscribe(List.of(topic));
            share(4, first, second);
        }
    }

    /** What a member owns before and after another has come is never taken away in between. */
    static void keeps(String strategy) throws Exception {
        var topic = Clients.topic(4);
        var group = Clients.name("group");
        Map<TopicPartition, Integer> revoked = new HashMap<>();
        var listener = new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> parts) {}

            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> parts) {
                parts.forEach(part -> revoked.merge(part, 1, Integer::sum));
            }
        };
        try (var first = member(group, strategy); var second = member(group, strategy)) {
            first.subscribe(List.of(topic), listener);
            share(4, first);
            second.subscribe(List.of(topic));
            share(4, first, second);
            Clients.equal(revoked.keySet(), second.assignment());
        }
    }

    static void enforceRebalance() throws Exception {
        var topic = Clients.topic(2);
        try (var member = member(Clients.name("group"))) {
            member.subscribe(List.of(topic));
            share(2, member);
            var before = member.groupMetadata().generationId();
            member.enforceRebalance("because");
            Clients.eventually("a new generation", () -> {
                member.poll(Duration.ofMillis(100));
                return member.groupMetadata().generationId() > before;
            });
        }
    }

    static void brokerPattern() throws Exception {
        var topic = ofTen();
        try (var member = member(Clients.name("group"))) {
            member.subscribe(new SubscriptionPattern(topic + ".*"));
            Clients.equal(Clients.values(Clients.poll(member, 10)), List.of(Clients.numbers(10)));
        }
    }

    static void migrate() throws Exception {
        var topic = Clients.topic(4);
        var group = Clients.name("group");
        try (var old = memberOf("group.protocol=classic", group); var young = member(group)) {
            old.subscribe(List.of(topic));
            share(4, old);
            young.subscribe(List.of(topic));
            share(4, old, young);
            old.close();
            share(4, young);
        }
    }
}
