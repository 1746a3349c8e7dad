import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTxnStateException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;

/** Transactions: producers, consumers that read what is committed, and what Admin does with them. */
final class Transactions {
    private static final String COMMITTED = "isolation.level=read_committed";

    static void list(Features run) {
        run.area("Transactions");
        run.feature("commit", Transactions::commit);
        run.feature("abort", Transactions::abort);
        run.feature("hide what is not committed yet", Transactions::open);
        run.feature("many, in a row and over partitions", Transactions::many);
        run.feature("send a group's offsets, and read, process, write", Transactions::offsets);
        run.feature("offsets of an aborted transaction are not committed", Transactions::abortedOffsets);
        run.feature("fence an older producer", Transactions::fence);
        run.feature("abort after the transaction's timeout", 50, Transactions::timeout);
        run.feature("last stable offset", Transactions::lastStable);
        run.area("Admin: transactions");
        run.feature("describe producers of a partition", Transactions::describeProducers);
        run.feature("list transactions", Transactions::listTransactions);
        run.feature("list transactions, by state and pattern", Transactions::filtered);
        run.feature("describe a transaction", Transactions::describe);
        run.feature("describe an unknown transaction", Transactions::describeUnknown);
        run.feature("fence producers", Transactions::fenceProducers);
        run.feature("abort a transaction on its partition", Transactions::adminAbort);
        run.feature("terminate a transaction by its id", Transactions::terminate);
    }

    private static KafkaProducer<String, String> begun(String id, String... settings) {
        var all = java.util.stream.Stream.concat(java.util.stream.Stream.of("transactional.id=" + id), java.util.Arrays.stream(settings));
        var producer = Clients.producer(all.toArray(String[]::new));
        try {
            producer.initTransactions();
            producer.beginTransaction();
        } catch (RuntimeException why) {
            producer.close(java.time.Duration.ZERO);
            throw why;
        }
        return producer;
    }

    private static TopicPartition part() throws Exception {
        return new TopicPartition(Clients.topic(1), 0);
    }

    static void commit() throws Exception {
        var part = part();
        try (var producer = begun(Clients.name("txn"))) {
            Clients.send(producer, part, "a", "b");
            producer.commitTransaction();
        }
        Clients.equal(Clients.values(Clients.read(part.topic(), 2, COMMITTED)), List.of("a", "b"));
    }

    static void abort() throws Exception {
        var part = part();
        try (var producer = begun(Clients.name("txn"))) {
            Clients.send(producer, part, "gone");
            producer.abortTransaction();
            producer.beginTransaction();
            Clients.send(producer, part, "kept");
            producer.commitTransaction();
        }
        Clients.equal(Clients.values(Clients.read(part.topic(), 1, COMMITTED)), List.of("kept"));
        Clients.equal(Clients.values(Clients.read(part.topic(), 2)), List.of("gone", "kept"));
    }

    static void open() throws Exception {
        var part = part();
        Clients.writeTo(part, "before");
        try (var producer = begun(Clients.name("txn")); var consumer = Clients.consumer(COMMITTED)) {
            Clients.send(producer, part, "inside");
            Clients.writeTo(part, "after");
            consumer.assign(List.of(part));
            consumer.seekToBeginning(List.of(part));
            Clients.equal(Clients.values(Clients.poll(consumer, 1)), List.of("before"));
            Clients.equal(consumer.poll(java.time.Duration.ofMillis(700)).count(), 0);
            producer.commitTransaction();
            Clients.equal(Clients.values(Clients.poll(consumer, 2)), List.of("inside", "after"));
        }
    }

