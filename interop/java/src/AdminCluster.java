import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.errors.BrokerIdNotRegisteredException;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidUpdateVersionException;
import org.apache.kafka.common.errors.LogDirNotFoundException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.ResourceNotFoundException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.UnsupportedByAuthenticationException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** The cluster, its quorum, disks, replicas, quotas and users, as Admin manages them. */
final class AdminCluster {
    static void list(Features run) {
        run.area("Admin: cluster");
        run.feature("describe the cluster", AdminCluster::describe);
        run.feature("describe fenced brokers too", AdminCluster::describeFenced);
        run.feature("describe features", AdminCluster::features);
        run.feature("update features", AdminCluster::updateFeatures);
        run.feature("describe the metadata quorum", AdminCluster::quorum);
        run.feature("unregister a broker", AdminCluster::unregister);
        run.feature("describe log directories", AdminCluster::logDirs);
        run.feature("describe replicas' log directories", AdminCluster::replicaLogDirs);
        run.feature("move replicas between log directories", AdminCluster::moveReplicas);
        run.feature("elect leaders", AdminCluster::elect);
        run.feature("reassign partitions", AdminCluster::reassign);
        run.feature("list and cancel reassignments", AdminCluster::reassignments);
        run.feature("quotas of users and clients", AdminCluster::quotas);
        run.feature("quotas of IP addresses", AdminCluster::ipQuotas);
        run.feature("SCRAM credentials", AdminCluster::scram);
        run.feature("ACLs, told to be off", AdminCluster::acls);
        run.feature("delegation tokens, told to be off", AdminCluster::tokens);
    }

    static void describe() throws Exception {
        var found = Clients.admin().describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
        Clients.equal(Clients.get(found.clusterId()).length(), 22);
        Clients.expect(Clients.get(found.nodes()).contains(Clients.get(found.controller())), "the controller is one of the nodes");
        Clients.expect(Clients.get(found.authorizedOperations()).contains(AclOperation.CREATE), "everything is allowed");
    }

    static void describeFenced() throws Exception {
        var nodes = Clients.get(Clients.admin().describeCluster(new DescribeClusterOptions().includeFencedBrokers(true)).nodes());
        Clients.expect(nodes.stream().noneMatch(node -> node.isFenced()), "no node is fenced");
    }

    static void features() throws Exception {
        var found = Clients.get(Clients.admin().describeFeatures().featureMetadata());
        for (var name : List.of("metadata.version", "group.version", "transaction.version", "share.version", "streams.version", "kraft.version", "eligible.leader.replicas.version")) {
            Clients.expect(found.supportedFeatures().containsKey(name), name + " is supported");
        }
        var finalized = found.finalizedFeatures();
        Clients.expect(finalized.get("metadata.version").maxVersionLevel() >= 29, "metadata.version is of 4.3, not " + finalized);
        Clients.expect(finalized.containsKey("group.version") && finalized.containsKey("transaction.version"), "finalized: " + finalized.keySet());
    }

    static void updateFeatures() throws Exception {
        var only = new UpdateFeaturesOptions().validateOnly(true);
        var down = Map.of("transaction.version", new FeatureUpdate((short) 1, FeatureUpdate.UpgradeType.SAFE_DOWNGRADE));
        Clients.get(Clients.admin().updateFeatures(down, only).all());
        var wrong = Map.of("metadata.version", new FeatureUpdate((short) 999, FeatureUpdate.UpgradeType.UPGRADE));
        Clients.refused(Clients.admin().updateFeatures(wrong, only).all(), InvalidUpdateVersionException.class);
    }

    static void quorum() throws Exception {
        var found = Clients.get(Clients.admin().describeMetadataQuorum().quorumInfo());
        Clients.expect(found.highWatermark() > 0 && found.leaderEpoch() > 0, "the log has grown: " + found);
        Clients.equal(found.voters().get(0).replicaId(), found.leaderId());
        Clients.expect(!found.nodes().get(found.leaderId()).endpoints().isEmpty(), "the leader's endpoints are told");
    }

    static void unregister() throws Exception {
        Clients.refused(Clients.admin().unregisterBroker(999).all(), BrokerIdNotRegisteredException.class);
    }

    static void logDirs() throws Exception {
        var topic = Clients.topic(1);
        Clients.write(topic, "x".repeat(1000));
        var node = node();
        var dir = Clients.get(Clients.admin().describeLogDirs(List.of(node)).allDescriptions()).get(node).values().iterator().next();
        var replica = dir.replicaInfos().get(new TopicPartition(topic, 0));
        Clients.expect(replica.size() > 1000 && !replica.isFuture(), "the replica's size is " + replica.size());
        Clients.expect(dir.totalBytes().getAsLong() >= dir.usableBytes().getAsLong(), "the disk's size is told");
    }

    static void replicaLogDirs() throws Exception {
        var replica = new TopicPartitionReplica(Clients.topic(1), 0, node());
        var found = Clients.get(Clients.admin().describeReplicaLogDirs(List.of(replica)).all()).get(replica);
        Clients.equal(found.getCurrentReplicaOffsetLag(), 0L);
        Clients.expect(found.getCurrentReplicaLogDir() != null, "the directory is told");
    }

