"""Listeners with TLS and SASL, ACLs and quotas, as librdkafka meets them."""

import base64
import http.server
import json
import os
import shutil
import ssl
import subprocess
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from harness import nodes
from harness.case import PATIENCE_SECONDS, case, equal, eventually, expect
from harness.install import ROOT

MATERIAL = ROOT / "crates" / "tls" / "src" / "testdata"
TLS = {"security.protocol": "SSL", "ssl.ca.location": str(MATERIAL / "ca.pem")}
PLAIN_MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule required"
SILENT = {"log_level": 0, "error_cb": lambda error: None, "socket.timeout.ms": 10_000, "message.timeout.ms": 15_000}


def login(user, password, mechanism="PLAIN", protocol="SASL_PLAINTEXT"):
    """How a client logs in."""
    given = {"sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": password}
    return {**(TLS if protocol == "SASL_SSL" else {}), "security.protocol": protocol, **given}


class Secured:
    """A node with a listener of each kind; `at[name]` is where each of them is."""

    def __init__(self, it, *properties, env=None):
        names = ["OPEN", "TLS", "MTLS", "SASL", "SASLTLS", "CONTROLLER"]
        self.at = dict(zip(names, nodes.free_ports(len(names))))
        protocols = "OPEN:PLAINTEXT,TLS:SSL,MTLS:SSL,SASL:SASL_PLAINTEXT,SASLTLS:SASL_SSL,CONTROLLER:PLAINTEXT"
        users = f'{PLAIN_MODULE} user_alice="alice-secret" user_bob="bob-secret" user_greedy="greedy-secret";'
        home = it.home / "secured"
        home.mkdir(parents=True, exist_ok=True)
        (home / "server.properties").write_text(
            "\n".join(
                [
                    "process.roles=broker,controller",
                    "node.id=1",
                    f"controller.quorum.voters=1@127.0.0.1:{self.at['CONTROLLER']}",
                    "listeners=" + ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.at.items()),
                    f"listener.security.protocol.map={protocols}",
                    "inter.broker.listener.name=OPEN",
                    "controller.listener.names=CONTROLLER",
                    "offsets.topic.replication.factor=1",
                    "group.initial.rebalance.delay.ms=0",
                    f"log.dirs={home}/data",
                    f"ssl.keystore.location={MATERIAL}/node.p12",
                    "ssl.keystore.password=secret-store",
                    f"ssl.truststore.location={MATERIAL}/trust.jks",
                    "ssl.truststore.password=secret-store",
                    "listener.name.mtls.ssl.client.auth=required",
                    "listener.name.mtls.ssl.principal.mapping.rules=RULE:^CN=(.*?),.*$/$1/,DEFAULT",
                    "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
                    f"listener.name.sasl.plain.sasl.jaas.config={users}",
                    f"listener.name.sasltls.plain.sasl.jaas.config={users}",
                    *properties,
                    "",
                ]
            )
        )
        config = home / "server.properties"
        if it.is_kafka:
            cluster = nodes.run_quietly(it.target.storage("random-uuid")).split()[-1]
            nodes.run_quietly(it.target.storage("format", "-t", cluster, "-c", config))
        command = [str(it.target.script), "node"] if it.is_kafka else it.target.command("serve")
        process, _ = nodes.launch([*command, str(config)], home, env)
        self.node = nodes.Node(process, f"127.0.0.1:{self.at['OPEN']}", home, is_java=it.is_kafka)
        nodes.wait_ready(self.node)

    def client(self, listener, *settings):
        """The settings of a client of that listener."""
        found = {"bootstrap.servers": f"127.0.0.1:{self.at[listener]}", **SILENT}
        for more in settings:
            found.update(more)
        return found

    def admin(self, listener="OPEN", *settings):
        """An admin client."""
        return AdminClient(self.client(listener, *settings))


def done(futures):
    """Waits for each; raises what the first of them raises."""
    for future in futures.values():
        future.result(PATIENCE_SECONDS)


def scram_users(admin, name, password):
    """A user of both SCRAM mechanisms."""
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        credential = ScramCredentialInfo(mechanism, 4096)
        upsertion = UserScramCredentialUpsertion(name, credential, password.encode())
        done(admin.alter_user_scram_credentials([upsertion]))


def delivered(settings, topic, count=10):
    """How many records a producer delivers, and what it hears of the others."""
    results = []
    producer = Producer(settings)
    for _ in range(count):
        producer.produce(topic, b"x" * 100, on_delivery=lambda error, _: results.append(error))
    producer.flush(20)
    errors = {error.code() for error in results if error is not None}
    return len([error for error in results if error is None]), errors


