package kafka.server;

import java.util.stream.Stream;

import org.junit.jupiter.params.provider.Arguments;

/** What Scala's tests call as methods of the object {@code QuorumTestHarness}. */
public final class QuorumTestHarness$ {
    public static final QuorumTestHarness$ MODULE$ = new QuorumTestHarness$();

    private QuorumTestHarness$() {
    }

    /** Threads are not looked at. */
    public void verifyNoUnexpectedThreads(String context) {
    }

    public Stream<Arguments> getTestGroupProtocolParametersAll() {
        return QuorumTestHarness.getTestGroupProtocolParametersAll();
    }

    public Stream<Arguments> getTestGroupProtocolParametersClassicGroupProtocolOnly() {
        return QuorumTestHarness.getTestGroupProtocolParametersClassicGroupProtocolOnly();
    }

    public Stream<Arguments> getTestGroupProtocolParametersConsumerGroupProtocolOnly() {
        return QuorumTestHarness.getTestGroupProtocolParametersConsumerGroupProtocolOnly();
    }
}
