// Which features of kafkajs work against a node: one line each, `ok|FAIL|n/a`, area, feature and detail between tabs.
//
// Usage: node features.js HOST:PORT [WORD...]; a WORD chooses the features whose area or name has it.
const assert = require("node:assert/strict");
const { Kafka, AclOperationTypes, AclPermissionTypes, AclResourceTypes, AssignerProtocol, CompressionTypes, ConfigResourceTypes, PartitionAssigners, ResourcePatternTypes, logLevel } = require("kafkajs");

const [bootstrap, ...words] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "kafkajs", brokers: [bootstrap], logLevel: logLevel.NOTHING, requestTimeout: 10000, retry: { retries: 8, maxRetryTime: 1000 } });
const SECONDS = 45;
const WAIT_SECONDS = 20;
const RUN = Date.now().toString(36);
let numbers = 0;
const features = [];
const feature = (area, name, body) => features.push({ area, name, body });

async function main() {
  for (const { area, name, body } of features) {
    if (words.length && !words.some((word) => area.includes(word) || name.includes(word))) continue;
    const [result, detail] = await Promise.race([
      body().then(() => ["ok", ""], (why) => ["FAIL", `${why.name}: ${why.message}`]),
      sleep(SECONDS * 1000).then(() => ["FAIL", `not within ${SECONDS} s`]),
    ]);
    console.log([result, area, name, detail.replace(/\s+/g, " ")].join("\t"));
  }
  process.exit(0); // what a feature left behind must not hold the program
}

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const newName = (word = "topic") => `kafkajs-${word}-${RUN}-${++numbers}`;
const TEN = Array.from({ length: 10 }, (_, n) => `${n}`);

async function eventually(what, condition) {
  const deadline = Date.now() + WAIT_SECONDS * 1000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `not within ${WAIT_SECONDS} s: ${what}`);
    await sleep(30);
  }
}

// Clients are closed when their use ends, also by an error.
async function using(client, use) {
  await client.connect();
  try {
    return await use(client);
  } finally {
    await Promise.race([client.disconnect(), sleep(5000)]);
  }
}

const withAdmin = (use) => using(kafka.admin(), use);

async function newTopic(numPartitions = 1, configs = {}) {
  const topic = newName();
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }));
  await withAdmin((admin) => admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }] }));
  return topic;
}

const write = (topic, values, settings = {}) =>
  using(kafka.producer(settings.producer), (producer) =>
    producer.send({ topic, acks: settings.acks, compression: settings.compression, messages: values.map((value) => ({ partition: 0, ...(typeof value === "string" ? { value } : value) })) }),
  );

async function ofTen() {
  const topic = await newTopic();
  await write(topic, TEN);
  return topic;
}

// A member that keeps what it reads and which partitions it was given.
class Member {
  constructor(topics, settings = {}, run = {}) {
    this.messages = [];
    this.parts = [];
    this.consumer = kafka.consumer({ groupId: settings.groupId ?? newName("group"), sessionTimeout: 6000, heartbeatInterval: 500, maxWaitTimeInMs: 300, metadataMaxAge: 1000, ...settings });
    this.consumer.on(this.consumer.events.GROUP_JOIN, ({ payload }) => {
      this.parts = Object.values(payload.memberAssignment).flat().sort();
    });
    this.start = async () => {
      await this.consumer.connect();
      await this.consumer.subscribe({ topics, fromBeginning: true });
      const eachMessage = async ({ partition, message }) => this.messages.push({ partition, ...message });
      await this.consumer.run({ eachMessage, ...run });
    };
  }

  async read(count) {
    await eventually(`${count} records`, () => this.messages.length >= count);
    return this.messages;
  }

  values() {
    return this.messages.map((message) => message.value.toString());
  }

  stop() {
    return Promise.race([this.consumer.disconnect(), sleep(5000)]);
  }
}

async function withMember(topics, settings, use, run) {
  const member = new Member(topics, settings, run);
  try {
    await member.start();
    return await use(member);
  } finally {
    await member.stop();
  }
}

