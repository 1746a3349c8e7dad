package interop;

import java.io.IOException;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Collectors;

import kafka.log.LogManager;
import kafka.network.SocketServer;
import kafka.raft.KafkaRaftManager;
import kafka.server.BrokerServer;
import kafka.server.ControllerServer;
import kafka.server.KafkaApis;
import kafka.server.KafkaConfig;
import kafka.server.SharedServer;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.message.MetadataResponseData.MetadataResponseBroker;
import org.apache.kafka.common.message.MetadataResponseData.MetadataResponseTopic;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.controller.Controller;
import org.apache.kafka.controller.QuorumController;
import org.apache.kafka.controller.ResultOrError;
import org.apache.kafka.coordinator.group.GroupCoordinator;
import org.apache.kafka.image.loader.MetadataLoader;
import org.apache.kafka.metadata.BrokerState;
import org.apache.kafka.metadata.KRaftMetadataCache;
import org.apache.kafka.metadata.LeaderAndIsr;
import org.apache.kafka.metadata.LeaderRecoveryState;
import org.apache.kafka.raft.KafkaRaftClient;
import org.apache.kafka.raft.RaftLog;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.mockito.Mockito;
import org.mockito.stubbing.Answer;

/**
 * What Kafka's tests hold instead of a broker and a controller inside of their own machine: objects of the same classes
 * that answer, from the node's public protocol, the few questions which nearly every test asks (ports, configuration,
 * whether a topic has arrived). Any other question ends the test as skipped, with the question as the reason.
 */
public final class Faces {
    private Faces() {
    }

    /** The broker of a node. */
    public static BrokerServer broker(Cluster cluster, Node node) {
        SocketServer sockets = sockets(node);
        KRaftMetadataCache cache = cache(cluster, node);
        KafkaApis apis = face(KafkaApis.class, Map.of(
            "isConsumerGroupProtocolEnabled", arguments -> true,
            "metadataCache", arguments -> cache,
            "quotas", arguments -> Quotas.managers(node),
            "brokerId", arguments -> node.id(),
            "authorizerPlugin", arguments -> Rights.authorizer(cluster, node)));
        MetadataLoader loader = face(MetadataLoader.class, Map.of(
            "lastAppliedOffset", arguments -> cluster.brokers().size() == 1 ? Long.MAX_VALUE
                : Measures.applied(node).orElseGet(() -> cluster.applied(node.id()))));
        KafkaRaftManager<?> raft = raft(cluster, node);
        SharedServer shared = face(SharedServer.class, Map.of(
            "loader", arguments -> loader,
            "raftManager", arguments -> raft));
        LogManager logs = Replicas.logs(node);
        Map<String, Function<Object[], Object>> known = new HashMap<>();
        known.put("config", arguments -> config(node));
        known.put("socketServer", arguments -> sockets);
        known.put("metadataCache", arguments -> cache);
        known.put("dataPlaneRequestProcessor", arguments -> apis);
        known.put("sharedServer", arguments -> shared);
        known.put("clusterId", arguments -> node.clusterId());
        known.put("brokerState", arguments -> node.isAlive() ? BrokerState.RUNNING
            : node.hasEnded() ? BrokerState.SHUTTING_DOWN : BrokerState.NOT_RUNNING);
        known.put("logDirFailureChannel", arguments -> face(LogDirFailureChannel.class, Map.of(
            "hasOfflineLogDir", asked -> !node.view().onlineDirs().contains((String) asked[0]))));
        known.put("isShutdown", arguments -> !node.isAlive());
        known.put("authorizerPlugin", arguments -> Rights.authorizer(cluster, node));
        known.put("credentialProvider", arguments -> Rights.credentials(cluster));
        known.put("tokenCache", arguments -> Rights.tokens(cluster));
        known.put("boundPort", arguments -> node.port(((ListenerName) arguments[0]).value()));
        known.put("startup", arguments -> run(node::start));
        known.put("shutdown", arguments -> run(node::stop));
        known.put("awaitShutdown", arguments -> null);
        known.put("replicaManager", arguments -> Replicas.manager(node, cache));
        known.put("logManager", arguments -> logs);
        known.put("groupCoordinator", arguments -> groups());
        known.put("metrics", arguments -> Measures.of(node));
        known.put("quotaManagers", arguments -> Quotas.managers(node));
        return face(BrokerServer.class, known);
    }

