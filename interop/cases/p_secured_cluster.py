"""Three nodes with SASL_SSL everywhere, to clients, to each other and in the quorum: keys are replaced while it all goes on."""

import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, ShareConsumer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic
from harness.case import PATIENCE_SECONDS, case, equal, eventually, expect
from harness.cluster import Cluster

from .o_cluster import in_sync
from .p_security import PLAIN_MODULE, alter_broker, done, openssl, served

LISTENERS = ["plaintext", "controller"]


class Authority:
    """Signs the certificates of nodes. `trusted` is its own."""

    def __init__(self, home):
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.trusted, self.key = home, home / "ca.pem", home / "ca.key"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=authority",
                "-keyout", self.key, "-out", self.trusted)  # fmt: skip

    def issue(self, name, to):
        """A new key with a certificate, as PEM in the file `to`."""
        request, key, certificate, names = (self.home / f"{name}.{end}" for end in ("csr", "key", "crt", "ext"))
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.trusted, "-CAkey", self.key, "-CAcreateserial", "-days", "30",
                "-extfile", names, "-out", certificate)  # fmt: skip
        to.write_text(key.read_text() + certificate.read_text())
        return certificate.read_text()


class SecuredCluster(Cluster):
    """Three nodes that know each other and their clients by TLS and passwords."""

    def __init__(self, it):
        self.authority = Authority(it.home / "authority")
        home = it.home / "three"
        home.mkdir(parents=True, exist_ok=True)
        self.keys = {id: home / f"key{id}.pem" for id in (1, 2, 3)}
        for id, file in self.keys.items():
            self.authority.issue(f"node{id}", file)
        module = f'{PLAIN_MODULE} username="node" password="node-secret" user_node="node-secret" user_alice="alice-secret";'
        super().__init__(
            it.target, home, 3,
            "listener.security.protocol.map=PLAINTEXT:SASL_SSL,CONTROLLER:SASL_SSL",
            "sasl.enabled.mechanisms=PLAIN",
            "sasl.mechanism.inter.broker.protocol=PLAIN",
            "sasl.mechanism.controller.protocol=PLAIN",
            *[f"listener.name.{name}.plain.sasl.jaas.config={module}" for name in LISTENERS],
            "ssl.keystore.type=PEM",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self.authority.trusted}",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:node;User:alice",
            "share.coordinator.state.topic.replication.factor=3",
            "group.share.record.lock.duration.ms=15000",
            each=lambda id: [f"ssl.keystore.location={self.keys[id]}"],
        )  # fmt: skip

    def client(self, **more):
        """The settings of a client."""
        settings = {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority.trusted),
            "sasl.mechanism": "PLAIN",
            "sasl.username": "alice",
            "sasl.password": "alice-secret",
            "log_level": 0,
            "error_cb": lambda error: None,
        }
        return {**settings, **{key.replace("_", "."): value for key, value in more.items()}}

    def until_all_are_there(self):
        """Until all of them are brokers."""

        def brokers():
            try:
                return len(AdminClient(self.client()).list_topics(timeout=5).brokers)
            except KafkaException:
                return 0

        eventually(lambda: brokers() == 3, "all brokers are there")


class Transactions:
    """Commits transactions of ten records each until it is told to stop."""

    def __init__(self, cluster, topic):
        self.committed, self.failure, self.ended = 0, None, threading.Event()
        settings = cluster.client(**{"transactional_id": "secured", "transaction_timeout_ms": 60_000})
        self.producer, self.topic = Producer(settings), topic
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            self.producer.init_transactions(PATIENCE_SECONDS)
            while not self.ended.is_set():
                self.one()
        except Exception as raised:  # noqa: BLE001: it is shown at the end
            self.failure = raised

    def one(self):
        try:
            self.producer.begin_transaction()
            for number in range(10):
                self.producer.produce(self.topic, f"{self.committed}-{number}".encode())
            self.retried(self.producer.commit_transaction)
            self.committed += 1
        except KafkaException as raised:
            if not raised.args[0].txn_requires_abort():
                raise
            self.retried(self.producer.abort_transaction)
        time.sleep(0.02)

    def retried(self, call):
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return call(30)
            except KafkaException as raised:
                if not raised.args[0].retriable() or time.monotonic() > until:
                    raise

    def stop(self):
        self.ended.set()
        self.thread.join(PATIENCE_SECONDS)
        expect(self.failure is None, f"transactions went on: {self.failure}")


