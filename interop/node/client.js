// kafkajs against a node: admin and producer, one step after the other. Prints one JSON document of what it saw.
//
// Usage: node client.js HOST:PORT TOPIC
//
// The consumer of kafkajs works only in a group; groups are not served yet, so consumption is not here.
const { Kafka, CompressionTypes, ConfigResourceTypes, logLevel } = require("kafkajs");

const [bootstrap, topic] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "kafkajs", brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 8 } });

async function produce(messages, settings = {}) {
  const producer = kafka.producer(settings.producer);
  await producer.connect();
  const report = await producer.send({ topic, messages, acks: settings.acks ?? -1, compression: settings.compression });
  await producer.disconnect();
  return report.map((row) => [row.partition, row.errorCode, row.baseOffset]);
}

async function main() {
  const seen = {};
  const admin = kafka.admin();
  await admin.connect();
  seen.created = await admin.createTopics({
    topics: [{ topic, numPartitions: 2, replicationFactor: 1, configEntries: [{ name: "retention.ms", value: "77777" }] }],
  });
  seen.again = await admin.createTopics({ topics: [{ topic }] });
  seen.listed = (await admin.listTopics()).includes(topic);
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  seen.partitions = topics[0].partitions.map((part) => [part.partitionId, part.partitionErrorCode]).sort();

  const one = { partition: 0, key: "k", value: "v", headers: { h: "1" }, timestamp: "1700000000000" };
  seen.plain = await produce([one]);
  seen.leader = await produce([{ partition: 0, value: null, key: "tombstone" }], { acks: 1 });
  seen.gzip = await produce(
    Array.from({ length: 500 }, (_, n) => ({ partition: 1, value: `value ${n}` })),
    { compression: CompressionTypes.GZIP },
  );
  seen.idempotent = await produce([{ partition: 1, value: "once" }], { producer: { idempotent: true } });

  seen.offsets = (await admin.fetchTopicOffsets(topic)).map((row) => [row.partition, row.low, row.high]).sort();
  seen.byTime = (await admin.fetchTopicOffsetsByTimestamp(topic, 1690000000000)).map((row) => [row.partition, row.offset]).sort();
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
  seen.grown = (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length;
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic, configNames: ["retention.ms"] };
  const configs = await admin.describeConfigs({ resources: [resource], includeSynonyms: false });
  seen.configs = configs.resources[0].configEntries.map((entry) => [entry.configName, entry.configValue, entry.isDefault]);
  const cluster = await admin.describeCluster();
  seen.brokers = cluster.brokers.map((broker) => `${broker.host}:${broker.port}`);
  await admin.deleteTopics({ topics: [topic] });
  seen.deleted = !(await admin.listTopics()).includes(topic);
  await admin.disconnect();
  console.log(JSON.stringify(seen));
}

main().catch((why) => {
  console.error(why.stack);
  process.exit(1);
});