const share = (partitions, ...members) =>
  eventually(`${members.length} members share ${partitions} partitions`, () => {
    const sizes = members.map((member) => member.parts.length);
    const sum = sizes.reduce((a, b) => a + b, 0);
    return sum === partitions && new Set(members.flatMap((member) => member.parts)).size === partitions && Math.max(...sizes) - Math.min(...sizes) <= 1;
  });

const committed = (groupId, topic) => withAdmin(async (admin) => (await admin.fetchOffsets({ groupId, topics: [topic] }))[0].partitions.find((part) => part.partition === 0).offset);

// Admin

feature("Admin", "create, list, describe and delete topics", () =>
  withAdmin(async (admin) => {
    const topic = newName();
    assert.equal(await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] }), true);
    assert.equal(await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] }), false);
    assert.ok((await admin.listTopics()).includes(topic));
    assert.equal((await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length, 3);
    await admin.deleteTopics({ topics: [topic] });
    await eventually("it is gone", async () => !(await admin.listTopics()).includes(topic));
  }),
);

feature("Admin", "add partitions", () =>
  withAdmin(async (admin) => {
    const topic = await newTopic();
    await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] });
    await eventually("four partitions", async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 4);
  }),
);

feature("Admin", "describe and alter configs", () =>
  withAdmin(async (admin) => {
    const resource = { type: ConfigResourceTypes.TOPIC, name: await newTopic(1, { "retention.ms": "77777" }) };
    const value = async () => (await admin.describeConfigs({ resources: [{ ...resource, configNames: ["retention.ms"] }], includeSynonyms: false })).resources[0].configEntries[0].configValue;
    assert.equal(await value(), "77777");
    await admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries: [{ name: "retention.ms", value: "88888" }] }] });
    await eventually("the change", async () => (await value()) === "88888");
  }),
);

feature("Admin", "offsets of a topic, also by time", () =>
  withAdmin(async (admin) => {
    const topic = await ofTen();
    assert.deepEqual(await admin.fetchTopicOffsets(topic), [{ partition: 0, offset: "10", high: "10", low: "0" }]);
    assert.equal((await admin.fetchTopicOffsetsByTimestamp(topic, 1))[0].offset, "0");
  }),
);

feature("Admin", "delete records", () =>
  withAdmin(async (admin) => {
    const topic = await ofTen();
    assert.equal((await admin.fetchTopicOffsets(topic))[0].low, "0"); // without it kafkajs knows no leader
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "6" }] });
    assert.equal((await admin.fetchTopicOffsets(topic))[0].low, "6");
  }),
);

feature("Admin", "describe the cluster", () =>
  withAdmin(async (admin) => {
    const found = await admin.describeCluster();
    assert.deepEqual([found.brokers.length, found.clusterId.length, `${found.brokers[0].host}:${found.brokers[0].port}`], [1, 22, bootstrap]);
  }),
);

feature("Admin", "reassignments", () =>
  withAdmin(async (admin) => {
    const topic = await newTopic();
    const { brokers } = await admin.describeCluster();
    await admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment: [{ partition: 0, replicas: [brokers[0].nodeId] }] }] });
    assert.deepEqual((await admin.listPartitionReassignments({ topics: [{ topic, partitions: [0] }] })).topics, []);
  }),
);

feature("Admin", "ACLs, told to be off", () =>
  withAdmin(async (admin) => {
    const acl = { resourceType: AclResourceTypes.TOPIC, resourceName: "t", resourcePatternType: ResourcePatternTypes.LITERAL, principal: "User:a", host: "*", operation: AclOperationTypes.READ, permissionType: AclPermissionTypes.ALLOW };
    await assert.rejects(admin.createAcls({ acl: [acl] }), { type: "SECURITY_DISABLED" });
  }),
);

