package interop;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

import kafka.cluster.Partition;
import kafka.log.LogManager;
import kafka.server.ReplicaManager;

import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.message.MetadataResponseData.MetadataResponsePartition;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import scala.jdk.javaapi.CollectionConverters;

/** What a node has of partitions, as far as its Metadata response and the names of its directories say. */
final class Replicas {
    private Replicas() {
    }

    /** Says which partitions are on the node, and which of them it leads. */
    static ReplicaManager manager(Node node) {
        return Faces.face(ReplicaManager.class, Map.of(
            "onlinePartition", arguments -> partition(node, (TopicPartition) arguments[0]),
            "logManager", arguments -> logs(node),
            "localLog", arguments -> hosted(node, (TopicPartition) arguments[0]),
            "localLogOrException", arguments -> hosted(node, (TopicPartition) arguments[0]).get(),
            "getPartitionOrError", arguments -> {
                throw Touched.skip("ReplicaManager.getPartitionOrError");
            }));
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
