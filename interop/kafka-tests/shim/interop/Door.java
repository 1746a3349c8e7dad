package interop;

import java.util.Map;

/**
 * The listener where the shim asks a node about its cluster. A node without TLS, SASL and authorizer is asked where clients
 * ask it. Any other one has a listener more, whose only user may do everything, so that what the test set for its own
 * users stays as it is.
 *
 * @param listener its name
 * @param login    whether it asks for the user {@link #USER}
 */
record Door(String listener, boolean login) {
    static final String NAME = "INTEROP";
    static final String USER = "interop";
    static final String PASSWORD = "interop-secret";

    /** Adds the listener to a node's properties. */
    static Door added(Map<String, String> properties, Map<String, Integer> ports) {
        int port = Node.freePort();
        ports.put(NAME, port);
        for (String key : new String[] {"listeners", "advertised.listeners"}) {
            properties.computeIfPresent(key, (name, before) -> before + "," + NAME + "://localhost:" + port);
        }
        properties.compute("listener.security.protocol.map",
            (name, before) -> (before == null || before.isEmpty() ? "" : before + ",") + NAME + ":SASL_PLAINTEXT");
        String prefix = "listener.name." + NAME.toLowerCase(java.util.Locale.ROOT);
        properties.put(prefix + ".sasl.enabled.mechanisms", "PLAIN");
        properties.put(prefix + ".plain.sasl.jaas.config",
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"%s\" password=\"%s\" user_%s=\"%s\";"
                .formatted(USER, PASSWORD, USER, PASSWORD));
        return new Door(NAME, true);
    }

    /** Lets its user do everything. */
    static void allowed(Map<String, String> properties) {
        if (properties.containsKey("authorizer.class.name")) {
            properties.merge("super.users", "User:" + USER, (before, more) -> before.isEmpty() ? more : before + ";" + more);
        }
    }
}
