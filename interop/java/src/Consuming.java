import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** What KafkaConsumer does without a group, with both of its implementations. */
final class Consuming {
    private static String protocol;

    static void list(Features run) {
        for (var name : List.of("classic", "consumer")) {
            run.area("Consumer (" + name + ")");
            run.feature("assign and read from the beginning", () -> with(name, Consuming::assign));
            run.feature("seek", () -> with(name, Consuming::seek));
            run.feature("seek to the end and wait", () -> with(name, Consuming::seekToEnd));
            run.feature("beginning and end offsets", () -> with(name, Consuming::ends));
            run.feature("offsets for times", () -> with(name, Consuming::offsetsForTimes));
            run.feature("reset to the latest", () -> with(name, Consuming::resetLatest));
            run.feature("reset by duration", () -> with(name, Consuming::resetByDuration));
            run.feature("no reset: tell the application", () -> with(name, Consuming::resetNone));
            run.feature("out of range offsets", () -> with(name, Consuming::outOfRange));
            run.feature("pause and resume", () -> with(name, Consuming::pause));
            run.feature("max.poll.records", () -> with(name, Consuming::maxPollRecords));
            run.feature("wait for fetch.min.bytes", () -> with(name, Consuming::minBytes));
            run.feature("records larger than the fetch size", () -> with(name, Consuming::smallFetches));
            run.feature("lag", () -> with(name, Consuming::lag));
            run.feature("list topics and partitions", () -> with(name, Consuming::listTopics));
            run.feature("wake up", () -> with(name, Consuming::wakeup));
        }
    }

    /** A feature with one of the two group protocols; it decides which implementation the client uses. */
    private static void with(String name, Features.Body body) throws Exception {
        protocol = "group.protocol=" + name;
        body.run();
    }

    /** A consumer of partition 0 of a topic that holds the numbers up to 9. */
    private static KafkaConsumer<String, String> ofTen(String... settings) throws Exception {
        var topic = Clients.topic(1);
        Clients.write(topic, Clients.numbers(10));
        return of(topic, settings);
    }

    private static KafkaConsumer<String, String> of(String topic, String... settings) {
        var all = java.util.stream.Stream.concat(java.util.stream.Stream.of(protocol, "group.id=" + Clients.name("group"), "enable.auto.commit=false"), java.util.Arrays.stream(settings));
        var consumer = Clients.consumer(all.toArray(String[]::new));
        consumer.assign(Clients.parts(topic, 1));
        return consumer;
    }

    private static TopicPartition part(KafkaConsumer<String, String> consumer) {
        return consumer.assignment().iterator().next();
    }

    /** These features choose their positions themselves, so that they do not ask the group for any. */
    static void assign() throws Exception {
        try (var consumer = ofTen()) {
            consumer.seekToBeginning(consumer.assignment());
            Clients.equal(Clients.values(Clients.poll(consumer, 10)), List.of(Clients.numbers(10)));
            Clients.equal(consumer.position(part(consumer)), 10L);
        }
    }

    static void seek() throws Exception {
        try (var consumer = ofTen()) {
            consumer.seek(part(consumer), 7);
            Clients.equal(Clients.values(Clients.poll(consumer, 3)), List.of("7", "8", "9"));
            consumer.seek(part(consumer), 9);
            Clients.equal(Clients.values(Clients.poll(consumer, 1)), List.of("9"));
        }
    }

    static void seekToEnd() throws Exception {
        try (var consumer = ofTen()) {
            consumer.seekToEnd(consumer.assignment());
            Clients.equal(consumer.position(part(consumer)), 10L);
            Clients.write(part(consumer).topic(), "new");
            Clients.equal(Clients.values(Clients.poll(consumer, 1)), List.of("new"));
        }
    }

    static void ends() throws Exception {
        try (var consumer = ofTen()) {
            Clients.equal(consumer.beginningOffsets(consumer.assignment()), Map.of(part(consumer), 0L));
            Clients.equal(consumer.endOffsets(consumer.assignment()), Map.of(part(consumer), 10L));
        }
    }

    static void offsetsForTimes() throws Exception {
        var topic = Clients.topic(1, "retention.ms=-1");
        try (var producer = Clients.producer(); var consumer = of(topic)) {
            for (var time = 1000L; time <= 3000; time += 1000) {
                Clients.get(producer.send(new ProducerRecord<>(topic, 0, time, null, "v")));
            }
            var found = consumer.offsetsForTimes(Map.of(part(consumer), 1500L)).get(part(consumer));
            Clients.equal(found.offset() + " " + found.timestamp(), "1 2000");
            Clients.equal(consumer.offsetsForTimes(Map.of(part(consumer), 9000L)).get(part(consumer)), null);
        }
    }

