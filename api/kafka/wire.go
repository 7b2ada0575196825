package kafka

import (
	"context"
	"fmt"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

// Wire decodes messages as d does. A message that holds several events is a dead letter as a whole if one of them is bad,
// and names that one by its number. ctx bounds what d waits for.
func Wire(ctx context.Context, d wire.MessageDecoder) Decode {
	return func(m *Message, events []ledger.Event) ([]ledger.Event, error) {
		sent := wire.Message{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Time: m.Time, Key: m.Key, Value: m.Value}
		for _, h := range m.Headers {
			sent.Headers = append(sent.Headers, wire.Header(h))
		}
		items, err := d.Decode(ctx, sent)
		if err != nil {
			return events, Later(err)
		}
		for _, item := range items {
			switch {
			case item.Err == nil:
				events = append(events, item.Event)
			case len(items) == 1:
				return events, item.Err
			default:
				return events, ledger.Invalid(fmt.Sprintf("[%d].%s", item.Line, item.Err.Field), item.Err.Value, item.Err.Rule)
			}
		}
		return events, nil
	}
}
