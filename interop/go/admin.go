package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// listAdmin: what kadm does.
func listAdmin() {
	feature("Admin", "create, list and delete topics", topics)
	feature("Admin", "add partitions", addPartitions)
	feature("Admin", "describe and alter configs", configs)
	feature("Admin", "delete records", deleteRecords)
	feature("Admin", "list offsets", listOffsets)
	feature("Admin", "describe the cluster and its API versions", cluster)
	feature("Admin", "log directories", logDirs)
	feature("Admin", "elections and reassignments", elections)
	feature("Admin", "client quotas", quotas)
	feature("Admin", "SCRAM credentials", scram)
	feature("Admin", "ACLs, told to be off", acls)
	feature("Admin", "list and describe groups of both protocols", groups)
	feature("Admin", "commit, list and delete a group's offsets", groupOffsets)
	feature("Admin", "lag of a group", lag)
	feature("Admin", "producers and transactions", transactionsAdmin)
}

func topics(t *test) {
	name := t.topic(3, nil)
	found := must(admin.ListTopics(t.ctx, name))
	equal(len(found[name].Partitions), 3)
	_, err := admin.CreateTopic(t.ctx, 1, 1, nil, name)
	expect(errors.Is(err, kerr.TopicAlreadyExists), "refused, not %v", err)
	must(admin.DeleteTopic(t.ctx, name))
	t.eventually("it is gone", func() bool { return !must(admin.ListTopics(t.ctx)).Has(name) })
}

func addPartitions(t *test) {
	name := t.topic(1, nil)
	check(must(admin.UpdatePartitions(t.ctx, 4, name)).Error())
	t.eventually("four partitions", func() bool { return len(must(admin.ListTopics(t.ctx, name))[name].Partitions) == 4 })
}

func configs(t *test) {
	name := t.topic(1, map[string]*string{"retention.ms": kadm.StringPtr("77777")})
	value := func() string {
		found := must(must(admin.DescribeTopicConfigs(t.ctx, name)).On(name, nil))
		return found.Configs[slices.IndexFunc(found.Configs, func(config kadm.Config) bool { return config.Key == "retention.ms" })].MaybeValue()
	}
	equal(value(), "77777")
	must(admin.AlterTopicConfigs(t.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: kadm.StringPtr("88888")}}, name))
	t.eventually("the change", func() bool { return value() == "88888" })
}

func deleteRecords(t *test) {
	name := t.ofTen()
	before := kadm.Offsets{}
	before.AddOffset(name, 0, 6, -1)
	check(must(admin.DeleteRecords(t.ctx, before)).Error())
	equal(t.read(name, 4), numbers(6, 10))
}

func listOffsets(t *test) {
	name := t.ofTen()
	offset := func(found kadm.ListedOffsets, err error) int64 {
		check(err)
		each, _ := found.Lookup(name, 0)
		check(each.Err)
		return each.Offset
	}
	equal(offset(admin.ListStartOffsets(t.ctx, name)), 0)
	equal(offset(admin.ListEndOffsets(t.ctx, name)), 10)
	equal(offset(admin.ListCommittedOffsets(t.ctx, name)), 10)
	equal(offset(admin.ListOffsetsAfterMilli(t.ctx, 1, name)), 0)
	equal(offset(admin.ListLocalLogStartOffsets(t.ctx, name)), 0)
	expect(offset(admin.ListMaxTimestampOffsets(t.ctx, name)) >= 0, "the record of the latest time is told")
}

func cluster(t *test) {
	found := must(admin.BrokerMetadata(t.ctx))
	equal(fmt.Sprint(len(found.Brokers), len(found.Cluster)), "1 22")
	must(admin.ApiVersions(t.ctx)).Each(func(versions kadm.BrokerApiVersions) {
		check(versions.Err)
		expect(versions.VersionGuess() != "", "a version is guessed")
	})
}

func logDirs(t *test) {
	name := t.ofTen()
	size := int64(0)
	for _, dirs := range must(admin.DescribeAllLogDirs(t.ctx, nil)) {
		dirs.EachPartition(func(part kadm.DescribedLogDirPartition) {
			if part.Topic == name {
				size += part.Size
			}
		})
	}
	expect(size > 0, "the size is told")
}

func elections(t *test) {
	set := kadm.TopicsSet{}
	set.Add(t.topic(1, nil), 0)
	for _, parts := range must(admin.ElectLeaders(t.ctx, kadm.ElectPreferredReplica, set)) {
		expect(errors.Is(parts[0].Err, kerr.ElectionNotNeeded), "not %v", parts[0].Err)
	}
	equal(len(must(admin.ListPartitionReassignments(t.ctx, nil))), 0)
}

