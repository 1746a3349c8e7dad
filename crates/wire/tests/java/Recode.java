import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Reads lines of message, version and hex digits, lets Kafka's own class of that message decode and encode the bytes,
 * and prints one line of hex digits for each: what Kafka makes of them, or "error" and why. Where a line has "default"
 * in place of the digits, the encoding of a new message is printed.
 */
public class Recode {
    private static final List<String> PACKAGES = List.of(
        "org.apache.kafka.common.message.",
        "org.apache.kafka.common.metadata.",
        "org.apache.kafka.coordinator.group.generated.",
        "org.apache.kafka.coordinator.transaction.generated.",
        "org.apache.kafka.coordinator.share.generated.",
        "org.apache.kafka.raft.generated.",
        "org.apache.kafka.server.log.remote.metadata.storage.generated.");

    private static final Map<String, Class<? extends Message>> FOUND = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        // Everything is read before anything is written, so that nobody waits for the other.
        List<String> lines = new BufferedReader(new InputStreamReader(System.in)).lines().toList();
        PrintStream out = new PrintStream(System.out, false);
        for (String line : lines) {
            String[] words = line.split(" ", -1);
            out.println(answer(words[0], Short.parseShort(words[1]), words[2]));
        }
        out.flush();
    }

    private static String answer(String name, short version, String hex) {
        try {
            Message message = classOf(name).getConstructor().newInstance();
            if (!hex.equals("default")) {
                ByteBuffer bytes = ByteBuffer.wrap(HexFormat.of().parseHex(hex));
                message.read(new ByteBufferAccessor(bytes), version);
                if (bytes.hasRemaining()) {
                    return "error " + bytes.remaining() + " bytes are left";
                }
            }
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer out = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(out), cache, version);
            return HexFormat.of().formatHex(out.array());
        } catch (Exception e) {
            return "error " + e;
        }
    }

    private static Class<? extends Message> classOf(String name) throws ClassNotFoundException {
        Class<? extends Message> known = FOUND.get(name);
        if (known != null) {
            return known;
        }
        for (String prefix : PACKAGES) {
            for (String suffix : List.of("", "Data")) {
                try {
                    Class<? extends Message> found = Class.forName(prefix + name + suffix).asSubclass(Message.class);
                    FOUND.put(name, found);
                    return found;
                } catch (ClassNotFoundException | ClassCastException e) {
                    // It is in another package.
                }
            }
        }
        throw new ClassNotFoundException(name);
    }
}