    /** The controller of a node. */
    public static ControllerServer controller(Cluster cluster, Node node) {
        KafkaConfig config = config(node);
        SocketServer sockets = sockets(node);
        KafkaRaftManager<?> raft = raft(cluster, node);
        SharedServer shared = face(SharedServer.class, Map.of(
            "raftManager", arguments -> raft,
            "controllerConfig", arguments -> config));
        Controller controller = face(QuorumController.class, Map.of(
            "nodeId", arguments -> node.id(),
            "isActive", arguments -> node.isAlive() && cluster.active() == node.id(),
            "waitForReadyBrokers", arguments -> CompletableFuture.supplyAsync(() -> awaitBrokers(cluster, (Integer) arguments[0])),
            "findAllTopicIds", arguments -> CompletableFuture.completedFuture(ids(cluster.view())),
            "findTopicIds", arguments -> CompletableFuture.completedFuture(found(cluster.view(), (Iterable<?>) arguments[1]))));
        Map<String, Function<Object[], Object>> known = new HashMap<>();
        known.put("config", arguments -> config);
        known.put("socketServer", arguments -> sockets);
        known.put("clusterId", arguments -> node.clusterId());
        known.put("raftManager", arguments -> raft);
        known.put("sharedServer", arguments -> shared);
        known.put("controller", arguments -> controller);
        known.put("authorizerPlugin", arguments -> Rights.authorizer(cluster, node));
        // A controller describes no quotas: a broker does, which reads the same metadata.
        known.put("quotaManagers", arguments -> Quotas.managers(cluster.brokers().iterator().next()));
        known.put("startup", arguments -> run(node::start));
        known.put("awaitShutdown", arguments -> null);
        known.put("shutdown", arguments -> run(node::stop));
        return face(ControllerServer.class, known);
    }

    /** The node's part in the quorum. Its shutdown is that of the node. */
    private static KafkaRaftManager<?> raft(Cluster cluster, Node node) {
        RaftLog log = face(RaftLog.class, Map.of("endOffset", arguments ->
            new org.apache.kafka.raft.LogOffsetMetadata(cluster.brokers().size() == 1 ? 0 : cluster.committed())));
        KafkaRaftClient<?> client = face(KafkaRaftClient.class, Map.of("leaderAndEpoch", arguments -> cluster.leaderAndEpoch()));
        return face(KafkaRaftManager.class, Map.of(
            "raftLog", arguments -> log,
            "client", arguments -> client,
            "shutdown", arguments -> run(node::stop)));
    }

