package interop;

import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.stream.Collectors;

import kafka.server.BrokerServer;
import kafka.server.ControllerServer;
import kafka.server.KafkaBroker;
import kafka.server.KafkaConfig;

import org.apache.kafka.common.config.types.Password;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.metadata.storage.Formatter;
import org.apache.kafka.server.common.MetadataVersion;

/** The nodes of a test that extends Kafka's {@code QuorumTestHarness}: one controller, and the brokers that the test makes. */
public final class Harness {
    private static final String CONTROL = "CONTROLLER";
    private static final String CONTROLLER_ID = "1000";

    private final Cluster cluster = new Cluster();
    private final Node controllerNode;
    private final ControllerServer controller;
    private final int port = Node.freePort();
    private final List<String> levels;
    private final List<Relay> relays = new ArrayList<>();

    /**
     * Formats and starts the controller.
     *
     * @param wanted    the properties that the test asks for
     * @param formatter what the test sets for formatting
     * @param version   the metadata version that it asks for
     * @param second    whether transactions are those of version 2
     * @param protocol  how the controller's listener is secured
     * @param more      further listeners of the controller
     */
    public Harness(Properties wanted, Formatter formatter, MetadataVersion version, boolean second, SecurityProtocol protocol,
            List<SecurityProtocol> more) {
        Wanted.several(1);
        Map<String, String> all = strings(wanted);
        Principals.ofController(all);
        Wanted.ofProperties(all);
        Map<String, Integer> ports = new TreeMap<>(Map.of(CONTROL, port));
        all.putIfAbsent("node.id", CONTROLLER_ID);
        all.put("process.roles", "controller");
        all.put("unstable.feature.versions.enable", "true");
        all.put("controller.quorum.voters", all.get("node.id") + "@localhost:" + port);
        all.put("log.dirs", cluster.place(Integer.parseInt(all.get("node.id"))).resolve("data").toString());
        all.remove("metadata.log.dir");
        all.put("log.segment.delete.delay.ms", "1000");
        more.forEach(each -> ports.put(each.name, Node.freePort()));
        all.put("listeners", "%s://localhost:%d".formatted(CONTROL, port)
            + more.stream().map(each -> ",%s://localhost:%d".formatted(each.name, ports.get(each.name))).collect(Collectors.joining()));
        all.put("listener.security.protocol.map", CONTROL + ":" + protocol
            + more.stream().map(each -> "," + each.name + ":" + each.name).collect(Collectors.joining()));
        all.put("controller.listener.names", CONTROL + more.stream().map(each -> "," + each.name).collect(Collectors.joining()));
        Logins.withoutKerberos(all);
        Door.allowed(all);
        levels = levels(version, second);
        List<String> formatting = new ArrayList<>(levels);
        scram(formatter).forEach(each -> formatting.addAll(List.of("--add-scram", each)));
        Measures.shown(all);
        int id = Integer.parseInt(all.get("node.id"));
        controllerNode = new Node(cluster.place(id), cluster.clusterId(), all, ports, null, formatting);
        cluster.put(controllerNode);
        controllerNode.start();
        controller = Faces.controller(cluster, controllerNode);
        Measures.register(cluster);
    }

    private static List<String> levels(MetadataVersion version, boolean second) {
        MetadataVersion last = MetadataVersion.latestProduction();
        MetadataVersion given = version.isAtLeast(last) ? last : version;
        return List.of("--feature", "metadata.version=" + given.featureLevel(), "--feature", "transaction.version=" + (second ? 2 : 1));
    }

    /** The users that the test gives to Kafka's formatter, which does not say them. */
    private static List<String> scram(Formatter formatter) {
        try {
            Field field = Formatter.class.getDeclaredField("scramArguments");
            field.setAccessible(true);
            return ((List<?>) field.get(formatter)).stream().map(Object::toString).toList();
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    private static Map<String, String> strings(Map<?, ?> given) {
        Map<String, String> all = new TreeMap<>();
        given.forEach((key, value) -> {
            if (value != null) {
                all.put(key.toString(), string(value));
            }
        });
        return all;
    }

    static String string(Object value) {
        if (value instanceof Password password) {
            return password.value();
        }
        if (value instanceof Class<?> type) {
            return type.getName();
        }
        return value instanceof List<?> list ? list.stream().map(Harness::string).collect(Collectors.joining(",")) : value.toString();
    }

    public String clusterId() {
        return cluster.clusterId();
    }

    public ControllerServer controller() {
        return controller;
    }

    /** Stops the controller's process. */
    public void stopController() {
        controllerNode.stop();
    }

    /** A broker of these properties. Ports that the test leaves open are chosen. */
    public KafkaBroker broker(KafkaConfig config, Time time, boolean startup) {
        if (time != Time.SYSTEM) {
            throw Touched.skip("a clock of the test's own");
        }
        Map<String, String> all = strings(config.originals());
        all.put("log.dirs", String.join(",", config.logDirs()));
        all.remove("log.dir");
        Map<String, Integer> ports = new TreeMap<>();
        all.put("controller.quorum.voters", controllerNode.id() + "@localhost:" + port);
        for (String key : List.of("listeners", "advertised.listeners")) {
            all.computeIfPresent(key, (name, value) -> given(value, ports));
        }
        List<Relay> some = Principals.relayed(all, ports);
        relays.addAll(some);
        Wanted.ofProperties(all);
        Logins.withoutKerberos(all);
        Door door = some.isEmpty() ? door(all, ports) : Door.added(all, ports);
        Door.allowed(all);
        Measures.shown(all);
        all.put(Replicas.CHECKPOINT, Long.toString(Replicas.CHECKPOINT_MS));
        int id = Integer.parseInt(all.get("node.id"));
        Node node = new Node(cluster.place(id), cluster.clusterId(), all, ports, door, levels);
        cluster.put(node);
        Wanted.several(cluster.brokers().size());
        BrokerServer broker = Faces.broker(cluster, node);
        if (startup) {
            node.start();
        }
        return broker;
    }

    /** Listeners with the ports that they are given. */
    static String given(String listeners, Map<String, Integer> ports) {
        return Arrays.stream(listeners.split(",")).map(String::strip).map(each -> {
            String name = each.substring(0, each.indexOf("://"));
            int asked = Integer.parseInt(each.substring(each.lastIndexOf(':') + 1));
            int chosen = ports.computeIfAbsent(name, key -> asked == 0 ? Node.freePort() : asked);
            return asked == 0 ? each.substring(0, each.lastIndexOf(':') + 1) + chosen : each;
        }).collect(Collectors.joining(","));
    }

    private static Door door(Map<String, String> all, Map<String, Integer> ports) {
        String protocols = all.getOrDefault("listener.security.protocol.map", "");
        for (String listener : ports.keySet()) {
            boolean plain = protocols.isEmpty() ? listener.equals("PLAINTEXT")
                : Arrays.asList(protocols.split(",")).contains(listener + ":PLAINTEXT");
            if (plain && !all.containsKey("authorizer.class.name")) {
                return new Door(listener, false);
            }
        }
        return Door.added(all, ports);
    }

    /** Stops all processes, and removes their directories. */
    public void remove() {
        relays.forEach(Relay::close);
        cluster.remove();
    }
}
