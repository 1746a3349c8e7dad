package kafka.server;

import interop.Harness;

import java.util.List;
import java.util.Properties;
import java.util.stream.Stream;

import kafka.utils.Logging;

import com.typesafe.scalalogging.Logger;
import javax.security.auth.login.Configuration;

import org.apache.kafka.clients.consumer.GroupProtocol;
import org.apache.kafka.common.security.JaasUtils;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.metadata.storage.Formatter;
import org.apache.kafka.server.common.MetadataVersion;
import org.apache.kafka.server.fault.MockFaultHandler;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.params.provider.Arguments;
import scala.Option;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Takes the place of Kafka's class of this name, which the older of its integration tests extend: the controller that it
 * starts and the brokers that {@link #createBroker} gives out are processes of their own. Its methods are those of Kafka's
 * class, since tests that Scala compiled call and override them.
 */
@Tag("integration")
public abstract class QuorumTestHarness implements Logging {
    private final Logger logger = Logger.apply(getClass());
    private final QuorumTestHarnessFaultHandlerFactory faults =
        new QuorumTestHarnessFaultHandlerFactory(new MockFaultHandler("quorumTestHarnessFaultHandler"));
    private String ident = "";
    private TestInfo test;
    private Harness harness;
    private QuorumImplementation implementation;

    @Override
    public Logger logger() {
        return logger;
    }

    @Override
    public String logIdent() {
        return ident;
    }

    @Override
    public void logIdent_$eq(String changed) {
        ident = changed;
    }

    public SecurityProtocol controllerListenerSecurityProtocol() {
        return SecurityProtocol.PLAINTEXT;
    }

    public scala.collection.Seq<Properties> kraftControllerConfigs(TestInfo info) {
        return seq(List.of(new Properties()));
    }

    public MetadataVersion metadataVersion() {
        return MetadataVersion.latestTesting();
    }

    public scala.collection.Seq<SecurityProtocol> extraControllerSecurityProtocols() {
        return seq(List.of());
    }

    public void addFormatterSettings(Formatter formatter) {
    }

    public QuorumImplementation implementation() {
        return implementation;
    }

    public void implementation_$eq(QuorumImplementation changed) {
        implementation = changed;
    }

    public Option<GroupProtocol> maybeGroupProtocolSpecified() {
        return kafka.utils.TestInfoUtils.maybeGroupProtocolSpecified(test);
    }

    public GroupProtocol groupProtocolFromTestParameters() {
        return maybeGroupProtocolSpecified().getOrElse(() -> {
            throw new IllegalStateException("the test does not name a group protocol");
        });
    }

    public ControllerServer controllerServer() {
        return harness.controller();
    }

    public scala.collection.Seq<ControllerServer> controllerServers() {
        return seq(List.of(controllerServer()));
    }

    public QuorumTestHarnessFaultHandlerFactory faultHandlerFactory() {
        return faults;
    }

    public MockFaultHandler faultHandler() {
        return faults.faultHandler();
    }

    @BeforeEach
    public void setUp(TestInfo info) {
        test = info;
        newKRaftQuorum(info, new Properties());
    }

    /** Starts the controller, in a process of its own. */
    public KRaftQuorumImplementation newKRaftQuorum(TestInfo info, Properties overriding) {
        Properties all = kraftControllerConfigs(info).head();
        all.putAll(overriding);
        Formatter formatter = new Formatter();
        addFormatterSettings(formatter);
        harness = new Harness(all, formatter, metadataVersion(), kafka.utils.TestInfoUtils.isTransactionV2Enabled(info),
            controllerListenerSecurityProtocol(), CollectionConverters.asJava(extraControllerSecurityProtocols()));
        implementation = new KRaftQuorumImplementation(
            harness.controller(), faults, null, null, harness.clusterId(), this, faults.faultHandler()) {
            @Override
            public KafkaBroker createBroker(KafkaConfig config, Time time, boolean startup, Option<String> threads) {
                return QuorumTestHarness.this.createBroker(config, time, startup, threads);
            }
        };
        return (KRaftQuorumImplementation) implementation;
    }

    public KafkaBroker createBroker(KafkaConfig config, Time time, boolean startup, Option<String> threads) {
        return harness.broker(config, time, startup);
    }

    public Time createBroker$default$2() {
        return Time.SYSTEM;
    }

    public boolean createBroker$default$3() {
        return true;
    }

    public Option<String> createBroker$default$4() {
        return Option.empty();
    }

    public void shutdownKRaftController() {
        harness.stopController();
    }

    @AfterEach
    public void tearDown() {
        if (harness != null) {
            harness.remove();
        }
        System.clearProperty(JaasUtils.JAVA_LOGIN_CONFIG_PARAM);
        Configuration.setConfiguration(null);
        faults.faultHandler().maybeRethrowFirstException();
    }

    private static <T> scala.collection.Seq<T> seq(List<T> list) {
        Seq<T> made = CollectionConverters.asScala(list).toSeq();
        return made;
    }

    public static void verifyNoUnexpectedThreads(String context) {
        QuorumTestHarness$.MODULE$.verifyNoUnexpectedThreads(context);
    }

    public static Stream<Arguments> getTestGroupProtocolParametersAll() {
        return Stream.of(Arguments.of("classic"), Arguments.of("consumer"));
    }

    public static Stream<Arguments> getTestGroupProtocolParametersClassicGroupProtocolOnly() {
        return Stream.of(Arguments.of("classic"));
    }

    public static Stream<Arguments> getTestGroupProtocolParametersConsumerGroupProtocolOnly() {
        return Stream.of(Arguments.of("consumer"));
    }
}
