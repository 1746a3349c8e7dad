import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.config.ConfigResource.Type;
import org.apache.kafka.common.errors.InvalidConfigurationException;

/** Configs of topics, brokers, loggers, groups and client metrics, as Admin reads and alters them. */
final class AdminConfigs {
    static void list(Features run) {
        run.area("Admin: configs");
        run.feature("describe a topic's configs", AdminConfigs::describe);
        run.feature("synonyms and documentation", AdminConfigs::synonyms);
        run.feature("set and delete", AdminConfigs::setAndDelete);
        run.feature("append to a list and subtract from it", AdminConfigs::appendAndSubtract);
        run.feature("alter, validate only", AdminConfigs::validateOnly);
        run.feature("refuse unknown and invalid configs", AdminConfigs::refuse);
        run.feature("describe a broker's configs", AdminConfigs::describeBroker);
        run.feature("alter one broker's configs", AdminConfigs::alterBroker);
        run.feature("alter all brokers' configs", AdminConfigs::alterBrokers);
        run.feature("describe and alter logger levels", AdminConfigs::loggers);
        run.feature("alter a group's configs", AdminConfigs::group);
        run.feature("alter client metrics subscriptions", AdminConfigs::clientMetrics);
        run.feature("list config resources", AdminConfigs::resources);
    }

    static void describe() throws Exception {
        var topic = topic("retention.ms=77777");
        var entry = entry(topic, "retention.ms");
        Clients.equal(entry.value() + entry.source() + entry.type(), "77777" + ConfigSource.DYNAMIC_TOPIC_CONFIG + ConfigEntry.ConfigType.LONG);
        entry = entry(topic, "segment.bytes");
        Clients.equal(entry.value() + entry.source(), "1073741824" + ConfigSource.DEFAULT_CONFIG);
    }

    static void synonyms() throws Exception {
        var options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        var topic = topic("retention.ms=77777");
        var entry = Clients.get(Clients.admin().describeConfigs(List.of(topic), options).all()).get(topic).get("retention.ms");
        Clients.equal(entry.synonyms().get(0).value(), "77777");
        Clients.expect(entry.documentation().length() > 40, "it is documented: " + entry.documentation());
    }

    static void setAndDelete() throws Exception {
        var topic = topic();
        alter(topic, "max.message.bytes", "54321", OpType.SET);
        eventually(topic, "max.message.bytes", "54321");
        alter(topic, "max.message.bytes", null, OpType.DELETE);
        eventually(topic, "max.message.bytes", "1048588");
    }

    static void appendAndSubtract() throws Exception {
        var topic = topic();
        alter(topic, "cleanup.policy", "compact", OpType.APPEND);
        eventually(topic, "cleanup.policy", "delete,compact");
        alter(topic, "cleanup.policy", "delete", OpType.SUBTRACT);
        eventually(topic, "cleanup.policy", "compact");
    }

    static void validateOnly() throws Exception {
        var topic = topic();
        var change = Map.of(topic, (java.util.Collection<AlterConfigOp>) List.of(op("retention.ms", "1", OpType.SET)));
        Clients.get(Clients.admin().incrementalAlterConfigs(change, new AlterConfigsOptions().validateOnly(true)).all());
        Clients.equal(entry(topic, "retention.ms").value(), "604800000");
    }

    static void refuse() throws Exception {
        var topic = topic();
        Clients.refused(() -> alter(topic, "no.such.config", "1", OpType.SET), InvalidConfigurationException.class);
        Clients.refused(() -> alter(topic, "retention.ms", "soon", OpType.SET), InvalidConfigurationException.class);
    }

    static void describeBroker() throws Exception {
        var broker = broker();
        var entry = entry(broker, "num.io.threads");
        Clients.equal(entry.value() + entry.isReadOnly(), "8false");
        Clients.expect(entry(broker, "log.dirs").isReadOnly(), "log.dirs is read only");
    }

    static void alterBroker() throws Exception {
        var broker = broker();
        alter(broker, "log.retention.ms", "7200000", OpType.SET);
        try {
            eventually(broker, "log.retention.ms", "7200000");
            Clients.equal(entry(broker, "log.retention.ms").source(), ConfigSource.DYNAMIC_BROKER_CONFIG);
        } finally {
            alter(broker, "log.retention.ms", null, OpType.DELETE);
        }
    }

    static void alterBrokers() throws Exception {
        var brokers = new ConfigResource(Type.BROKER, "");
        alter(brokers, "message.max.bytes", "2000000", OpType.SET);
        try {
            eventually(brokers, "message.max.bytes", "2000000");
            eventually(topic(), "max.message.bytes", "2000000");
        } finally {
            alter(brokers, "message.max.bytes", null, OpType.DELETE);
        }
    }

    static void loggers() throws Exception {
        var logger = new ConfigResource(Type.BROKER_LOGGER, broker().name());
        var found = Clients.get(Clients.admin().describeConfigs(List.of(logger)).all()).get(logger).entries();
        var name = found.stream().map(ConfigEntry::name).filter(each -> !each.equals("root")).findFirst().orElseThrow();
        alter(logger, name, "DEBUG", OpType.SET);
        eventually(logger, name, "DEBUG");
        alter(logger, name, null, OpType.DELETE);
    }

    static void group() throws Exception {
        var group = new ConfigResource(Type.GROUP, Clients.name("group"));
        alter(group, "consumer.session.timeout.ms", "50000", OpType.SET);
        eventually(group, "consumer.session.timeout.ms", "50000");
        alter(group, "consumer.session.timeout.ms", null, OpType.DELETE);
    }

    static void clientMetrics() throws Exception {
        var metrics = new ConfigResource(Type.CLIENT_METRICS, Clients.name("metrics"));
        alter(metrics, "interval.ms", "60000", OpType.SET);
        eventually(metrics, "interval.ms", "60000");
        Clients.expect(Clients.get(Clients.admin().listConfigResources(Set.of(Type.CLIENT_METRICS), new org.apache.kafka.clients.admin.ListConfigResourcesOptions()).all()).contains(metrics), "it is listed");
        alter(metrics, "interval.ms", null, OpType.DELETE);
    }

    static void resources() throws Exception {
        var topic = topic();
        var all = Clients.get(Clients.admin().listConfigResources().all());
        Clients.expect(all.contains(topic) && all.contains(broker()), "the topic and the broker are among " + all);
    }

    private static ConfigResource topic(String... configs) throws Exception {
        return new ConfigResource(Type.TOPIC, Clients.topic(1, configs));
    }

    private static ConfigResource broker() throws Exception {
        return new ConfigResource(Type.BROKER, Clients.get(Clients.admin().describeCluster().nodes()).iterator().next().idString());
    }

    private static AlterConfigOp op(String key, String value, OpType type) {
        return new AlterConfigOp(new ConfigEntry(key, value), type);
    }

    private static void alter(ConfigResource resource, String key, String value, OpType type) throws Exception {
        Clients.get(Clients.admin().incrementalAlterConfigs(Map.of(resource, List.of(op(key, value, type)))).all());
    }

    private static ConfigEntry entry(ConfigResource resource, String key) throws Exception {
        return Clients.get(Clients.admin().describeConfigs(List.of(resource)).all()).get(resource).get(key);
    }

    /** Brokers learn of a change a moment after the controller has answered. */
    private static void eventually(ConfigResource resource, String key, String value) throws Exception {
        Clients.eventually(key + " of " + resource + " is " + value, () -> {
            var found = entry(resource, key);
            return found != null && value.equals(found.value());
        });
    }
}
