package wire

import (
	"context"

	"deltaledger/ledger"
)

// Letters decodes the messages of dead letters with the decoder that of gives for a topic.
func Letters(of func(topic string) (MessageDecoder, error)) ledger.DecodeLetter {
	return func(ctx context.Context, m ledger.LetterMessage) ([]ledger.Event, error) {
		d, err := of(m.Topic)
		if err != nil {
			return nil, err
		}
		sent := Message{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Time: m.SentAt, Key: m.Key, Value: m.Body}
		for _, h := range m.Headers {
			sent.Headers = append(sent.Headers, Header(h))
		}
		items, err := d.Decode(ctx, sent)
		if err != nil {
			return nil, err
		}
		events := make([]ledger.Event, 0, len(items))
		for _, item := range items {
			if item.Err != nil {
				return nil, item.Err
			}
			events = append(events, item.Event)
		}
		return events, nil
	}
}
