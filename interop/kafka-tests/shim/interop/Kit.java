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
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;

import kafka.server.BrokerServer;
import kafka.server.ControllerServer;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.test.TestKitNode;
import org.apache.kafka.common.test.TestKitNodes;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.Type;
import org.apache.kafka.server.common.MetadataVersion;

/** The nodes of a test that makes its cluster by Kafka's {@code KafkaClusterTestKit}. */
public final class Kit {
    private final TestKitNodes nodes;
    private final Cluster cluster;
    private final Map<Integer, BrokerServer> brokers = new TreeMap<>();
    private final Map<Integer, ControllerServer> controllers = new TreeMap<>();

    /**
     * Nodes that are neither formatted nor started.
     *
     * @param nodes      their ids, directories and listeners
     * @param properties what the test sets for each
     * @param standalone whether the first controller is the only voter at first
     * @param voters     the voters at first, with the ids of their directories
     */
    public Kit(TestKitNodes nodes, Map<String, Object> properties, boolean standalone, Optional<Map<Integer, Uuid>> voters) {
        this.nodes = nodes;
        Map<String, String> all = new HashMap<>();
        properties.forEach((key, value) -> all.put(key, Harness.string(value)));
        Map<Integer, Map<String, String>> own = new HashMap<>();
        Map<Integer, List<String>> dirs = new HashMap<>();
        for (TestKitNode node : all()) {
            own.put(node.id(), node.propertyOverrides());
            dirs.merge(node.id(), List.copyOf(node.logDataDirectories()), (before, more) -> more);
        }
        ClusterConfig config = config(all, own, standalone || voters.isPresent());
        Wanted.ofProperties(all);
        own.values().forEach(Wanted::ofProperties);
        Wanted.several(Math.max(nodes.brokerNodes().size(), 1));
        if (nodes.brokerListenerProtocol() == SecurityProtocol.SASL_PLAINTEXT) {
            Logins.write();
        }
        cluster = Cluster.of(config, combined(), new Cluster.Given(nodes.clusterId(), dirs, voters.orElse(first(standalone))));
        cluster.brokers().forEach(node -> brokers.put(node.id(), Faces.broker(cluster, node)));
        cluster.controllers().forEach(node -> controllers.put(node.id(), Faces.controller(cluster, node)));
    }

    private boolean combined() {
        return nodes.controllerNodes().keySet().stream().anyMatch(nodes::isCombined);
    }

    private ClusterConfig config(Map<String, String> all, Map<Integer, Map<String, String>> own, boolean dynamic) {
        return ClusterConfig.defaultBuilder().setTypes(Set.of(Type.KRAFT))
            .setBrokers(nodes.brokerNodes().size()).setControllers(nodes.controllerNodes().size())
            .setBrokerListenerName(nodes.brokerListenerName()).setBrokerSecurityProtocol(nodes.brokerListenerProtocol())
            .setControllerListenerName(nodes.controllerListenerName())
            .setControllerSecurityProtocol(nodes.controllerListenerProtocol())
            .setServerProperties(all).setPerServerProperties(own).setStandalone(dynamic)
            .setMetadataVersion(version()).build();
    }

    /** The metadata version that the directories are formatted with. A test that formats nothing may name one that is too old. */
    private MetadataVersion version() {
        try {
            return nodes.bootstrapMetadata().metadataVersion();
        } catch (IllegalArgumentException e) {
            return MetadataVersion.latestProduction();
        }
    }

    private Map<Integer, Uuid> first(boolean standalone) {
        if (!standalone) {
            return Map.of();
        }
        TestKitNode node = nodes.controllerNodes().get(nodes.controllerNodes().firstKey());
        return Map.of(node.id(), node.metadataDirectoryId());
    }

    private Collection<TestKitNode> all() {
        List<TestKitNode> all = new ArrayList<>(nodes.brokerNodes().values());
        all.addAll(nodes.controllerNodes().values());
        return all;
    }

    /** Formats the directories, which then have the ids that the kit chose for them. */
    public void format() {
        cluster.format();
        for (TestKitNode node : all()) {
            node.initialMetaPropertiesEnsemble().logDirProps().forEach((dir, properties) ->
                properties.directoryId().ifPresent(id -> identify(Path.of(dir, "meta.properties"), id)));
        }
    }

    private static void identify(Path file, Uuid id) {
        try {
            String text = Files.readString(file);
            Files.writeString(file, text.replaceAll("(?m)^directory\\.id=.*$", "directory.id=" + id));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Starts the nodes. A cluster may stand for several tests. */
    public void start() {
        cluster.start();
        Wanted.standing(Math.max(brokers.size(), 1));
    }

    public Map<Integer, BrokerServer> brokers() {
        return brokers;
    }

    public Map<Integer, ControllerServer> controllers() {
        return controllers;
    }

    public String brokerAddresses() {
        return addresses(cluster.brokers(), nodes.brokerListenerName().value());
    }

    public String controllerAddresses() {
        return addresses(cluster.controllers(), nodes.controllerListenerName().value());
    }

    private static String addresses(Collection<Node> some, String listener) {
        return some.stream().map(node -> "localhost:" + node.port(listener)).collect(Collectors.joining(","));
    }

    /** Stops the nodes and removes their directories, and the kit's own if it is to go. */
    public void remove(Optional<Path> base) {
        Wanted.standing(0);
        cluster.remove();
        base.ifPresent(Node::remove);
    }
}
