"""kafkajs 2.2 on Node.js: its admin client and its producer. Its consumer needs groups, which are not served yet."""

import json

from harness.case import case, equal
from harness.install import INTEROP


@case("kafkajs/administers_and_produces")
def kafkajs(it):
    out = it.command("node", INTEROP / "node" / "client.js", it.bootstrap, it.new_name())
    wanted = {
        "created": True,
        "again": False,
        "listed": True,
        "partitions": [[0, 0], [1, 0]],
        "plain": [[0, 0, "0"]],
        "leader": [[0, 0, "1"]],
        "gzip": [[1, 0, "0"]],
        "idempotent": [[1, 0, "500"]],
        "offsets": [[0, "0", "2"], [1, "0", "501"]],
        "byTime": [[0, "0"], [1, "0"]],
        "grown": 3,
        "configs": [["retention.ms", "77777", False]],
        "brokers": [it.bootstrap],
        "deleted": True,
    }
    seen = json.loads(out)
    for key, value in wanted.items():
        equal(seen.get(key), value, key)
