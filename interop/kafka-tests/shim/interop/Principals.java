package interop;

import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;

import org.apache.kafka.common.security.auth.KafkaPrincipal;
import org.apache.kafka.common.security.auth.KafkaPrincipalBuilder;
import org.apache.kafka.common.security.auth.PlaintextAuthenticationContext;

/**
 * Tests that put a {@code principal.builder.class} of their own into the broker. Where it names users for connections without
 * TLS and login, a {@link Relay} asks it, before each such listener.
 */
final class Principals {
    private static final String BUILDER = "principal.builder.class";

    private Principals() {
    }

    /**
     * Takes the classes out of a broker's properties, and starts relays that ask them. Brokers speak to each other at the
     * shim's own listener then.
     */
    static List<Relay> relayed(Map<String, String> all, Map<String, Integer> ports) {
        if (all.keySet().stream().noneMatch(key -> key.endsWith(BUILDER))) {
            return List.of();
        }
        List<Relay> relays = new ArrayList<>();
        for (String pair : all.getOrDefault("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT").split(",")) {
            String listener = pair.substring(0, pair.indexOf(':'));
            String builder = all.getOrDefault(prefix(listener) + BUILDER, all.get(BUILDER));
            if (builder == null || !ports.containsKey(listener)) {
                continue;
            }
            if (!pair.endsWith(":PLAINTEXT")) {
                throw Touched.skip("a Java class inside of the broker: " + BUILDER + " with " + pair);
            }
            relays.add(relay(all, listener, ports.get(listener), instance(builder)));
        }
        all.keySet().removeIf(key -> key.endsWith(BUILDER));
        all.remove("security.inter.broker.protocol");
        all.put("inter.broker.listener.name", Door.NAME);
        all.put("sasl.mechanism.inter.broker.protocol", "PLAIN");
        return relays;
    }

    private static String prefix(String listener) {
        return "listener.name." + listener.toLowerCase(Locale.ROOT) + ".";
    }

    private static Relay relay(Map<String, String> all, String listener, int port, KafkaPrincipalBuilder builder) {
        int hidden = Node.freePort();
        all.putIfAbsent("advertised.listeners", all.get("listeners"));
        all.computeIfPresent("listeners", (key, value) -> value.replace(":" + port, ":" + hidden));
        all.compute("listener.security.protocol.map", (key, value) -> value == null ? "PLAINTEXT:SASL_PLAINTEXT"
            : String.join(",", Arrays.stream(value.split(",")).map(each ->
                each.equals(listener + ":PLAINTEXT") ? listener + ":SASL_PLAINTEXT" : each).toList()));
        all.put(prefix(listener) + "sasl.enabled.mechanisms", "OAUTHBEARER");
        all.put(prefix(listener) + "oauthbearer.sasl.jaas.config",
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"%s\";"
                .formatted(Door.USER));
        Function<InetAddress, String> user = address -> {
            KafkaPrincipal principal = builder.build(new PlaintextAuthenticationContext(address, listener));
            return principal.getName();
        };
        return new Relay(port, hidden, user);
    }

    private static KafkaPrincipalBuilder instance(String type) {
        try {
            var constructor = Class.forName(type).getDeclaredConstructor();
            constructor.setAccessible(true);
            return (KafkaPrincipalBuilder) constructor.newInstance();
        } catch (ReflectiveOperationException e) {
            throw Touched.skip("a Java class inside of the broker: " + type);
        }
    }

    /** A controller is asked by brokers alone, which come without a login: they may do everything. */
    static void ofController(Map<String, String> all) {
        if (all.keySet().removeIf(key -> key.endsWith(BUILDER))) {
            all.merge("super.users", "User:ANONYMOUS", (before, more) -> before + ";" + more);
        }
    }
}
