package interop;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import com.yammer.metrics.core.Gauge;

import org.apache.kafka.common.MetricName;
import org.apache.kafka.common.metrics.KafkaMetric;
import org.apache.kafka.common.metrics.MetricConfig;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.metrics.KafkaYammerMetrics;

/** The metrics of a broker's connections, which tests read in the broker that they hold: from the node's page for Prometheus. */
final class Measures {
    private static final String HTTP = "thalweg.http.listen";
    private static final String GROUP = "socket-server-metrics";
    private static final Pattern SAMPLE = Pattern.compile("kafka_server_socket_server_metrics_(\\w+)\\{(.*)\\} (\\S+)");
    private static final com.yammer.metrics.core.MetricName EXPIRED = new com.yammer.metrics.core.MetricName(
        "kafka.network", "SocketServer", "ExpiredConnectionsKilledCount", null,
        "kafka.network:type=SocketServer,name=ExpiredConnectionsKilledCount");
    private static final int TIMEOUT_MS = 10_000;

    private Measures() {
    }

    /** Lets a node show its page. */
    static void shown(Map<String, String> properties) {
        if (!Node.isKafka()) {
            properties.put(HTTP, "127.0.0.1:" + Node.freePort());
            properties.put("thalweg.console", "off");
        }
    }

    /** What the broker's own registry would hold of its connections. */
    static Metrics of(Node node) {
        return Faces.face(Metrics.class, Map.of("metrics", arguments -> metrics(node)));
    }

    /** Gives the registry of this Java machine the one metric that tests look for there. */
    static void register(Cluster cluster) {
        KafkaYammerMetrics.defaultRegistry().removeMetric(EXPIRED);
        KafkaYammerMetrics.defaultRegistry().newGauge(EXPIRED, new Gauge<Double>() {
            @Override
            public Double value() {
                return cluster.brokers().stream().filter(Node::isAlive).flatMap(node -> metrics(node).entrySet().stream())
                    .filter(each -> each.getKey().name().equals("expired-connections-killed-count"))
                    .mapToDouble(each -> (Double) each.getValue().metricValue()).sum();
            }
        });
    }

    private static Map<MetricName, KafkaMetric> metrics(Node node) {
        String address = node.properties().get(HTTP);
        if (address == null) {
            throw Touched.skip("metrics");
        }
        Map<MetricName, KafkaMetric> all = new HashMap<>();
        page(address).lines().map(SAMPLE::matcher).filter(Matcher::matches).forEach(sample -> {
            MetricName name = new MetricName(sample.group(1).replace('_', '-'), GROUP, "", tags(sample.group(2)));
            double value = Double.parseDouble(sample.group(3));
            org.apache.kafka.common.metrics.Gauge<Double> gauge = (config, now) -> value;
            all.put(name, new KafkaMetric(new Object(), name, gauge, new MetricConfig(), Time.SYSTEM));
        });
        return all;
    }

    private static Map<String, String> tags(String labels) {
        Map<String, String> tags = new LinkedHashMap<>();
        for (String label : labels.split(",")) {
            int at = label.indexOf('=');
            tags.put(label.substring(0, at), label.substring(at + 1).replace("\"", ""));
        }
        return tags;
    }

    private static String page(String address) {
        try {
            HttpURLConnection connection = (HttpURLConnection) URI.create("http://" + address + "/metrics").toURL().openConnection();
            connection.setConnectTimeout(TIMEOUT_MS);
            connection.setReadTimeout(TIMEOUT_MS);
            // A connection that is kept has a thread, and Kafka's tests count those that are left over.
            connection.setRequestProperty("Connection", "close");
            try (InputStream body = connection.getInputStream()) {
                return new String(body.readAllBytes(), StandardCharsets.UTF_8);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
