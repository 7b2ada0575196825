package api

import (
	"context"

	"deltaledger/ledger"
)

type listSourcesOut struct {
	Body struct {
		Sources []ledger.Source `json:"sources"`
	}
}

func (s *server) listSources(ctx context.Context, _ *struct{}) (*listSourcesOut, error) {
	list, err := s.ledger.Sources(ctx)
	if err != nil {
		return nil, err
	}
	out := &listSourcesOut{}
	if out.Body.Sources = list; list == nil {
		out.Body.Sources = []ledger.Source{}
	}
	return out, nil
}

func listSourcesDoc() doc {
	return doc{id: "list-sources", tag: tagRecord, summary: "List declared sources", text: "The declarations in force, by name. A source may send events without being declared: its numbering is then stream."}
}

type declareSourceIn struct {
	Body struct {
		Name        string `json:"name" minLength:"1" maxLength:"64" example:"orders" doc:"The source, as its events name it"`
		Numbering   string `json:"numbering" required:"false" enum:"stream,source,none" default:"stream" doc:"What seqn counts: each stream for itself, all events of the source, or nothing: its events have no numbers"`
		States      bool   `json:"states" required:"false" doc:"The source sends states: absolute values, which the ledger turns into changes. Can't be withdrawn"`
		Strict      *bool  `json:"strict" required:"false" doc:"Take only events of declared types; false: an unknown type is recorded and becomes a finding. Left out: as it is, false for a new source"`
		CardNumbers string `json:"card_numbers" required:"false" enum:"allow,flag,private,refuse" doc:"Card numbers in public content. flag: recorded, and a finding. private: the dimension becomes private content of the event. refuse: invalid. Left out: as declared before, or allow"`
		IBANs       string `json:"ibans" required:"false" enum:"allow,flag,private,refuse" doc:"International bank account numbers in public content; as card_numbers"`
		Emails      string `json:"emails" required:"false" enum:"allow,flag,private,refuse" doc:"E-mail addresses in public content; as card_numbers"`
		By          string `json:"by" required:"false" default:"api" maxLength:"1024" example:"jane.doe" doc:"Who declares it"`
	}
}

type declareSourceOut struct{ Body ledger.Source }

func (s *server) declareSource(ctx context.Context, in *declareSourceIn) (*declareSourceOut, error) {
	b := in.Body
	strict, err := s.ledger.StrictOr(ctx, b.Name, b.Strict)
	if err != nil {
		return nil, err
	}
	if err := s.ledger.DeclareSource(ctx, ledger.Source{Name: b.Name, Numbering: b.Numbering, States: b.States, Strict: strict, ContentPolicy: ledger.ContentPolicy{CardNumbers: b.CardNumbers, IBANs: b.IBANs, Emails: b.Emails}, By: b.By}); err != nil {
		return nil, err
	}
	declared, err := s.ledger.SourceOf(ctx, b.Name)
	if err != nil {
		return nil, err
	}
	return &declareSourceOut{declared}, nil
}

func declareSourceDoc() doc {
	return doc{
		id: "declare-source", tag: tagRecord, summary: "Declare a source",
		text:    "Or change its declaration. Declaring again what is declared changes nothing.",
		fails:   []kind{conflicting, tooLarge, unsupported},
		example: example(`{"name":"orders","numbering":"stream","by":"jane.doe"}`),
	}
}
