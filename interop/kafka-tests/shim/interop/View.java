package interop;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.message.DescribeClusterRequestData;
import org.apache.kafka.common.message.DescribeClusterResponseData.DescribeClusterBroker;
import org.apache.kafka.common.message.DescribeConfigsRequestData;
import org.apache.kafka.common.message.DescribeConfigsRequestData.DescribeConfigsResource;
import org.apache.kafka.common.message.DescribeConfigsResponseData.DescribeConfigsResourceResult;
import org.apache.kafka.common.message.DescribeLogDirsRequestData;
import org.apache.kafka.common.message.DescribeLogDirsResponseData;
import org.apache.kafka.common.message.DescribeQuorumResponseData;
import org.apache.kafka.common.message.MetadataResponseData.MetadataResponseBroker;
import org.apache.kafka.common.message.MetadataResponseData.MetadataResponseTopic;
import org.apache.kafka.common.message.SaslAuthenticateRequestData;
import org.apache.kafka.common.message.SaslHandshakeRequestData;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.AbstractRequest;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.ApiVersionsRequest;
import org.apache.kafka.common.requests.ApiVersionsResponse;
import org.apache.kafka.common.requests.DescribeClusterRequest;
import org.apache.kafka.common.requests.DescribeClusterResponse;
import org.apache.kafka.common.requests.DescribeConfigsRequest;
import org.apache.kafka.common.requests.DescribeConfigsResponse;
import org.apache.kafka.common.requests.DescribeConfigsResponse.ConfigSource;
import org.apache.kafka.common.requests.DescribeLogDirsRequest;
import org.apache.kafka.common.requests.DescribeLogDirsResponse;
import org.apache.kafka.common.requests.DescribeQuorumRequest;
import org.apache.kafka.common.requests.DescribeQuorumResponse;
import org.apache.kafka.common.requests.MetadataRequest;
import org.apache.kafka.common.requests.MetadataResponse;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.requests.RequestUtils;
import org.apache.kafka.common.requests.SaslAuthenticateRequest;
import org.apache.kafka.common.requests.SaslAuthenticateResponse;
import org.apache.kafka.common.requests.SaslHandshakeRequest;
import org.apache.kafka.common.TopicPartition;

/** What a broker says of its cluster. It has no thread of its own: Kafka's tests count those that are left over. */
public final class View {
    private static final short VERSION = 12;
    private static final int TIMEOUT_MS = 10_000;
    private static final int SASL_VERSION = 1;

    private final int port;
    private final Door door;
    private final int id;

    View(int port, Door door, int id) {
        this.port = port;
        this.door = door;
        this.id = id;
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
        return configs(ConfigResource.Type.BROKER, Integer.toString(id),
            Set.of(ConfigSource.DYNAMIC_BROKER_CONFIG, ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG));
    }

    /** What is set for a topic. */
    Map<String, String> topicConfigs(String name) {
        return configs(ConfigResource.Type.TOPIC, name, Set.of(ConfigSource.TOPIC_CONFIG));
    }

    /** All configurations of a topic, also those that are not set. */
    Map<String, String> allTopicConfigs(String name) {
        return configs(ConfigResource.Type.TOPIC, name, Set.of(ConfigSource.values()));
    }

    /** The log directories that can be used. */
    Set<String> onlineDirs() {
        DescribeLogDirsRequestData asked = new DescribeLogDirsRequestData().setTopics(null);
        DescribeLogDirsResponse said = (DescribeLogDirsResponse) send(new DescribeLogDirsRequest.Builder(asked).build());
        return said.data().results().stream().filter(each -> each.errorCode() == Errors.NONE.code())
            .map(DescribeLogDirsResponseData.DescribeLogDirsResult::logDir).collect(Collectors.toSet());
    }

