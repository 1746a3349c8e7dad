import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.Record;

/**
 * One instance of a Kafka Streams application that copies records whose values begin with a number, each to the partition it came from,
 * and counts two words of each number. Under exactly_once_v2 the copy has each record once and in order, and the counts of a word are
 * 1, 2, 3 and so on. It prints its states, and each thread that ended and was replaced.
 */
final class StreamsWork {
    private StreamsWork() {}

    /** Arguments: bootstrap servers, application id, group protocol, state directory, and the topics read, copied to and counted in. */
    public static void main(String[] arguments) throws InterruptedException {
        var settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1]);
        settings.put(StreamsConfig.GROUP_PROTOCOL_CONFIG, arguments[2]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[3]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        // Each count is written, and not the last one before a commit only.
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        settings.put("auto.offset.reset", "earliest");
        if (arguments[2].equals("classic")) {
            settings.put("session.timeout.ms", 10_000);
        }
        var streams = new KafkaStreams(topology(arguments[4], arguments[5], arguments[6]), settings);
        streams.setStateListener((now, before) -> say("state " + now));
        streams.setUncaughtExceptionHandler(failure -> {
            say("replaced " + chain(failure));
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        Thread.currentThread().join();
    }

    private static Topology topology(String source, String copy, String counts) {
        var builder = new StreamsBuilder();
        var records = builder.<String, String>stream(source, Consumed.with(Serdes.String(), Serdes.String()))
            .process(KeyedByPartition::new);
        records.to(copy, Produced.with(Serdes.String(), Serdes.String())
            .withStreamPartitioner((topic, key, value, count) -> Optional.of(Set.of(Integer.parseInt(key)))));
        records.flatMapValues(StreamsWork::words)
            .groupBy((key, word) -> word, Grouped.with("words", Serdes.String(), Serdes.String()))
            .count(Materialized.as("counts"))
            .toStream()
            .to(counts, Produced.with(Serdes.String(), Serdes.Long()));
        return builder.build();
    }

    private static List<String> words(String value) {
        var number = Long.parseLong(value.split(" ", 2)[0]);
        return List.of("a" + number % 40, "b" + number % 7);
    }

    private static String chain(Throwable failure) {
        return failure.getCause() == null ? failure.toString() : failure + " by " + chain(failure.getCause());
    }

    private static void say(String text) {
        System.out.println(System.currentTimeMillis() + " " + text.replace('\n', ' '));
    }

    /** Gives each record the number of its partition as its key. */
    private static final class KeyedByPartition extends ContextualProcessor<String, String, String, String> {
        @Override
        public void process(Record<String, String> record) {
            context().forward(record.withKey(Integer.toString(context().recordMetadata().orElseThrow().partition())));
        }
    }
}
