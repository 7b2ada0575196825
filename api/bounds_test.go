package api_test

import (
	"testing"
	"time"
)

// Numbers and dates at the ends of what their types hold are answered, never with a 500 or a connection that is cut.
func TestBoundsOfParameters(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	s.want(s.post("/v1/events", event("e1", 1)), 201)
	for path, status := range map[string]int{
		"/v1/seals?before=9223372036854775807":                        200,
		"/v1/events/orders/e1/proof?size=9223372036854775807":         404,
		"/v1/events/orders/e1/proof?size=9223372036854775808":         422,
		"/v1/erasures?after=9223372036854775807":                      200,
		"/v1/conflicts?after=9223372036854775807":                     200,
		"/v1/completeness?through=9999-12-31":                         422,
		"/v1/completeness?month=9999-12":                              422,
		"/v1/completeness/orders?through=9999-12-31":                  422,
		"/v1/completeness?through=9999-12-30":                         200,
		"/v1/streams/orders/o?as_of=9223372036854775807":              422,
		"/v1/aggregates?measure=amount&from=0001-01-01&to=9999-12-31": 200,
	} {
		s.want(s.get(path), status)
	}
}
