package interop;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.reflect.Field;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import com.yammer.metrics.core.Gauge;
import com.yammer.metrics.core.Meter;
import com.yammer.metrics.core.MetricsRegistry;

import org.apache.kafka.common.MetricName;
import org.apache.kafka.common.metrics.KafkaMetric;
import org.apache.kafka.common.metrics.MetricConfig;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.utils.Sanitizer;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.metrics.KafkaYammerMetrics;
import org.apache.kafka.server.quota.QuotaType;

/** The metrics of a broker's connections, which tests read in the broker that they hold: from the node's page for Prometheus. */
final class Measures {
    private static final String HTTP = "thalweg.http.listen";
    private static final String GROUP = "socket-server-metrics";
    private static final Pattern SAMPLE = Pattern.compile("kafka_server_socket_server_metrics_(\\w+)\\{(.*)\\} (\\S+)");
    private static final Pattern THROTTLED =
        Pattern.compile("kafka_server_(produce|fetch|request)_throttle_time_ms_total\\{user=\"(.*)\",client_id=\"(.*)\"\\} (\\S+)");
    private static final Map<String, QuotaType> QUOTAS =
        Map.of("produce", QuotaType.PRODUCE, "fetch", QuotaType.FETCH, "request", QuotaType.REQUEST);
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
        return Faces.face(Metrics.class, Map.of(
            "metrics", arguments -> metrics(node),
            "metricName", arguments -> new MetricName((String) arguments[0], (String) arguments[1], "",
                arguments[arguments.length - 1] instanceof Map<?, ?> tags ? tagged(tags) : Map.of())));
    }

    /** How many connections a broker has. Asking by its page makes none. */
    static int connections(Node node) {
        return (int) sum(node, "kafka_server_socket_server_metrics_connection_count{");
    }

    /** The offset of the last metadata record that a broker has acted upon, if it shows its page. */
    static Optional<Long> applied(Node node) {
        return Optional.ofNullable(node.properties().get(HTTP)).filter(address -> node.isAlive()).map(address ->
            (long) sum(node, "kafka_server_brokermetadatametrics_last_applied_record_offset "));
    }

    /** Gives the registry of this Java machine the one metric that tests look for there. */
    static void register(Cluster cluster) {
        if (Node.isKafka()) {
            return;
        }
        registerMeters(cluster);
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

    /** Gives the registry counts that tests look for, as one sum of all nodes each. */
    private static void registerMeters(Cluster cluster) {
        Map.of("Produce", "produce", "FetchConsumer", "fetch").forEach((request, quota) -> register(cluster,
            "kafka.network", "RequestMetrics", "name=ThrottleTimeMs,request=" + request,
            "kafka_server_" + quota + "_throttle_time_ms_total{"));
        register(cluster, "kafka.controller", "ControllerStats", "name=UncleanLeaderElectionsPerSec",
            "kafka_controller_controllerstats_uncleanleaderelections_total ");
        for (String kind : List.of("InvalidMagicNumber", "InvalidMessageCrc", "InvalidOffsetOrSequence", "NoKeyCompactedTopic")) {
            register(cluster, "kafka.server", "BrokerTopicMetrics", "name=" + kind + "RecordsPerSec",
                "kafka_server_brokertopicmetrics_" + kind.toLowerCase(Locale.ROOT) + "records_total ");
        }
    }

    /** The registry makes its meters itself, with threads; this one is put into it by its name. */
    private static void register(Cluster cluster, String group, String type, String rest, String begin) {
        Meter meter = Faces.face(Meter.class, Map.of("count", arguments -> (long) cluster.all().stream()
            .filter(Node::isAlive).mapToDouble(node -> sum(node, begin)).sum()));
        String name = rest.substring("name=".length()).split(",")[0];
        all().put(new com.yammer.metrics.core.MetricName(group, type, name, null, group + ":type=" + type + "," + rest), meter);
    }

    @SuppressWarnings("unchecked")
    private static Map<com.yammer.metrics.core.MetricName, com.yammer.metrics.core.Metric> all() {
        try {
            Field metrics = MetricsRegistry.class.getDeclaredField("metrics");
            metrics.setAccessible(true);
            return (Map<com.yammer.metrics.core.MetricName, com.yammer.metrics.core.Metric>) metrics.get(
                KafkaYammerMetrics.defaultRegistry());
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    private static Map<MetricName, KafkaMetric> metrics(Node node) {
        String address = node.properties().get(HTTP);
        if (address == null) {
            throw Touched.skip("metrics");
        }
        Map<MetricName, KafkaMetric> all = new HashMap<>();
        String page = page(address);
        addThrottled(node, page, all);
        page.lines().map(SAMPLE::matcher).filter(Matcher::matches).forEach(sample -> {
            MetricName name = new MetricName(sample.group(1).replace('_', '-'), GROUP, "", tags(sample.group(2)));
            double value = Double.parseDouble(sample.group(3));
            org.apache.kafka.common.metrics.Gauge<Double> gauge = (config, now) -> value;
            all.put(name, new KafkaMetric(new Object(), name, gauge, new MetricConfig(), Time.SYSTEM));
        });
        return all;
    }

    private static Map<String, String> tagged(Map<?, ?> tags) {
        Map<String, String> tagged = new LinkedHashMap<>();
        tags.forEach((key, value) -> tagged.put((String) key, (String) value));
        return tagged;
    }

    /**
     * For how long clients were throttled, under the names of the quotas' own metrics. Kafka's value is an average of the
     * last time, and no number for a client that was not throttled; the page has the sum.
     */
    private static void addThrottled(Node node, String page, Map<MetricName, KafkaMetric> all) {
        page.lines().map(THROTTLED::matcher).filter(Matcher::matches).forEach(sample -> {
            Map<String, String> tags = Map.of("user", Sanitizer.sanitize(sample.group(2)), "client-id", sample.group(3));
            MetricName name = new MetricName("throttle-time", QUOTAS.get(sample.group(1)).toString(), "", tags);
            String begin = sample.group().substring(0, sample.start(4));
            org.apache.kafka.common.metrics.Gauge<Double> gauge = (config, now) -> throttled(node, begin);
            all.put(name, new KafkaMetric(new Object(), name, gauge, new MetricConfig(), Time.SYSTEM));
        });
    }

    private static double throttled(Node node, String begin) {
        double sum = sum(node, begin);
        return sum > 0 ? sum : Double.NaN;
    }

    /** The sum of the samples that begin so. */
    private static double sum(Node node, String begin) {
        return page(node.properties().get(HTTP)).lines().filter(line -> line.startsWith(begin))
            .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1))).sum();
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
