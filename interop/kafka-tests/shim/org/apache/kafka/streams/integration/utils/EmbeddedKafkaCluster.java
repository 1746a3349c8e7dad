package org.apache.kafka.streams.integration.utils;

import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.TestKitDefaults;
import org.apache.kafka.common.test.api.Type;
import org.apache.kafka.server.util.MockTime;
import org.apache.kafka.test.TestUtils;

import interop.Cluster;
import interop.Wanted;

/**
 * The cluster of Kafka Streams' integration tests and of the tests of its tools: one node in a process of its own, however many
 * brokers a test asks for. It stands before Kafka's class of that name in the class path.
 */
public class EmbeddedKafkaCluster {
    /** What the tests stamp records with; the node's own clock is the machine's. */
    public final MockTime time;

    private final int brokers;
    private final Cluster cluster;

    public EmbeddedKafkaCluster(int brokers) {
        this(brokers, new Properties());
    }

    public EmbeddedKafkaCluster(int brokers, Properties properties) {
        this(brokers, properties, System.currentTimeMillis());
    }

    public EmbeddedKafkaCluster(int brokers, Properties properties, long startMs) {
        this(brokers, properties, Map.of(), startMs, System.nanoTime());
    }

    public EmbeddedKafkaCluster(int brokers, Properties properties, Map<Integer, Map<String, String>> each) {
        this(brokers, properties, each, System.currentTimeMillis(), System.nanoTime());
    }

    public EmbeddedKafkaCluster(
            int brokers, Properties properties, Map<Integer, Map<String, String>> each, long startMs, long startNs) {
        this.brokers = brokers;
        this.time = new MockTime(startMs, startNs);
        Map<String, String> wanted = new TreeMap<>(DEFAULTS);
        properties.forEach((key, value) -> wanted.put(key.toString(), value.toString()));
        wanted.putAll(each.getOrDefault(TestKitDefaults.BROKER_ID_OFFSET, Map.of()));
        Wanted.ofProperties(wanted);
        Wanted.ofListeners(wanted);
        Wanted.several(brokers);
        cluster = Cluster.formatted(
            ClusterConfig.defaultBuilder().setTypes(Set.of(Type.CO_KRAFT)).setBrokers(1).setServerProperties(wanted).build(), true);
    }

    /** What Kafka's class sets unless a test says otherwise. */
    private static final Map<String, String> DEFAULTS = Map.of(
        "auto.create.topics.enable", "true",
        "delete.topic.enable", "true",
        "group.initial.rebalance.delay.ms", "0",
        "group.min.session.timeout.ms", "0",
        "group.streams.min.heartbeat.interval.ms", "100",
        "group.streams.min.session.timeout.ms", "100",
        "offsets.topic.num.partitions", "5",
        "transaction.state.log.num.partitions", "5");

    public void start() {
        cluster.start();
        Wanted.standing(brokers);
    }

    public void stop() {
        Wanted.standing(0);
        cluster.remove();
    }

    public String bootstrapServers() {
        int port = cluster.node(TestKitDefaults.BROKER_ID_OFFSET).port(TestKitDefaults.DEFAULT_BROKER_LISTENER_NAME);
        return "localhost:" + port;
    }

    public boolean sslEnabled() {
        return false;
    }

    public Admin createAdminClient() {
        return Admin.create(new HashMap<String, Object>(clientDefaultConfig()));
    }

    public Map<String, String> clientDefaultConfig() {
        return new HashMap<>(Map.of("bootstrap.servers", bootstrapServers()));
    }

    public void createTopics(String... topics) throws InterruptedException {
        for (String topic : topics) {
            createTopic(topic);
        }
    }

    public void createTopic(String topic) {
        createTopic(topic, 1);
    }

    public void createTopic(String topic, int partitions) {
        createTopic(topic, partitions, 1, Map.of());
    }

    public void createTopic(String topic, int partitions, int replicas) throws InterruptedException {
        createTopic(topic, partitions, replicas, Map.of());
    }