feature("Admin", "list, describe and delete groups", async () => {
  const groupId = newName("group");
  await withMember([await ofTen()], { groupId }, async (member) => {
    await member.read(10);
    await withAdmin(async (admin) => {
      assert.ok((await admin.listGroups()).groups.some((group) => group.groupId === groupId));
      const found = (await admin.describeGroups([groupId])).groups[0];
      assert.deepEqual([found.state, found.members.length, found.protocol], ["Stable", 1, "RoundRobinAssigner"]);
    });
  });
  await withAdmin(async (admin) => {
    await admin.deleteGroups([groupId]);
    assert.ok(!(await admin.listGroups()).groups.some((group) => group.groupId === groupId));
  });
});

feature("Admin", "list, set and reset a group's offsets", async () => {
  const groupId = newName("group");
  const topic = await ofTen();
  await withAdmin((admin) => admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: "7" }] }));
  assert.equal(await committed(groupId, topic), "7");
  await withAdmin((admin) => admin.resetOffsets({ groupId, topic, earliest: true }));
  assert.equal(await withAdmin(async (admin) => (await admin.fetchOffsets({ groupId, topics: [topic], resolveOffsets: true }))[0].partitions[0].offset), "0");
});

// Producer

for (const acks of [0, 1, -1]) {
  feature("Producer", `acks=${acks === -1 ? "all" : acks}`, async () => {
    const topic = await newTopic();
    await write(topic, TEN, { acks });
    await withMember([topic], {}, async (member) => {
      await member.read(10);
      assert.deepEqual(member.values(), TEN);
    });
  });
}

for (const codec of ["None", "GZIP"]) {
  feature("Producer", `compression ${codec.toLowerCase()}`, async () => {
    const topic = await newTopic();
    const many = Array.from({ length: 2000 }, (_, n) => `value ${n}`);
    await write(topic, many, { compression: CompressionTypes[codec] });
    await withMember([topic], {}, async (member) => {
      await member.read(2000);
      assert.deepEqual(member.values(), many);
    });
  });
}

feature("Producer", "idempotent", async () => {
  const topic = await newTopic();
  await using(kafka.producer({ idempotent: true }), async (producer) => {
    for (const value of TEN) await producer.send({ topic, messages: [{ partition: 0, value }] });
  });
  await withMember([topic], {}, async (member) => {
    await member.read(10);
    assert.deepEqual(member.values(), TEN);
  });
});

feature("Producer", "keys, headers and timestamps", async () => {
  const topic = await newTopic(1, { "retention.ms": "-1" });
  await write(topic, [{ key: "k", value: "v", headers: { h: "1" }, timestamp: "1234567" }, { key: "tombstone", value: null }]);
  await withMember([topic], {}, async (member) => {
    const [first, second] = await member.read(2);
    assert.deepEqual([first.key, first.value, first.headers.h].map(String), ["k", "v", "1"]);
    assert.equal(first.timestamp, "1234567");
    assert.deepEqual([second.key.toString(), second.value], ["tombstone", null]);
  });
});

feature("Producer", "records of 5 MB", async () => {
  const topic = await newTopic(1, { "max.message.bytes": "6000000" });
  await write(topic, ["x".repeat(5000000)]);
  await withMember([topic], { maxBytesPerPartition: 6000000 }, async (member) => assert.equal((await member.read(1))[0].value.length, 5000000));
});

feature("Producer", "refuse records that are too large", async () => {
  const topic = await newTopic(1, { "max.message.bytes": "1000" });
  await assert.rejects(write(topic, ["x".repeat(2000)]), { type: "MESSAGE_TOO_LARGE" });
});

feature("Producer", "create a topic by producing to it", () => using(kafka.producer({ allowAutoTopicCreation: true }), (producer) => producer.send({ topic: newName("auto"), messages: [{ value: "first" }] })));

// Groups

feature("Group (classic)", "subscribe, and go on from the committed offset", async () => {
  const groupId = newName("group");
  const topic = await ofTen();
  await withMember([topic], { groupId }, async (member) => {
    await member.read(10);
    assert.deepEqual(member.values(), TEN);
  });
  assert.equal(await committed(groupId, topic), "10");
  await write(topic, ["next"]);
  await withMember([topic], { groupId }, async (member) => {
    await member.read(1);
    assert.deepEqual(member.values(), ["next"]);
  });
});

