package interop;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Collections;
import java.util.HashSet;
import java.util.Set;
import java.util.function.Function;

/**
 * Stands before a listener of a node, so that connections without a login come to the node with the user that a test's own
 * Java class names for them: for each it logs in with an unsecured token of that user, then passes on what both sides say.
 */
final class Relay implements Closeable {
    private static final long HOUR_S = 3600;

    private final ServerSocket listening;
    private final int node;
    private final Function<InetAddress, String> user;
    private final Set<Socket> open = Collections.synchronizedSet(new HashSet<>());

    /**
     * Begins to listen.
     *
     * @param port where it listens
     * @param node the port of the node's listener, which asks for OAUTHBEARER
     * @param user names the user of a new connection from an address
     */
    Relay(int port, int node, Function<InetAddress, String> user) {
        try {
            listening = new ServerSocket(port, 50, InetAddress.getLoopbackAddress());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        this.node = node;
        this.user = user;
        thread(this::accept);
    }

    /** Kafka's look for threads that are left over leaves out JUnit's. */
    private static void thread(Runnable what) {
        Thread thread = new Thread(what, "junit-relay");
        thread.setDaemon(true);
        thread.start();
    }

    private void accept() {
        while (!listening.isClosed()) {
            try {
                Socket client = listening.accept();
                open.add(client);
                thread(() -> serve(client));
            } catch (IOException e) {
                // Closed.
                return;
            }
        }
    }

    private void serve(Socket client) {
        try (client; Socket server = new Socket(InetAddress.getLoopbackAddress(), node)) {
            open.add(server);
            client.setTcpNoDelay(true);
            server.setTcpNoDelay(true);
            View.login(server, "OAUTHBEARER", token(user.apply(client.getInetAddress())));
            thread(() -> pass(server, client));
            pass(client, server);
        } catch (IOException e) {
            // The node is not there, or the client has gone: both connections end.
        } finally {
            open.remove(client);
        }
    }

    private static byte[] token(String name) {
        long now = System.currentTimeMillis() / 1000;
        String claims = "{\"sub\":\"%s\",\"iat\":%d,\"exp\":%d}".formatted(name.replace("\"", "\\\""), now, now + HOUR_S);
        String text = "n,,\u0001auth=Bearer %s.%s.\u0001\u0001".formatted(encoded("{\"alg\":\"none\"}"), encoded(claims));
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String encoded(String text) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }

    private void pass(Socket from, Socket to) {
        try (from; to) {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            byte[] buffer = new byte[65_536];
            for (int length = in.read(buffer); length >= 0; length = in.read(buffer)) {
                out.write(buffer, 0, length);
                out.flush();
            }
        } catch (IOException e) {
            // One side has gone: the other one is closed too.
        } finally {
            open.remove(from);
            open.remove(to);
        }
    }

    @Override
    public void close() {
        try {
            listening.close();
            for (Socket each : open.toArray(Socket[]::new)) {
                each.close();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
