package interop;

import java.net.InetAddress;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;

import kafka.network.ConnectionQuotas;
import kafka.server.ClientRequestQuotaManager;
import kafka.server.QuotaFactory.QuotaManagers;
import kafka.server.ReplicationQuotaManager;

import org.apache.kafka.common.internals.KafkaFutureImpl;
import org.apache.kafka.common.metrics.Quota;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.requests.DescribeClientQuotasRequest;
import org.apache.kafka.common.requests.DescribeClientQuotasResponse;
import org.apache.kafka.common.security.auth.KafkaPrincipal;
import org.apache.kafka.server.quota.ClientQuotaManager;
import org.apache.kafka.server.quota.ControllerMutationQuotaManager;

/** Which quota a client has, which tests ask the broker that they hold: from the quotas that the node describes. */
final class Quotas {
    private static final String USER = ClientQuotaEntity.USER;
    private static final String CLIENT = ClientQuotaEntity.CLIENT_ID;

    private Quotas() {
    }

    /** The managers of a broker's quotas. */
    static QuotaManagers managers(Node node) {
        ClientQuotaManager produce = manager(ClientQuotaManager.class, node, "producer_byte_rate");
        ClientQuotaManager fetch = manager(ClientQuotaManager.class, node, "consumer_byte_rate");
        ClientQuotaManager request = manager(ClientRequestQuotaManager.class, node, "request_percentage");
        ControllerMutationQuotaManager mutation = manager(ControllerMutationQuotaManager.class, node, "controller_mutation_rate");
        return Faces.face(QuotaManagers.class, Map.of("produce", arguments -> produce, "fetch", arguments -> fetch,
            "request", arguments -> request, "controllerMutation", arguments -> mutation,
            "leader", arguments -> replication(node, "leader.replication.throttled.rate"),
            "follower", arguments -> replication(node, "follower.replication.throttled.rate"),
            "alterLogDirs", arguments -> replication(node, "replica.alter.log.dirs.io.max.bytes.per.second")));
    }

    /** How many bytes a second replicas may be copied with: what the broker says is set. */
    private static ReplicationQuotaManager replication(Node node, String key) {
        return Faces.face(ReplicationQuotaManager.class, Map.of("upperBound", arguments ->
            Long.parseLong(node.view().dynamicConfigs().getOrDefault(key, Long.toString(Long.MAX_VALUE)))));
    }

    /** How many connections a second an address may make. */
    static ConnectionQuotas connections(Node node) {
        return Faces.face(ConnectionQuotas.class, Map.of("connectionRateForIp", arguments -> {
            Map<ClientQuotaEntity, Map<String, Double>> set = described(node);
            String address = ((InetAddress) arguments[0]).getHostAddress();
            return java.util.stream.Stream.of(of(ClientQuotaEntity.IP, address), of(ClientQuotaEntity.IP, null))
                .map(each -> set.getOrDefault(each, Map.of()).get("connection_creation_rate")).filter(java.util.Objects::nonNull)
                .findFirst().map(Double::intValue).orElse(Integer.MAX_VALUE);
        }));
    }

    private static <T extends ClientQuotaManager> T manager(Class<T> type, Node node, String key) {
        return Faces.face(type, Map.of("quota", arguments -> {
            String user = arguments[0] instanceof KafkaPrincipal principal ? principal.getName() : (String) arguments[0];
            return Quota.upperBound(rate(node, user, (String) arguments[1], key));
        }));
    }

    /** The most specific quota that is set, in Kafka's order. */
    private static double rate(Node node, String user, String client, String key) {
        Map<ClientQuotaEntity, Map<String, Double>> set = described(node);
        List<ClientQuotaEntity> order = List.of(entity(user, client), entity(user, null), of(USER, user),
            entity(null, client), entity(null, null), of(USER, null), of(CLIENT, client), of(CLIENT, null));
        return order.stream().map(each -> set.getOrDefault(each, Map.of()).get(key)).filter(java.util.Objects::nonNull)
            .findFirst().orElse((double) Long.MAX_VALUE);
    }

    private static ClientQuotaEntity entity(String user, String client) {
        Map<String, String> entries = new HashMap<>();
        entries.put(USER, user);
        entries.put(CLIENT, client);
        return new ClientQuotaEntity(entries);
    }

    private static ClientQuotaEntity of(String type, String name) {
        Map<String, String> entries = new HashMap<>();
        entries.put(type, name);
        return new ClientQuotaEntity(entries);
    }

    private static Map<ClientQuotaEntity, Map<String, Double>> described(Node node) {
        DescribeClientQuotasRequest request = new DescribeClientQuotasRequest.Builder(ClientQuotaFilter.all()).build((short) 1);
        KafkaFutureImpl<Map<ClientQuotaEntity, Map<String, Double>>> all = new KafkaFutureImpl<>();
        ((DescribeClientQuotasResponse) node.view().send(request)).complete(all);
        try {
            return all.get();
        } catch (InterruptedException | ExecutionException e) {
            throw new IllegalStateException(e);
        }
    }
}
