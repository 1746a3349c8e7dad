import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.apache.kafka.clients.producer.Partitioner;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.record.TimestampType;

/** What KafkaProducer does. */
final class Producing {
    static void list(Features run) {
        run.area("Producer");
        for (var acks : List.of("0", "1", "all")) {
            run.feature("acks=" + acks, () -> acks(acks));
        }
        run.feature("idempotent, many in flight, in order", Producing::idempotent);
        run.feature("not idempotent", Producing::notIdempotent);
        for (var codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            run.feature("compression " + codec, () -> compression(codec));
        }
        run.feature("compression by the topic's config", Producing::brokerCompression);
        run.feature("keys, nulls and headers", Producing::keysAndHeaders);
        run.feature("timestamps of the application", Producing::timestamps);
        run.feature("timestamps of the broker", Producing::logAppendTime);
        run.feature("refuse timestamps out of range", Producing::wrongTimestamps);
        run.feature("records of 5 MB", Producing::large);
        run.feature("refuse records that are too large", Producing::tooLarge);
        run.feature("refuse records without key in a compacted topic", Producing::compacted);
        run.feature("partition by key as other clients do", Producing::partitionByKey);
        run.feature("spread records without keys", Producing::spread);
        run.feature("a partitioner of the application", Producing::partitioner);
        run.feature("partitions of a topic", Producing::partitionsFor);
        run.feature("create a topic by producing to it", Producing::autoCreate);
        run.feature("batches of many partitions", Producing::manyPartitions);
    }

    static void acks(String acks) throws Exception {
        var topic = Clients.topic(1);
        try (var producer = Clients.producer("acks=" + acks, "enable.idempotence=false")) {
            var last = Clients.send(producer, new TopicPartition(topic, 0), Clients.numbers(3));
            Clients.equal(last.hasOffset() ? last.offset() : -1, acks.equals("0") ? -1L : 2L);
        }
        Clients.equal(Clients.values(Clients.read(topic, 3)), List.of("0", "1", "2"));
    }

    static void idempotent() throws Exception {
        inOrder("enable.idempotence=true", "max.in.flight.requests.per.connection=5");
    }

    static void notIdempotent() throws Exception {
        inOrder("enable.idempotence=false", "max.in.flight.requests.per.connection=1");
    }

    /** Many small batches keep their order. */
    private static void inOrder(String... settings) throws Exception {
        var topic = Clients.topic(1);
        try (var producer = Clients.producer(java.util.stream.Stream.concat(java.util.Arrays.stream(settings), java.util.stream.Stream.of("batch.size=500", "linger.ms=1")).toArray(String[]::new))) {
            for (var value : Clients.numbers(5000)) {
                producer.send(new ProducerRecord<>(topic, 0, null, value));
            }
            producer.flush();
        }
        Clients.equal(Clients.values(Clients.read(topic, 5000)), List.of(Clients.numbers(5000)));
    }

    static void compression(String codec) throws Exception {
        var topic = Clients.topic(1);
        try (var producer = Clients.producer("compression.type=" + codec, "linger.ms=50")) {
            for (var value : Clients.numbers(2000)) {
                producer.send(new ProducerRecord<>(topic, 0, "key", value));
            }
        }
        Clients.equal(Clients.values(Clients.read(topic, 2000)), List.of(Clients.numbers(2000)));
    }

    static void brokerCompression() throws Exception {
        var topic = Clients.topic(1, "compression.type=zstd");
        Clients.write(topic, Clients.numbers(20));
        Clients.equal(Clients.values(Clients.read(topic, 20)), List.of(Clients.numbers(20)));
    }

    static void keysAndHeaders() throws Exception {
        var topic = Clients.topic(1);
        var record = new ProducerRecord<>(topic, 0, "schlüssel", "wört");
        record.headers().add("h", "one".getBytes(StandardCharsets.UTF_8)).add("h", null);
        try (var producer = Clients.producer()) {
            Clients.get(producer.send(record));
            Clients.get(producer.send(new ProducerRecord<>(topic, 0, "tombstone", null)));
            Clients.get(producer.send(new ProducerRecord<>(topic, 0, null, "")));
        }
        var read = Clients.read(topic, 3);
        Clients.equal(read.get(0).key() + read.get(0).value(), "schlüsselwört");
        Clients.equal(read.get(0).headers(), record.headers());
        Clients.equal(read.get(1).key() + read.get(1).value(), "tombstonenull");
        Clients.equal(read.get(2).key() + read.get(2).value(), "null");
    }

    static void timestamps() throws Exception {
        var topic = Clients.topic(1, "message.timestamp.type=CreateTime", "retention.ms=-1");
        try (var producer = Clients.producer()) {
            Clients.equal(Clients.get(producer.send(new ProducerRecord<>(topic, 0, 1234567890L, "k", "v"))).timestamp(), 1234567890L);
        }
        var read = Clients.read(topic, 1).get(0);
        Clients.equal(read.timestamp() + read.timestampType().name, 1234567890L + TimestampType.CREATE_TIME.name);
    }

