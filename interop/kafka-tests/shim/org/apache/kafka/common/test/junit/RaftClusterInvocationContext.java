package org.apache.kafka.common.test.junit;

import interop.Cluster;
import interop.Faces;
import interop.Logins;
import interop.Node;
import interop.Wanted;

import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;

import kafka.server.ControllerServer;
import kafka.server.KafkaBroker;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.test.ClusterInstance;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.Type;
import org.apache.kafka.server.fault.FaultHandlerException;
import org.junit.jupiter.api.extension.AfterTestExecutionCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.Extension;
import org.junit.jupiter.api.extension.TestTemplateInvocationContext;

/**
 * Takes the place of Kafka's class of this name, which its {@code ClusterTestExtensions} makes for each run of a test: the
 * cluster's nodes are processes of their own. A test that runs both combined and apart runs once.
 */
public class RaftClusterInvocationContext implements TestTemplateInvocationContext {
    private static final long WAIT_SECONDS = 30;

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
        Processes cluster = new Processes();
        BeforeEachCallback before = context -> {
            Wanted.ofCluster(config, combined);
            cluster.format();
            if (config.isAutoStart()) {
                try {
                    cluster.start();
                } catch (RuntimeException e) {
                    // JUnit asks for no end of what has not begun.
                    cluster.stop();
                    throw e;
                }
            }
        };
        AfterTestExecutionCallback after = context -> cluster.stop();
        return List.of(before, after, new ClusterInstanceParameterResolver(cluster));
    }

    /** A cluster of processes. */
    private final class Processes implements ClusterInstance {
        private Cluster cluster;
        private final Map<Integer, KafkaBroker> brokers = new TreeMap<>();
        private final Map<Integer, ControllerServer> controllers = new TreeMap<>();
        private boolean started;
        private boolean stopped;

        void format() {
            if (cluster != null) {
                return;
            }
            if (config.brokerSecurityProtocol() == SecurityProtocol.SASL_PLAINTEXT) {
                Logins.write();
            }
            cluster = Cluster.formatted(config, combined);
            cluster.brokers().forEach(node -> brokers.put(node.id(), Faces.broker(cluster, node)));
            cluster.controllers().forEach(node -> controllers.put(node.id(), Faces.controller(cluster, node)));
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
            return new TreeMap<>(brokers);
        }

        @Override
        public Map<Integer, ControllerServer> controllers() {
            return Collections.unmodifiableMap(controllers);
        }

        @Override
        public Set<Integer> controllerIds() {
            return controllers.keySet();
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
            return addresses(cluster.brokers(), clientListener());
        }

        @Override
        public String bootstrapControllers() {
            return addresses(cluster.controllers(), controllerListenerName());
        }

        private static String addresses(Collection<Node> nodes, ListenerName listener) {
            return nodes.stream().map(node -> "localhost:" + node.port(listener.value())).collect(Collectors.joining(","));
        }

        @Override
        public String clusterId() {
            return cluster.clusterId();
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
                cluster.start();
            }
        }

        @Override
        public boolean started() {
            return started;
        }

        @Override
        public void stop() {
            stopped = true;
            if (cluster != null) {
                cluster.remove();
            }
        }

        @Override
        public boolean stopped() {
            return stopped;
        }

        @Override
        public void shutdownBroker(int id) {
            cluster.node(id).stop();
        }

        @Override
        public void startBroker(int id) {
            cluster.node(id).start();
        }

        @Override
        public void waitForReadyBrokers() throws InterruptedException {
            for (KafkaBroker broker : aliveBrokers().values()) {
                await("a broker does not know all others",
                    () -> brokers.keySet().stream().allMatch(id -> broker.metadataCache().hasAliveBroker(id)));
            }
        }

        @Override
        public void createTopic(String topic, int partitions, short replicas, Map<String, String> props) throws InterruptedException {
            short given = (short) Math.min(replicas, brokers.size());
            try (Admin admin = admin()) {
                admin.createTopics(List.of(new NewTopic(topic, partitions, given).configs(props)));
                waitTopicCreation(topic, partitions);
            }
        }

        @Override
        public void waitTopicDeletion(String topic) throws InterruptedException {
            await("the topic " + topic + " is still there",
                () -> aliveBrokers().values().stream().noneMatch(broker -> broker.metadataCache().contains(topic)));
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