def why_not(settings):
    """The code of the error that keeps a client from the node."""
    heard = []
    producer = Producer({**settings, "error_cb": lambda error: heard.append(error.code())})
    try:
        producer.list_topics(timeout=3)
        return None
    except KafkaException as raised:
        producer.poll(0)
        special = [code for code in heard if code in (KafkaError._AUTHENTICATION, KafkaError._SSL)]
        return special[0] if special else raised.args[0].code()


@case("security/each_listener_lets_in_who_it_should", own_node=True)
def listeners(it):
    secured = Secured(it)
    admin = secured.admin()
    done(admin.create_topics([NewTopic("t", 1, 1)]))
    scram_users(admin, "carol", "carol-secret")
    identity = {"ssl.keystore.location": str(MATERIAL / "node.p12"), "ssl.keystore.password": "secret-store"}
    welcome = [
        secured.client("OPEN"),
        secured.client("TLS", TLS),
        secured.client("MTLS", TLS, identity),
        secured.client("SASL", login("alice", "alice-secret")),
        secured.client("SASLTLS", login("alice", "alice-secret", protocol="SASL_SSL")),
    ]
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        welcome.append(secured.client("SASL", login("carol", "carol-secret", mechanism)))
        welcome.append(secured.client("SASLTLS", login("carol", "carol-secret", mechanism, "SASL_SSL")))
    for settings in welcome:
        equal(delivered(settings, "t"), (10, set()), f"delivered by {settings.get('sasl.mechanism')}")
    refused = [
        (secured.client("SASL", login("alice", "guess")), KafkaError._AUTHENTICATION),
        (secured.client("SASL", login("nobody", "guess", "SCRAM-SHA-256")), KafkaError._AUTHENTICATION),
        (secured.client("SASLTLS", login("carol", "guess", "SCRAM-SHA-512", "SASL_SSL")), KafkaError._AUTHENTICATION),
        (secured.client("TLS", TLS, {"ssl.ca.location": "/etc/ssl/certs/ca-certificates.crt"}), KafkaError._SSL),
    ]
    for settings, code in refused:
        equal(why_not(settings), code, f"what a client hears that is refused ({settings.get('sasl.mechanism')})")
    expect(why_not(secured.client("MTLS", TLS)) is not None, "a client without a certificate is not let in")
    secured.node.stop()


@case("security/acls_decide_for_who_has_logged_in", own_node=True)
def acls(it):
    standard = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    secured = Secured(it, f"authorizer.class.name={standard}", "super.users=User:alice;User:ANONYMOUS")
    alice, bob = (login(name, f"{name}-secret") for name in ("alice", "bob"))
    admin = secured.admin("SASL", alice)
    done(admin.create_topics([NewTopic("shut", 1, 1), NewTopic("ajar", 1, 1)]))

    def allow(operation, name, kind=ResourceType.TOPIC):
        pattern, permission = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
        done(admin.create_acls([AclBinding(kind, name, pattern, "User:bob", "*", operation, permission)]))

    allow(AclOperation.WRITE, "ajar")
    allow(AclOperation.READ, "g", ResourceType.GROUP)
    settings = secured.client("SASL", bob)
    eventually(lambda: delivered(settings, "ajar", 1)[0] == 1, "the ACL applies")
    count, errors = delivered(settings, "shut", 1)
    equal((count, errors), (0, {KafkaError.TOPIC_AUTHORIZATION_FAILED}), "what bob may not write")
    equal(sorted(secured.admin("SASL", bob).list_topics(timeout=10).topics), ["ajar"], "the topics that bob sees")
    consumer = Consumer({**settings, "group.id": "g"})
    consumer.assign([TopicPartition("ajar", 0, 0)])
    message = consumer.poll(PATIENCE_SECONDS)
    equal(message.error().code(), KafkaError.TOPIC_AUTHORIZATION_FAILED, "what bob may not read")
    consumer.close()
    secured.node.stop()