feature("Group (classic)", "subscribe by pattern", async () => {
  const topic = await ofTen();
  await withMember([new RegExp(`^${topic}.*`)], {}, (member) => member.read(10));
});

feature("Group (classic)", "commit by the application", async () => {
  const groupId = newName("group");
  const topic = await ofTen();
  await withMember(
    [topic],
    { groupId },
    async (member) => {
      await member.read(10);
      await member.consumer.commitOffsets([{ topic, partition: 0, offset: "5" }]);
    },
    { autoCommit: false },
  );
  assert.equal(await committed(groupId, topic), "5");
});

feature("Group (classic)", "seek, pause and resume", async () => {
  const topic = await ofTen();
  await withMember([topic], {}, async (member) => {
    await member.read(10);
    member.consumer.seek({ topic, partition: 0, offset: "8" });
    await member.read(12);
    assert.deepEqual(member.values().slice(10), ["8", "9"]);
    member.consumer.pause([{ topic }]);
    await write(topic, ["later"]);
    await sleep(700);
    assert.equal(member.messages.length, 12);
    member.consumer.resume([{ topic }]);
    await member.read(13);
  });
});

feature("Group (classic)", "read whole batches", async () => {
  const topic = await ofTen();
  const read = [];
  const eachBatch = async ({ batch, resolveOffset, heartbeat }) => {
    for (const message of batch.messages) {
      read.push(message.value.toString());
      resolveOffset(message.offset);
    }
    await heartbeat();
  };
  await withMember([topic], {}, () => eventually("ten records", () => read.length === 10), { eachMessage: undefined, eachBatch });
  assert.deepEqual(read, TEN);
});

feature("Group (classic)", "share partitions between two members, take over", async () => {
  const groupId = newName("group");
  const topic = await newTopic(4);
  await withMember([topic], { groupId }, async (first) => {
    await share(4, first);
    await withMember([topic], { groupId }, (second) => share(4, first, second));
    await share(4, first);
  });
});

feature("Group (classic)", "an assignor of the application", async () => {
  const topic = await newTopic(2);
  const mine = ({ cluster }) => ({
    name: "mine",
    version: 1,
    assign: async ({ members, topics }) => {
      const assignment = { [topics[0]]: cluster.findTopicPartitionMetadata(topics[0]).map((part) => part.partitionId) };
      return members.map(({ memberId }) => ({ memberId, memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 1, assignment, userData: Buffer.alloc(0) }) }));
    },
    protocol: ({ topics }) => ({ name: "mine", metadata: AssignerProtocol.MemberMetadata.encode({ version: 1, topics, userData: Buffer.alloc(0) }) }),
  });
  await withMember([topic], { partitionAssigners: [mine, PartitionAssigners.roundRobin] }, (member) => share(2, member));
});

// Transactions

const transactional = (use, settings = {}) => using(kafka.producer({ transactionalId: newName("txn"), idempotent: true, maxInFlightRequests: 1, ...settings }), use);

feature("Transactions", "commit and abort", async () => {
  const topic = await newTopic();
  await transactional(async (producer) => {
    const aborted = await producer.transaction();
    await aborted.send({ topic, messages: [{ partition: 0, value: "gone" }] });
    await aborted.abort();
    const kept = await producer.transaction();
    await kept.send({ topic, messages: [{ partition: 0, value: "kept" }] });
    await kept.commit();
  });
  await withMember([topic], { readUncommitted: false }, async (member) => {
    await member.read(1);
    assert.deepEqual(member.values(), ["kept"]);
  });
});

feature("Transactions", "send a group's offsets", async () => {
  const consumerGroupId = newName("group");
  const topic = await ofTen();
  await transactional(async (producer) => {
    const transaction = await producer.transaction();
    await transaction.sendOffsets({ consumerGroupId, topics: [{ topic, partitions: [{ partition: 0, offset: "6" }] }] });
    await transaction.commit();
  });
  await eventually("the offset is committed", async () => (await committed(consumerGroupId, topic)) === "6");
});

main();