func quotas(t *test) {
	user := newName("user")
	entity := kadm.ClientQuotaEntity{{Type: "user", Name: &user}}
	change := func(op kadm.AlterClientQuotaOp) {
		for _, altered := range must(admin.AlterClientQuotas(t.ctx, []kadm.AlterClientQuotaEntry{{Entity: entity, Ops: []kadm.AlterClientQuotaOp{op}}})) {
			check(altered.Err)
		}
	}
	change(kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Value: 1e6})
	t.eventually("the quota is described", func() bool {
		found := must(admin.DescribeClientQuotas(t.ctx, true, []kadm.DescribeClientQuotaComponent{{Type: "user", MatchName: &user}}))
		return len(found) == 1 && found[0].Values[0].Value == 1e6
	})
	change(kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Remove: true})
}

func scram(t *test) {
	user := newName("user")
	check(must(admin.AlterUserSCRAMs(t.ctx, nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha256, Iterations: 8192, Password: "secret"}})).Error())
	t.eventually("it is described", func() bool {
		found := must(admin.DescribeUserSCRAMs(t.ctx))[user]
		return len(found.CredInfos) == 1 && found.CredInfos[0].Iterations == 8192
	})
	check(must(admin.AlterUserSCRAMs(t.ctx, []kadm.DeleteSCRAM{{User: user, Mechanism: kadm.ScramSha256}}, nil)).Error())
}

func acls(t *test) {
	builder := kadm.NewACLs().Allow("User:a").AllowHosts("*").Topics("t").ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpRead)
	for _, created := range must(admin.CreateACLs(t.ctx, builder)) {
		expect(errors.Is(created.Err, kerr.SecurityDisabled), "refused, not %v", created.Err)
	}
}

func groups(t *test) {
	name := t.ofTen()
	classic, modern := newName("group"), newName("group")
	first := t.member(classic, name)
	second := t.member(modern, name, serverSide()...)
	t.poll(first, 10)
	t.poll(second, 10)
	found := must(admin.DescribeGroups(t.ctx, classic))[classic]
	check(found.Err)
	equal(fmt.Sprint(found.State, len(found.Members), found.Protocol), "Stable1cooperative-sticky")
	other := must(admin.DescribeConsumerGroups(t.ctx, modern))[modern]
	check(other.Err)
	equal(fmt.Sprint(other.State, len(other.Members)), "Stable1")
	listed := must(admin.ListGroupsByType(t.ctx, []string{"consumer"}))
	_, has := listed[modern]
	_, hasNot := listed[classic]
	expect(has && !hasNot, "only groups of type consumer are listed: %v", listed.Groups())
}

func groupOffsets(t *test) {
	name, group := t.ofTen(), newName("group")
	given := kadm.Offsets{}
	given.AddOffset(name, 0, 7, -1)
	check(admin.CommitAllOffsets(t.ctx, group, given))
	committed, _ := must(admin.FetchOffsets(t.ctx, group)).Lookup(name, 0)
	equal(committed.At, 7)
	check(must(admin.DeleteOffsets(t.ctx, group, given.TopicsSet())).Error())
	equal(len(must(admin.FetchOffsets(t.ctx, group))), 0)
	must(admin.DeleteGroup(t.ctx, group))
}

func lag(t *test) {
	name, group := t.ofTen(), newName("group")
	given := kadm.Offsets{}
	given.AddOffset(name, 0, 4, -1)
	check(admin.CommitAllOffsets(t.ctx, group, given))
	found := must(admin.Lag(t.ctx, group))[group]
	check(found.Error())
	equal(found.Lag.Total(), 6)
}

func transactionsAdmin(t *test) {
	name, id := t.topic(1, nil), newName("txn")
	client := t.client(kgo.TransactionalID(id))
	check(client.BeginTransaction())
	check(client.ProduceSync(t.ctx, record(name, "a")).FirstErr())
	set := kadm.TopicsSet{}
	set.Add(name, 0)
	must(admin.DescribeProducers(t.ctx, set)).EachProducer(func(producer kadm.DescribedProducer) {
		expect(producer.CurrentTxnStartOffset == 0, "an open transaction: %v", producer)
	})
	equal(must(admin.ListTransactions(t.ctx, nil, nil))[id].State, "Ongoing")
	equal(must(admin.DescribeTransactions(t.ctx, id))[id].State, "Ongoing")
	check(client.EndTransaction(t.ctx, kgo.TryAbort))
}