@case("security/a_greedy_client_gets_its_quota_and_others_lose_nothing", own_node=True)
def quotas(it):
    windows = 2
    secured = Secured(it, f"quota.window.num={windows}")
    admin = secured.admin()
    done(admin.create_topics([NewTopic("t", 1, 1)]))
    limit, seconds = 1_000_000, 8
    it.java(
        "kafka-configs.sh", "--bootstrap-server", secured.node.bootstrap, "--alter", "--entity-type", "users",
        "--entity-name", "greedy", "--add-config", f"producer_byte_rate={limit}",
    )  # fmt: skip
    few = {"max.in.flight": 5, "queue.buffering.max.messages": 100, "message.timeout.ms": 60_000}
    few["socket.timeout.ms"] = 60_000
    greedy = Producer({**secured.client("SASL", login("greedy", "greedy-secret")), "batch.size": 50_000, **few})
    other = Producer(secured.client("SASL", login("bob", "bob-secret")))
    taken, slowest = [0], [0.0]

    def count(error, message):
        taken[0] += 0 if error else len(message.value())

    def one():
        begun = time.monotonic()
        other.produce("t", b"y" * 100)
        expect(other.flush(10) == 0, "the other client is served")
        slowest[0] = max(slowest[0], time.monotonic() - begun)

    def run(until):
        while time.monotonic() < until:
            try:
                greedy.produce("t", b"x" * 10_000, on_delivery=count)
            except BufferError:
                greedy.poll(0.05)
            greedy.poll(0)

    begun = time.monotonic()
    for step in range(seconds):
        run(begun + step + 0.8)
        one()
    took = time.monotonic() - begun
    # What all windows allow may come at once in the beginning.
    most = limit * (took + windows) * 1.05
    expect(0.9 * limit * took < taken[0] < most, f"the greedy client sent {taken[0]} bytes in {took:.1f} s")
    expect(slowest[0] < 0.5, f"the other client waited for {slowest[0]:.2f} s")
    it.note(f"{taken[0] / took / 1e6:.2f} MB/s of 1 MB/s; the other client waited for at most {slowest[0] * 1000:.0f} ms")
    secured.node.stop()


def openssl(*arguments):
    """Runs openssl."""
    subprocess.run(["openssl", *[str(part) for part in arguments]], check=True, stdin=subprocess.DEVNULL, capture_output=True)


def as_pkcs12(name, to):
    """A keystore of the test data as PKCS12; gives the certificate."""
    source = MATERIAL / name
    openssl("pkcs12", "-export", "-in", source, "-name", "node", "-passout", "pass:secret-store", "-out", to)
    return source.read_text()


def served(port):
    """The certificate that a listener shows."""
    return ssl.get_server_certificate(("127.0.0.1", port))


def alter_broker(admin, broker, **configs):
    """Sets configurations of a broker; gives the error, if there is one."""
    set_to = AlterConfigOpType.SET
    entries = [ConfigEntry(key.replace("_", "."), str(value), incremental_operation=set_to) for key, value in configs.items()]
    resource = ConfigResource(ConfigResource.Type.BROKER, str(broker), incremental_configs=entries)
    try:
        done(admin.incremental_alter_configs([resource]))
        return None
    except KafkaException as raised:
        return raised.args[0]


@case("security/keystores_are_replaced_while_the_node_runs", own_node=True)
def replaced_keystores(it):
    secured = Secured(it)
    admin = secured.admin()
    done(admin.create_topics([NewTopic("t", 1, 1)]))
    names = {name: it.home / f"{name}.p12" for name in ("renewed", "stranger", "nameless")}
    certificates = {name: as_pkcs12(f"{name}.pem", path) for name, path in names.items()}
    old, port, lasting = served(secured.at["TLS"]), secured.at["TLS"], Producer(secured.client("TLS", TLS))

    def go_on():
        lasting.produce("t", b"x")
        equal(lasting.flush(20), 0, "a connection that was there goes on")

    def refused(reason, certificate, **configs):
        error = alter_broker(admin, 1, **configs)
        expect(error is not None, f"refused: {reason}")
        equal(error.code(), KafkaError.INVALID_REQUEST, f"the code of {error}")
        expect(reason in error.str(), f"{error.str()} says {reason}")
        equal(served(port), certificate, "what is in use stays")

    go_on()
    location, password = "listener_name_tls_ssl_keystore_location", "listener_name_tls_ssl_keystore_password"
    refused("Keystore DistinguishedName does not match", old, **{location: names["stranger"]})
    refused("Keystore SubjectAltNames do not match", old, **{location: names["nameless"]})
    refused("Failed to load SSL keystore", old, **{location: names["renewed"], password: "guess"})
    refused("Failed to load SSL keystore", old, **{location: it.home / "missing.p12"})
    equal(alter_broker(admin, 1, **{location: names["renewed"]}), None, "good key material is taken")
    in_use = certificates["renewed"][certificates["renewed"].index("-----BEGIN CERT") :]
    eventually(lambda: served(port) == in_use, "new connections use it")
    go_on()
    # The file is replaced where it is, and its name is set again.
    shutil.copy(MATERIAL / "node.p12", names["renewed"])
    refused("Keystore SubjectAltNames do not match", in_use, **{location: MATERIAL / "node.p12"})
    equal(alter_broker(admin, 1, **{location: names["renewed"]}), None, "the same name is taken")
    time.sleep(2)
    equal(served(port), in_use, "a file that lacks a name is not used")
    again = it.home / "again.pem"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-keyout", again, "-out", it.home / "again.crt",
            "-subj", "/C=DE/O=Example, Inc./OU=Tests/CN=node",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:node.example")  # fmt: skip
    openssl("pkcs12", "-export", "-in", it.home / "again.crt", "-inkey", again, "-name", "node",
            "-passout", "pass:secret-store", "-out", names["renewed"])  # fmt: skip
    equal(alter_broker(admin, 1, **{location: names["renewed"]}), None, "the same name is taken again")
    eventually(lambda: served(port) == (it.home / "again.crt").read_text(), "the file is read again")
    go_on()
    secured.node.stop()


