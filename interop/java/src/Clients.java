import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Clients of the node under test, and what every feature says with them. Settings are given as "key=value". */
final class Clients {
    static String bootstrap;
    private static final String RUN = Long.toString(System.currentTimeMillis(), 36);
    private static final AtomicInteger NUMBERS = new AtomicInteger();
    private static final int WAIT_SECONDS = 20;
    private static Admin shared;

    private Clients() {}

    /** The one admin client of the program. */
    static synchronized Admin admin() {
        if (shared == null) {
            shared = Admin.create(settings("default.api.timeout.ms=15000", "request.timeout.ms=10000"));
        }
        return shared;
    }

    static KafkaProducer<String, String> producer(String... settings) {
        return new KafkaProducer<>(settings(settings, "max.block.ms=10000", "delivery.timeout.ms=20000", "request.timeout.ms=10000"), new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(String... settings) {
        return new KafkaConsumer<>(settings(settings, "default.api.timeout.ms=15000", "request.timeout.ms=10000", "auto.offset.reset=earliest"), new StringDeserializer(), new StringDeserializer());
    }

    static KafkaShareConsumer<String, String> shareConsumer(String group, String... settings) {
        return new KafkaShareConsumer<>(settings(settings, "default.api.timeout.ms=15000", "group.id=" + group), new StringDeserializer(), new StringDeserializer());
    }

    private static Map<String, Object> settings(String[] given, String... usual) {
        var all = new ArrayList<>(Arrays.asList(usual));
        all.addAll(Arrays.asList(given));
        return settings(all.toArray(String[]::new));
    }

    private static Map<String, Object> settings(String... pairs) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
        for (var pair : pairs) {
            settings.put(pair.substring(0, pair.indexOf('=')), pair.substring(pair.indexOf('=') + 1));
        }
        return settings;
    }

    /** A name that nothing else uses. */
    static String name(String word) {
        return "java-" + word + "-" + RUN + "-" + NUMBERS.incrementAndGet();
    }

    /** A new topic with one replica, once the broker has learned of all its partitions. */
    static String topic(int partitions, String... configs) throws Exception {
        var name = name("topic");
        Map<String, String> settings = new HashMap<>();
        for (var pair : configs) {
            settings.put(pair.substring(0, pair.indexOf('=')), pair.substring(pair.indexOf('=') + 1));
        }
        get(admin().createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(settings))).all());
        eventually(name + " is known", () -> {
            var found = get(admin().listTopics().names()).contains(name) ? get(admin().describeTopics(List.of(name)).allTopicNames()).get(name) : null;
            return found != null && found.partitions().size() == partitions;
        });
        return name;
    }

    /** A future's value, or what went wrong. */
    static <T> T get(Future<T> future) throws Exception {
        return future.get(WAIT_SECONDS, TimeUnit.SECONDS);
    }

    /** The future must fail with this kind of error. */
    static void refused(Future<?> future, Class<? extends Exception> kind) throws Exception {
        try {
            var value = get(future);
            throw new AssertionError("answered with " + value + ", not with " + kind.getSimpleName());
        } catch (ExecutionException why) {
            if (!kind.isInstance(why.getCause())) {
                throw new AssertionError("refused with " + why.getCause() + ", not with " + kind.getSimpleName());
            }
        }
    }

    /** The call must fail with this kind of error. */
    static void refused(Features.Body call, Class<? extends Exception> kind) throws Exception {
        try {
            call.run();
        } catch (Exception why) {
            if (kind.isInstance(why) || kind.isInstance(why.getCause())) {
                return;
            }
            throw new AssertionError("refused with " + why + ", not with " + kind.getSimpleName());
        }
        throw new AssertionError("done, where " + kind.getSimpleName() + " was due");
    }

    static void equal(Object actual, Object wanted) {
        if (!java.util.Objects.equals(actual, wanted)) {
            throw new AssertionError(actual + " is not " + wanted);
        }
    }

    static void expect(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    /** Asks until the condition holds. */
    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        var deadline = System.nanoTime() + WAIT_SECONDS * 1_000_000_000L;
        while (!condition.call()) {
            expect(System.nanoTime() < deadline, "not within " + WAIT_SECONDS + " s: " + what);
            Thread.sleep(20);
        }
    }

    /** Produces values to partition 0 and returns where the last one stands. */
    static RecordMetadata write(String topic, String... values) throws Exception {
        return writeTo(new TopicPartition(topic, 0), values);
    }

    static RecordMetadata writeTo(TopicPartition part, String... values) throws Exception {
        try (var producer = producer()) {
            return send(producer, part, values);
        }
    }

    static RecordMetadata send(KafkaProducer<String, String> producer, TopicPartition part, String... values) throws Exception {
        RecordMetadata last = null;
        for (var value : values) {
            last = get(producer.send(new ProducerRecord<>(part.topic(), part.partition(), null, value)));
        }
        return last;
    }

    /** The first records of partition 0, as many as are wanted. */
    static List<ConsumerRecord<String, String>> read(String topic, int count, String... settings) throws Exception {
        try (var consumer = consumer(settings)) {
            var part = new TopicPartition(topic, 0);
            consumer.assign(List.of(part));
            consumer.seekToBeginning(List.of(part));
            return poll(consumer, count);
        }
    }

    /** Polls until so many records have come. */
    static List<ConsumerRecord<String, String>> poll(Consumer<String, String> consumer, int count) throws Exception {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        var deadline = System.nanoTime() + WAIT_SECONDS * 1_000_000_000L;
        while (records.size() < count) {
            expect(System.nanoTime() < deadline, records.size() + " of " + count + " records within " + WAIT_SECONDS + " s");
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        return records;
    }

    static List<String> values(Collection<ConsumerRecord<String, String>> records) {
        return records.stream().map(ConsumerRecord::value).toList();
    }

    /** The values "0", "1", ... */
    static String[] numbers(int count) {
        return java.util.stream.IntStream.range(0, count).mapToObj(Integer::toString).toArray(String[]::new);
    }

    /** The partitions of a topic. */
    static List<TopicPartition> parts(String topic, int count) {
        return java.util.stream.IntStream.range(0, count).mapToObj(partition -> new TopicPartition(topic, partition)).toList();
    }
}
