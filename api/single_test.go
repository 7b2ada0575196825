package api_test

import (
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestSingleEventsAreAnsweredAlike sends bodies that the handler of single events takes, and the same again
// so that the framework takes them, and expects equal answers.
func TestSingleEventsAreAnsweredAlike(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	good := singleEvent(1, 1)
	for name, body := range map[string]string{
		"recorded":       good,
		"spaces":         "\r\n\t " + singleEvent(1, 2) + " \n",
		"conflict":       strings.Replace(good, "line.sold", "line.returned", 1),
		"missing field":  `{"id":"1"}`,
		"not quite JSON": `{"id":"<&>"`,
		"two objects":    good + good,
		"undeclared":     `{"measures":{"commission":"1"},` + singleEvent(1, 3)[1:],
		"array":          "[" + good + "]",
		"byte order":     "\xef\xbb\xbf" + good,
		"spaces alone":   "   ",
		"text":           `"text"`,
		"names":          strings.Replace(singleEvent(1, 4), "s-1/4", "a<b>&\u00e9\\u2028/..", 1),
		"dots":           strings.Replace(singleEvent(1, 5), "s-1/5", "..", 1),
	} {
		s.sendSingle(body, "application/json", "*/*") // from now on it is a duplicate, if it is good
		for _, contentType := range []string{"application/json", "", "application/json; charset=utf-8", "application/cloudevents+json", "text/csv"} {
			single, framework := s.sendSingle(body, contentType, "*/*"), s.sendSingle(body, contentType, "*/*;q=0.9")
			if !reflect.DeepEqual(single, framework) {
				t.Errorf("%s, %q:\n%+v\n%+v", name, contentType, single, framework)
			}
		}
	}
}

type singleAnswer struct {
	status int
	header http.Header
	body   string
}

// sendSingle sends a body under a name that makes answers comparable.
func (s *service) sendSingle(body, contentType, accept string) singleAnswer {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/v1/events", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("X-Request-Id", "the-same")
	request.Header.Set("Accept", accept)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	response.Header.Del("Date")
	answer := regexp.MustCompile(`"watermark":\d+`).ReplaceAllString(string(text), "")
	if answer != string(text) { // the later watermark may have a digit more
		response.Header.Del("Content-Length")
	}
	return singleAnswer{response.StatusCode, response.Header, answer}
}
