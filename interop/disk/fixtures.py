"""Directories that Apache Kafka wrote open in Thalweg in place, and what Thalweg went on writing opens in Kafka."""

import json
import shutil

from harness import nodes
from harness.case import equal, expect

from . import answers, archive, author, batches, known, metadata
from .client import Client

ONLY_KAFKA_TELLS = ("acls", "transactions")
KEPT_FOR_KAFKA = tuple(f"image/{kind}/" for kind in ("acls", "clientQuotas", "delegationToken", "features", "scram"))
ENDS = ("positions", "producers", "directories")
LATER = author.T0 + 10_000_000


def opens(target, home, name):
    """A node opens a fixture, answers as Kafka did, goes on writing, is killed, and still answers so. Gives the node and what was
    written."""
    case = f"fixtures/{name}" if target.name == "thalweg" else f"fixtures/{name} in Kafka"
    node = author.open_with(target, home, name)
    known.check(case, differences(name, ask(node, name), ONLY_KAFKA_TELLS), target.name)
    written = write(node, name)
    node.kill()
    node = author.open_with(target, home, name)
    known.check(case, differences(name, ask(node, name), ONLY_KAFKA_TELLS, went_on=True), f"{target.name}, killed,")
    check_written(node, written)
    return node, written


def goes_back(home, name):
    """Thalweg does so; then Kafka opens what Thalweg left, after a clean stop."""
    archive.unpack(name, home)
    theirs = shutil.copy(metadata.newest(home / "data"), home)
    node, written = opens(nodes.Thalweg(), home, name)
    client = Client(node)
    metadata.snapshot(client, home)
    client.close()
    node.stop()
    trees = [[row for row in metadata.tree(path) if row.startswith(KEPT_FOR_KAFKA)] for path in (theirs, metadata.kept(home))]
    known.check(f"fixtures/{name} in the shell", known.lines("metadata", *trees))
    node = author.open_with(nodes.Kafka(), home, name, *author.GUARDED)
    client = Client(node)
    found = ask(node, name)
    found.facts.update(acls=answers.acls(client), transactions=answers.transactions(client))
    client.close()
    known.check(f"fixtures/{name} in Kafka again", differences(name, found, (), went_on=True), "Kafka again")
    check_written(node, written)
    node.stop()


def ask(node, name):
    """Everything that was recorded."""
    return answers.ask(node, author.groups(name), author.forever(name))


def differences(name, found, left_out, went_on=False):
    """How answers differ from those that Kafka gave when the fixture was recorded. When a node went on writing, the logs' ends
    and what is new do not count."""
    trouble = []
    for file, lines in found.files().items():
        recorded = (archive.folder(name) / file).read_text().splitlines()
        if file == "answers.json":
            out = (*left_out, *ENDS) if went_on else left_out
            recorded, lines = facts(recorded, out), facts(lines, out)
            if went_on:
                lines = [line for line in lines if f'"{NEW}' not in line.replace(f"/{NEW}", f'"{NEW}')]
        else:
            lines = known_part(recorded, lines, went_on)
        trouble += known.lines(file, recorded, lines)
    return trouble


def facts(lines, left_out):
    """The answers without what is not compared, one line each."""
    told = json.loads("\n".join(lines))
    return [
        f"{kind}: {json.dumps(row)}"
        for kind, rows in sorted(told.items())
        if kind not in left_out
        for row in (sorted(rows.items()) if isinstance(rows, dict) else rows)
    ]


def known_part(recorded, lines, went_on):
    """Nodes go on writing internal topics by themselves: what came after the recording is left out."""
    last = {}
    for line in recorded:
        topic, partition, offset = line.split("\t")[:3]
        last[topic, partition] = int(offset)
    kept = []
    for line in lines:
        topic, partition, offset = line.split("\t")[:3]
        is_open = not went_on and topic not in answers.INTERNAL
        if is_open or int(offset) <= last.get((topic, partition), -1):
            kept.append(line)
    return kept


NEW = "written-since"


def write(node, name):
    """Goes on writing everywhere; gives what must be found later, by topic."""
    client = Client(node)
    positions = json.loads((archive.folder(name) / "answers.json").read_text())["positions"]
    ends = {topic: part["end"] for topic, part in positions.items() if "end" in part}
    written = {}
    for topic in [*(f"codec-{codec}" for codec in batches.CODECS), "spread", "table", "empty", "shortened-to-nothing", "made-again"]:
        records = [(LATER + number, b"key %d" % number, author.value(number, "since")) for number in range(4)]
        code = batches.CODECS.get(topic.removeprefix("codec-"), 0)
        base = client.produce(topic, 0, batches.build(records, compression=code))
        equal(base, ends[f"{topic}-0"], f"{topic}: where the log went on")
        written[topic] = (base, records)
    known_producers(client, ends["idempotent-0"])
    client.create(f"{NEW}-topic", partitions=2, **author.SMALL)
    client.create(f"{NEW}-and-deleted")
    client.delete(f"{NEW}-and-deleted")
    client.commit(f"{NEW}-group", {("spread", 0): 2})
    client.configure(2, f"{NEW}-topic", max_message_bytes="123457")
    client.close()
    return written


def known_producers(client, end):
    """A producer that Kafka knew goes on: a batch sent twice is not appended twice, the next one is; new ids are new."""
    again = [(author.FUTURE + 5, b"0", author.value(5))] * 2
    base = client.produce("idempotent", 0, batches.build(again, producer=(0, 0), sequence=10))
    equal(base, 10, "the base offset of a batch that was there")
    records = [(author.FUTURE + 5, b"0", author.value(6))]
    base = client.produce("idempotent", 0, batches.build(records, producer=(1, 0), sequence=12))
    equal(base, end, "the base offset of a known producer's next batch")
    expect(client.producer_id()[0] > 20, "a new producer has an id that Kafka did not give away")


def check_written(node, written):
    """What was written since is there."""
    client = Client(node)
    for topic, (base, records) in written.items():
        batches_of = answers.fetch_all(client, topic, 0, answers.COMMITTED)
        found = [record for batch in batches_of for record in batch.records if record[0] >= base]
        equal([record[1:4] for record in found], records, f"{topic}: what was written since")
    names = [topic for topic, *_ in answers.topics(client)]
    expect(f"{NEW}-topic" in names and f"{NEW}-and-deleted" not in names, f"topics created and deleted since: {names}")
    equal(answers.committed(client, f"{NEW}-group"), [["spread", 0, 2, 0, ""]], "offsets committed since")
    equal(answers.configs(client, [f"{NEW}-topic"])[f"2/{NEW}-topic"]["max.message.bytes"], "123457", "a config set since")
    client.close()
