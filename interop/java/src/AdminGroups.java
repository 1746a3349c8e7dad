import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.UnknownMemberIdException;

/** Groups and their offsets, as Admin manages them. */
final class AdminGroups {
    static void list(Features run) {
        run.area("Admin: groups");
        run.feature("list groups, by type and state", AdminGroups::listGroups);
        run.feature("describe a classic group", () -> describe("classic", GroupType.CLASSIC));
        run.feature("describe a consumer group", () -> describe("consumer", GroupType.CONSUMER));
        run.feature("describe with the call for classic groups", AdminGroups::describeClassic);
        run.feature("describe groups that do not exist", AdminGroups::describeUnknown);
        run.feature("list offsets of groups", AdminGroups::listOffsets);
        run.feature("alter offsets", AdminGroups::alterOffsets);
        run.feature("refuse to alter offsets of a group at work", AdminGroups::alterActive);
        run.feature("delete offsets", AdminGroups::deleteOffsets);
        run.feature("delete groups", AdminGroups::deleteGroups);
        run.feature("remove members", AdminGroups::removeMembers);
        run.feature("streams groups: list and describe", AdminGroups::streams);
    }

    /** A group that has a member and the offset 1 committed for partition 0. */
    private static KafkaConsumer<String, String> member(String protocol, String group, String topic, String... settings) throws Exception {
        var all = java.util.stream.Stream.concat(java.util.stream.Stream.of("group.protocol=" + protocol, "group.id=" + group, "enable.auto.commit=false", "max.poll.records=1"), java.util.Arrays.stream(settings));
        var member = Clients.consumer(all.toArray(String[]::new));
        member.subscribe(List.of(topic));
        Clients.poll(member, 1);
        member.commitSync();
        return member;
    }

    private static String ofTen() throws Exception {
        var topic = Clients.topic(1);
        Clients.write(topic, Clients.numbers(10));
        return topic;
    }

    private static Map<TopicPartition, OffsetAndMetadata> offsets(String group) throws Exception {
        return Clients.get(Clients.admin().listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
    }

    static void listGroups() throws Exception {
        var topic = ofTen();
        var classic = Clients.name("group");
        var modern = Clients.name("group");
        try (var one = member("classic", classic, topic); var other = member("consumer", modern, topic)) {
            var options = new ListGroupsOptions().withTypes(Set.of(GroupType.CONSUMER)).inGroupStates(Set.of(GroupState.STABLE));
            var ids = Clients.get(Clients.admin().listGroups(options).all()).stream().map(group -> group.groupId()).toList();
            Clients.expect(ids.contains(modern) && !ids.contains(classic), "only groups of type consumer are listed: " + ids);
            var all = Clients.get(Clients.admin().listGroups().all());
            var found = all.stream().filter(group -> group.groupId().equals(classic)).findFirst().orElseThrow();
            Clients.equal(found.type().get() + " " + found.groupState().get() + " " + found.protocol(), "Classic Stable consumer");
        }
    }

    static void describe(String protocol, GroupType type) throws Exception {
        var topic = ofTen();
        var group = Clients.name("group");
        try (var member = member(protocol, group, topic, "client.id=me")) {
            var found = Clients.get(Clients.admin().describeConsumerGroups(List.of(group)).all()).get(group);
            Clients.equal(found.groupState() + " " + found.type(), GroupState.STABLE + " " + type);
            var first = found.members().iterator().next();
            Clients.equal(first.clientId() + first.consumerId(), "me" + member.groupMetadata().memberId());
            Clients.equal(first.assignment().topicPartitions(), Set.of(new TopicPartition(topic, 0)));
            Clients.expect(first.host().contains("127.0.0.1"), "the host is " + first.host());
        }
        Clients.eventually("the group is empty", () -> Clients.get(Clients.admin().describeConsumerGroups(List.of(group)).all()).get(group).groupState() == GroupState.EMPTY);
    }

    static void describeClassic() throws Exception {
        var group = Clients.name("group");
        try (var member = member("classic", group, ofTen())) {
            var found = Clients.get(Clients.admin().describeClassicGroups(List.of(group)).all()).get(group);
            Clients.equal(found.state() + " " + found.protocol() + " " + found.members().size(), "Stable consumer 1");
        }
    }

    static void describeUnknown() throws Exception {
        Clients.refused(Clients.admin().describeConsumerGroups(List.of(Clients.name("none"))).all(), GroupIdNotFoundException.class);
    }

    static void listOffsets() throws Exception {
        var topic = ofTen();
        var part = new TopicPartition(topic, 0);
        var one = Clients.name("group");
        var other = Clients.name("group");
        member("classic", one, topic).close();
        member("consumer", other, topic).close();
        var specs = Map.of(one, new ListConsumerGroupOffsetsSpec(), other, new ListConsumerGroupOffsetsSpec().topicPartitions(List.of(part)));
        var found = Clients.admin().listConsumerGroupOffsets(specs);
        for (var group : List.of(one, other)) {
            Clients.equal(Clients.get(found.partitionsToOffsetAndMetadata(group)).get(part).offset(), 1L);
        }
    }

    static void alterOffsets() throws Exception {
        var part = new TopicPartition(ofTen(), 0);
        var group = Clients.name("group");
        Clients.get(Clients.admin().alterConsumerGroupOffsets(group, Map.of(part, new OffsetAndMetadata(7, "moved"))).all());
        Clients.equal(offsets(group).get(part).offset() + offsets(group).get(part).metadata(), "7moved");
        try (var member = member("classic", group, part.topic())) {
            Clients.equal(member.position(part), 8L);
        }
    }

    static void alterActive() throws Exception {
        var topic = ofTen();
        var group = Clients.name("group");
        try (var member = member("consumer", group, topic)) {
            var change = Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(0));
            Clients.refused(Clients.admin().alterConsumerGroupOffsets(group, change).all(), UnknownMemberIdException.class);
        }
    }

