package interop;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.stream.Collectors;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.DescribeQuorumResponseData;
import org.apache.kafka.common.message.DescribeQuorumResponseData.ReplicaState;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.TestKitDefaults;
import org.apache.kafka.raft.LeaderAndEpoch;
import org.apache.kafka.server.common.MetadataVersion;

/** The nodes of a test, each a process of its own. Ids, roles and settings are those that Kafka's own test kit gives. */
public final class Cluster {
    private final Path home;
    private final String clusterId;
    private final TreeMap<Integer, Node> nodes = new TreeMap<>();

    /**
     * What a test's own kit gives.
     *
     * @param clusterId the cluster's id
     * @param dirs      the directories of nodes
     * @param voters    controllers that are voters when they are formatted, with the ids of their directories
     */
    record Given(String clusterId, Map<Integer, List<String>> dirs, Map<Integer, Uuid> voters) {
        static Given nothing() {
            return new Given(Uuid.randomUuid().toString(), Map.of(), Map.of());
        }
    }

    /** A cluster without nodes. */
    public Cluster() {
        this(Given.nothing().clusterId());
    }

    private Cluster(String clusterId) {
        this.clusterId = clusterId;
        try {
            home = Files.createTempDirectory("kafka-tests-");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The nodes that a test's annotation asks for, formatted. */
    public static Cluster formatted(ClusterConfig config, boolean combined) {
        Cluster cluster = of(config, combined, Given.nothing());
        cluster.format();
        return cluster;
    }

    /** Nodes that are neither formatted nor started. */
    static Cluster of(ClusterConfig config, boolean combined, Given given) {
        Cluster cluster = new Cluster(given.clusterId());
        int brokers = Wanted.isOne() ? 1 : config.numBrokers();
        TreeMap<Integer, String> roles = new TreeMap<>();
        for (int at = 0; at < brokers; at++) {
            roles.put(TestKitDefaults.BROKER_ID_OFFSET + at, "broker");
        }
        int first = TestKitDefaults.BROKER_ID_OFFSET + (combined ? 0 : TestKitDefaults.CONTROLLER_ID_OFFSET);
        Map<Integer, Integer> controllers = new TreeMap<>();
        for (int at = 0; at < config.numControllers(); at++) {
            roles.merge(first + at, "controller", (before, more) -> before + "," + more);
            controllers.put(first + at, Node.freePort());
        }
        roles.forEach((id, role) -> cluster.add(id, role, config, brokers, controllers, given));
        Measures.register(cluster);
        return cluster;
    }

    /** Formats what is not formatted yet. */
    void format() {
        nodes.values().forEach(Node::format);
    }

    private void add(int id, String roles, ClusterConfig config, int brokers, Map<Integer, Integer> controllers, Given given) {
        Path place = place(id);
        Map<String, String> all = new HashMap<>(config.serverProperties());
        Map<String, Integer> ports = new TreeMap<>();
        all.put("process.roles", roles);
        all.put("node.id", Integer.toString(id));
        List.of("broker.id", "metadata.log.dir", "log.dir", "security.inter.broker.protocol").forEach(all::remove);
        int disks = roles.equals("controller") ? 1 : config.numDisksPerBroker();
        List<String> dirs = new ArrayList<>();
        for (int disk = 0; disk < disks; disk++) {
            dirs.add(place.resolve("data" + disk).toString());
        }
        all.put("log.dirs", String.join(",", given.dirs().getOrDefault(id, dirs)));
        listeners(all, ports, config, controllers.get(id));
        security(all, config);
        voters(all, config, controllers);
        topics(all, brokers);
        if (roles.contains("broker")) {
            all.remove("controller.quorum.auto.join.enable");
        }
        all.putAll(config.perServerOverrideProperties().getOrDefault(id, Map.of()));
        ownListeners(all, ports, config, id);
        all.putIfAbsent("log.cleaner.dedupe.buffer.size", "2097152");
        all.putIfAbsent("unstable.feature.versions.enable", "true");
        all.putIfAbsent("unstable.api.versions.enable", "true");
        Door door = null;
        if (roles.contains("broker")) {
            boolean open = config.brokerSecurityProtocol() == SecurityProtocol.PLAINTEXT && !all.containsKey("authorizer.class.name");
            door = open ? new Door(config.brokerListenerName().value(), false) : Door.added(all, ports);
        }
        Door.allowed(all);
        Measures.shown(all);
        put(new Node(place, clusterId, all, ports, door, formatting(config, id, controllers, given.voters())));
    }

    /** A directory for a node's properties and its log. */
    public Path place(int id) {
        try {
            return Files.createDirectories(home.resolve("node" + id));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Takes a node in. */
    public void put(Node node) {
        nodes.put(node.id(), node);
    }

    private static void listeners(
            Map<String, String> all, Map<String, Integer> ports, ClusterConfig config, Integer controllerPort) {
        String clients = config.brokerListenerName().value();
        String control = config.controllerListenerName().value();
        List<String> at = new ArrayList<>();
        if (all.get("process.roles").contains("broker")) {
            ports.put(clients, Node.freePort());
            at.add("%s://localhost:%d".formatted(clients, ports.get(clients)));
        }
        if (controllerPort != null) {
            ports.put(control, controllerPort);
            at.add("%s://localhost:%d".formatted(control, controllerPort));
        }
        all.put("listeners", String.join(",", at));
        all.put("advertised.listeners", String.join(",", at));
        all.putIfAbsent("listener.security.protocol.map", "%s:%s,%s:%s".formatted(
            clients, config.brokerSecurityProtocol(), control, config.controllerSecurityProtocol()));
        all.putIfAbsent("inter.broker.listener.name", clients);
        all.putIfAbsent("controller.listener.names", control);
    }

    /** Listeners that the test names itself; ports that it leaves open are chosen. */
    private static void ownListeners(Map<String, String> all, Map<String, Integer> ports, ClusterConfig config, int id) {
        Map<String, String> asked = new HashMap<>(config.serverProperties());
        asked.putAll(config.perServerOverrideProperties().getOrDefault(id, Map.of()));
        if (!asked.containsKey("listeners")) {
            return;
        }
        all.remove("advertised.listeners");
        ports.keySet().remove(config.brokerListenerName().value());
        for (String key : List.of("listeners", "advertised.listeners")) {
            if (asked.containsKey(key)) {
                all.put(key, Harness.given(asked.get(key), ports));
            }
        }
    }

    /** What Kafka's test kit sets for a node of which a listener asks for a login. */
    private static void security(Map<String, String> all, ClusterConfig config) {
        String roles = all.get("process.roles");
        boolean asks = roles.contains("broker") && config.brokerSecurityProtocol() == SecurityProtocol.SASL_PLAINTEXT
            || roles.contains("controller") && config.controllerSecurityProtocol() == SecurityProtocol.SASL_PLAINTEXT;
        if (!asks) {
            return;
        }
        all.putIfAbsent("sasl.enabled.mechanisms", "PLAIN");
        all.putIfAbsent("sasl.mechanism.inter.broker.protocol", "PLAIN");
        all.putIfAbsent("sasl.mechanism.controller.protocol", "PLAIN");
        all.putIfAbsent("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer");
        all.putIfAbsent("allow.everyone.if.no.acl.found", "false");
        all.putIfAbsent("super.users", "User:" + org.apache.kafka.common.test.JaasUtils.KAFKA_PLAIN_ADMIN);
    }

    private static void voters(Map<String, String> all, ClusterConfig config, Map<Integer, Integer> controllers) {
        all.keySet().removeIf(key -> key.matches("controller\\.quorum\\.(voters|bootstrap\\.servers)"));
        if (config.standalone()) {
            all.put("controller.quorum.bootstrap.servers",
                controllers.values().stream().map(port -> "localhost:" + port).collect(Collectors.joining(",")));
        } else {
            all.put("controller.quorum.voters", controllers.entrySet().stream()
                .map(each -> each.getKey() + "@localhost:" + each.getValue()).collect(Collectors.joining(",")));
        }
    }

    /** Internal topics have no more replicas than there are brokers, which Kafka's kit leaves to each test. */
    private static void topics(Map<String, String> all, int brokers) {
        for (String topic : List.of("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")) {
            cap(all, topic + ".replication.factor", 3, brokers);
        }
        cap(all, "transaction.state.log.min.isr", 2, brokers);
        cap(all, "share.coordinator.state.topic.min.isr", 2, brokers);
        all.computeIfPresent("default.replication.factor",
            (key, value) -> Integer.toString(Math.min(Integer.parseInt(value), Math.max(brokers, 1))));
    }

    private static void cap(Map<String, String> all, String key, int usual, int brokers) {
        int wanted = Integer.parseInt(all.getOrDefault(key, Integer.toString(usual)));
        all.put(key, Integer.toString(Math.min(wanted, Math.max(brokers, 1))));
    }

    private static List<String> formatting(
            ClusterConfig config, int id, Map<Integer, Integer> controllers, Map<Integer, Uuid> voters) {
        List<String> arguments = new ArrayList<>();
        if (config.standalone() && controllers.containsKey(id)) {
            int first = controllers.keySet().iterator().next();
            if (voters.containsKey(id)) {
                arguments.addAll(List.of("--initial-controllers", voters.entrySet().stream()
                    .map(each -> "%d@localhost:%d:%s".formatted(each.getKey(), controllers.get(each.getKey()), each.getValue()))
                    .collect(Collectors.joining(","))));
            } else {
                arguments.add(voters.isEmpty() && id == first ? "--standalone" : "--no-initial-controllers");
            }
        }
        Map<String, String> levels = new TreeMap<>();
        levels.put(MetadataVersion.FEATURE_NAME, Short.toString(config.metadataVersion().featureLevel()));
        config.features().forEach((feature, level) -> levels.put(feature.featureName(), Short.toString(level)));
        levels.forEach((name, level) -> arguments.addAll(List.of("--feature", name + "=" + level)));
        return arguments;
    }

    /** Starts all nodes, and waits for them. */
    public void start() {
        nodes.values().forEach(Node::launch);
        nodes.values().forEach(Node::awaitReady);
    }

    /** Stops the brokers, then the controllers, which brokers ask before they stop, and removes their directories. */
    public void remove() {
        stop(nodes.values().stream().filter(node -> !node.isController()).toList());
        stop(nodes.values());
        Node.remove(home);
    }

    private static void stop(Collection<Node> some) {
        some.forEach(Node::signal);
        some.forEach(Node::stop);
    }

    public String clusterId() {
        return clusterId;
    }

    Collection<Node> all() {
        return nodes.values();
    }

    public Node node(int id) {
        return Optional.ofNullable(nodes.get(id)).orElseThrow(() -> new IllegalArgumentException("Unknown brokerId " + id));
    }

    public Collection<Node> brokers() {
        return nodes.values().stream().filter(Node::isBroker).toList();
    }

    public Collection<Node> controllers() {
        return nodes.values().stream().filter(Node::isController).toList();
    }

    /** What a broker that runs says. */
    public View view() {
        return brokers().stream().filter(Node::isAlive).findFirst().orElseThrow(() -> Touched.skip("a cluster without brokers")).view();
    }

    /** How far a node is in the metadata log: the offset of the last record that it has. */
    long applied(int id) {
        return view().quorum().map(quorum -> states(quorum).getOrDefault(id, -1L)).orElse(-1L);
    }

    /** Where the committed part of the metadata log ends. */
    long committed() {
        return view().quorum().map(DescribeQuorumResponseData.PartitionData::highWatermark).orElse(0L);
    }

    /** The id of the active controller, or -1. */
    int active() {
        return view().quorum().map(DescribeQuorumResponseData.PartitionData::leaderId).orElse(-1);
    }

    /** The active controller, if there is one, and its epoch. */
    LeaderAndEpoch leaderAndEpoch() {
        return view().quorum().map(quorum -> new LeaderAndEpoch(
            quorum.leaderId() < 0 ? OptionalInt.empty() : OptionalInt.of(quorum.leaderId()), quorum.leaderEpoch()))
            .orElse(LeaderAndEpoch.UNKNOWN);
    }

    private static Map<Integer, Long> states(DescribeQuorumResponseData.PartitionData quorum) {
        Map<Integer, Long> states = new HashMap<>();
        for (List<ReplicaState> some : List.of(quorum.currentVoters(), quorum.observers())) {
            some.forEach(state -> states.put(state.replicaId(), state.logEndOffset() - 1));
        }
        return states;
    }
}