    /** One replica, however many a test asks for. */
    public void createTopic(String topic, int partitions, int replicas, Map<String, String> config) {
        NewTopic wanted = new NewTopic(topic, partitions, (short) Math.min(replicas, 1)).configs(config);
        with(admin -> admin.createTopics(List.of(wanted)).all().get(), TopicExistsException.class);
        try {
            TestUtils.waitForCondition(() -> getAllTopicsInCluster().contains(topic), "the topic " + topic + " is not there");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    public void deleteTopic(String topic) {
        deleteTopics(topic);
    }

    public void deleteTopics(String... topics) {
        for (String topic : topics) {
            delete(List.of(topic));
        }
    }

    /** All but the internal ones. */
    public void deleteAllTopics() {
        delete(with(admin -> admin.listTopics().names().get(), null));
    }

    private void delete(Collection<String> topics) {
        with(admin -> admin.deleteTopics(topics).all().get(), UnknownTopicOrPartitionException.class);
    }

    public void waitForRemainingTopics(long timeoutMs, String... topics) throws InterruptedException {
        Set<String> expected = Set.of(topics);
        TestUtils.waitForCondition(() -> getAllTopicsInCluster().equals(expected), timeoutMs,
            () -> "other topics than " + expected + " after " + timeoutMs + " ms");
    }

    public Set<String> getAllTopicsInCluster() {
        return with(admin -> admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get(), null);
    }

    /** The properties that the topic itself has. */
    public Properties getLogConfig(String topic) {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Properties own = new Properties();
        for (ConfigEntry entry : with(admin -> admin.describeConfigs(Set.of(resource)).all().get().get(resource), null).entries()) {
            if (entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG) {
                own.put(entry.name(), entry.value());
            }
        }
        return own;
    }

    public void setGroupSessionTimeout(String group, int ms) {
        setGroup(group, "streams.session.timeout.ms", ms);
    }

    public void setGroupHeartbeatTimeout(String group, int ms) {
        setGroup(group, "streams.heartbeat.interval.ms", ms);
    }

    public void setGroupStandbyReplicas(String group, int replicas) {
        setGroup(group, "streams.num.standby.replicas", replicas);
    }

    public void setGroupStreamsInitialRebalanceDelay(String group, int ms) {
        setGroup(group, "streams.initial.rebalance.delay.ms", ms);
    }

    private void setGroup(String group, String name, int value) {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        AlterConfigOp set = new AlterConfigOp(new ConfigEntry(name, Integer.toString(value)), AlterConfigOp.OpType.SET);
        with(admin -> admin.incrementalAlterConfigs(Map.of(resource, List.of(set))).all().get(), null);
    }

    public KafkaConsumer<byte[], byte[]> createConsumer(Map<String, Object> properties) {
        Map<String, Object> all = new HashMap<>(clientDefaultConfig());
        all.putAll(properties);
        all.putIfAbsent(ConsumerConfig.GROUP_ID_CONFIG, "consumer-" + System.nanoTime());
        all.putIfAbsent(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
        all.putIfAbsent(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        all.putIfAbsent(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());
        all.putIfAbsent(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());
        return new KafkaConsumer<>(all);
    }

    public KafkaConsumer<byte[], byte[]> createConsumerAndSubscribeTo(Map<String, Object> properties, String... topics) {
        KafkaConsumer<byte[], byte[]> consumer = createConsumer(properties);
        consumer.subscribe(Arrays.asList(topics));
        return consumer;
    }

    private interface Call<T> {
        T on(Admin admin) throws ExecutionException, InterruptedException;
    }

    /** Calls an admin client; an error of the type {@code fine} is none. */
    private <T> T with(Call<T> call, Class<? extends Exception> fine) {
        try (Admin admin = createAdminClient()) {
            return call.on(admin);
        } catch (ExecutionException e) {
            if (fine != null && fine.isInstance(e.getCause())) {
                return null;
            }
            throw new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }
}
