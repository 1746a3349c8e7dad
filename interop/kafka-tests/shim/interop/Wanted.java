package interop;

import java.util.Map;
import java.util.Set;

import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.Type;
import org.opentest4j.TestAbortedException;

/**
 * What a test wants of its cluster, and what nodes in other processes cannot give. Of a test that runs both with the
 * controllers inside of brokers and apart, a single node is played combined, and several nodes apart, so that a broker can
 * be stopped without its controller. With the system property {@code interop.one} a test that asks for several brokers is
 * tried with one.
 */
public final class Wanted {
    /** Properties whose value is a Java class that runs inside of Kafka's broker. */
    private static final Set<String> PLUGINS = Set.of("authorizer.class.name", "alter.config.policy.class.name",
        "create.topic.policy.class.name", "client.quota.callback.class", "metric.reporters", "replica.selector.class",
        "principal.builder.class", "remote.log.storage.manager.class.name", "kafka.metrics.reporters",
        "remote.log.metadata.manager.class.name", "group.consumer.assignors", "group.share.assignors", "socket.factory");

    /** Those of these classes that Thalweg has too. */
    private static final Set<String> BUILT = Set.of("org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "org.apache.kafka.common.replica.RackAwareReplicaSelector");

    /** A run that differs from another one only in where the controller is. It is not counted. */
    static final String TWIN = "the same as the combined node";

    private static int nodes;

    /** How many brokers the cluster was asked for that stands for a whole class. */
    private static int standing;

    private Wanted() {
    }

    /** Skips what cannot be given. */
    public static void ofCluster(ClusterConfig config, boolean combined) {
        boolean alone = isOne() || config.numBrokers() <= 1 && config.numControllers() <= 1;
        Type preferred = alone ? Type.CO_KRAFT : Type.KRAFT;
        Type played = combined ? Type.CO_KRAFT : Type.KRAFT;
        if (played != preferred && config.clusterTypes().contains(preferred)) {
            throw new TestAbortedException(TWIN);
        }
        several(Math.max(config.numBrokers(), 1));
        ofProperties(config.serverProperties());
        config.perServerOverrideProperties().values().forEach(Wanted::ofProperties);
    }

    /** Whether a test that asks for several brokers is tried with one. */
    public static boolean isOne() {
        return Boolean.getBoolean("interop.one");
    }

    /** Skips properties that cannot be given. */
    public static void ofProperties(Map<?, ?> properties) {
        properties.forEach((key, value) -> {
            if (PLUGINS.contains(key.toString()) && value != null && value.toString().contains(".")
                && !BUILT.contains(value.toString())) {
                throw new TestAbortedException("a Java class inside of the broker: " + key);
            }
        });
    }

    /** Remembers how many brokers the test asks for. */
    public static void several(int brokers) {
        nodes = Math.max(nodes, brokers);
    }

    /** Skips listeners that encrypt or authenticate. */
    public static void ofListeners(Map<String, String> properties) {
        if (properties.getOrDefault("listener.security.protocol.map", "").contains(":S")) {
            throw new TestAbortedException("TLS and SASL in Kafka Streams' tests");
        }
    }

    /** A cluster stands from now on for every test of a class, and was asked for so many brokers; 0 if it is gone. */
    public static void standing(int brokers) {
        standing = brokers;
    }

    /** How many brokers the test that has just ended had asked for. */
    static int takeNodes() {
        int taken = Math.max(nodes, standing);
        nodes = 0;
        return taken;
    }
}
