import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.ConfigKey;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.server.config.AbstractKafkaConfig;
import org.apache.kafka.storage.internals.log.LogConfig;

/**
 * Gives many values to Kafka's configs and writes what Kafka makes of each, as a fixture for our own parser:
 * scope | name | value | "= canonical value" or "! message". One config of each scope stands for all with the same kind of
 * rule, unless there is a second argument.
 */
public class ConfigProbe {
    private static final List<String> NUMBERS = List.of(
        "", " ", "abc", "-5", "-1", "0", "1", " 7 ", "+9", "10", "18", "1.5", "0.5d", "1e3", "NaN", "Infinity", "-Infinity",
        "1_000", "2147483648", "9223372036854775808", "70000");
    private static final List<String> WORDS = List.of(
        "", " ", "abc", "a,b", " a , b ", "a,a", ",", "a,", "*", "0:1,1:2", "0:1,", "0:a", "delete", "Delete",
        "compact,delete", "delete,delete", "compact, none", "gzip", "GZIP", "none", "CreateTime", "1@h:1", "1@h:1,2@[::1]:2",
        "x@h:1", "1@h", "1@:1", "1@h:99999", "h:1", "h", "h:x", "PLAINTEXT://h:1", "1@2@h:1", "latest", "LATEST",
        "by_duration:PT1H", "by_duration:P1D", "by_duration:-PT1H", "by_duration:1h", "by_duration:", "broker,controller",
        "TRUE ", "False", "yes");

    public static void main(String[] args) throws Exception {
        boolean all = args.length > 1;
        try (PrintWriter out = new PrintWriter(Files.newBufferedWriter(Path.of(args[0])))) {
            out.println("# Written by `cargo xtask import-configs`: what Apache Kafka 4.3.1 makes of these values.");
            probe(out, "topic", LogConfig.configDefCopy(), all);
            probe(out, "broker", AbstractKafkaConfig.CONFIG_DEF, all);
            probe(out, "group", GroupConfig.CONFIG_DEF, all);
        }
    }

    private static void probe(PrintWriter out, String scope, ConfigDef def, boolean all) {
        Set<String> kinds = new HashSet<>();
        for (ConfigKey key : new TreeMap<>(def.configKeys()).values()) {
            boolean first = kinds.add(key.type + " " + rule(key));
            if (key.type == ConfigDef.Type.CLASS || !(all || first)) {
                continue;
            }
            ConfigDef one = new ConfigDef();
            one.define(key);
            for (String value : key.type == ConfigDef.Type.BOOLEAN || text(key) ? WORDS : NUMBERS) {
                Map<String, String> props = new HashMap<>();
                props.put(key.name, value);
                String result;
                try {
                    result = "= " + ConfigDef.convertToString(one.parse(props).get(key.name), key.type);
                } catch (ConfigException e) {
                    result = "! " + e.getMessage();
                } catch (IllegalArgumentException e) {
                    result = "! not a refusal of the config: " + e.getMessage();
                }
                out.println(String.join(" | ", scope, key.name, value, result));
            }
        }
    }

    private static boolean text(ConfigKey key) {
        return switch (key.type) {
            case STRING, LIST, PASSWORD -> true;
            default -> false;
        };
    }

    /** What tells one kind of rule from another: ranges differ only in their bounds. */
    private static String rule(ConfigKey key) {
        if (key.validator == null || key.validator instanceof ConfigDef.Range) {
            return key.validator == null ? "any" : "range";
        }
        return key.validator.getClass() + " " + key.validator;
    }
}
