package ledger

import (
	"regexp"
	"slices"
	"strings"
)

// columnName is what a declared column can be called: a name that needs no quotes in SQL, JSON paths and shells.
var columnName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,58}$`)

const ruleColumnName = "must be a lower-case letter followed by at most 58 lower-case letters, digits and underscores, such as partner or net_weight"

// wireNames are the fields of an event on the wire and of its row in answers, besides the built-in columns.
const wireNames = "id measures dimensions payload state pii caused_by commitment digest"

// answerNames are what answers and files hold besides columns, and what filters and groups can ask for.
const answerNames = "booked_month billed invoice late_from hour day week month quarter year count events sum key"

// hostileNames can't be the name of a column in PostgreSQL, or only in quotes.
const hostileNames = `tableoid ctid xmin xmax cmin cmax oid
all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column concurrently
constraint create cross current_catalog current_date current_role current_schema current_time current_timestamp current_user default
deferrable desc distinct do else end except false fetch for foreign freeze from full grant group having ilike in initially inner
intersect into is isnull join lateral leading left like limit localtime localtimestamp natural not notnull null offset on only or order
outer overlaps placing primary references returning right select session_user similar some symmetric system_user table tablesample then
to trailing true union unique user using variadic verbose when where window with`

// reservedPrefixes are kept for what the ledger or PostgreSQL may add.
var reservedPrefixes = []string{"deltaledger_", "ledger_", "pg_"}

// checkColumnName is nil for a name that a declared column can have.
func checkColumnName(name string) *FieldError {
	if !columnName.MatchString(name) {
		return Invalid("name", shown(name), ruleColumnName)
	}
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return invalidf("name", name, "must not begin with %s, which is kept for the ledger itself", prefix)
		}
	}
	for _, reserved := range []struct{ names, why string }{
		{wireNames, "is a field of every event"},
		{answerNames, "has a meaning of its own in filters, groups and files"},
		{hostileNames, "is a word of SQL: whoever queries the database would have to quote it"},
	} {
		if slices.Contains(strings.Fields(reserved.names), name) {
			return invalidf("name", name, "can't be the name of a column: it %s; choose a longer one, such as %s", reserved.why, longer(name))
		}
	}
	return nil
}

// longer is a name like name that can be had.
func longer(name string) string {
	if name == "order" || name == "user" || name == "group" || name == "table" {
		return name + "_id"
	}
	return "shop_" + name
}
