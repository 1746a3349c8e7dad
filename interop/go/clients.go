package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listProducing: what a producer does.
func listProducing() {
	for at, acks := range []kgo.Acks{kgo.NoAck(), kgo.LeaderAck()} {
		feature("Producer", fmt.Sprint("acks=", at), func(t *test) { roundTrip(t, kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite()) })
	}
	feature("Producer", "acks=all, idempotent", func(t *test) { roundTrip(t) })
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for at, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		feature("Producer", "compression "+name, func(t *test) { roundTrip(t, kgo.ProducerBatchCompression(codecs[at])) })
	}
	feature("Producer", "keys, headers and timestamps", headers)
	feature("Producer", "records of 5 MB", large)
	feature("Producer", "refuse records that are too large", tooLarge)
	feature("Producer", "create a topic by producing to it", autoCreate)
}

// roundTrip produces 3,000 records, many in flight, and reads them in order.
func roundTrip(t *test, options ...kgo.Opt) {
	name := t.topic(1, nil)
	t.write(name, numbers(0, 3000), options...)
	equal(t.read(name, 3000), numbers(0, 3000))
}

func headers(t *test) {
	name := t.topic(1, map[string]*string{"retention.ms": kadm.StringPtr("-1")})
	stamp := time.Now().Add(-time.Second).Truncate(time.Millisecond) // the client takes it for the beginning of the delivery's time
	given := &kgo.Record{Topic: name, Key: []byte("k"), Value: []byte("v"), Timestamp: stamp, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "h"}}}
	check(t.client().ProduceSync(t.ctx, given, &kgo.Record{Topic: name, Key: []byte("tombstone")}).FirstErr())
	found := t.records(t.reader(name, kgo.NewOffset().AtStart()), 2)
	equal(fmt.Sprint(string(found[0].Key), string(found[0].Value), found[0].Timestamp.UnixMilli(), found[0].Headers), fmt.Sprint("k", "v", stamp.UnixMilli(), given.Headers))
	expect(found[1].Value == nil, "a tombstone")
}

func large(t *test) {
	name := t.topic(1, map[string]*string{"max.message.bytes": kadm.StringPtr("6000000")})
	check(t.client(kgo.ProducerBatchMaxBytes(6000000)).ProduceSync(t.ctx, record(name, strings.Repeat("x", 5000000))).FirstErr())
	equal(len(t.read(name, 1)[0]), 5000000)
}

func tooLarge(t *test) {
	name := t.topic(1, map[string]*string{"max.message.bytes": kadm.StringPtr("1000")})
	err := t.client(kgo.ProducerBatchCompression(kgo.NoCompression())).ProduceSync(t.ctx, record(name, strings.Repeat("x", 2000))).FirstErr()
	expect(errors.Is(err, kerr.MessageTooLarge), "refused, not %v", err)
}

func autoCreate(t *test) {
	name := newName("auto")
	check(t.client(kgo.AllowAutoTopicCreation()).ProduceSync(t.ctx, record(name, "first")).FirstErr())
	equal(t.read(name, 1), []string{"first"})
}

// listConsuming: what consumers and members of groups do.
func listConsuming() {
	feature("Consumer", "consume partitions from an offset", fromOffset)
	feature("Consumer", "consume from a time", fromTime)
	feature("Consumer", "pause and resume", pause)
	feature("Consumer", "out of range: start again", outOfRange)
	protocols := map[string][]kgo.Opt{"classic": nil, "consumer": serverSide()}
	for _, protocol := range []string{"classic", "consumer"} {
		area, options := "Group ("+protocol+")", protocols[protocol]
		feature(area, "subscribe and read", func(t *test) { equal(t.poll(t.member(newName("group"), t.ofTen(), options...), 10), numbers(0, 10)) })
		feature(area, "subscribe by pattern", func(t *test) { pattern(t, options) })
		feature(area, "commit, and go on from there", func(t *test) { goesOn(t, options) })
		feature(area, "share partitions between two members, take over", func(t *test) { twoMembers(t, options) })
	}
	feature("Group (classic)", "static members come back to their partitions", staticMember) // of KIP-848 they do not leave by Close
	balancers := []kgo.GroupBalancer{kgo.RangeBalancer(), kgo.RoundRobinBalancer(), kgo.StickyBalancer(), kgo.CooperativeStickyBalancer()}
	for _, balancer := range balancers {
		feature("Group (classic)", "assignor "+balancer.ProtocolName(), func(t *test) { twoMembers(t, []kgo.Opt{kgo.Balancers(balancer)}) })
	}
	feature("Group (consumer)", "assignor range", func(t *test) { twoMembers(t, []kgo.Opt{kgo.Balancers(kgo.RangeBalancer()), kgo.ServerSideBalancer()}) })
	feature("Share group", "subscribe, read, accept and release", shareGroup)
}