class Provider:
    """An identity provider: signs tokens, and serves its keys over HTTP. `failing` requests are answered with 503 first."""

    def __init__(self, home):
        self.home, self.keys, self.failing, self.asked = home, {}, 1, 0
        home.mkdir(parents=True, exist_ok=True)
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                provider.asked += 1
                if provider.asked <= provider.failing:
                    self.send_error(503)
                    return
                body = json.dumps({"keys": list(provider.keys.values())}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def key(self, name, is_public=True):
        """A new key to sign with."""
        path = self.home / f"{name}.pem"
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path)
        printed = subprocess.run(["openssl", "rsa", "-in", path, "-noout", "-modulus"], check=True, capture_output=True).stdout
        modulus = bytes.fromhex(printed.decode().strip().split("=")[1])
        if is_public:
            self.keys[name] = {"kty": "RSA", "kid": name, "use": "sig", "alg": "RS256", "n": url_safe(modulus), "e": "AQAB"}

    def token(self, user, key, audience="kafka"):
        """A token of `user`, and when it ends."""
        now = int(time.time())
        header = {"alg": "RS256", "kid": key}
        claims = {"sub": user, "iat": now, "exp": now + 300, "aud": audience, "iss": "provider"}
        message = ".".join(url_safe(json.dumps(part).encode()) for part in (header, claims))
        sign = ["openssl", "dgst", "-sha256", "-sign", str(self.home / f"{key}.pem")]
        signature = subprocess.run(sign, input=message.encode(), check=True, capture_output=True).stdout
        return f"{message}.{url_safe(signature)}", now + 300


def url_safe(data):
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@case("security/the_keys_of_tokens_come_from_an_address_that_is_allowed", own_node=True)
def keys_at_an_address(it):
    provider = Provider(it.home / "provider")
    provider.key("one")
    # Kafka does not start without keys.
    provider.failing = 0 if it.is_kafka else 1
    validator = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
    module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
    secured = Secured(
        it,
        "listener.name.sasl.sasl.enabled.mechanisms=OAUTHBEARER",
        f"listener.name.sasl.oauthbearer.sasl.jaas.config={module}",
        f"listener.name.sasl.oauthbearer.sasl.server.callback.handler.class={validator}",
        f"listener.name.sasl.oauthbearer.sasl.oauthbearer.jwks.endpoint.url={provider.url}",
        "listener.name.sasl.oauthbearer.sasl.oauthbearer.expected.audience=kafka",
        "sasl.oauthbearer.expected.issuer=provider",
        env={**os.environ, "KAFKA_OPTS": f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={provider.url}"},
    )
    admin = secured.admin()
    done(admin.create_topics([NewTopic("t", 1, 1)]))

    def count(key, **options):
        token = provider.token("alice", key, **options)
        bearer = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER", "oauth_cb": lambda _: token}
        return delivered(secured.client("SASL", bearer, {"message.timeout.ms": 5_000}), "t")[0]

    eventually(lambda: count("one") == 10, "a token is taken once the keys were fetched")
    equal(count("one", audience="other"), 0, "records with a token for another audience")
    provider.key("forged", is_public=False)
    equal(count("forged"), 0, "records with a token that nobody vouches for")
    provider.key("two")
    eventually(lambda: count("two") == 10, "keys that are new are fetched when they are met")
    secured.node.stop()
