package interop;

import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

import kafka.tools.StorageTool;

/**
 * One node under test, in a process of its own: a directory, a server.properties, and what runs on them.
 *
 * <p>The system property {@code interop.node} says what runs: the path of a thalweg binary, or {@code kafka} for Apache
 * Kafka from this machine's own class path, whose answers tell what a test wants that only the shim does not give.
 */
public final class Node {
    /** The id of the only node. */
    public static final int ID = 0;

    /** Where the quorum's voters are written. */
    public enum Voters { IN_PROPERTIES, IN_LOG }

    private static final String WHAT = System.getProperty("interop.node", "target/release/thalweg");
    private static final long READY_SECONDS = 60;
    private static final long STOP_SECONDS = 30;

    private final Path home;
    private final Map<String, String> properties;
    private final String clusterId = org.apache.kafka.common.Uuid.randomUuid().toString();
    private final Map<String, Integer> ports;
    private final String clients;
    private Process process;

    private Node(Path home, Map<String, String> properties, Map<String, Integer> ports, String clients) {
        this.home = home;
        this.properties = properties;
        this.ports = ports;
        this.clients = clients;
    }

    /**
     * A formatted node that has not started yet.
     *
     * @param wanted   the properties that the test asks for; they count over those that make a node of one out of them
     * @param clients  the name of the listener that clients use
     * @param control  the name of the controller's listener
     * @param disks    how many log directories it has
     * @param voters   whether the voters are in the properties, or in the metadata log
     * @param levels   the levels of features that it begins with, by name
     */
    public static Node formatted(
            Map<String, String> wanted, String clients, String control, int disks, Voters voters, Map<String, String> levels) {
        try {
            Path home = Files.createTempDirectory("kafka-tests-");
            Map<String, Integer> ports = new TreeMap<>();
            ports.put(clients, freePort());
            ports.put(control, freePort());
            Node node = new Node(home, properties(home, wanted, ports, clients, control, disks, voters), ports, clients);
            node.write();
            node.format(levels, voters);
            return node;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Map<String, String> properties(
            Path home, Map<String, String> wanted, Map<String, Integer> ports, String clients, String control, int disks,
            Voters voters) {
        List<String> dirs = new ArrayList<>();
        for (int disk = 0; disk < disks; disk++) {
            dirs.add(home.resolve("data" + disk).toString());
        }
        Map<String, String> all = new TreeMap<>(wanted);
        all.keySet().removeIf(key -> key.startsWith("controller.quorum.") && key.matches(".*(voters|bootstrap.servers)"));
        all.put("process.roles", "broker,controller");
        all.put("node.id", Integer.toString(ID));
        all.remove("broker.id");
        all.remove("metadata.log.dir");
        all.remove("log.dir");
        all.put("log.dirs", String.join(",", dirs));
        String at = "%s://localhost:%d,%s://localhost:%d".formatted(clients, ports.get(clients), control, ports.get(control));
        all.put("listeners", at);
        all.put("advertised.listeners", at);
        all.put("listener.security.protocol.map", clients + ":PLAINTEXT," + control + ":PLAINTEXT");
        all.put("inter.broker.listener.name", clients);
        all.remove("security.inter.broker.protocol");
        all.put("controller.listener.names", control);
        switch (voters) {
            case IN_PROPERTIES -> all.put("controller.quorum.voters", ID + "@localhost:" + ports.get(control));
            case IN_LOG -> all.put("controller.quorum.bootstrap.servers", "localhost:" + ports.get(control));
        }
        for (String topic : List.of("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")) {
            all.put(topic + ".replication.factor", "1");
        }
        all.put("transaction.state.log.min.isr", "1");
        all.put("share.coordinator.state.topic.min.isr", "1");
        all.computeIfPresent("default.replication.factor", (key, value) -> "1");
        all.putIfAbsent("log.cleaner.dedupe.buffer.size", "2097152");
        all.putIfAbsent("unstable.feature.versions.enable", "true");
        all.putIfAbsent("unstable.api.versions.enable", "true");
        return all;
    }

    private void write() throws IOException {
        StringBuilder text = new StringBuilder();
        properties.forEach((key, value) -> text.append(key).append('=').append(value.replace("\\", "\\\\")).append('\n'));
        Files.writeString(file(), text);
    }

    private Path file() {
        return home.resolve("server.properties");
    }

    private void format(Map<String, String> levels, Voters voters) throws IOException {
        List<String> arguments = new ArrayList<>(List.of("format", "-t", clusterId, "-c", file().toString()));
        if (voters == Voters.IN_LOG) {
            arguments.add("--standalone");
        }
        levels.forEach((name, level) -> arguments.addAll(List.of("--feature", name + "=" + level)));
        if (isKafka()) {
            Path said = home.resolve("format.log");
            try (PrintStream out = new PrintStream(said.toFile())) {
                if (StorageTool.execute(arguments.toArray(String[]::new), out) != 0) {
                    throw new IllegalStateException("the directory cannot be formatted: " + Files.readString(said));
                }
            } catch (Exception e) {
                throw new IllegalStateException("the directory cannot be formatted: " + e.getMessage(), e);
            }
            return;
        }
        arguments.addAll(0, List.of(WHAT, "storage"));
        Process format = new ProcessBuilder(arguments).redirectErrorStream(true).redirectOutput(home.resolve("format.log").toFile()).start();
        if (waitFor(format) != 0) {
            throw new IllegalStateException("the directory cannot be formatted: " + Files.readString(home.resolve("format.log")));
        }
    }

    private static boolean isKafka() {
        return WHAT.equals("kafka");
    }

    /** Starts the process, and waits until it answers Metadata and is in it. */
    public void start() {
        try {
            List<String> command = isKafka() ? kafka() : List.of(WHAT, "serve", file().toString());
            process = new ProcessBuilder(command)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log().toFile()))
                .redirectError(ProcessBuilder.Redirect.appendTo(log().toFile()))
                .start();
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(READY_SECONDS);
            while (!isReady()) {
                if (!process.isAlive() || System.nanoTime() > deadline) {
                    process.destroyForcibly();
                    throw new IllegalStateException("the node does not start: " + tail());
                }
                TimeUnit.MILLISECONDS.sleep(20);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    private List<String> kafka() {
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        return List.of(java, "-Xmx256M", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp",
            System.getProperty("interop.jars"), "kafka.Kafka", file().toString());
    }

    private boolean isReady() {
        try {
            return !new View(port(clients)).brokers().isEmpty();
        } catch (IOException e) {
            return false;
        }
    }

    /** A clean shutdown. */
    public void stop() {
        if (process == null) {
            return;
        }
        process.destroy();
        waitFor(process);
    }

    private static int waitFor(Process process) {
        try {
            if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
            return -1;
        }
        return process.exitValue();
    }

    /** Changes properties of a stopped node. */
    public void change(Map<String, String> overrides) {
        try {
            properties.putAll(overrides);
            write();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Stops it and removes its directory, unless {@code interop.keep} is set. */
    public void remove() {
        stop();
        if (System.getProperty("interop.keep") != null) {
            System.err.println("kept " + home);
            return;
        }
        try (var paths = Files.walk(home)) {
            paths.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
        } catch (IOException | UncheckedIOException e) {
            System.err.println("cannot remove " + home + ": " + e);
        }
    }

    public boolean isAlive() {
        return process != null && process.isAlive();
    }

    public Map<String, String> properties() {
        return properties;
    }

    public String clusterId() {
        return clusterId;
    }

    public String clients() {
        return clients;
    }

    /** The port of a listener by its name. */
    public int port(String listener) {
        Integer port = ports.get(listener);
        if (port == null) {
            throw Touched.skip("the listener " + listener + ", which the shim does not give");
        }
        return port;
    }

    /** What the node says of topics. */
    public View view() {
        return new View(port(clients));
    }

    private Path log() {
        return home.resolve("node.log");
    }

    private String tail() throws IOException {
        String text = Files.readString(log());
        return text.substring(Math.max(0, text.length() - 2000));
    }

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }
}