func fromOffset(t *test) {
	equal(t.poll(t.reader(t.ofTen(), kgo.NewOffset().At(7)), 3), numbers(7, 10))
}

func fromTime(t *test) {
	equal(t.poll(t.reader(t.ofTen(), kgo.NewOffset().AfterMilli(time.Now().Add(-time.Hour).UnixMilli())), 10), numbers(0, 10))
}

func pause(t *test) {
	name := t.ofTen()
	client := t.reader(name, kgo.NewOffset().AtStart())
	t.poll(client, 10)
	client.PauseFetchTopics(name)
	t.write(name, []string{"later"})
	for range 5 {
		equal(step(t.ctx, client).NumRecords(), 0)
	}
	client.ResumeFetchTopics(name)
	equal(t.poll(client, 1), []string{"later"})
}

func outOfRange(t *test) {
	client := t.reader(t.ofTen(), kgo.NewOffset().At(99), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	equal(t.poll(client, 10), numbers(0, 10))
}

// serverSide are the options of the group protocol of KIP-848.
func serverSide() []kgo.Opt {
	return []kgo.Opt{kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer()}
}

func (t *test) member(group, topic string, options ...kgo.Opt) *kgo.Client {
	usual := []kgo.Opt{kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(500 * time.Millisecond), kgo.SessionTimeout(6 * time.Second), kgo.DisableAutoCommit()}
	return t.client(append(usual, options...)...)
}

func pattern(t *test, options []kgo.Opt) {
	name := t.ofTen()
	member := t.member(newName("group"), "^"+name+".*", append(slices.Clone(options), kgo.ConsumeRegex())...)
	equal(t.poll(member, 10), numbers(0, 10))
}

func goesOn(t *test, options []kgo.Opt) {
	name, group := t.ofTen(), newName("group")
	first := t.member(group, name, options...)
	t.poll(first, 10)
	check(first.CommitUncommittedOffsets(t.ctx))
	first.Close()
	t.write(name, []string{"next"})
	equal(t.poll(t.member(group, name, options...), 1), []string{"next"})
}

// owner is a member that is told which partitions it has.
type owner struct {
	*kgo.Client
	mutex sync.Mutex
	parts map[int32]bool
}

func (t *test) owner(group, topic string, options ...kgo.Opt) *owner {
	it := &owner{parts: map[int32]bool{}}
	told := func(owned bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			it.mutex.Lock()
			defer it.mutex.Unlock()
			for _, part := range parts[topic] {
				if owned {
					it.parts[part] = true
				} else {
					delete(it.parts, part)
				}
			}
		}
	}
	listeners := []kgo.Opt{kgo.OnPartitionsAssigned(told(true)), kgo.OnPartitionsRevoked(told(false)), kgo.OnPartitionsLost(told(false))}
	it.Client = t.member(group, topic, append(listeners, options...)...)
	return it
}

func (it *owner) owned() []int32 {
	it.mutex.Lock()
	defer it.mutex.Unlock()
	return slices.Sorted(maps.Keys(it.parts))
}

// share polls until the members own all partitions between them, each about as many.
func (t *test) share(partitions int, members ...*owner) {
	t.eventually(fmt.Sprint(len(members), " members share ", partitions, " partitions"), func() bool {
		sum, least, most, all := 0, partitions, 0, map[int32]bool{}
		for _, member := range members {
			step(t.ctx, member.Client)
			parts := member.owned()
			for _, part := range parts {
				all[part] = true
			}
			sum, least, most = sum+len(parts), min(least, len(parts)), max(most, len(parts))
		}
		return sum == partitions && len(all) == partitions && most-least <= 1
	})
}

