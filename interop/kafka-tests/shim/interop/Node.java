package interop;

import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
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
    private static final String WHAT = System.getProperty("interop.node", "target/release/thalweg");
    private static final long READY_SECONDS = 60;
    private static final long STOP_SECONDS = 30;
    private static final int CONNECT_MS = 1000;
    /** Ports that were given to nodes; the oldest are forgotten, long after their nodes have ended. */
    private static final Set<Integer> GIVEN = Collections.newSetFromMap(new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Integer, Boolean> eldest) {
            return size() > PORTS_KEPT;
        }
    });
    private static final int PORTS_KEPT = 200;
    private static final String LOGIN_FILE = "java.security.auth.login.config";

    private final Path home;
    private final int id;
    private final String clusterId;
    private final Map<String, String> properties;
    private final Map<String, Integer> ports;
    private final Door door;
    private final List<String> formatting;
    private boolean formatted;
    private Process process;
    private boolean stopped;

    /**
     * A node that has neither been formatted nor started.
     *
     * @param home       the directory of its properties and its log
     * @param clusterId  the cluster that it belongs to
     * @param properties its server.properties
     * @param ports      the ports of its listeners, by their names
     * @param door       where the shim asks it about the cluster: a listener of the broker, or none where it has only a controller
     * @param formatting what the storage tool is told beside the cluster's id and the properties
     */
    public Node(Path home, String clusterId, Map<String, String> properties, Map<String, Integer> ports, Door door,
            List<String> formatting) {
        this.home = home;
        this.clusterId = clusterId;
        this.properties = new TreeMap<>(properties);
        this.id = Integer.parseInt(properties.get("node.id"));
        this.ports = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        this.ports.putAll(ports);
        this.door = door;
        this.formatting = List.copyOf(formatting);
    }

    /** Formats its directories, unless that has been done. */
    public void format() {
        write();
        if (formatted || logDirs().stream().allMatch(dir -> Files.exists(dir.resolve("meta.properties")))) {
            return;
        }
        try {
            List<String> arguments = new ArrayList<>(List.of("format", "-t", clusterId, "-c", file().toString()));
            arguments.addAll(formatting);
            Path said = home.resolve("format.log");
            int status = isKafka() ? formatKafka(arguments, said) : formatThalweg(arguments, said);
            if (status != 0) {
                throw new IllegalStateException("the directory cannot be formatted: " + Files.readString(said));
            }
            formatted = true;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static int formatKafka(List<String> arguments, Path said) throws IOException {
        try (PrintStream out = new PrintStream(said.toFile())) {
            return StorageTool.execute(arguments.toArray(String[]::new), out);
        } catch (Exception e) {
            throw new IllegalStateException("the directory cannot be formatted: " + e.getMessage(), e);
        }
    }

    private static int formatThalweg(List<String> arguments, Path said) throws IOException {
        arguments.addAll(0, List.of(WHAT, "storage"));
        return waitFor(new ProcessBuilder(arguments).redirectErrorStream(true).redirectOutput(said.toFile()).start());
    }

    private void write() {
        StringBuilder text = new StringBuilder();
        properties.forEach((key, value) -> text.append(key).append('=')
            .append(value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")).append('\n'));
        try {
            Files.writeString(file(), text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private Path file() {
        return home.resolve("server.properties");
    }

    static boolean isKafka() {
        return WHAT.equals("kafka");
    }

    /** Starts the process, and waits until it is ready. */
    public void start() {
        launch();
        awaitReady();
    }

    /** Starts the process. */
    public void launch() {
        format();
        if (isAlive()) {
            return;
        }
        try {
            ProcessBuilder builder = new ProcessBuilder(isKafka() ? kafka() : List.of(WHAT, "serve", file().toString()))
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log().toFile()))
                .redirectError(ProcessBuilder.Redirect.appendTo(log().toFile()));
            if (System.getProperty(LOGIN_FILE) != null) {
                builder.environment().put("KAFKA_OPTS", "-D" + LOGIN_FILE + "=" + System.getProperty(LOGIN_FILE));
            }
            process = builder.start();
            stopped = false;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private List<String> kafka() {
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        List<String> command = new ArrayList<>(List.of(java, "-Xmx256M", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"));
        if (System.getProperty(LOGIN_FILE) != null) {
            command.add("-D" + LOGIN_FILE + "=" + System.getProperty(LOGIN_FILE));
        }
        command.addAll(List.of("-cp", System.getProperty("interop.jars"), "kafka.Kafka", file().toString()));
        return command;
    }

    /** Waits until a broker is among the brokers that it answers with, and until a controller takes connections. */
    public void awaitReady() {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(READY_SECONDS);
        try {
            while (!isReady()) {
                if (!process.isAlive() || System.nanoTime() > deadline) {
                    process.destroyForcibly();
                    throw new IllegalStateException("the node " + id + " does not start: " + tail());
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

    private boolean isReady() {
        try {
            if (door != null) {
                return view().brokers().stream().anyMatch(broker -> broker.nodeId() == id);
            }
            try (Socket socket = new Socket()) {
                int port = ports.values().iterator().next();
                socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), CONNECT_MS);
                return true;
            }
        } catch (IOException e) {
            return false;
        }
    }

    /** A clean shutdown. */
    public void stop() {
        signal();
        if (process != null) {
            waitFor(process);
        }
    }

    /** Begins a clean shutdown. */
    void signal() {
        if (process != null) {
            stopped = true;
            process.destroy();
        }
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

    /** Ends it without a clean shutdown. */
    public void kill() {
        if (process != null) {
            process.destroyForcibly();
            waitFor(process);
        }
    }

    public boolean isAlive() {
        return process != null && process.isAlive();
    }

    /** Whether it ended by itself. */
    boolean hasEnded() {
        return process != null && !process.isAlive() && !stopped;
    }

    public boolean isBroker() {
        return properties.get("process.roles").contains("broker");
    }

    public boolean isController() {
        return properties.get("process.roles").contains("controller");
    }

    public int id() {
        return id;
    }

    public Map<String, String> properties() {
        return properties;
    }

    public String clusterId() {
        return clusterId;
    }

    /** The directories of its partitions. */
    public List<Path> logDirs() {
        return Arrays.stream(properties.get("log.dirs").split(",")).map(Path::of).toList();
    }

    /** The port of a listener by its name. */
    public int port(String listener) {
        Integer port = ports.get(listener);
        if (port == null) {
            throw Touched.skip("the listener " + listener + ", which the shim does not give");
        }
        return port;
    }

    /** What the node says of the cluster. */
    public View view() {
        return new View(ports.get(door.listener()), door, id);
    }

    private Path log() {
        return home.resolve("node.log");
    }

    private String tail() throws IOException {
        String text = Files.readString(log());
        return text.substring(Math.max(0, text.length() - 2000));
    }

    /** Removes a directory and what is in it, unless {@code interop.keep} is set. */
    static void remove(Path directory) {
        if (System.getProperty("interop.keep") != null) {
            System.err.println("kept " + directory);
            return;
        }
        try (var paths = Files.walk(directory)) {
            paths.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
        } catch (IOException | UncheckedIOException e) {
            System.err.println("cannot remove " + directory + ": " + e);
        }
    }

    /** A port that nothing listens on, and that was not given before: the system may name one twice. */
    static synchronized int freePort() {
        while (true) {
            try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
                if (GIVEN.add(socket.getLocalPort())) {
                    return socket.getLocalPort();
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
