package interop;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.engine.DiscoverySelector;

/**
 * Runs test classes one after the other, and prints a line for each test: class, method, display name, outcome, number of
 * brokers asked for (0: it started no node), milliseconds, and the reason, with tabs between. Arguments: {@code CLASS} or {@code CLASS#METHOD}.
 */
public final class Main implements TestExecutionListener {
    private final PrintStream out;
    private long began;

    private Main(PrintStream out) {
        this.out = out;
    }

    public static void main(String[] arguments) {
        PrintStream out = System.out;
        System.setOut(System.err);
        List<DiscoverySelector> chosen = new ArrayList<>();
        for (String argument : arguments) {
            String[] parts = argument.split("#", 2);
            if (parts.length == 1) {
                chosen.add(DiscoverySelectors.selectClass(parts[0]));
                continue;
            }
            try {
                // By name alone: the parameters are whatever the class gives the method.
                for (Class<?> each = Class.forName(parts[0]); each != null; each = each.getSuperclass()) {
                    for (var method : each.getDeclaredMethods()) {
                        if (method.getName().equals(parts[1])) {
                            chosen.add(DiscoverySelectors.selectMethod(Class.forName(parts[0]), method));
                        }
                    }
                }
            } catch (ClassNotFoundException e) {
                throw new IllegalArgumentException(e);
            }
        }
        LauncherDiscoveryRequest request = LauncherDiscoveryRequestBuilder.request()
            .selectors(chosen)
            .configurationParameter("junit.jupiter.extensions.autodetection.enabled", "true")
            .configurationParameter("junit.jupiter.execution.timeout.default", System.getProperty("interop.timeout", "300 s"))
            .build();
        LauncherFactory.create().execute(request, new Main(out));
        System.exit(0);
    }

    @Override
    public void executionStarted(TestIdentifier test) {
        if (test.isTest()) {
            began = System.nanoTime();
            Touched.take();
            Wanted.takeNodes();
        }
    }

    @Override
    public void executionSkipped(TestIdentifier test, String reason) {
        print(test, "skip", "disabled by Kafka: " + reason);
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        if (!test.isTest() && result.getStatus() == TestExecutionResult.Status.SUCCESSFUL) {
            return;
        }
        Throwable why = result.getThrowable().orElse(null);
        Set<String> touched = Touched.take();
        if (why != null && Wanted.TWIN.equals(why.getMessage())) {
            return;
        }
        switch (result.getStatus()) {
            case SUCCESSFUL -> print(test, "pass", "");
            case ABORTED -> print(test, "skip", touched.isEmpty() ? line(why) : "inside of the broker: " + String.join(", ", touched));
            case FAILED -> {
                // Kafka's TestUtils looks for a broker's metrics in this Java machine.
                if (why != null && String.valueOf(why.getMessage()).startsWith("Unable to find metric")) {
                    print(test, "skip", "inside of the broker: metrics");
                } else if (touched.isEmpty()) {
                    print(test, "FAIL", line(why));
                    why.printStackTrace();
                } else {
                    print(test, "skip", "inside of the broker: " + String.join(", ", touched));
                }
            }
        }
    }

    private void print(TestIdentifier test, String outcome, String reason) {
        MethodSource source = test.getSource().filter(MethodSource.class::isInstance).map(MethodSource.class::cast).orElse(null);
        String type = source == null ? test.getLegacyReportingName() : source.getClassName();
        String method = source == null ? "-" : source.getMethodName();
        int nodes = Wanted.takeNodes();
        long took = (System.nanoTime() - began) / 1_000_000;
        out.println(String.join("\t", type, method, test.getDisplayName().replaceAll("\\s+", " "), outcome,
            Integer.toString(nodes), Long.toString(took), reason));
        System.err.println("##### " + outcome + " " + type + "#" + method + " " + test.getDisplayName());
    }

    private static String line(Throwable why) {
        if (why == null) {
            return "";
        }
        String text = why.toString().replaceAll("\\s+", " ");
        return text.substring(0, Math.min(300, text.length()));
    }
}