func twoMembers(t *test, options []kgo.Opt) {
	name, group := t.topic(4, nil), newName("group")
	first := t.owner(group, name, options...)
	t.share(4, first)
	second := t.owner(group, name, options...)
	t.share(4, first, second)
	second.Close()
	t.share(4, first)
}

func staticMember(t *test) {
	name, group := t.topic(4, nil), newName("group")
	instance := func(id string) *owner {
		return t.owner(group, name, kgo.InstanceID(id))
	}
	first, second := instance("one"), instance("two")
	t.share(4, first, second)
	before := second.owned()
	second.Close()
	again := instance("two")
	t.share(4, first, again)
	equal(again.owned(), before)
}

func shareGroup(t *test) {
	name, group := t.ofTen(), newName("share")
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = "share.auto.offset.reset", kadm.StringPtr("earliest")
	resource.Configs = append(resource.Configs, config)
	request.Resources = append(request.Resources, resource)
	check(kerr.ErrorForCode(must(request.RequestWith(t.ctx, t.client())).Resources[0].ErrorCode))

	member := t.client(kgo.ShareGroup(group), kgo.ConsumeTopics(name))
	first := t.records(member, 10)
	member.MarkAcks(kgo.AckAccept, first[:5]...)
	member.MarkAcks(kgo.AckRelease, first[5:]...)
	check(member.FlushAcks(t.ctx))
	again := t.records(member, 5)
	equal(fmt.Sprint(again[0].Offset, again[0].DeliveryCount()), "5 2")
	member.MarkAcks(kgo.AckAccept, again...)
	check(member.FlushAcks(t.ctx))
}

// listTransactions: producers with a transactional id, and consumers that read what is committed.
func listTransactions() {
	feature("Transactions", "commit and abort", commitAndAbort)
	feature("Transactions", "read, process, write with a group's offsets", processing)
	feature("Transactions", "fence an older producer", fence)
}

func commitAndAbort(t *test) {
	name := t.topic(1, nil)
	client := t.client(kgo.TransactionalID(newName("txn")))
	for value, end := range map[string]kgo.TransactionEndTry{"gone": kgo.TryAbort, "kept": kgo.TryCommit} {
		check(client.BeginTransaction())
		check(client.ProduceSync(t.ctx, record(name, value)).FirstErr())
		check(client.EndTransaction(t.ctx, end))
	}
	equal(t.read(name, 1, kgo.FetchIsolationLevel(kgo.ReadCommitted())), []string{"kept"})
	equal(len(t.read(name, 2)), 2)
}

func processing(t *test) {
	from, to, group := t.ofTen(), t.topic(1, nil), newName("group")
	session := must(kgo.NewGroupTransactSession(
		kgo.SeedBrokers(bootstrap), kgo.TransactionalID(newName("txn")), kgo.ConsumerGroup(group), kgo.ConsumeTopics(from),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets()))
	defer session.Close()
	for read := 0; read < 10; {
		fetches := session.PollFetches(t.ctx)
		check(fetches.Err())
		check(session.Begin())
		fetches.EachRecord(func(each *kgo.Record) {
			session.Produce(t.ctx, record(to, "of "+string(each.Value)), nil)
			read++
		})
		committed, err := session.End(t.ctx, kgo.TryCommit)
		check(err)
		expect(committed, "committed")
	}
	equal(t.read(to, 10, kgo.FetchIsolationLevel(kgo.ReadCommitted()))[9], "of 9")
	offset, _ := must(admin.FetchOffsets(t.ctx, group)).Lookup(from, 0)
	equal(offset.At, 10)
}

func fence(t *test) {
	name, id := t.topic(1, nil), newName("txn")
	old, young := t.client(kgo.TransactionalID(id)), t.client(kgo.TransactionalID(id))
	check(old.BeginTransaction())
	check(old.ProduceSync(t.ctx, record(name, "of the old")).FirstErr())
	check(young.BeginTransaction())
	check(young.ProduceSync(t.ctx, record(name, "of the young")).FirstErr())
	expect(old.EndTransaction(t.ctx, kgo.TryCommit) != nil, "the older producer is refused")
	check(young.EndTransaction(t.ctx, kgo.TryCommit))
	equal(t.read(name, 1, kgo.FetchIsolationLevel(kgo.ReadCommitted())), []string{"of the young"})
}