    static void logAppendTime() throws Exception {
        var topic = Clients.topic(1, "message.timestamp.type=LogAppendTime");
        try (var producer = Clients.producer()) {
            var told = Clients.get(producer.send(new ProducerRecord<>(topic, 0, 1L, "k", "v"))).timestamp();
            Clients.expect(Math.abs(told - System.currentTimeMillis()) < 60_000, "the time is now, not " + told);
            var read = Clients.read(topic, 1).get(0);
            Clients.equal(read.timestamp() + read.timestampType().name, told + TimestampType.LOG_APPEND_TIME.name);
        }
    }

    static void wrongTimestamps() throws Exception {
        var topic = Clients.topic(1, "message.timestamp.before.max.ms=1000");
        try (var producer = Clients.producer()) {
            Clients.refused(producer.send(new ProducerRecord<>(topic, 0, 1L, "k", "v")), InvalidTimestampException.class);
        }
    }

    static void large() throws Exception {
        var topic = Clients.topic(1, "max.message.bytes=6000000");
        var bytes = new byte[5_000_000];
        new Random(1).nextBytes(bytes);
        var value = new String(bytes, StandardCharsets.ISO_8859_1).replaceAll("[^ -~]", "x");
        try (var producer = Clients.producer("max.request.size=7000000")) {
            Clients.get(producer.send(new ProducerRecord<>(topic, 0, null, value)));
        }
        Clients.expect(Clients.read(topic, 1).get(0).value().equals(value), "the value comes back");
    }

    static void tooLarge() throws Exception {
        var topic = Clients.topic(1, "max.message.bytes=1000");
        try (var producer = Clients.producer()) {
            Clients.refused(producer.send(new ProducerRecord<>(topic, 0, null, "x".repeat(2000))), RecordTooLargeException.class);
        }
    }

    static void compacted() throws Exception {
        var topic = Clients.topic(1, "cleanup.policy=compact");
        try (var producer = Clients.producer()) {
            Clients.refused(producer.send(new ProducerRecord<>(topic, 0, null, "v")), InvalidRecordException.class);
            Clients.get(producer.send(new ProducerRecord<>(topic, 0, "k", "v")));
        }
    }

    static void partitionByKey() throws Exception {
        var topic = Clients.topic(10);
        try (var producer = Clients.producer()) {
            var partitions = IntStream.range(0, 5).map(n -> sent(producer, new ProducerRecord<>(topic, "key" + n, "v"))).boxed().toList();
            var wanted = IntStream.range(0, 5).map(n -> org.apache.kafka.common.utils.Utils.toPositive(org.apache.kafka.common.utils.Utils.murmur2(("key" + n).getBytes())) % 10).boxed().toList();
            Clients.equal(partitions, wanted);
        }
    }

    static void spread() throws Exception {
        var topic = Clients.topic(4);
        try (var producer = Clients.producer("batch.size=200")) {
            var seen = new HashSet<Integer>();
            for (var n = 0; n < 300; n++) {
                seen.add(sent(producer, new ProducerRecord<>(topic, null, "x".repeat(100))));
            }
            Clients.expect(seen.size() > 1, "more than one partition");
        }
    }

    /** A partitioner that takes the value for the partition's number. */
    public static final class ByValue implements Partitioner {
        @Override
        public int partition(String topic, Object key, byte[] keyBytes, Object value, byte[] valueBytes, Cluster cluster) {
            return Integer.parseInt((String) value);
        }

        @Override
        public void close() {}

        @Override
        public void configure(Map<String, ?> configs) {}
    }

    static void partitioner() throws Exception {
        var topic = Clients.topic(4);
        try (var producer = Clients.producer("partitioner.class=" + ByValue.class.getName())) {
            Clients.equal(sent(producer, new ProducerRecord<>(topic, "k", "3")), 3);
        }
    }

    static void partitionsFor() throws Exception {
        var topic = Clients.topic(7);
        try (var producer = Clients.producer()) {
            Clients.equal(producer.partitionsFor(topic).size(), 7);
        }
    }

    static void autoCreate() throws Exception {
        var topic = Clients.name("auto");
        Clients.write(topic, "first");
        Clients.equal(Clients.values(Clients.read(topic, 1)), List.of("first"));
    }

    static void manyPartitions() throws Exception {
        var topic = Clients.topic(20);
        try (var producer = Clients.producer("linger.ms=20"); var consumer = Clients.consumer()) {
            var sent = IntStream.range(0, 4000).mapToObj(n -> producer.send(new ProducerRecord<>(topic, n % 20, null, Integer.toString(n)))).toList();
            for (var each : sent) {
                Clients.get(each);
            }
            consumer.assign(Clients.parts(topic, 20));
            Clients.equal(new HashSet<>(Clients.values(Clients.poll(consumer, 4000))).size(), 4000);
        }
    }

    private static int sent(org.apache.kafka.clients.producer.Producer<String, String> producer, ProducerRecord<String, String> record) {
        try {
            return Clients.get(producer.send(record)).partition();
        } catch (Exception why) {
            throw new IllegalStateException(why);
        }
    }
}