    static void many() throws Exception {
        var topic = Clients.topic(5);
        try (var producer = begun(Clients.name("txn")); var consumer = Clients.consumer(COMMITTED)) {
            for (var n = 0; n < 20; n++) {
                if (n > 0) {
                    producer.beginTransaction();
                }
                for (var partition = 0; partition < 5; partition++) {
                    producer.send(new ProducerRecord<>(topic, partition, null, n % 2 == 0 ? "kept" : "gone"));
                }
                if (n % 2 == 0) {
                    producer.commitTransaction();
                } else {
                    producer.flush();
                    producer.abortTransaction();
                }
            }
            consumer.assign(Clients.parts(topic, 5));
            consumer.seekToBeginning(consumer.assignment());
            Clients.equal(Set.copyOf(Clients.values(Clients.poll(consumer, 50))), Set.of("kept"));
        }
    }

    static void offsets() throws Exception {
        var from = part();
        var to = part();
        var group = Clients.name("group");
        Clients.writeTo(from, Clients.numbers(10));
        try (var producer = begun(Clients.name("txn")); var consumer = Clients.consumer(COMMITTED, "group.id=" + group, "enable.auto.commit=false")) {
            consumer.subscribe(List.of(from.topic()));
            for (var record : Clients.poll(consumer, 10)) {
                producer.send(new ProducerRecord<>(to.topic(), 0, null, "of " + record.value()));
            }
            producer.sendOffsetsToTransaction(Map.of(from, new OffsetAndMetadata(10)), consumer.groupMetadata());
            Clients.equal(consumer.position(from), 10L);
            producer.commitTransaction();
            Clients.equal(consumer.committed(Set.of(from)).get(from).offset(), 10L);
        }
        Clients.equal(Clients.read(to.topic(), 10, COMMITTED).get(9).value(), "of 9");
    }

    static void abortedOffsets() throws Exception {
        var from = part();
        var group = Clients.name("group");
        Clients.writeTo(from, "a");
        try (var producer = begun(Clients.name("txn")); var consumer = Clients.consumer("group.id=" + group, "enable.auto.commit=false")) {
            consumer.subscribe(List.of(from.topic()));
            Clients.poll(consumer, 1);
            producer.sendOffsetsToTransaction(Map.of(from, new OffsetAndMetadata(1)), consumer.groupMetadata());
            producer.abortTransaction();
            Clients.equal(consumer.committed(Set.of(from)).get(from), null);
        }
    }

    static void fence() throws Exception {
        var part = part();
        var id = Clients.name("txn");
        try (var old = begun(id)) {
            Clients.send(old, part, "of the old");
            try (var young = begun(id)) {
                Clients.send(young, part, "of the young");
                Clients.refused(() -> old.commitTransaction(), ProducerFencedException.class);
                young.commitTransaction();
            }
        }
        Clients.equal(Clients.values(Clients.read(part.topic(), 1, COMMITTED)), List.of("of the young"));
    }

    static void timeout() throws Exception {
        var part = part();
        try (var producer = begun(Clients.name("txn"), "transaction.timeout.ms=2000")) {
            Clients.send(producer, part, "too late");
            Clients.writeTo(part, "after");
            Clients.equal(Clients.values(Clients.read(part.topic(), 1, COMMITTED)), List.of("after"));
            Clients.refused(() -> producer.commitTransaction(), KafkaException.class);
        }
    }

    static void lastStable() throws Exception {
        var part = part();
        var committed = new ListOffsetsOptions(IsolationLevel.READ_COMMITTED);
        try (var producer = begun(Clients.name("txn"))) {
            Clients.send(producer, part, "a", "b");
            Clients.equal(Clients.get(Clients.admin().listOffsets(Map.of(part, OffsetSpec.latest()), committed).partitionResult(part)).offset(), 0L);
            producer.commitTransaction();
            Clients.equal(Clients.get(Clients.admin().listOffsets(Map.of(part, OffsetSpec.latest()), committed).partitionResult(part)).offset(), 3L);
        }
    }

    static void describeProducers() throws Exception {
        var part = part();
        Clients.writeTo(part, "a");
        var state = Clients.get(Clients.admin().describeProducers(List.of(part)).partitionResult(part)).activeProducers().get(0);
        Clients.equal(state.lastSequence() + " " + state.currentTransactionStartOffset().isPresent(), "0 false");
        Clients.expect(state.producerId() >= 0, "the producer's id is " + state.producerId());
    }