    static void moveReplicas() throws Exception {
        var replica = new TopicPartitionReplica(Clients.topic(1), 0, node());
        Clients.refused(Clients.admin().alterReplicaLogDirs(Map.of(replica, "/no/such/dir")).all(), LogDirNotFoundException.class);
        var here = Clients.get(Clients.admin().describeReplicaLogDirs(List.of(replica)).all()).get(replica).getCurrentReplicaLogDir();
        Clients.get(Clients.admin().alterReplicaLogDirs(Map.of(replica, here)).all());
    }

    static void elect() throws Exception {
        var part = new TopicPartition(Clients.topic(1), 0);
        for (var type : ElectionType.values()) {
            var why = Clients.get(Clients.admin().electLeaders(type, Set.of(part)).partitions()).get(part);
            Clients.expect(why.isPresent() && why.get() instanceof ElectionNotNeededException, type + ": " + why);
        }
    }

    static void reassign() throws Exception {
        var part = new TopicPartition(Clients.topic(1), 0);
        Clients.get(Clients.admin().alterPartitionReassignments(Map.of(part, to(node()))).all());
        Clients.refused(Clients.admin().alterPartitionReassignments(Map.of(part, to(999))).all(), InvalidReplicaAssignmentException.class);
    }

    static void reassignments() throws Exception {
        var part = new TopicPartition(Clients.topic(1), 0);
        Clients.equal(Clients.get(Clients.admin().listPartitionReassignments().reassignments()), Map.of());
        Clients.refused(Clients.admin().alterPartitionReassignments(Map.of(part, Optional.empty())).all(), NoReassignmentInProgressException.class);
    }

    static void quotas() throws Exception {
        var entity = new ClientQuotaEntity(Map.of("user", Clients.name("user"), "client-id", "app"));
        alterQuota(entity, "producer_byte_rate", 1e6);
        alterQuota(entity, "consumer_byte_rate", 2e6);
        eventually(entity, Map.of("producer_byte_rate", 1e6, "consumer_byte_rate", 2e6));
        alterQuota(entity, "producer_byte_rate", null);
        alterQuota(entity, "consumer_byte_rate", null);
        eventually(entity, null);
    }

    static void ipQuotas() throws Exception {
        var entity = new ClientQuotaEntity(Map.of("ip", "192.0.2.7"));
        alterQuota(entity, "connection_creation_rate", 100.0);
        eventually(entity, Map.of("connection_creation_rate", 100.0));
        alterQuota(entity, "connection_creation_rate", null);
    }

    static void scram() throws Exception {
        var user = Clients.name("user");
        var info = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192);
        Clients.get(Clients.admin().alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(user, info, "secret"))).all());
        Clients.eventually("the credential is described", () -> Clients.get(Clients.admin().describeUserScramCredentials().all()).containsKey(user));
        Clients.equal(Clients.get(Clients.admin().describeUserScramCredentials(List.of(user)).description(user)).credentialInfos(), List.of(info));
        Clients.get(Clients.admin().alterUserScramCredentials(List.of(new UserScramCredentialDeletion(user, info.mechanism()))).all());
        Clients.refused(Clients.admin().alterUserScramCredentials(List.of(new UserScramCredentialDeletion(user, info.mechanism()))).all(), ResourceNotFoundException.class);
    }

    static void acls() throws Exception {
        var pattern = new ResourcePattern(ResourceType.TOPIC, "t", PatternType.LITERAL);
        var allow = new AclBinding(pattern, new AccessControlEntry("User:a", "*", AclOperation.READ, AclPermissionType.ALLOW));
        Clients.refused(Clients.admin().describeAcls(AclBindingFilter.ANY).values(), SecurityDisabledException.class);
        Clients.refused(Clients.admin().createAcls(List.of(allow)).all(), SecurityDisabledException.class);
        Clients.refused(Clients.admin().deleteAcls(List.of(allow.toFilter())).all(), SecurityDisabledException.class);
    }

    static void tokens() throws Exception {
        Clients.refused(Clients.admin().createDelegationToken().delegationToken(), UnsupportedByAuthenticationException.class);
        Clients.refused(Clients.admin().describeDelegationToken().delegationTokens(), UnsupportedByAuthenticationException.class);
    }

    private static int node() throws Exception {
        return Clients.get(Clients.admin().describeCluster().nodes()).iterator().next().id();
    }

    private static Optional<NewPartitionReassignment> to(int node) {
        return Optional.of(new NewPartitionReassignment(List.of(node)));
    }

    private static void alterQuota(ClientQuotaEntity entity, String key, Double value) throws Exception {
        var op = new ClientQuotaAlteration.Op(key, value);
        Clients.get(Clients.admin().alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(op)))).all());
    }

    private static void eventually(ClientQuotaEntity entity, Map<String, Double> wanted) throws Exception {
        var parts = entity.entries().entrySet().stream().map(part -> ClientQuotaFilterComponent.ofEntity(part.getKey(), part.getValue())).toList();
        var filter = ClientQuotaFilter.containsOnly(parts);
        Clients.eventually("the quota of " + entity + " is " + wanted, () -> java.util.Objects.equals(Clients.get(Clients.admin().describeClientQuotas(filter).entities()).get(entity), wanted));
    }
}
