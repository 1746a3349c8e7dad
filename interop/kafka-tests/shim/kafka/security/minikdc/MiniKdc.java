package kafka.security.minikdc;

import interop.Touched;

import java.io.File;
import java.util.List;
import java.util.Properties;

/** Takes the place of Kafka's Kerberos server of this name: a test that starts it is skipped. */
public class MiniKdc {
    public MiniKdc(Properties config, File workDir) {
        throw Touched.skip("Kerberos");
    }

    public static Properties createConfig() {
        return new Properties();
    }

    public void start() {
    }

    public void stop() {
    }

    public void createPrincipal(File keytabFile, List<String> principals) {
    }
}
