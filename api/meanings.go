package api

import (
	"maps"

	"github.com/danielgtaylor/huma/v2"
)

// describeSchemas says what the fields mean of types that the services own and that say nothing of it
// themselves, and takes out the framework's own schemas, which no answer has.
func (s *server) describeSchemas() {
	all := s.api.OpenAPI().Components.Schemas.Map()
	for _, unused := range []string{"ErrorModel", "ErrorDetail"} {
		delete(all, unused)
	}
	known := meanings()
	maps.Copy(known, completenessMeanings())
	for name, fields := range known {
		schema := all[name]
		for field, text := range fields {
			if schema == nil || schema.Properties[field] == nil {
				s.undescribed = append(s.undescribed, name+"."+field)
				continue
			}
			property := schema.Properties[field]
			if property.Ref != "" { // beside a reference nothing else counts everywhere
				property = &huma.Schema{AllOf: []*huma.Schema{{Ref: property.Ref}}}
				schema.Properties[field] = property
			}
			property.Description = text
		}
	}
}

// meanings are the descriptions of fields, by schema and field.
func meanings() map[string]map[string]string {
	return map[string]map[string]string{
		"Watermark": {
			"n":        "The watermark's own number",
			"position": "Every position up to this one is decided",
			"taken_at": "When the ledger's last position was read, by the clock of the database (UTC)",
		},
		"DetachedMonth": {
			"month":               "Calendar month of recorded_at, in UTC",
			"events":              "Events in the month, whatever was asked",
			"first_occurred_at":   "Earliest occurred_at of them (UTC)",
			"last_occurred_at":    "Latest occurred_at of them (UTC)",
			"first_business_date": "Earliest business date of them",
			"last_business_date":  "Latest business date of them",
		},
		"RecordedEvent": {
			"position":      "The ledger's own number of the event, increasing in the order of recording, with gaps",
			"recorded_at":   "When the ledger stored it, by the clock of the database (UTC)",
			"id":            "Upstream identity, unique within the source",
			"source":        "The upstream producer",
			"stream":        "What seqn orders within the source",
			"seqn":          "Upstream sequence number in the stream",
			"type":          "What happened",
			"account":       "The party that is billed",
			"occurred_at":   "When it happened upstream (UTC)",
			"business_date": "The date of occurred_at in the reporting zone",
			"currency":      "ISO 4217 code of the money",
			"amount":        "Change of the amount of money",
			"quantity":      "Change of the quantity",
			"measures":      "Changes of declared measures",
			"dimensions":    "As sent, those with a column of their own among them",
			"state":         "The absolute values that were sent",
			"kind":          "upstream, adjustment, or made by the ledger itself: reorder or reversal",
			"caused_by":     "Position of the event that made the ledger write this row",
			"corrects":      "Id of the event that this one corrects",
			"reason":        "Of an adjustment: why it was made",
			"reference":     "Of an adjustment: the document behind it",
			"maker":         "Of an adjustment: who made it",
			"payload":       "Private; only where it was asked for",
			"pii":           "Private dimensions; only where they were asked for",
			"erased":        "Its private content is gone",
		},
		"Erased": {
			"at":      "When (UTC)",
			"erasure": "Number of the erasure that covered it",
			"payload": "There was one",
			"pii":     "Names of the private dimensions that there were",
		},
		"Erasure": {
			"n":         "Its number; 0 of a dry run",
			"scope":     "account, event or before",
			"before":    "Business dates before it",
			"begun_at":  "UTC",
			"ended_at":  "UTC; absent while it is under way, or was stopped before its end",
			"events":    "That lost their private content; of a dry run, that would lose it",
			"conflicts": "Likewise",
			"dry_run":   "Nothing was erased",
		},
		"ConflictRow": {
			"n":                    "The conflict's own number",
			"detected_at":          "When it arrived (UTC)",
			"reason":               "content: the identity was taken by other content. sequence: the place in the stream was taken. currency: the stream, of a source that sends states, is recorded in another currency",
			"existing_position":    "Position of the recorded event that it collides with",
			"existing_recorded_at": "When that one was recorded (UTC)",
			"differs":              "Names of the fields that differ",
			"content":              "What arrived, without private content",
			"decision":             "What a person decided; absent while nobody has",
			"erased":               "Its private content is gone",
		},
		"ConflictDecision": {
			"conflict":   "Number of the conflict",
			"outcome":    "dismissed or recorded",
			"id":         "The id under which what arrived was recorded",
			"seqn":       "The sequence number that was asked for",
			"position":   "Of the event that was recorded",
			"decided_at": "UTC",
		},
		"ConflictView": {
			"recorded": "The event that was there",
			"fields":   "Of both, side by side",
			"payload":  "Of what arrived; private, only where it was asked for",
			"pii":      "Private dimensions of what arrived; as the payload",
		},
		"ConflictField": {
			"name":     "As in an event, such as amount or dimensions.country",
			"recorded": "Null where the recorded event doesn't have it",
			"arrived":  "Null where what arrived doesn't have it",
		},
		"Source": {
			"states":       "Sends states: absolute values, which the ledger turns into changes",
			"numbering":    "What seqn counts: stream, source or none",
			"strict":       "Takes only events of declared types; otherwise an unknown type becomes a finding",
			"card_numbers": "What is done with card numbers in public content: allow, flag, private or refuse",
			"ibans":        "As card_numbers, with bank account numbers",
			"emails":       "As card_numbers, with e-mail addresses",
			"declared_by":  "Who declared it",
			"declared_at":  "UTC",
		},
		"Column": {
			"name":        "As filters, groups and sums name it; id on the wire is event_id here",
			"kind":        "dimension, or a measure: money or quantity",
			"type":        "text, bigint, boolean, date, uuid, timestamptz or numeric",
			"description": "What it means",
			"owner":       "Who answers for what is in it",
			"pii":         "Private: kept apart from the event, and no key to filter or group by",
			"describes":   "event, or stream: all events of a stream have the same value",
			"built_in":    "false: declared by the operator",
			"since":       "When it was declared (UTC)",
			"declared_by": "Who declared it",
			"position":    "Of the declaration: every event with a value in the column has a higher one",
			"indexed":     "It has an index, which may still be being built",
		},
		"Filled": {
			"name":        "As filters, groups and sums name it; id on the wire is event_id here",
			"kind":        "dimension, or a measure: money or quantity",
			"type":        "text, bigint, boolean, date, uuid, timestamptz or numeric",
			"description": "What it means",
			"owner":       "Who answers for what is in it",
			"pii":         "Private: kept apart from the event, and no key to filter or group by",
			"describes":   "event, or stream: all events of a stream have the same value",
			"built_in":    "false: declared by the operator",
			"since":       "When it was declared (UTC)",
			"declared_by": "Who declared it",
			"position":    "Of the declaration: every event with a value in the column has a higher one",
			"indexed":     "It has an index, which may still be being built",
			"filled":      "Of the sampled events, those that have a value",
			"sampled":     "The newest events, at most 10,000",
		},
		"Type": {
			"version":             "From 1; the newest is in force",
			"description":         "What happened upstream when such an event is sent",
			"owner":               "Who answers for it",
			"required_dimensions": "Dimensions that each event must have",
			"required_measures":   "Measures that each event must have, as changes or in a state",
			"signs":               "By measure: positive, negative, nonnegative or nonpositive",
			"schema":              "JSON Schema, draft 2020-12, of the payload",
			"billable":            "false: that no charge covers such an event is in order",
			"declared_by":         "Who declared it",
			"declared_at":         "UTC",
		},
		"StreamView": {
			"gaps":    "Sequence numbers between the first and the last of which no event is recorded",
			"totals":  "Of all entries",
			"entries": "In upstream order",
		},
		"StreamEntry": {
			"totals":       "Running totals, this entry included",
			"gap_before":   "Sequence numbers missing in front of this entry",
			"corrected_by": "Ids of the events of this stream that correct it",
			"billed":       "Invoices that it is or was on: the live one first, then void ones",
		},
		"StreamDiff": {
			"added":   "Events recorded in between, in upstream order",
			"totals":  "Totals that changed",
			"billing": "Events whose invoices changed",
		},
		"Billed": {
			"invoice":      "Id of the invoice",
			"number":       "With series: its number, once it is issued",
			"cycle_start":  "Of the invoice (UTC)",
			"cycle_end":    "Exclusive",
			"origin_start": "Of the cycle in which the event happened (UTC)",
			"late":         "That is another cycle than the invoice's",
			"void":         "The invoice doesn't count",
		},
		"Invoice": {
			"id":          "Fixed from the beginning",
			"number":      "Absent until it is issued",
			"cycle_start": "UTC",
			"cycle_end":   "Exclusive (UTC)",
			"zone":        "IANA time zone of the terms that the cycle was closed by: it begins and ends on a date there",
			"stream":      "source/stream, where each stream has an invoice of its own",
			"status":      "ready (no number yet), issued, sent, part-paid, paid or void",
			"total":       "The sum of the lines",
			"events":      "How many events it bills",
			"pinned":      "How many rows it pins: the events, and those that the ledger made because of events",
			"rebills":     "The void invoice that this one replaces",
			"rebilled_by": "The invoice that replaces this one",
			"outcome":     "Of a void: rebill or write-off",
			"why":         "Of a void",
			"watermark":   "Of the close: events above it are not on the invoice",
			"position":    "The ledger's number of the invoice",
			"lines":       "Only where one invoice is asked for",
		},
		"Line": {
			"charge":         "Name of the charge",
			"terms":          "Version of the terms; 0 is the built-in default",
			"definition":     "The charge as it was applied",
			"origin_start":   "Begin of the cycle in which the events happened (UTC)",
			"origin_end":     "Exclusive",
			"late":           "That is another cycle than the invoice's",
			"origin_invoice": "Of a late line: the invoice that billed that cycle first",
			"events":         "Events that the charge selects",
			"pinned":         "Rows that it pins of them: the events, and those that the ledger made because of events",
			"added":          "Their exact sum of the measure; 0 where only events are counted",
			"first":          "The first of them by occurred_at, where the charge leaves some free",
			"before_first":   "The first events of those earlier lines",
			"calculation":    "How the exact price of before and added together comes about",
			"before_counted": "What earlier lines of the same charge and cycle counted",
			"before":         "What they held",
			"billed":         "What they billed",
			"exact":          "The price before rounding",
			"amount":         "What the line bills: the price of before and added together, rounded once, less billed",
		},
		"Explanation": {
			"invoice": "Its id",
			"number":  "Absent until it is issued",
			"lines":   "In the order of the invoice",
			"total":   "The sum of the lines' amounts",
		},
		"LineExplanation": {
			"model":        "Of the charge",
			"terms":        "Version of the terms; 0 is the built-in default",
			"origin_start": "Begin of the cycle in which the events happened (UTC)",
			"origin_end":   "Exclusive",
			"late":         "That is another cycle than the invoice's",
			"steps":        "In order; the last is the line's amount",
		},
		"Step": {
			"step":   "What is found",
			"how":    "From which numbers",
			"result": "Exact",
		},
		"FirstEvent": {
			"value": "Of the measure",
		},
		"Calculation": {
			"quantity":    "What the model prices: the sum of the measure, or how many events there are",
			"events":      "How many there are",
			"free_units":  "Units of the quantity that cost nothing",
			"free_events": "Events that cost nothing",
			"free_amount": "What of the quantity costs nothing",
			"of_rate":     "What the rate makes",
			"of_fixed":    "What the fixed amounts of the events add",
			"tiers":       "Those that the quantity hit",
			"packages":    "How many were begun",
			"model_price": "The price by the model alone",
			"discounts":   "What each took off",
			"raised":      "What the minimum added",
			"capped":      "What the maximum took off",
			"price":       "The exact price, not rounded",
		},
		"TierHit": {
			"tier":   "Counted from 1",
			"units":  "Priced by it",
			"amount": "With its flat amount",
		},
		"Preview": {
			"as_of":  "The drafts hold what was recorded up to it",
			"closed": "Every cycle that ends by then is closed (UTC). Absent: none is",
			"cycles": "Not closed, in order: those that have begun, then those that come",
			"drafts": "What a close of the cycles that have begun would make of them, if they ended now",
		},
		"PreviewCycle": {
			"start":         "UTC",
			"end":           "Exclusive (UTC)",
			"zone":          "IANA time zone of its terms: it begins and ends on a date there",
			"terms":         "Version of the terms; 0 is the built-in default",
			"base":          "Version of the default terms that fills in what the account's own leave out; otherwise 0",
			"closable_from": "When its grace, and that of those before it, is over",
		},
		"Draft": {
			"cycle_start": "UTC",
			"cycle_end":   "Exclusive (UTC)",
			"stream":      "source/stream, where each stream has an invoice of its own",
			"total":       "The sum of the lines",
			"events":      "How many events it would bill",
			"pinned":      "How many rows it would pin: the events, and those that the ledger made because of events",
		},
		"CloseAnswer": {
			"run":       "The run's number",
			"watermark": "Of the run: events above it don't exist for it",
			"cycles":    "Closed with something in them",
			"invoices":  "Written",
			"pinned":    "Events on them",
			"late":      "Of those, from cycles that were closed before",
			"totals":    "Of the invoices, by currency",
			"skipped":   "Cycles that ended by the date but are inside their grace; at most 1,000",
			"failed":    "Accounts that were left as they were, and why",
		},
		"Frozen": {
			"watermark":          "The file holds events up to this position",
			"previous_month":     "The month frozen before it",
			"previous_watermark": "Late rows came after it",
			"rows":               "Without the header",
			"late_rows":          "Of those, rows of earlier months",
			"columns":            "In order",
			"frozen_at":          "UTC",
		},
		"VoidResult": {
			"rebill": "The invoice that stands in its place",
		},
		"ReconcileAnswer": {
			"run":       "The run's id",
			"watermark": "The answers are as of this position",
			"since":     "Watermark of the run before: what came since was looked at",
			"late":      "Late events found",
			"healed":    "Of those, assigned to the next open cycle",
			"checks":    "What was compared",
			"findings":  "Everything that is open after the run, oldest first",
		},
	}
}
