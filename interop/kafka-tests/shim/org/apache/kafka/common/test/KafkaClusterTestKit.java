package org.apache.kafka.common.test;

import interop.Kit;

import java.io.File;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;

import kafka.raft.KafkaRaftManager;
import kafka.server.BrokerServer;
import kafka.server.ControllerServer;

import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.SaslConfigs;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.controller.Controller;
import org.apache.kafka.server.common.ApiMessageAndVersion;
import org.apache.kafka.test.TestUtils;

/**
 * Takes the place of Kafka's class of this name, by which tests make a cluster without an annotation (and Kafka Connect's
 * make theirs): its nodes are processes of their own.
 */
public final class KafkaClusterTestKit implements AutoCloseable {
    private static final long ELECTION_MS = 60_000;

    /** What a test asks for. */
    public static final class Builder {
        private final TestKitNodes nodes;
        private final Map<String, Object> properties = new HashMap<>();
        private boolean standalone;
        private Optional<Map<Integer, Uuid>> voters = Optional.empty();
        private boolean deletes = true;

        public Builder(TestKitNodes nodes) {
            this.nodes = nodes;
        }

        public Builder setConfigProp(String key, Object value) {
            properties.put(key, value);
            return this;
        }

        public Builder setStandalone(boolean changed) {
            standalone = changed;
            return this;
        }

        public Builder setInitialVoterSet(Map<Integer, Uuid> changed) {
            voters = Optional.of(changed);
            return this;
        }

        public Builder setDeleteOnClose(boolean changed) {
            deletes = changed;
            return this;
        }

        public KafkaClusterTestKit build() throws Exception {
            return new KafkaClusterTestKit(nodes, new Kit(nodes, properties, standalone, voters), deletes);
        }
    }

    private final TestKitNodes nodes;
    private final Kit kit;
    private final boolean deletes;
    private final MockFaultHandler fatal = new MockFaultHandler("fatalFaultHandler");
    private final MockFaultHandler other = new MockFaultHandler("nonFatalFaultHandler");

    private KafkaClusterTestKit(TestKitNodes nodes, Kit kit, boolean deletes) {
        this.nodes = nodes;
        this.kit = kit;
        this.deletes = deletes;
    }

    public void format() throws Exception {
        kit.format();
    }

    public void startup() throws ExecutionException, InterruptedException {
        kit.start();
    }

    public void waitForReadyBrokers() throws ExecutionException, InterruptedException {
        TestUtils.waitForCondition(() -> brokers().values().stream().map(BrokerServer::metadataCache)
            .allMatch(cache -> brokers().keySet().stream().allMatch(cache::hasAliveBroker)), "a broker does not know all others");
    }

    public Admin admin() {
        return admin(Map.of(), false);
    }

    public Admin admin(Map<String, Object> configs) {
        return admin(configs, false);
    }

    /** A client of the brokers or of the controllers, with a login where they ask for one. */
    public Admin admin(Map<String, Object> configs, boolean controllers) {
        Map<String, Object> all = new HashMap<>(configs);
        all.putIfAbsent(controllers ? AdminClientConfig.BOOTSTRAP_CONTROLLERS_CONFIG : AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG,
            controllers ? bootstrapControllers() : bootstrapServers());
        SecurityProtocol protocol = controllers ? nodes.controllerListenerProtocol() : nodes.brokerListenerProtocol();
        all.putIfAbsent(CommonClientConfigs.SECURITY_PROTOCOL_CONFIG, protocol.name);
        if (protocol == SecurityProtocol.SASL_PLAINTEXT) {
            all.putIfAbsent(SaslConfigs.SASL_MECHANISM, "PLAIN");
            all.putIfAbsent(SaslConfigs.SASL_JAAS_CONFIG,
                "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"%s\" password=\"%s\";".formatted(
                    JaasUtils.KAFKA_PLAIN_ADMIN, JaasUtils.KAFKA_PLAIN_ADMIN_PASSWORD));
        }
        return Admin.create(all);
    }

    public String bootstrapServers() {
        return kit.brokerAddresses();
    }

    public String bootstrapControllers() {
        return kit.controllerAddresses();
    }

    public Map<Integer, ControllerServer> controllers() {
        return kit.controllers();
    }

    public Map<Integer, BrokerServer> brokers() {
        return kit.brokers();
    }

    public Controller waitForActiveController() throws InterruptedException {
        TestUtils.waitForCondition(() -> active().isPresent(), ELECTION_MS, "Controller not active");
        return active().orElseThrow();
    }

    private Optional<Controller> active() {
        return controllers().values().stream().map(ControllerServer::controller).filter(Controller::isActive).findFirst();
    }

    @SuppressWarnings("unchecked")
    public Map<Integer, KafkaRaftManager<ApiMessageAndVersion>> raftManagers() {
        Map<Integer, KafkaRaftManager<ApiMessageAndVersion>> all = new HashMap<>();
        controllers().forEach((id, each) -> all.put(id, (KafkaRaftManager<ApiMessageAndVersion>) each.sharedServer().raftManager()));
        brokers().forEach((id, each) -> all.put(id, (KafkaRaftManager<ApiMessageAndVersion>) each.sharedServer().raftManager()));
        return all;
    }

    public TestKitNodes nodes() {
        return nodes;
    }

    public MockFaultHandler fatalFaultHandler() {
        return fatal;
    }

    public MockFaultHandler nonFatalFaultHandler() {
        return other;
    }

    @Override
    public void close() throws Exception {
        kit.remove(deletes ? Optional.of(new File(nodes.baseDirectory()).toPath()) : Optional.empty());
    }
}