    static void listTransactions() throws Exception {
        var id = Clients.name("txn");
        try (var producer = begun(id)) {
            Clients.send(producer, part(), "a");
            var states = states(new ListTransactionsOptions());
            Clients.equal(states.get(id), TransactionState.ONGOING);
            producer.commitTransaction();
        }
        Clients.eventually("the commit is listed", () -> states(new ListTransactionsOptions()).get(id) == TransactionState.COMPLETE_COMMIT);
    }

    static void filtered() throws Exception {
        var id = Clients.name("txn");
        try (var producer = begun(id)) {
            Clients.send(producer, part(), "a");
            Clients.equal(states(new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING)).filterOnTransactionalIdPattern(id)), Map.of(id, TransactionState.ONGOING));
            Clients.equal(states(new ListTransactionsOptions().filterStates(Set.of(TransactionState.PREPARE_ABORT)).filterOnTransactionalIdPattern(id)), Map.of());
            Clients.equal(states(new ListTransactionsOptions().filterOnDuration(3_600_000).filterOnTransactionalIdPattern(id)), Map.of());
            producer.abortTransaction();
        }
    }

    private static Map<String, TransactionState> states(ListTransactionsOptions options) throws Exception {
        Map<String, TransactionState> states = new HashMap<>();
        Clients.get(Clients.admin().listTransactions(options).all()).forEach(each -> states.put(each.transactionalId(), each.state()));
        return states;
    }

    static void describe() throws Exception {
        var id = Clients.name("txn");
        var part = part();
        try (var producer = begun(id, "transaction.timeout.ms=34567")) {
            Clients.send(producer, part, "a");
            var found = Clients.get(Clients.admin().describeTransactions(List.of(id)).description(id));
            Clients.equal(found.topicPartitions(), Set.of(part));
            Clients.equal(found.state() + " " + found.transactionTimeoutMs(), TransactionState.ONGOING + " 34567");
            producer.abortTransaction();
        }
    }

    static void describeUnknown() throws Exception {
        var id = Clients.name("none");
        Clients.refused(Clients.admin().describeTransactions(List.of(id)).description(id), TransactionalIdNotFoundException.class);
    }

    static void fenceProducers() throws Exception {
        var id = Clients.name("txn");
        try (var producer = begun(id)) {
            Clients.send(producer, part(), "a");
            Clients.get(Clients.admin().fenceProducers(List.of(id)).all());
            Clients.refused(() -> producer.commitTransaction(), KafkaException.class);
        }
    }

    static void adminAbort() throws Exception {
        var part = part();
        try (var producer = begun(Clients.name("txn"))) {
            Clients.send(producer, part, "hanging");
            var state = Clients.get(Clients.admin().describeProducers(List.of(part)).partitionResult(part)).activeProducers().get(0);
            Clients.equal(state.currentTransactionStartOffset().getAsLong(), 0L);
            var spec = new AbortTransactionSpec(part, state.producerId(), (short) state.producerEpoch(), state.coordinatorEpoch().orElse(0));
            Clients.get(Clients.admin().abortTransaction(spec).all());
            Clients.writeTo(part, "after");
            Clients.equal(Clients.values(Clients.read(part.topic(), 1, COMMITTED)), List.of("after"));
        }
    }

    static void terminate() throws Exception {
        var id = Clients.name("txn");
        var part = part();
        try (var producer = begun(id)) {
            Clients.send(producer, part, "a");
            Clients.get(Clients.admin().forceTerminateTransaction(id, new org.apache.kafka.clients.admin.TerminateTransactionOptions()).result());
            Clients.writeTo(part, "after");
            Clients.equal(Clients.values(Clients.read(part.topic(), 1, COMMITTED)), List.of("after"));
        }
    }
}
