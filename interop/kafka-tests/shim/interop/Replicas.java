package interop;

import java.nio.file.Path;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

import kafka.cluster.Partition;
import kafka.log.LogManager;
import kafka.server.ReplicaManager;

import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.message.MetadataResponseData.MetadataResponsePartition;
import org.apache.kafka.metadata.KRaftMetadataCache;
import org.apache.kafka.server.HostedPartition;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import scala.jdk.javaapi.CollectionConverters;

/** What a node has of partitions, as far as its Metadata response and the names of its directories say. */
final class Replicas {
    /** How often a node writes down its high watermarks. */
    static final String CHECKPOINT = "replica.high.watermark.checkpoint.interval.ms";
    static final long CHECKPOINT_MS = 2000;

    private Replicas() {
    }

    /** Says which partitions are on the node, and which of them it leads. */
    static ReplicaManager manager(Node node, KRaftMetadataCache cache) {
        return Faces.face(ReplicaManager.class, Map.of(
            "metadataCache", arguments -> cache,
            "checkpointHighWatermarks", arguments -> checkpointed(),
            "onlinePartition", arguments -> partition(node, (TopicPartition) arguments[0]),
            "getPartition", arguments -> hosted(node, (TopicPartition) arguments[0]).isEmpty() ? new HostedPartition.None<Partition>()
                : new HostedPartition.Online<>(partition(node, (TopicPartition) arguments[0]).get()),
            "logManager", arguments -> logs(node),
            "localLog", arguments -> hosted(node, (TopicPartition) arguments[0]),
            "localLogOrException", arguments -> hosted(node, (TopicPartition) arguments[0]).get(),
            "getPartitionOrError", arguments -> {
                throw Touched.skip("ReplicaManager.getPartitionOrError");
            }));
    }

    /** The node does so by itself, as often as {@link #CHECKPOINT} says. */
    private static Object checkpointed() {
        try {
            TimeUnit.MILLISECONDS.sleep(2 * CHECKPOINT_MS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return null;
    }

    private static scala.Option<UnifiedLog> hosted(Node node, TopicPartition asked) {
        return Logs.named(node, asked, asked.toString());
    }

    private static scala.Option<Partition> partition(Node node, TopicPartition asked) {
        if (!node.isAlive()) {
            return scala.Option.empty();
        }
        Optional<MetadataResponsePartition> found = node.view().topic(asked.topic()).stream()
            .flatMap(topic -> topic.partitions().stream())
            .filter(each -> each.partitionIndex() == asked.partition() && each.replicaNodes().contains(node.id()))
            .findFirst();
        if (found.isEmpty()) {
            return scala.Option.empty();
        }
        MetadataResponsePartition state = found.get();
        boolean leads = state.leaderId() == node.id();
        UnifiedLog log = Logs.log(node, asked);
        return scala.Option.apply(Faces.face(Partition.class, Map.of(
            "leaderReplicaIdOpt", arguments -> state.leaderId() < 0 ? scala.Option.empty() : scala.Option.apply(state.leaderId()),
            "isLeader", arguments -> leads,
            "inSyncReplicaIds", arguments -> CollectionConverters.asScala(new HashSet<Object>(state.isrNodes())).toSet(),
            "getLeaderEpoch", arguments -> state.leaderEpoch(),
            "log", arguments -> scala.Option.apply(log),
            "localLogOrException", arguments -> log,
            "leaderLogIfLocal", arguments -> leads ? scala.Option.apply(log) : scala.Option.empty())));
    }

    /** Says which directories of partitions there are. */
    static LogManager logs(Node node) {
        return Faces.face(LogManager.class, Map.of(
            "liveLogDirs", arguments -> CollectionConverters.asScala(node.logDirs().stream().map(Path::toFile).toList()).toSeq(),
            "isLogDirOnline", arguments -> node.view().onlineDirs().contains((String) arguments[0]),
            "getLog", arguments -> {
                TopicPartition asked = (TopicPartition) arguments[0];
                return Logs.named(node, asked, asked + ((Boolean) arguments[1] ? "-future" : ""));
            }));
    }
}