    private static Void awaitBrokers(Cluster cluster, int wanted) {
        try {
            while (cluster.view().registrations().values().stream().filter(each -> !each).count() < wanted) {
                TimeUnit.MILLISECONDS.sleep(20);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return null;
    }

    private static Map<String, Uuid> ids(View view) {
        return view.topics().stream().collect(Collectors.toMap(MetadataResponseTopic::name, MetadataResponseTopic::topicId));
    }

    private static Map<String, ResultOrError<Uuid>> found(View view, Iterable<?> names) {
        Map<String, Uuid> ids = ids(view);
        Map<String, ResultOrError<Uuid>> found = new HashMap<>();
        names.forEach(name -> found.put((String) name, new ResultOrError<>(ids.get(name))));
        return found;
    }

    /** The properties of the file, and over them what was set while the node runs. */
    private static KafkaConfig config(Node node) {
        Map<String, String> all = new HashMap<>(node.properties());
        if (node.isAlive() && node.isBroker()) {
            all.putAll(node.view().dynamicConfigs());
        }
        return new KafkaConfig(all, false);
    }

    private static SocketServer sockets(Node node) {
        return face(SocketServer.class, Map.of(
            "config", arguments -> config(node),
            "connectionCount", arguments -> Measures.connections(node),
            "connectionQuotas", arguments -> Quotas.connections(node),
            "boundPort", arguments -> node.port(((ListenerName) arguments[0]).value())));
    }

    /** What tests make the topic of group offsets with. */
    private static GroupCoordinator groups() {
        Properties configs = new Properties();
        configs.put("cleanup.policy", "compact");
        configs.put("compression.type", "producer");
        configs.put("segment.bytes", "104857600");
        return face(GroupCoordinator.class, Map.of("groupMetadataTopicConfigs", arguments -> configs));
    }

    private static KRaftMetadataCache cache(Cluster cluster, Node node) {
        Map<String, Function<Object[], Object>> known = new HashMap<>();
        known.put("numPartitions", arguments -> seen(cluster, node).topic((String) arguments[0]).map(topic -> topic.partitions().size()));
        known.put("getTopicId", arguments ->
            seen(cluster, node).topic((String) arguments[0]).map(MetadataResponseTopic::topicId).orElse(Uuid.ZERO_UUID));
        known.put("getTopicName", arguments -> seen(cluster, node).topics().stream()
            .filter(topic -> topic.topicId().equals(arguments[0])).map(MetadataResponseTopic::name).findFirst());
        known.put("getAllTopics", arguments -> ids(seen(cluster, node)).keySet());
        known.put("topicNamesToIds", arguments -> ids(seen(cluster, node)));
        known.put("topicIdsToNames", arguments -> seen(cluster, node).topics().stream()
            .collect(Collectors.toMap(MetadataResponseTopic::topicId, MetadataResponseTopic::name)));
        known.put("hasAliveBroker", arguments -> alive(node).stream().anyMatch(broker -> arguments[0].equals(broker.nodeId())));
        known.put("getAliveBrokerNodes", arguments -> alive(node).stream()
            .map(broker -> new org.apache.kafka.common.Node(broker.nodeId(), broker.host(), broker.port(), broker.rack())).toList());
        known.put("getAliveBrokerNode", arguments -> alive(node).stream().filter(broker -> arguments[0].equals(broker.nodeId()))
            .map(broker -> new org.apache.kafka.common.Node(broker.nodeId(), broker.host(),
                cluster.node(broker.nodeId()).port(((ListenerName) arguments[1]).value()), broker.rack())).findFirst());
        known.put("contains", arguments -> arguments[0] instanceof TopicPartition partition
            ? leader(seen(cluster, node), partition.topic(), partition.partition()).isPresent()
            : seen(cluster, node).topic((String) arguments[0]).isPresent());
        known.put("getPartitionLeaderEndpoint", arguments -> leader(seen(cluster, node), (String) arguments[0], (Integer) arguments[1])
            .filter(state -> state.leader() >= 0)
            .map(state -> new org.apache.kafka.common.Node(state.leader(), "localhost",
                cluster.node(state.leader()).port(((ListenerName) arguments[2]).value()))));
        known.put("getPartitionReplicaEndpoints", arguments -> {
            TopicPartition asked = (TopicPartition) arguments[0];
            String listener = ((ListenerName) arguments[1]).value();
            return endpoints(cluster, node, asked, listener);
        });
        known.put("getTopicMetadata", arguments -> seen(cluster, node).topics().stream()
            .filter(topic -> ((Collection<?>) arguments[0]).contains(topic.name())).toList());
        known.put("topicConfig", arguments -> {
            Properties configs = new Properties();
            configs.putAll(seen(cluster, node).topicConfigs((String) arguments[0]));
            return configs;
        });
        known.put("getLeaderAndIsr", arguments -> leader(seen(cluster, node), (String) arguments[0], (Integer) arguments[1]));
        known.put("currentImage", arguments -> Images.of(seen(cluster, node)));
        return face(KRaftMetadataCache.class, known);
    }

    private static Collection<MetadataResponseBroker> alive(Node node) {
        try {
            return node.isAlive() ? node.view().brokers() : List.of();
        } catch (IOException e) {
            return List.of();
        }
    }

    /** What a broker knows; of one that does not run, what the others know. */
    private static View seen(Cluster cluster, Node node) {
        return node.isAlive() ? node.view() : cluster.view();
    }

    private static Optional<LeaderAndIsr> leader(View view, String name, int partition) {
        return view.topic(name).stream()
            .flatMap(topic -> topic.partitions().stream())
            .filter(each -> each.partitionIndex() == partition)
            .map(each -> new LeaderAndIsr(each.leaderId(), each.leaderEpoch(), each.isrNodes(), LeaderRecoveryState.RECOVERED, 0))
            .findFirst();
    }

    /** Where the replicas of a partition are that run. */
    private static Map<Integer, org.apache.kafka.common.Node> endpoints(Cluster cluster, Node node, TopicPartition asked,
            String listener) {
        Map<Integer, String> racks = new HashMap<>();
        alive(node).forEach(broker -> racks.put(broker.nodeId(), broker.rack()));
        Map<Integer, org.apache.kafka.common.Node> found = new HashMap<>();
        seen(cluster, node).topic(asked.topic()).stream().flatMap(topic -> topic.partitions().stream())
            .filter(each -> each.partitionIndex() == asked.partition())
            .flatMap(each -> each.replicaNodes().stream())
            .filter(racks::containsKey)
            .forEach(id -> found.put(id, new org.apache.kafka.common.Node(
                id, "localhost", cluster.node(id).port(listener), racks.get(id))));
        return found;
    }

    private static Object run(Runnable what) {
        what.run();
        return null;
    }

    /** An object of a class that answers what is known, by the names of its methods, and for the rest ends the test as skipped. */
    static <T> T face(Class<T> type, Map<String, Function<Object[], Object>> known) {
        Answer<Object> answer = call -> {
            String name = call.getMethod().getName();
            Function<Object[], Object> answered = known.get(name);
            if (answered != null) {
                return answered.apply(call.getArguments());
            }
            return switch (name) {
                case "toString" -> "the " + type.getSimpleName() + " of a node in another process";
                case "hashCode" -> System.identityHashCode(call.getMock());
                case "getLog$default$2" -> false;
                case "equals" -> call.getMock() == call.getArgument(0);
                default -> throw Touched.skip(type.getSimpleName() + "." + name);
            };
        };
        return Mockito.mock(type, Mockito.withSettings().defaultAnswer(answer).stubOnly());
    }
}
