package api

import (
	"context"
	"time"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

type listDeadLettersIn struct {
	Topic  string    `query:"topic" maxLength:"249" example:"orders" doc:"Only of this topic"`
	Source string    `query:"source" maxLength:"64" example:"shop" doc:"Only of this source, as far as it could be decoded"`
	Since  time.Time `query:"since" example:"2026-01-31T00:00:00Z" doc:"Only what was first seen at this time or later"`
	State  string    `query:"state" enum:"open,retried,discarded,erased" doc:"open: nobody has decided yet. erased: the message was erased before anybody did"`
	Limit  int       `query:"limit" minimum:"1" maximum:"1000" doc:"Dead letters on a page; 100 without it"`
	After  int64     `query:"after" minimum:"1" doc:"The number n of the last dead letter of the page before"`
}

type listDeadLettersOut struct {
	Body struct {
		DeadLetters []ledger.DeadLetter `json:"dead_letters" doc:"Newest first"`
	}
}

func (s *server) listDeadLetters(ctx context.Context, in *listDeadLettersIn) (*listDeadLettersOut, error) {
	list, err := s.ledger.DeadLetters(ctx, ledger.LetterQuery{
		Topic: in.Topic, Source: in.Source, Since: in.Since, State: in.State, Limit: in.Limit, After: in.After,
	})
	if err != nil {
		return nil, err
	}
	out := &listDeadLettersOut{}
	if out.Body.DeadLetters = list; list == nil {
		out.Body.DeadLetters = []ledger.DeadLetter{}
	}
	return out, nil
}

func listDeadLettersDoc() doc {
	return doc{
		id: "list-dead-letters", tag: tagRead, work: views, summary: "List dead letters",
		text: "Messages of Kafka that could not be recorded, and why, without what is in them. Newest first.",
	}
}

type getDeadLetterIn struct {
	N       int64 `path:"n" minimum:"1" example:"17" doc:"The dead letter's number"`
	Payload bool  `query:"payload" doc:"Show the message too, which may hold private content"`
}

type getDeadLetterOut struct{ Body ledger.LetterView }

func (s *server) getDeadLetter(ctx context.Context, in *getDeadLetterIn) (*getDeadLetterOut, error) {
	v, err := s.ledger.ShowLetter(ctx, in.N, in.Payload)
	if err != nil {
		return nil, err
	}
	return &getDeadLetterOut{v}, nil
}

func getDeadLetterDoc() doc {
	return doc{
		id: "get-dead-letter", tag: tagRead, summary: "Get one dead letter",
		text:  "With `payload` its message comes along, as text where it is text, else in hexadecimal digits.",
		fails: []kind{notFound},
	}
}

type retryDeadLetterIn struct {
	N    int64 `path:"n" minimum:"1" example:"17" doc:"The dead letter's number"`
	Body struct {
		Why string `json:"why" required:"false" maxLength:"1024" example:"declared the measure commission" doc:"What was mended, which is kept"`
		By  string `json:"by" required:"false" default:"api" maxLength:"1024" example:"jane.doe" doc:"Who decides"`
	}
}

type retryDeadLetterOut struct{ Body ledger.RetriedLetter }

func (s *server) retryDeadLetter(ctx context.Context, in *retryDeadLetterIn) (*retryDeadLetterOut, error) {
	decode := s.letters
	if decode == nil {
		measures, err := s.ledger.DeclaredMeasures(ctx)
		if err != nil {
			return nil, err
		}
		decode = wire.Letters(func(string) (wire.MessageDecoder, error) {
			return wire.NewMessageDecoder(wire.MessageOptions{Measures: measures})
		})
	}
	done, err := s.ledger.RetryLetters(ctx, []int64{in.N}, decode, ledger.LetterDecide{Why: in.Body.Why, By: in.Body.By})
	if err != nil {
		return nil, err
	}
	return &retryDeadLetterOut{done[0]}, nil
}

func retryDeadLetterDoc() doc {
	return doc{
		id: "retry-dead-letter", tag: tagRecord, summary: "Retry a dead letter",
		text: `Decodes the message again, as this service is configured now, and records its events under the identities that they have, together with the decision. It is retried once, whoever asks again: the answer is then that of the first time.

An answer with the state open says why it still can't be recorded; nothing was decided then.`,
		fails:   []kind{notFound, tooLarge, unsupported},
		example: example(`{"why":"declared the measure commission","by":"jane.doe"}`),
	}
}

type discardDeadLetterIn struct {
	N    int64 `path:"n" minimum:"1" example:"17" doc:"The dead letter's number"`
	Body struct {
		Why string `json:"why" minLength:"1" maxLength:"1024" example:"a test message" doc:"The reason, which is kept: no personal data"`
		By  string `json:"by" required:"false" default:"api" maxLength:"1024" example:"jane.doe" doc:"Who decides"`
	}
}

type discardDeadLetterOut struct{ Body ledger.DeadLetter }

func (s *server) discardDeadLetter(ctx context.Context, in *discardDeadLetterIn) (*discardDeadLetterOut, error) {
	d, err := s.ledger.DiscardLetter(ctx, in.N, ledger.LetterDecide{Why: in.Body.Why, By: in.Body.By})
	if err != nil {
		return nil, err
	}
	return &discardDeadLetterOut{d}, nil
}

func discardDeadLetterDoc() doc {
	return doc{
		id: "discard-dead-letter", tag: tagRecord, summary: "Discard a dead letter",
		text:    "Decides that it isn't wanted. The message stays until it is erased. The same decision again changes nothing; one that was retried is refused with 409.",
		fails:   []kind{notFound, conflicting, tooLarge, unsupported},
		example: example(`{"why":"a test message","by":"jane.doe"}`),
	}
}
