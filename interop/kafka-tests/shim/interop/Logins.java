package interop;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.apache.kafka.common.test.JaasModule;
import org.apache.kafka.common.test.JaasUtils;

/** The users of a cluster whose listeners ask for a login, as Kafka's test kit has them. */
public final class Logins {
    private Logins() {
    }

    /** Gives a node PLAIN where Kafka's default, Kerberos, would be its mechanism. */
    static void withoutKerberos(Map<String, String> properties) {
        if (properties.getOrDefault("listener.security.protocol.map", "").contains(":SASL_")) {
            for (String key : List.of("sasl.enabled.mechanisms", "sasl.mechanism.inter.broker.protocol",
                    "sasl.mechanism.controller.protocol")) {
                properties.putIfAbsent(key, "PLAIN");
            }
        }
    }

    /** Writes them into a file, and names it to this process: the nodes that it starts are given that name. */
    public static void write() {
        JaasModule module = JaasModule.plainLoginModule(JaasUtils.KAFKA_PLAIN_ADMIN, JaasUtils.KAFKA_PLAIN_ADMIN_PASSWORD, true,
            Map.of(JaasUtils.KAFKA_PLAIN_USER1, JaasUtils.KAFKA_PLAIN_USER1_PASSWORD,
                JaasUtils.KAFKA_PLAIN_ADMIN, JaasUtils.KAFKA_PLAIN_ADMIN_PASSWORD));
        try {
            JaasUtils.refreshJavaLoginConfigParam(JaasUtils.writeJaasContextsToFile(
                Set.of(new JaasUtils.JaasSection(JaasUtils.KAFKA_SERVER_CONTEXT_NAME, List.of(module)))));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
