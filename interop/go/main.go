// Command features tells which features of franz-go work against a node: one line each, `ok|FAIL|n/a`, area, feature and
// detail between tabs.
//
// Usage: features HOST:PORT [WORD...]; a WORD chooses the features whose area or name has it.
package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	featureTime = 45 * time.Second
	waitTime    = 20 * time.Second
)

var (
	bootstrap string
	words     []string
	run       = time.Now().UnixMilli()
	count     int
	admin     *kadm.Client
)

func main() {
	bootstrap, words = os.Args[1], os.Args[2:]
	admin = kadm.NewClient(must(kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.RetryTimeout(15*time.Second))))
	listAdmin()
	listProducing()
	listConsuming()
	listTransactions()
}

// test is what a feature works with: a context that ends with its time, and clients that are closed after it.
type test struct {
	ctx     context.Context
	clients []*kgo.Client
}

// feature runs a function that panics when the node does not do what the feature's name says.
func feature(area, name string, body func(*test)) {
	chosen := len(words) == 0
	for _, word := range words {
		chosen = chosen || strings.Contains(area, word) || strings.Contains(name, word)
	}
	if !chosen {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), featureTime)
	defer cancel()
	outcome := make(chan string, 1)
	go func() {
		t := &test{ctx: ctx}
		defer func() {
			for _, client := range t.clients {
				client.CloseAllowingRebalance()
			}
			if why := recover(); why != nil {
				outcome <- strings.Join(strings.Fields(fmt.Sprint(why)), " ")
			}
			close(outcome)
		}()
		body(t)
	}()
	result, detail := "ok", ""
	select {
	case why, failed := <-outcome:
		if failed {
			result, detail = "FAIL", why
		}
	case <-time.After(featureTime + time.Second):
		result, detail = "FAIL", fmt.Sprintf("not within %v", featureTime)
	}
	fmt.Printf("%s\t%s\t%s\t%s\n", result, area, name, detail)
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(condition bool, format string, values ...any) {
	if !condition {
		panic(fmt.Sprintf(format, values...))
	}
}

func equal[T any](actual, wanted T) {
	expect(reflect.DeepEqual(actual, wanted), "%v is not %v", actual, wanted)
}

// newName gives a name that nothing else uses.
func newName(word string) string {
	count++
	return fmt.Sprintf("franz-%s-%d-%d", word, run, count)
}

// eventually asks until the condition holds.
func (t *test) eventually(what string, condition func() bool) {
	for deadline := time.Now().Add(waitTime); !condition(); time.Sleep(20 * time.Millisecond) {
		expect(time.Now().Before(deadline), "not within %v: %s", waitTime, what)
	}
}

// client gives a client that ends with the feature.
func (t *test) client(options ...kgo.Opt) *kgo.Client {
	usual := []kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.RetryTimeout(15 * time.Second), kgo.RecordDeliveryTimeout(20 * time.Second), kgo.MetadataMinAge(100 * time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	client := must(kgo.NewClient(append(usual, options...)...))
	t.clients = append(t.clients, client)
	return client
}

// topic creates a topic and waits until it is known.
func (t *test) topic(partitions int32, configs map[string]*string) string {
	name := newName("topic")
	check(must(admin.CreateTopic(t.ctx, partitions, 1, configs, name)).Err)
	t.eventually("the topic is known", func() bool {
		return len(must(admin.ListTopics(t.ctx, name))[name].Partitions.Numbers()) == int(partitions)
	})
	return name
}

func record(topic, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Value: []byte(value)}
}

// write produces values to partition 0, in order.
func (t *test) write(topic string, values []string, options ...kgo.Opt) {
	client := t.client(options...)
	for _, value := range values {
		client.Produce(t.ctx, record(topic, value), func(_ *kgo.Record, err error) {
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
	check(client.Flush(t.ctx))
}

func numbers(from, to int) []string {
	var values []string
	for n := from; n < to; n++ {
		values = append(values, fmt.Sprint(n))
	}
	return values
}

func (t *test) ofTen() string {
	name := t.topic(1, nil)
	t.write(name, numbers(0, 10))
	return name
}

// poll gives the values of the next records, as many as are wanted.
func (t *test) poll(client *kgo.Client, wanted int) []string {
	var values []string
	for _, each := range t.records(client, wanted) {
		values = append(values, string(each.Value))
	}
	return values
}

func (t *test) records(client *kgo.Client, wanted int) []*kgo.Record {
	var records []*kgo.Record
	t.eventually(fmt.Sprint(wanted, " records"), func() bool {
		fetches := step(t.ctx, client)
		records = append(records, fetches.Records()...)
		return len(records) >= wanted
	})
	return records
}

// step polls for a moment and panics with errors that are not the moment's end.
func step(ctx context.Context, client *kgo.Client) kgo.Fetches {
	moment, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	fetches := client.PollFetches(moment)
	fetches.EachError(func(_ string, _ int32, err error) {
		if moment.Err() == nil {
			panic(err)
		}
	})
	return fetches
}

// read gives the first values of partition 0.
func (t *test) read(topic string, wanted int, options ...kgo.Opt) []string {
	return t.poll(t.reader(topic, kgo.NewOffset().AtStart(), options...), wanted)
}

func (t *test) reader(topic string, from kgo.Offset, options ...kgo.Opt) *kgo.Client {
	parts := map[string]map[int32]kgo.Offset{topic: {0: from}}
	return t.client(append(options, kgo.ConsumePartitions(parts))...)
}
