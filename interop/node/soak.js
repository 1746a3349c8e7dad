// A producer or a consumer of interop/soak on kafkajs: works until its standard input ends.
//
//   node soak.js produce|consume BOOTSTRAP TOPIC FILE
//
// It writes a line for each record that was acknowledged or consumed: partition, offset, value.

const fs = require("fs");
const { Kafka, logLevel } = require("kafkajs");

const PARTITIONS = 4;
const PER_BATCH = 40;
const PAUSE_MS = 100;

const [mode, bootstrap, topic, path] = process.argv.slice(2);
const file = fs.openSync(path, "w");
const note = (partition, offset, value) => fs.writeSync(file, `${partition} ${offset} ${value}\n`);
const retry = { initialRetryTime: 50, maxRetryTime: 500, retries: 1000 };
const kafka = new Kafka({ brokers: [bootstrap], clientId: "soak", logLevel: logLevel.NOTHING, retry, requestTimeout: 10000 });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let ended = false;
process.stdin.resume();
process.stdin.on("end", () => (ended = true));

async function produce() {
  const producer = kafka.producer({ retry });
  await producer.connect();
  for (let number = 0; !ended; ) {
    const batches = Array.from({ length: PARTITIONS }, () => []);
    for (let i = 0; i < PER_BATCH; i++, number++) {
      batches[number % PARTITIONS].push(`${number}-${"x".repeat((number * 37) % 900)}`);
    }
    // Each partition on its own: what one acknowledges does not wait for a directory that is full.
    await Promise.all(batches.map((values, partition) => send(producer, partition, values)));
    await pause(PAUSE_MS);
  }
  await producer.disconnect();
}

async function send(producer, partition, values) {
  const messages = values.map((value) => ({ value, partition }));
  while (true) {
    try {
      const [made] = await producer.send({ topic, acks: -1, timeout: 5000, messages });
      values.forEach((value, i) => note(partition, BigInt(made.baseOffset) + BigInt(i), value));
      return;
    } catch (error) {
      console.log(String(error));
      await pause(200);
    }
  }
}

async function consume() {
  while (!ended) {
    try {
      await consumeUntilCrash();
    } catch (error) {
      console.log(String(error));
    }
    await pause(300);
  }
  process.exit(0);
}

// kafkajs gives up when it has not found its coordinator for some tries: a service would start anew then.
async function consumeUntilCrash() {
  const consumer = kafka.consumer({ groupId: topic, sessionTimeout: 10000, retry: { ...retry, restartOnFailure: async () => false } });
  const crashed = new Promise((resolve) => consumer.on(consumer.events.CRASH, resolve));
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({ eachMessage: async ({ partition, message }) => note(partition, message.offset, message.value) });
  while (!ended && (await Promise.race([crashed.then(() => false), pause(200).then(() => true)])));
  await consumer.disconnect();
}

(mode === "produce" ? produce() : consume()).catch((error) => {
  console.log(error);
  process.exit(1);
});