    static void resetLatest() throws Exception {
        try (var consumer = ofTen("auto.offset.reset=latest")) {
            Clients.equal(consumer.position(part(consumer)), 10L);
        }
    }

    static void resetByDuration() throws Exception {
        var topic = Clients.topic(1, "retention.ms=-1");
        try (var producer = Clients.producer(); var consumer = of(topic, "auto.offset.reset=by_duration:PT1H")) {
            Clients.get(producer.send(new ProducerRecord<>(topic, 0, Instant.now().minusSeconds(7200).toEpochMilli(), null, "old")));
            Clients.get(producer.send(new ProducerRecord<>(topic, 0, Instant.now().minusSeconds(60).toEpochMilli(), null, "young")));
            Clients.equal(Clients.values(Clients.poll(consumer, 1)), List.of("young"));
        }
    }

    static void resetNone() throws Exception {
        try (var consumer = ofTen("auto.offset.reset=none")) {
            Clients.refused(() -> Clients.poll(consumer, 1), NoOffsetForPartitionException.class);
        }
    }

    static void outOfRange() throws Exception {
        try (var consumer = ofTen("auto.offset.reset=none")) {
            consumer.seek(part(consumer), 99);
            Clients.refused(() -> Clients.poll(consumer, 1), OffsetOutOfRangeException.class);
        }
    }

    static void pause() throws Exception {
        var topic = Clients.topic(2);
        for (var part : Clients.parts(topic, 2)) {
            Clients.writeTo(part, "of " + part.partition());
        }
        try (var consumer = of(topic)) {
            var parts = Clients.parts(topic, 2);
            consumer.assign(parts);
            consumer.seekToBeginning(parts);
            consumer.pause(List.of(parts.get(0)));
            Clients.equal(Clients.values(Clients.poll(consumer, 1)), List.of("of 1"));
            Clients.equal(consumer.paused(), Set.of(parts.get(0)));
            consumer.resume(List.of(parts.get(0)));
            Clients.equal(Clients.values(Clients.poll(consumer, 1)), List.of("of 0"));
        }
    }

    static void maxPollRecords() throws Exception {
        try (var consumer = ofTen("max.poll.records=3")) {
            consumer.seekToBeginning(consumer.assignment());
            Clients.eventually("records", () -> {
                var count = consumer.poll(Duration.ofMillis(200)).count();
                Clients.expect(count <= 3, count + " records in one poll");
                return count > 0 && consumer.position(part(consumer)) == 10;
            });
        }
    }

    static void minBytes() throws Exception {
        try (var consumer = ofTen("fetch.min.bytes=100000", "fetch.max.wait.ms=1500")) {
            consumer.seekToBeginning(consumer.assignment());
            consumer.position(part(consumer));
            var began = System.nanoTime();
            Clients.poll(consumer, 10);
            var waited = (System.nanoTime() - began) / 1_000_000;
            Clients.expect(waited > 1000, "the fetch waits for more, not only " + waited + " ms");
        }
    }

    static void smallFetches() throws Exception {
        var topic = Clients.topic(1);
        Clients.write(topic, "x".repeat(100_000), "y".repeat(100_000));
        try (var consumer = of(topic, "max.partition.fetch.bytes=1000", "fetch.max.bytes=1000")) {
            consumer.seekToBeginning(consumer.assignment());
            Clients.equal(Clients.poll(consumer, 2).size(), 2);
        }
    }

    static void lag() throws Exception {
        try (var consumer = ofTen("max.poll.records=4")) {
            consumer.seekToBeginning(consumer.assignment());
            Clients.eventually("the lag is known", () -> {
                consumer.poll(Duration.ofMillis(100));
                return consumer.currentLag(part(consumer)).isPresent() && consumer.currentLag(part(consumer)).getAsLong() == 0;
            });
        }
    }

    static void listTopics() throws Exception {
        try (var consumer = ofTen()) {
            Clients.equal(consumer.listTopics().get(part(consumer).topic()).size(), 1);
            Clients.equal(consumer.partitionsFor(part(consumer).topic()).size(), 1);
        }
    }

    static void wakeup() throws Exception {
        try (var consumer = ofTen()) {
            consumer.seekToEnd(consumer.assignment());
            consumer.wakeup();
            Clients.refused(() -> consumer.poll(Duration.ofSeconds(10)), org.apache.kafka.common.errors.WakeupException.class);
        }
    }
}
