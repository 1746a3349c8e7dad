package interop;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.message.DescribeConfigsRequestData;
import org.apache.kafka.common.message.DescribeConfigsRequestData.DescribeConfigsResource;
import org.apache.kafka.common.message.DescribeConfigsResponseData.DescribeConfigsResourceResult;
import org.apache.kafka.common.message.MetadataResponseData.MetadataResponseBroker;
import org.apache.kafka.common.message.MetadataResponseData.MetadataResponseTopic;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.AbstractRequest;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.DescribeConfigsRequest;
import org.apache.kafka.common.requests.DescribeConfigsResponse;
import org.apache.kafka.common.requests.DescribeConfigsResponse.ConfigSource;
import org.apache.kafka.common.requests.MetadataRequest;
import org.apache.kafka.common.requests.MetadataResponse;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.requests.RequestUtils;

/** What a node's Metadata response says. It has no thread of its own: Kafka's tests count those that are left over. */
final class View {
    private static final short VERSION = 12;
    private static final int TIMEOUT_MS = 10_000;

    private final int port;

    View(int port) {
        this.port = port;
    }

    Collection<MetadataResponseBroker> brokers() throws IOException {
        return ask(List.of()).data().brokers();
    }

    /** The topic, if it is there. */
    Optional<MetadataResponseTopic> topic(String name) {
        return sure(List.of(name)).data().topics().stream().filter(topic -> topic.errorCode() == Errors.NONE.code()).findFirst();
    }

    /** All topics. */
    List<MetadataResponseTopic> topics() {
        return List.copyOf(sure(null).data().topics());
    }

    /** What is set for this broker or for all of them while they run. */
    Map<String, String> dynamicConfigs() {
        DescribeConfigsRequestData asked = new DescribeConfigsRequestData().setResources(List.of(new DescribeConfigsResource()
            .setResourceType(ConfigResource.Type.BROKER.id()).setResourceName(Integer.toString(Node.ID)).setConfigurationKeys(null)));
        Set<Byte> dynamic = Set.of(ConfigSource.DYNAMIC_BROKER_CONFIG.id(), ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG.id());
        try {
            DescribeConfigsResponse said = (DescribeConfigsResponse) send(new DescribeConfigsRequest.Builder(asked).build());
            return said.data().results().get(0).configs().stream()
                .filter(each -> dynamic.contains(each.configSource()) && each.value() != null)
                .collect(Collectors.toMap(DescribeConfigsResourceResult::name, DescribeConfigsResourceResult::value));
        } catch (IOException e) {
            throw new IllegalStateException("the node answers no DescribeConfigs request", e);
        }
    }

    private MetadataResponse sure(List<String> topics) {
        try {
            return ask(topics);
        } catch (IOException e) {
            throw new IllegalStateException("the node answers no Metadata request", e);
        }
    }

    private MetadataResponse ask(List<String> topics) throws IOException {
        MetadataRequest.Builder builder =
            topics == null ? MetadataRequest.Builder.allTopics() : new MetadataRequest.Builder(topics, false);
        return (MetadataResponse) send(builder.build(VERSION));
    }

    private AbstractResponse send(AbstractRequest request) throws IOException {
        short version = request.version();
        RequestHeader header = new RequestHeader(request.apiKey(), version, "kafka-tests", 1);
        ByteBuffer bytes = RequestUtils.serialize(header.data(), header.headerVersion(), request.data(), version);
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), TIMEOUT_MS);
            socket.setSoTimeout(TIMEOUT_MS);
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            out.writeInt(bytes.remaining());
            out.write(bytes.array(), bytes.arrayOffset() + bytes.position(), bytes.remaining());
            out.flush();
            DataInputStream in = new DataInputStream(socket.getInputStream());
            byte[] answer = new byte[in.readInt()];
            in.readFully(answer);
            return AbstractResponse.parseResponse(ByteBuffer.wrap(answer), header);
        }
    }
}
