package interop;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Function;
import java.util.stream.Collectors;

import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.DescribeProducersRequestData;
import org.apache.kafka.common.message.DescribeProducersRequestData.TopicRequest;
import org.apache.kafka.common.message.DescribeProducersResponseData.ProducerState;
import org.apache.kafka.common.message.ListOffsetsRequestData;
import org.apache.kafka.common.message.ListOffsetsRequestData.ListOffsetsPartition;
import org.apache.kafka.common.message.ListOffsetsRequestData.ListOffsetsTopic;
import org.apache.kafka.common.message.ListOffsetsResponseData.ListOffsetsPartitionResponse;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.DescribeProducersRequest;
import org.apache.kafka.common.requests.DescribeProducersResponse;
import org.apache.kafka.common.requests.FetchRequest;
import org.apache.kafka.common.requests.FetchResponse;
import org.apache.kafka.common.requests.ListOffsetsRequest;
import org.apache.kafka.common.requests.ListOffsetsResponse;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.ProducerStateEntry;
import org.apache.kafka.storage.internals.log.ProducerStateManager;
import org.apache.kafka.storage.internals.log.UnifiedLog;

/**
 * A replica's log as far as requests tell it: its ends, which every replica gives to a client that looks for faults, and
 * the producers that are active there.
 */
final class Logs {
    private static final short LIST_OFFSETS = 7;
    /** The last one that names topics. */
    private static final short FETCH = 12;

    private Logs() {
    }

    /** The log of a partition on a node. */
    static UnifiedLog log(Node node, TopicPartition partition) {
        return face(node, partition, partition.toString());
    }

    /** The log in a directory of this name, if it is there. */
    static scala.Option<UnifiedLog> named(Node node, TopicPartition partition, String name) {
        boolean there = node.logDirs().stream().anyMatch(dir -> Files.exists(dir.resolve(name)));
        return there ? scala.Option.apply(face(node, partition, name)) : scala.Option.empty();
    }

    private static UnifiedLog face(Node node, TopicPartition partition, String name) {
        Map<String, Function<Object[], Object>> known = new HashMap<>();
        known.put("dir", arguments -> directory(node, name));
        known.put("parentDir", arguments -> directory(node, name).getParent());
        known.put("renameDir", arguments -> renamed(directory(node, name), (String) arguments[0]));
        known.put("topicPartition", arguments -> partition);
        known.put("logStartOffset", arguments -> offset(node, partition, ListOffsetsRequest.EARLIEST_TIMESTAMP));
        known.put("logEndOffset", arguments -> offset(node, partition, ListOffsetsRequest.LATEST_TIMESTAMP));
        known.put("config", arguments -> new LogConfig(
            node.view().allTopicConfigs(partition.topic()), node.view().topicConfigs(partition.topic()).keySet()));
        known.put("highWatermark", arguments -> highWatermark(node, partition));
        known.put("producerStateManager", arguments -> Faces.face(ProducerStateManager.class, Map.of(
            "activeProducers", asked -> producers(node, partition))));
        known.put("activeProducers", arguments -> states(node, partition));
        return Faces.face(UnifiedLog.class, known);
    }

    private static File directory(Node node, String name) {
        return node.logDirs().stream().map(dir -> dir.toAbsolutePath().resolve(name)).filter(Files::exists).map(Path::toFile).findFirst()
            .orElse(new File(name));
    }

    /** Tests rename a directory while its node is stopped. */
    private static Object renamed(File directory, String name) {
        try {
            Files.move(directory.toPath(), directory.toPath().resolveSibling(name));
            return null;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static long offset(Node node, TopicPartition partition, long timestamp) {
        ListOffsetsRequestData asked = new ListOffsetsRequestData()
            .setReplicaId(ListOffsetsRequest.DEBUGGING_REPLICA_ID)
            .setTopics(List.of(new ListOffsetsTopic().setName(partition.topic()).setPartitions(List.of(
                new ListOffsetsPartition().setPartitionIndex(partition.partition()).setTimestamp(timestamp)))));
        ListOffsetsRequest request = ListOffsetsRequest.parse(
            new org.apache.kafka.common.protocol.ByteBufferAccessor(written(asked)), LIST_OFFSETS);
        ListOffsetsPartitionResponse said = ((ListOffsetsResponse) node.view().send(request)).topics().get(0).partitions().get(0);
        if (said.errorCode() != Errors.NONE.code()) {
            throw Errors.forCode(said.errorCode()).exception();
        }
        return said.offset();
    }

    /** What a consumer that may read from any replica is told. */
    private static long highWatermark(Node node, TopicPartition partition) {
        FetchRequest request = FetchRequest.Builder.forConsumer(FETCH, 0, 0, Map.of(partition,
            new FetchRequest.PartitionData(Uuid.ZERO_UUID, offset(node, partition, ListOffsetsRequest.EARLIEST_TIMESTAMP), -1, 1,
                Optional.empty()))).build(FETCH);
        return ((FetchResponse) node.view().send(request)).data().responses().get(0).partitions().get(0).highWatermark();
    }

    /** Kafka's builders do not make a request of a client that looks for faults. */
    private static java.nio.ByteBuffer written(ListOffsetsRequestData asked) {
        return org.apache.kafka.common.protocol.MessageUtil.toByteBufferAccessor(asked, LIST_OFFSETS).buffer();
    }

    private static List<ProducerState> states(Node node, TopicPartition partition) {
        DescribeProducersRequestData asked = new DescribeProducersRequestData().setTopics(List.of(
            new TopicRequest().setName(partition.topic()).setPartitionIndexes(List.of(partition.partition()))));
        DescribeProducersRequest request = new DescribeProducersRequest.Builder(asked).build(ApiKeys.DESCRIBE_PRODUCERS.latestVersion());
        return ((DescribeProducersResponse) node.view().send(request)).data().topics().get(0).partitions().get(0).activeProducers();
    }

    private static Map<Long, ProducerStateEntry> producers(Node node, TopicPartition partition) {
        return states(node, partition).stream().collect(Collectors.toMap(ProducerState::producerId, each -> new ProducerStateEntry(
            each.producerId(), (short) each.producerEpoch(), each.coordinatorEpoch(), each.lastTimestamp(),
            each.currentTxnStartOffset() < 0 ? OptionalLong.empty() : OptionalLong.of(each.currentTxnStartOffset()))));
    }
}
