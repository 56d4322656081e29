package nats

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/choria-io/go-updater/store"
)

// Watch tells of each write of a file, as [store.Watcher] has it.
func (s *Store) Watch(ctx context.Context, name string) (<-chan struct{}, error) {
	if err := store.CheckName(name); err != nil {
		return nil, err
	}
	consumer, err := s.js.OrderedConsumer(ctx, "OBJ_"+s.bucket, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{s.metaSubject(name)}, DeliverPolicy: jetstream.DeliverNewPolicy, HeadersOnly: true,
	})
	if err != nil {
		return nil, s.failed("watching", name, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, s.failed("watching", name, err)
	}
	changed := make(chan struct{}, 1)
	go func() {
		defer close(changed)
		defer messages.Stop()
		for {
			if _, err := messages.Next(jetstream.NextContext(ctx)); err != nil {
				return
			}
			select {
			case changed <- struct{}{}:
			default: // one is waiting
			}
		}
	}()
	return changed, nil
}