    static void deleteOffsets() throws Exception {
        var part = new TopicPartition(ofTen(), 0);
        var group = Clients.name("group");
        try (var member = member("classic", group, part.topic())) {
            Clients.refused(Clients.admin().deleteConsumerGroupOffsets(group, Set.of(part)).all(), GroupSubscribedToTopicException.class);
        }
        Clients.get(Clients.admin().deleteConsumerGroupOffsets(group, Set.of(part)).all());
        Clients.equal(offsets(group), Map.of());
    }

    static void deleteGroups() throws Exception {
        var group = Clients.name("group");
        try (var member = member("classic", group, ofTen())) {
            Clients.refused(Clients.admin().deleteConsumerGroups(List.of(group)).all(), GroupNotEmptyException.class);
        }
        Clients.get(Clients.admin().deleteConsumerGroups(List.of(group)).all());
        Clients.refused(Clients.admin().deleteConsumerGroups(List.of(group)).all(), GroupIdNotFoundException.class);
    }

    static void removeMembers() throws Exception {
        var group = Clients.name("group");
        member("classic", group, ofTen(), "group.instance.id=fixed").close();
        var one = new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("fixed")));
        Clients.get(Clients.admin().removeMembersFromConsumerGroup(group, one).all());
        Clients.equal(Clients.get(Clients.admin().describeConsumerGroups(List.of(group)).all()).get(group).members().size(), 0);
        try (var member = member("classic", group, ofTen())) {
            Clients.get(Clients.admin().removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all());
            var before = member.groupMetadata().memberId();
            Clients.eventually("the member joins again", () -> {
                member.poll(Duration.ofMillis(100));
                return !member.groupMetadata().memberId().isEmpty() && !member.groupMetadata().memberId().equals(before);
            });
        }
    }

    static void streams() throws Exception {
        Clients.get(Clients.admin().listGroups(ListGroupsOptions.forStreamsGroups()).all());
        Clients.refused(Clients.admin().describeStreamsGroups(List.of(Clients.name("none"))).all(), GroupIdNotFoundException.class);
    }
}
