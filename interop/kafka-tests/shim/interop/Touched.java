package interop;

import java.util.Collections;
import java.util.Set;
import java.util.TreeSet;

import org.opentest4j.TestAbortedException;

/** Why a test cannot be run against a node in another process: what it reached for that is only inside of Kafka's. */
public final class Touched {
    private static final Set<String> REASONS = Collections.synchronizedSet(new TreeSet<>());

    private Touched() {
    }

    /** Ends the test as skipped, and remembers why, as some tests catch what they are ended with. */
    public static TestAbortedException skip(String reason) {
        REASONS.add(reason);
        return new TestAbortedException(reason);
    }

    /** What was remembered since the last call. */
    static Set<String> take() {
        synchronized (REASONS) {
            Set<String> taken = new TreeSet<>(REASONS);
            REASONS.clear();
            return taken;
        }
    }
}
