// A member of a consumer group, for kafkajs; see cases/member.py for what it prints.
//
// Usage: node member.js HOST:PORT GROUP TOPIC
const { Kafka, logLevel } = require("kafkajs");

const [bootstrap, groupId, topic] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "kafkajs", brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 20, maxRetryTime: 500 } });
const consumer = kafka.consumer({ groupId, sessionTimeout: 12000, heartbeatInterval: 500, rebalanceTimeout: 60000 });

consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
  const parts = payload.memberAssignment[topic] ?? [];
  console.log("assigned", parts.sort().join(","));
});

async function main() {
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ partition, message }) => console.log("record", partition, message.offset, message.value.toString()),
  });
}

process.on("SIGTERM", async () => {
  await consumer.disconnect();
  console.log("ended");
  process.exit(0);
});

main().catch((why) => {
  console.error(why.stack);
  process.exit(1);
});
