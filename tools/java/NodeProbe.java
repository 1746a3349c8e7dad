import java.io.PrintWriter;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;

import kafka.server.KafkaConfig;

/**
 * Gives the properties files of a fixture to Kafka and writes what it makes of each into the last line of its block:
 * "=> taken", or "=> " with the exception. Blocks are separated by empty lines; "+name" takes over an earlier block
 * that begins with "# name".
 */
public class NodeProbe {
    public static void main(String[] args) throws Exception {
        Path file = Path.of(args[0]);
        List<String> out = new ArrayList<>();
        for (String block : Files.readString(file).strip().split("\n\n+")) {
            String text = block.lines().filter(line -> !line.startsWith("=>")).reduce("", (a, b) -> a + b + "\n");
            boolean isCase = text.lines().anyMatch(line -> line.contains("=") && !line.startsWith("#"));
            out.add(isCase ? text + "=> " + probe(text) : text.stripTrailing());
        }
        try (PrintWriter writer = new PrintWriter(Files.newBufferedWriter(file))) {
            writer.print(String.join("\n\n", out) + "\n");
        }
    }

    private static String probe(String text) throws Exception {
        Properties properties = new Properties();
        properties.load(new StringReader(text));
        try {
            KafkaConfig.fromProps(properties, false);
            return "taken";
        } catch (Exception e) {
            return e.toString();
        }
    }
}
