package interop;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;

import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.internals.Plugin;
import org.apache.kafka.common.message.CreateAclsRequestData;
import org.apache.kafka.common.message.DeleteAclsRequestData;
import org.apache.kafka.common.message.DescribeUserScramCredentialsRequestData;
import org.apache.kafka.common.message.DescribeUserScramCredentialsRequestData.UserName;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.CreateAclsRequest;
import org.apache.kafka.common.requests.CreateAclsResponse;
import org.apache.kafka.common.requests.DeleteAclsRequest;
import org.apache.kafka.common.requests.DeleteAclsResponse;
import org.apache.kafka.common.requests.DescribeAclsRequest;
import org.apache.kafka.common.requests.DescribeAclsResponse;
import org.apache.kafka.common.requests.DescribeDelegationTokenRequest;
import org.apache.kafka.common.requests.DescribeDelegationTokenResponse;
import org.apache.kafka.common.requests.DescribeUserScramCredentialsRequest;
import org.apache.kafka.common.requests.DescribeUserScramCredentialsResponse;
import org.apache.kafka.common.security.authenticator.CredentialCache;
import org.apache.kafka.common.security.scram.ScramCredential;
import org.apache.kafka.common.security.token.delegation.DelegationToken;
import org.apache.kafka.common.security.token.delegation.internals.DelegationTokenCache;
import org.apache.kafka.metadata.authorizer.StandardAuthorizer;
import org.apache.kafka.security.CredentialProvider;
import org.apache.kafka.server.authorizer.AclCreateResult;
import org.apache.kafka.server.authorizer.AclDeleteResult;
import org.apache.kafka.server.authorizer.Authorizer;

/** ACLs and SCRAM credentials, which tests read and write in the broker that they hold, by requests to the node. */
final class Rights {
    private Rights() {
    }

    /** The authorizer, where the node has one. */
    static scala.Option<Plugin<Authorizer>> authorizer(Cluster cluster, Node node) {
        if (!node.properties().containsKey("authorizer.class.name")) {
            return scala.Option.empty();
        }
        Authorizer authorizer = Faces.face(StandardAuthorizer.class, Map.of(
            "acls", arguments -> acls(node.isBroker() && node.isAlive() ? node.view() : cluster.view(), (AclBindingFilter) arguments[0]),
            "createAcls", arguments -> created(cluster.view(), bindings((List<?>) arguments[1])),
            "deleteAcls", arguments -> deleted(cluster.view(), filters((List<?>) arguments[1]))));
        return scala.Option.apply(Plugin.wrapInstance(authorizer, null, "authorizer.class.name"));
    }

    private static List<AclBinding> bindings(List<?> given) {
        return given.stream().map(AclBinding.class::cast).toList();
    }

    private static List<AclBindingFilter> filters(List<?> given) {
        return given.stream().map(AclBindingFilter.class::cast).toList();
    }

    private static List<AclBinding> acls(View view, AclBindingFilter filter) {
        DescribeAclsResponse said = (DescribeAclsResponse) view.send(new DescribeAclsRequest.Builder(filter).build());
        if (said.error().isFailure()) {
            throw said.error().exception();
        }
        return DescribeAclsResponse.aclBindings(said.acls());
    }

    private static List<CompletionStage<AclCreateResult>> created(View view, List<AclBinding> bindings) {
        CreateAclsRequestData asked = new CreateAclsRequestData();
        asked.setCreations(bindings.stream().map(CreateAclsRequest::aclCreation).toList());
        CreateAclsResponse said = (CreateAclsResponse) view.send(new CreateAclsRequest.Builder(asked).build());
        List<CompletionStage<AclCreateResult>> results = new ArrayList<>();
        said.results().forEach(each -> results.add(CompletableFuture.completedFuture(
            failure(each.errorCode(), each.errorMessage()).map(AclCreateResult::new).orElse(AclCreateResult.SUCCESS))));
        return results;
    }

    private static List<CompletionStage<AclDeleteResult>> deleted(View view, List<AclBindingFilter> filters) {
        DeleteAclsRequestData asked = new DeleteAclsRequestData();
        asked.setFilters(filters.stream().map(DeleteAclsRequest::deleteAclsFilter).toList());
        DeleteAclsResponse said = (DeleteAclsResponse) view.send(new DeleteAclsRequest.Builder(asked).build());
        List<CompletionStage<AclDeleteResult>> results = new ArrayList<>();
        said.filterResults().forEach(each -> results.add(CompletableFuture.completedFuture(
            failure(each.errorCode(), each.errorMessage()).map(AclDeleteResult::new).orElseGet(() -> new AclDeleteResult(
                each.matchingAcls().stream().map(acl -> new AclDeleteResult.AclBindingDeleteResult(DeleteAclsResponse.aclBinding(acl)))
                    .toList())))));
        return results;
    }

    private static Optional<ApiException> failure(short code, String message) {
        return code == Errors.NONE.code() ? Optional.empty() : Optional.of(Errors.forCode(code).exception(message));
    }

    /** The delegation tokens. */
    static DelegationTokenCache tokens(Cluster cluster) {
        return Faces.face(DelegationTokenCache.class, Map.of("tokens", arguments -> {
            var said = (DescribeDelegationTokenResponse) cluster.view().send(new DescribeDelegationTokenRequest.Builder(null).build());
            return said.tokens().stream().map(DelegationToken::tokenInfo).toList();
        }));
    }

    /** Says whether a user has a SCRAM credential. */
    static CredentialProvider credentials(Cluster cluster) {
        CredentialCache cache = Faces.face(CredentialCache.class, Map.of("cache", arguments -> scram(cluster, (String) arguments[0])));
        CredentialProvider provider = Faces.face(CredentialProvider.class, Map.of());
        try {
            // Tests read the field.
            var field = CredentialProvider.class.getField("credentialCache");
            field.setAccessible(true);
            field.set(provider, cache);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
        return provider;
    }

    private static CredentialCache.Cache<?> scram(Cluster cluster, String mechanism) {
        byte wanted = org.apache.kafka.clients.admin.ScramMechanism.fromMechanismName(mechanism).type();
        return Faces.face(CredentialCache.Cache.class, Map.of("get", arguments -> {
            DescribeUserScramCredentialsRequestData asked = new DescribeUserScramCredentialsRequestData()
                .setUsers(List.of(new UserName().setName((String) arguments[0])));
            var said = (DescribeUserScramCredentialsResponse) cluster.view().send(
                new DescribeUserScramCredentialsRequest.Builder(asked).build());
            boolean there = said.data().results().stream().flatMap(each -> each.credentialInfos().stream())
                .anyMatch(each -> each.mechanism() == wanted);
            return there ? new ScramCredential(new byte[1], new byte[1], new byte[1], 4096) : null;
        }));
    }
}