    private Map<String, String> configs(ConfigResource.Type type, String name, Set<ConfigSource> from) {
        DescribeConfigsRequestData asked = new DescribeConfigsRequestData().setResources(List.of(new DescribeConfigsResource()
            .setResourceType(type.id()).setResourceName(name).setConfigurationKeys(null)));
        Set<Byte> wanted = from.stream().map(ConfigSource::id).collect(Collectors.toSet());
        DescribeConfigsResponse said = (DescribeConfigsResponse) send(new DescribeConfigsRequest.Builder(asked).build());
        return said.data().results().get(0).configs().stream()
            .filter(each -> wanted.contains(each.configSource()) && each.value() != null)
            .collect(Collectors.toMap(DescribeConfigsResourceResult::name, DescribeConfigsResourceResult::value));
    }

    /** How far the nodes are in the metadata log, or nothing while there is no active controller. */
    Optional<DescribeQuorumResponseData.PartitionData> quorum() {
        DescribeQuorumRequest request = new DescribeQuorumRequest.Builder(
            DescribeQuorumRequest.singletonRequest(new TopicPartition("__cluster_metadata", 0))).build((short) 1);
        DescribeQuorumResponse said = (DescribeQuorumResponse) send(request);
        if (said.data().errorCode() != Errors.NONE.code()) {
            return Optional.empty();
        }
        return Optional.of(said.data().topics().get(0).partitions().get(0)).filter(each -> each.errorCode() == Errors.NONE.code());
    }

    /** Which brokers are registered, and whether they are fenced. */
    Map<Integer, Boolean> registrations() {
        DescribeClusterRequestData asked = new DescribeClusterRequestData().setIncludeFencedBrokers(true);
        DescribeClusterResponse said = (DescribeClusterResponse) send(new DescribeClusterRequest.Builder(asked).build((short) 2));
        return said.data().brokers().stream().collect(Collectors.toMap(DescribeClusterBroker::brokerId, DescribeClusterBroker::isFenced));
    }

    /** The levels of features that the cluster has in use. */
    Map<String, Short> features() {
        ApiVersionsResponse said = (ApiVersionsResponse) send(new ApiVersionsRequest.Builder().build());
        return said.data().finalizedFeatures().stream()
            .collect(Collectors.toMap(each -> each.name(), each -> each.maxVersionLevel()));
    }

    /** Sends a request. */
    AbstractResponse send(AbstractRequest request) {
        try {
            return exchanged(request);
        } catch (IOException e) {
            throw new IllegalStateException("the node answers no " + request.apiKey() + " request", e);
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
        return (MetadataResponse) exchanged(builder.build(VERSION));
    }

    private AbstractResponse exchanged(AbstractRequest request) throws IOException {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), TIMEOUT_MS);
            socket.setSoTimeout(TIMEOUT_MS);
            if (door.login()) {
                login(socket, "PLAIN", ("\0" + Door.USER + "\0" + Door.PASSWORD).getBytes(StandardCharsets.UTF_8));
            }
            return exchanged(socket, request);
        }
    }

    /** Logs in on a new connection. */
    static void login(Socket socket, String mechanism, byte[] bytes) throws IOException {
        exchanged(socket, new SaslHandshakeRequest.Builder(new SaslHandshakeRequestData().setMechanism(mechanism))
            .build((short) SASL_VERSION));
        SaslAuthenticateResponse said = (SaslAuthenticateResponse) exchanged(socket,
            new SaslAuthenticateRequest.Builder(new SaslAuthenticateRequestData().setAuthBytes(bytes)).build((short) SASL_VERSION));
        if (said.error() != Errors.NONE) {
            throw new IOException("the shim's own user is refused: " + said.errorMessage());
        }
    }

    private static AbstractResponse exchanged(Socket socket, AbstractRequest request) throws IOException {
        short version = request.version();
        RequestHeader header = new RequestHeader(request.apiKey(), version, "kafka-tests", 1);
        ByteBuffer bytes = RequestUtils.serialize(header.data(), header.headerVersion(), request.data(), version);
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
