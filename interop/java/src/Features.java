import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Which features of Kafka's Java clients work against a node: one line each, `ok|FAIL|n/a`, area, feature and detail between tabs.
 *
 * <p>Usage: {@code java -cp ... Features HOST:PORT [WORD...]}; a WORD chooses the features whose area or name has it.
 */
public final class Features {
    /** What a feature does; it throws when the node does not do what the feature's name says. */
    interface Body {
        void run() throws Exception;
    }

    /** A feature that this client or this node's settings do not have. */
    static final class NotApplicable extends RuntimeException {
        NotApplicable(String why) {
            super(why);
        }
    }

    private static final int SECONDS = 45;
    private final String[] words;
    private String area;

    private Features(String[] words) {
        this.words = words;
    }

    public static void main(String[] arguments) {
        Clients.bootstrap = arguments[0];
        var features = new Features(java.util.Arrays.copyOfRange(arguments, 1, arguments.length));
        AdminTopics.list(features);
        AdminConfigs.list(features);
        AdminCluster.list(features);
        Producing.list(features);
        Consuming.list(features);
        Groups.list(features);
        AdminGroups.list(features);
        Sharing.list(features);
        Transactions.list(features);
        Runtime.getRuntime().halt(0); // what a feature left behind must not hold the program
    }

    /** The features that follow belong to this area. */
    void area(String name) {
        area = name;
    }

    void feature(String name, Body body) {
        feature(name, SECONDS, body);
    }

    /** Runs a feature in a thread of its own, so that one that hangs holds nobody. */
    void feature(String name, int seconds, Body body) {
        if (!chosen(name)) {
            return;
        }
        var task = new FutureTask<Void>(() -> {
            body.run();
            return null;
        });
        var thread = new Thread(task, name);
        thread.setDaemon(true);
        thread.start();
        try {
            task.get(seconds, TimeUnit.SECONDS);
            tell("ok", name, "");
        } catch (TimeoutException slow) {
            tell("FAIL", name, "not within " + seconds + " s, at " + place(thread));
            thread.interrupt();
        } catch (ExecutionException failed) {
            var why = failed.getCause();
            tell(why instanceof NotApplicable ? "n/a" : "FAIL", name, story(why));
        } catch (InterruptedException never) {
            throw new IllegalStateException(never);
        }
    }

    private boolean chosen(String name) {
        for (var word : words) {
            if (area.contains(word) || name.contains(word)) {
                return true;
            }
        }
        return words.length == 0;
    }

    private void tell(String result, String name, String detail) {
        System.out.println(result + "\t" + area + "\t" + name + "\t" + detail.replaceAll("\\s+", " "));
        System.out.flush();
    }

    /** The line of this program where a thread is. */
    private static String place(Thread thread) {
        return place(thread.getStackTrace());
    }

    private static String place(StackTraceElement[] frames) {
        for (var frame : frames) {
            if (!frame.getClassName().contains(".") && !frame.getClassName().startsWith("Clients")) {
                return frame.getFileName() + ":" + frame.getLineNumber();
            }
        }
        return "an unknown line";
    }

    private static String story(Throwable why) {
        var place = place(why.getStackTrace());
        while (why.getCause() != null) {
            why = why.getCause();
        }
        return why instanceof NotApplicable ? why.getMessage() : why.getClass().getSimpleName() + ": " + why.getMessage() + " (" + place + ")";
    }
}
