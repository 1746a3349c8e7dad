package org.apache.kafka.common.test.junit;

import interop.Faces;
import interop.Node;
import interop.Wanted;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

import kafka.server.BrokerServer;
import kafka.server.ControllerServer;
import kafka.server.KafkaBroker;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.test.ClusterInstance;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.Type;
import org.apache.kafka.server.common.MetadataVersion;
import org.apache.kafka.server.fault.FaultHandlerException;
import org.junit.jupiter.api.extension.AfterTestExecutionCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.Extension;
import org.junit.jupiter.api.extension.TestTemplateInvocationContext;

/**
 * Takes the place of Kafka's class of this name, which its {@code ClusterTestExtensions} makes for each run of a test: the
 * cluster is one node in a process of its own. A test that runs both combined and apart runs once.
 */
public class RaftClusterInvocationContext implements TestTemplateInvocationContext {
    private static final long WAIT_SECONDS = 10;

    private final String name;
    private final ClusterConfig config;
    private final boolean combined;

    public RaftClusterInvocationContext(String name, ClusterConfig config, boolean combined) {
        this.name = name;
        this.config = config;
        this.combined = combined;
    }

    @Override
    public String getDisplayName(int index) {
        return "%s [%d] %s".formatted(name, index, String.join(",", config.displayTags()));
    }

    @Override
    public List<Extension> getAdditionalExtensions() {
        Cluster cluster = new Cluster();
        BeforeEachCallback before = context -> {
            Wanted.ofCluster(config, combined);
            cluster.format();
            if (config.isAutoStart()) {
                cluster.start();
            }
        };
        AfterTestExecutionCallback after = context -> cluster.stop();
        return List.of(before, after, new ClusterInstanceParameterResolver(cluster));
    }

    /** A cluster of one. */
    private final class Cluster implements ClusterInstance {
        private Node node;
        private BrokerServer broker;
        private ControllerServer controller;
        private boolean started;
        private boolean stopped;

        void format() {
            if (node != null) {
                return;
            }
            Map<String, String> wanted = new HashMap<>(config.serverProperties());
            wanted.putAll(config.perServerOverrideProperties().getOrDefault(Node.ID, Map.of()));
            Map<String, String> levels = new TreeMap<>();
            levels.put(MetadataVersion.FEATURE_NAME, Short.toString(config.metadataVersion().featureLevel()));
            config.features().forEach((feature, level) -> levels.put(feature.featureName(), Short.toString(level)));
            Node.Voters voters = config.standalone() ? Node.Voters.IN_LOG : Node.Voters.IN_PROPERTIES;
            node = Node.formatted(
                wanted, clientListener().value(), controllerListenerName().value(), config.numDisksPerBroker(), voters, levels);
            broker = Faces.broker(node);
            controller = Faces.controller(node);
        }

        @Override
        public Type type() {
            return combined ? Type.CO_KRAFT : Type.KRAFT;
        }

        @Override
        public ClusterConfig config() {
            return config;
        }

        @Override
        public Map<Integer, KafkaBroker> brokers() {
            return new HashMap<>(Map.of(Node.ID, broker));
        }

        @Override
        public Map<Integer, ControllerServer> controllers() {
            return Map.of(Node.ID, controller);
        }

        @Override
        public Set<Integer> controllerIds() {
            return Set.of(Node.ID);
        }

        @Override
        public ListenerName clientListener() {
            return config.brokerListenerName();
        }

        @Override
        public ListenerName controllerListenerName() {
            return config.controllerListenerName();
        }

        @Override
        public String bootstrapServers() {
            return "localhost:" + node.port(clientListener().value());
        }

        @Override
        public String bootstrapControllers() {
            return "localhost:" + node.port(controllerListenerName().value());
        }

        @Override
        public String clusterId() {
            return node.clusterId();
        }

        @Override
        public Optional<FaultHandlerException> firstFatalException() {
            return Optional.empty();
        }

        @Override
        public Optional<FaultHandlerException> firstNonFatalException() {
            return Optional.empty();
        }

        @Override
        public void start() {
            format();
            if (!started) {
                started = true;
                node.start();
            }
        }

        @Override
        public boolean started() {
            return started;
        }

        @Override
        public void stop() {
            stopped = true;
            if (node != null) {
                node.remove();
            }
        }

        @Override
        public boolean stopped() {
            return stopped;
        }

        @Override
        public void shutdownBroker(int id) {
            node.stop();
        }

        @Override
        public void startBroker(int id) {
            node.start();
        }

        @Override
        public void waitForReadyBrokers() {
            // A node that has started is ready.
        }

        @Override
        public void createTopic(String topic, int partitions, short replicas, Map<String, String> props) throws InterruptedException {
            try (Admin admin = admin()) {
                admin.createTopics(List.of(new NewTopic(topic, partitions, (short) Math.min(replicas, 1)).configs(props)));
                waitTopicCreation(topic, partitions);
            }
        }

        @Override
        public void waitTopicCreation(String topic, int partitions) throws InterruptedException {
            await("the topic " + topic + " is not there", () -> broker.metadataCache().numPartitions(topic).equals(Optional.of(partitions)));
        }

        @Override
        public void waitTopicDeletion(String topic) throws InterruptedException {
            await("the topic " + topic + " is still there", () -> !broker.metadataCache().contains(topic));
        }

        private void await(String otherwise, BooleanSupplier condition) throws InterruptedException {
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_SECONDS);
            while (!condition.getAsBoolean()) {
                if (System.nanoTime() > deadline) {
                    throw new AssertionError(otherwise + " after " + WAIT_SECONDS + " s");
                }
                TimeUnit.MILLISECONDS.sleep(20);
            }
        }
    }
}
