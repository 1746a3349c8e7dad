"""The web console beside a node: Kafdrop's addresses as HTML and JSON, over what other people's clients have written."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from harness import nodes, procs
from harness.case import case, contains, equal, eventually, expect

from .b_confluent import produce_all


class Console:
    """A console of its own, of the case's node."""

    def __init__(self, it, *settings, env=None):
        (self.port,) = nodes.free_ports(1)
        command = nodes.Thalweg().command("console", "--bootstrap-server", it.bootstrap, "--listen", f"127.0.0.1:{self.port}", *settings)
        self.process = procs.spawn(command, subprocess.DEVNULL, subprocess.DEVNULL, env=env)
        eventually(lambda: self.ask("/health_check")[0] == 200, "the console answers")

    def ask(self, path, accept="text/html", **fields):
        """Status and text; with fields, a form is sent."""
        data = urllib.parse.urlencode(fields).encode() if fields else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, {"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()
        except OSError:
            return 0, ""

    def json(self, path):
        status, text = self.ask(path, "application/json")
        equal(status, 200, path)
        return json.loads(text)

    def stop(self):
        self.process.terminate()
        equal(self.process.wait(60), 0, "the console's exit code")


@case("console/kafdrops_addresses_show_what_clients_wrote")
def addresses(it):
    topic = it.topic(2)
    produce_all(it.bootstrap, topic, [f"value {n}".encode() for n in range(250)], partition=1)
    console = Console(it)
    cluster = console.json("/")
    expect(topic in {found["name"] for found in cluster["topics"]}, "the cluster names the topic")
    equal(len(cluster["brokers"]), 1, "brokers")
    offsets = [(p["partition"], p["firstOffset"], p["lastOffset"]) for p in console.json(f"/topic/{topic}/messages")]
    equal(offsets, [(0, 0, 0), (1, 0, 250)], "offsets of the partitions")
    messages = console.json(f"/topic/{topic}/messages?partition=1&offset=100&count=100")
    equal([m["message"] for m in messages], [f"value {n}" for n in range(100, 200)], "messages")
    for path in ("/", "/topic", f"/topic/{topic}", f"/topic/{topic}/messages?partition=1&offset=0&count=10", "/consumer", "/broker/1"):
        status, page = console.ask(path)
        equal(status, 200, path)
        contains(page, "<!DOCTYPE html>", path)
    found = console.ask(f"/topic/{topic}/search-messages?searchText=VALUE+24&maximumCount=100")[1]
    contains(found, "11 found, and every offset was read.", "a search in any case")
    console.stop()


@case("console/topics_are_created_and_deleted")
def changes(it):
    name = it.new_name()
    console = Console(it)
    equal(console.ask("/topic", name=name, partitionsNumber=3, replicationFactor=1)[0], 200, "the page of the new topic")
    eventually(lambda: len(console.json(f"/topic/{name}")["partitions"]) == 3, "the topic has its partitions")
    status, _ = console.ask(f"/topic/{name}/addmessage", topicPartition=2, key="k", value="typed", topic=name)
    equal(status, 200, "the page of the new message")
    messages = console.json(f"/topic/{name}/messages?partition=2&offset=0&count=1")
    equal([(m["key"], m["message"]) for m in messages], [("k", "typed")], "the message")
    equal(console.ask(f"/topic/{name}/delete", confirm=name)[0], 200, "the page after the topic was deleted")
    eventually(lambda: console.ask(f"/topic/{name}")[0] == 404, "the topic is gone")
    console.stop()


@case("console/offsets_of_other_peoples_groups_are_reset_after_a_dry_run")
def resets(it):
    from confluent_kafka import Consumer, TopicPartition

    topic, group = it.topic(2), it.new_name()
    produce_all(it.bootstrap, topic, [f"value {n}".encode() for n in range(40)], partition=1)
    consumer = Consumer({"bootstrap.servers": it.bootstrap, "group.id": group, "enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition(topic, 1, 30)], asynchronous=False)
    console = Console(it)
    found = console.json(f"/api/v1/groups/{group}")
    equal([(t["topic"], t["lag"]) for t in found["topics"]], [(topic, 10)], "the group's lag")

    def reset(**fields):
        data = urllib.parse.urlencode(fields).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{console.port}/api/v1/groups/{group}/reset", data)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    dry = reset(to="shift", value="-25")
    equal(dry["done"], False, "a dry run is not done")
    equal([(row[1], row[2], row[3]) for row in dry["plan"]["rows"]], [("1", "30", "5")], "what it would change")
    equal(consumer.committed([TopicPartition(topic, 1)])[0].offset, 30, "the offset after the dry run")
    equal(reset(to="shift", value="-25", confirm=group)["done"], True, "the reset")
    equal(consumer.committed([TopicPartition(topic, 1)])[0].offset, 5, "the offset that another client sees")
    consumer.close()
    console.stop()


@case("console/a_search_proves_what_it_read_and_downloads_it")
def proofs(it):
    from confluent_kafka import Producer

    topic = it.topic(1)
    producer = Producer({"bootstrap.servers": it.bootstrap, "transactional.id": it.new_name()})
    producer.init_transactions(60)
    for commits in (False, True):
        producer.begin_transaction()
        for n in range(10):
            producer.produce(topic, json.dumps({"n": n, "commits": commits}), headers={"trace": str(n)}, partition=0)
        # What is not on its way yet, an abort would drop.
        producer.flush()
        producer.commit_transaction(60) if commits else producer.abort_transaction(60)
    console = Console(it)
    page = console.ask(f"/topic/{topic}/search-messages?search=true&json=n+%3E+7&maximumCount=100")[1]
    contains(page, "2 found, and every offset was read.", "a search by a JSON condition")
    numbers = [0, 0, 22, 22, 10, 10, 2, 0]
    contains(page, "".join(f'<td class="n">{n}</td>' for n in numbers), "records, aborted, markers, compacted")
    status, lines = console.ask(f"/api/v1/topics/{topic}/download?header=trace%3D3")
    equal(status, 200, "the file")
    found = [json.loads(line) for line in lines.splitlines()]
    equal([(line["offset"], json.loads(line["value"])["n"]) for line in found], [(14, 3)], "the records of the file")
    story = console.json(f"/topic/{topic}/record?partition=0&offset=3")
    contains(story["says"], "aborted", "the fate of an aborted record")
    newest = console.json(f"/topic/{topic}/newest?count=4")
    equal([message["offset"] for message in newest["messages"]], [20, 19, 18, 17], "the newest records")
    older = console.json(f"/topic/{topic}/newest?count=4&cursor={newest['older']}")
    equal([message["offset"] for message in older["messages"]], [16, 15, 14, 13], "those before them")
    console.stop()
