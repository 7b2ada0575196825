package api

import "maps"

// letterMeanings are the descriptions of the fields of dead letters.
func letterMeanings() map[string]map[string]string {
	letter := map[string]string{
		"n":          "The dead letter's own number",
		"state":      "open, retried, discarded, or erased before anybody decided",
		"topic_id":   "Tells apart topics that were made one after the other under the same name",
		"reason":     "Why it could not be recorded when it came",
		"source":     "Of the first event in it that was not recorded, as far as it could be decoded; likewise id and account",
		"withheld":   "The message was not kept: it holds what its source was declared not to send",
		"sent_at":    "As the message says (UTC)",
		"first_seen": "When it became a dead letter (UTC)",
		"decision":   "What was decided; absent while nobody has",
		"erased":     "Its message is gone",
	}
	view := maps.Clone(letter)
	view["message"] = "As it came; only where it was asked for"
	return map[string]map[string]string{
		"DeadLetter": letter,
		"LetterView": view,
		"LetterDecision": {
			"outcome":    "retried or discarded",
			"events":     "What became of the events of one that was retried, in the order of the message",
			"decided_at": "When (UTC)",
		},
		"LetterEvent": {
			"status":   "recorded, duplicate or conflict",
			"position": "Position of the event; of a conflict, of the one that was there",
		},
		"LetterErasure": {"at": "When (UTC)", "erasure": "Number of the erasure"},
		"LetterContent": {"body": "Absent: the message has none"},
		"LetterBytes":   {"text": "Where it is text that can be printed", "hex": "Otherwise, in hexadecimal digits"},
		"RetriedLetter": {
			"n":        "The dead letter's number",
			"state":    "retried; open: it still can't be recorded; otherwise somebody decided before",
			"reason":   "Why it still can't be recorded",
			"decision": "Of whoever was first; absent while nobody has decided",
		},
	}
}