def read_committed(cluster, topic):
    """The values of a topic that readers of committed records see."""
    consumer = Consumer(cluster.client(group_id="reader", auto_offset_reset="earliest", isolation_level="read_committed"))
    consumer.subscribe([topic])
    values, quiet_since = [], time.monotonic()
    while time.monotonic() - quiet_since < 8:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            values.append(message.value())
            quiet_since = time.monotonic()
    consumer.close()
    return values


def shared(cluster, topic, count):
    """The values that a share group hands out and that are accepted."""
    consumer = ShareConsumer(cluster.client(group_id="sharers"))
    consumer.subscribe([topic])
    values, until = set(), time.monotonic() + PATIENCE_SECONDS
    while len(values) < count and time.monotonic() < until:
        values.update(message.value() for message in consumer.poll(1) if message.error() is None)
    consumer.close()
    return values


@case("security/keys_of_a_cluster_are_replaced_while_it_works", own_node=True, slow=True, seconds=600)
def replaced_keys(it):
    cluster = SecuredCluster(it)
    admin = AdminClient(cluster.client())
    done(admin.create_topics([NewTopic("t", 3, 3, config={"min.insync.replicas": "2"}), NewTopic("q", 3, 3)]))
    earliest = [ConfigEntry("share.auto.offset.reset", "earliest", incremental_operation=AlterConfigOpType.SET)]
    done(admin.incremental_alter_configs([ConfigResource(ConfigResource.Type.GROUP, "sharers", incremental_configs=earliest)]))
    transactions = Transactions(cluster, "t")
    eventually(lambda: transactions.committed > 20 or transactions.failure, "transactions are committed")
    for id, file in cluster.keys.items():
        old = served(cluster.clients[id])
        certificate = cluster.authority.issue(f"node{id}", file)
        expect(certificate != old, "the key is another")
        for name in LISTENERS:
            configs = {f"listener_name_{name}_ssl_keystore_location": file}
            equal(alter_broker(admin, id, **configs), None, f"the key of node {id} is replaced")
        eventually(lambda: served(cluster.clients[id]) == certificate, f"node {id} shows its new certificate")
        count = transactions.committed
        eventually(lambda: transactions.committed > count + 10 or transactions.failure, "transactions go on")
    # Nodes that connect anew have to trust the new keys of the others, and are trusted with theirs.
    for id in cluster.ids:
        cluster.kill(id)
        cluster.launch(id)
        eventually(lambda: in_sync(admin, "t") == [3, 3, 3], "all replicas are in sync again", 120)
        count = transactions.committed
        eventually(lambda: transactions.committed > count + 10 or transactions.failure, "transactions go on")
    transactions.stop()
    values = read_committed(cluster, "t")
    equal(len(values), len(set(values)), "no record is there twice")
    equal(sorted(set(values)), sorted(f"{n}-{i}".encode() for n in range(transactions.committed) for i in range(10)), "what was committed")
    producer = Producer(cluster.client())
    sent = {f"{number}".encode() for number in range(1000)}
    for value in sent:
        producer.produce("q", value)
    equal(producer.flush(PATIENCE_SECONDS), 0, "records for the share group are acknowledged")
    equal(shared(cluster, "q", len(sent)), sent, "what the share group accepted")
    it.note(f"{transactions.committed} transactions over three replaced keys and three killed nodes")
    cluster.stop()
