import java.io.IOException;
import java.io.PrintWriter;
import java.lang.reflect.Field;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;

import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.ConfigKey;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.server.config.AbstractKafkaConfig;
import org.apache.kafka.server.config.ConfigSynonym;
import org.apache.kafka.server.config.DynamicBrokerConfig;
import org.apache.kafka.server.config.DynamicConfig;
import org.apache.kafka.server.config.ServerTopicConfigSynonyms;
import org.apache.kafka.server.metrics.ClientMetricsConfigs;
import org.apache.kafka.storage.internals.log.LogConfig;

/**
 * Writes the facts of Kafka's config definitions (names, types, defaults, ranges, no prose) as our table files:
 * one line per config, columns separated by " | ". Run by `cargo xtask import-configs`.
 */
public class ConfigDump {
    public static void main(String[] args) throws Exception {
        Path out = Path.of(args[0]);
        topics(out);
        brokers(out);
        groups(out);
        Map<String, ConfigKey> metrics = ClientMetricsConfigs.configDef().configKeys();
        try (PrintWriter w = open(out, "client_metrics.tbl", "")) {
            for (ConfigKey key : new TreeMap<>(metrics).values()) {
                w.println(line(key));
            }
        }
    }

    private static void topics(Path out) throws Exception {
        try (PrintWriter w = open(out, "topic.tbl", " | broker synonyms, the first one set counts")) {
            for (ConfigKey key : new TreeMap<>(LogConfig.configKeys()).values()) {
                List<ConfigSynonym> synonyms =
                    ServerTopicConfigSynonyms.ALL_TOPIC_CONFIG_SYNONYMS.getOrDefault(key.name, List.of());
                w.println(line(key) + column(synonyms.stream().map(ConfigDump::synonym).collect(Collectors.joining(" "))));
            }
        }
    }

    private static String synonym(ConfigSynonym synonym) {
        String one = synonym.converter().apply("1");
        String unit = switch (one) {
            case "1" -> "";
            case "60000" -> ":minutes";
            case "3600000" -> ":hours";
            default -> throw new IllegalStateException(synonym.name() + " converts 1 to " + one);
        };
        return synonym.name() + unit;
    }

    private static void brokers(Path out) throws Exception {
        Map<String, String> modes = DynamicBrokerConfig.dynamicConfigUpdateModes();
        Map<String, ConfigKey> keys = new TreeMap<>(AbstractKafkaConfig.CONFIG_DEF.configKeys());
        Set<String> fixed = Set.copyOf(keys.keySet());
        DynamicConfig.Broker.configKeys().forEach(keys::putIfAbsent);
        try (PrintWriter w = open(out, "broker.tbl", " | dynamic mode | synonyms, the first one set counts")) {
            for (ConfigKey key : keys.values()) {
                String mode = modes.getOrDefault(key.name, "read-only") + (fixed.contains(key.name) ? "" : " only-dynamic");
                List<String> synonyms = DynamicBrokerConfig.brokerConfigSynonyms(key.name, true);
                String others = synonyms.equals(List.of(key.name)) ? "" : String.join(" ", synonyms);
                w.println(line(key) + column(mode) + column(others));
            }
        }
    }

    private static void groups(Path out) throws Exception {
        try (PrintWriter w = open(out, "group.tbl", " | broker synonym")) {
            for (ConfigKey key : new TreeMap<>(GroupConfig.CONFIG_DEF.configKeys()).values()) {
                w.println(line(key) + column(GroupConfig.brokerSynonym(key.name).orElse("")));
            }
        }
    }

    /** A trailing column; an empty one leaves nothing. */
    private static String column(String text) {
        return text.isEmpty() ? "" : " | " + text;
    }

    private static PrintWriter open(Path out, String file, String more) throws IOException {
        PrintWriter w = new PrintWriter(Files.newBufferedWriter(out.resolve(file)));
        w.println("# Written by `cargo xtask import-configs` from Apache Kafka 4.3.1: do not edit.");
        w.println("# name | type | importance | default | validator" + more);
        return w;
    }

    private static String line(ConfigKey key) throws Exception {
        String type = key.type.name().toLowerCase() + (key.internalConfig ? " internal" : "");
        return String.join(" | ", key.name, type, key.importance.name().toLowerCase(), defaultOf(key), validator(key.validator));
    }

    private static String defaultOf(ConfigKey key) {
        if (!key.hasDefault()) {
            return "required";
        }
        if (key.defaultValue == null) {
            return "null";
        }
        String value = ConfigDef.convertToString(key.defaultValue, key.type);
        if (value.contains("|") || value.contains("\"") || value.contains("\n")) {
            throw new IllegalStateException(key.name + " has a default that the table cannot hold: " + value);
        }
        return '"' + value + '"';
    }

    /** A validator as a word with arguments. Kafka's private fields are the only place where they stand apart. */
    private static String validator(ConfigDef.Validator v) throws Exception {
        if (v == null) {
            return "any";
        }
        if (v instanceof ConfigDef.CompositeValidator) {
            List<String> parts = new ArrayList<>();
            for (Object part : (Collection<?>) field(v, "validators")) {
                parts.add(validator((ConfigDef.Validator) part));
            }
            return String.join(" & ", parts);
        }
        String name = v.getClass().getSimpleName();
        return switch (name) {
            case "Range" -> "range " + bound(field(v, "min")) + ".." + bound(field(v, "max"));
            case "ValidString" -> "one-of " + words(field(v, "validStrings"));
            case "CaseInsensitiveValidString" -> "one-of-ignoring-case " + words(field(v, "validStrings"));
            case "ValidList" -> "list"
                + ((boolean) field(v, "isEmptyAllowed") ? "" : " non-empty")
                + ((boolean) field(v, "isNullAllowed") ? " nullable" : "")
                + listed(words(field(field(v, "validString"), "validStrings")));
            case "NonNullValidator" -> "non-null";
            case "NonEmptyString" -> "non-empty-string";
            case "ListSize" -> "list-size-max " + field(v, "maxSize");
            default -> rule(v);
        };
    }

    /** The few validators that are programs: our table names the rule, crates/metadata/src/config/validate.rs has it. */
    private static String rule(ConfigDef.Validator v) {
        String name = v.getClass().getName();
        return switch (name.substring(name.lastIndexOf('.') + 1)) {
            case "ThrottledReplicaListValidator" -> "throttled-replicas";
            case "QuorumConfig$ControllerQuorumVotersValidator" -> "quorum-voters";
            case "QuorumConfig$ControllerQuorumBootstrapServersValidator" -> "quorum-bootstrap-servers";
            case "ShareGroupAutoOffsetResetStrategy$Validator" -> "share-offset-reset";
            default -> switch (v.toString()) {
                case "[1,...,9] or -1" -> "gzip-level";
                default -> throw new IllegalStateException("unknown validator " + name + ": " + v);
            };
        };
    }

    private static String bound(Object number) {
        return number == null ? "" : number.toString();
    }

    private static String listed(String words) {
        return words.isEmpty() ? "" : " of " + words;
    }

    private static String words(Object collection) {
        return ((Collection<?>) collection).stream().map(String::valueOf).collect(Collectors.joining(","));
    }

    private static Object field(Object of, String name) throws Exception {
        Field f = of.getClass().getDeclaredField(name);
        f.setAccessible(true);
        return f.get(of);
    }
}
