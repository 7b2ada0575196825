package wire

import (
	"strconv"
	"strings"

	"deltaledger/ledger"
)

// fieldPath leads to a value of a document: names, joined by dots, that each lead one level down; a number leads into a
// list. A dot or a backslash that belongs to a name has a backslash in front. The first name of what is around
// the document begins with a dollar sign.
type fieldPath struct {
	text  string
	steps []string
}

const rulePath = `must be names joined by dots, such as customer.id; a dot within a name is written \.`

// parsePath reads a path, or gives the rule that it breaks.
func parsePath(text string) (p fieldPath, rule string) {
	p.text = text
	var step strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text) && (text[i+1] == '.' || text[i+1] == '\\'):
			i++
			step.WriteByte(text[i])
		case c == '\\':
			return fieldPath{}, rulePath
		case c == '.':
			p.steps = append(p.steps, step.String())
			step.Reset()
		default:
			step.WriteByte(c)
		}
	}
	p.steps = append(p.steps, step.String())
	for _, s := range p.steps {
		if s == "" || badText([]byte(s)) != "" {
			return fieldPath{}, rulePath
		}
	}
	return p, ""
}

// joinPath is the spelling of a path that goes on from another.
func joinPath(parent, name string) string {
	if strings.ContainsAny(name, `.\`) {
		name = strings.NewReplacer(`\`, `\\`, ".", `\.`).Replace(name)
	}
	if parent == "" {
		return name
	}
	return parent + "." + name
}

func (p fieldPath) outside() bool { return p.steps[0][0] == '$' }

// get is the value that p leads to; Null if it leads nowhere.
func (p fieldPath) get(doc, meta Value) Value {
	v := doc
	if p.outside() {
		if v = meta; v.Get(p.steps[0]).kind == Null { // a field of the document may have such a name
			v = doc
		}
	}
	for _, step := range p.steps {
		i := v.find(step)
		if i < 0 {
			return Value{}
		}
		v = v.items[i]
	}
	return v
}

// find is the index of what a step leads to, -1 if it leads nowhere.
func (v *Value) find(step string) int {
	switch v.kind {
	case Object:
		for i, name := range v.names {
			if name == step {
				return i
			}
		}
		if i, ok := v.aliases[step]; ok {
			return i
		}
	case List:
		if i, err := strconv.Atoi(step); err == nil && 0 <= i && i < len(v.items) {
			return i
		}
	}
	return -1
}

// pathNode is where paths begin with the same steps.
type pathNode struct {
	steps    []string
	children []*pathNode
	ends     bool // a path ends here
	payload  bool // a path that goes into the payload ends here
}

func (n *pathNode) add(p fieldPath, payload bool) {
	for _, step := range p.steps {
		n = n.child(step)
	}
	n.ends, n.payload = true, n.payload || payload
}

func (n *pathNode) child(step string) *pathNode {
	for i, s := range n.steps {
		if s == step {
			return n.children[i]
		}
	}
	n.steps, n.children = append(n.steps, step), append(n.children, &pathNode{})
	return n.children[len(n.children)-1]
}

// at is the node that the paths through item i of v meet in; nil if none does.
func (n *pathNode) at(v *Value, i int) *pathNode {
	if n == nil {
		return nil
	}
	var met *pathNode
	for k, step := range n.steps {
		if v.find(step) != i {
			continue
		}
		if met == nil {
			met = n.children[k]
			continue
		}
		both := &pathNode{ends: met.ends || n.children[k].ends, payload: met.payload || n.children[k].payload}
		both.steps = append(append(both.steps, met.steps...), n.children[k].steps...)
		both.children = append(append(both.children, met.children...), n.children[k].children...)
		met = both
	}
	return met
}

// remainder goes through what no path names, and refuses it or adds it as dimensions.
func (r *mapRun) remainder(v Value, n *pathNode, parent string, add func(string, Value)) *ledger.FieldError {
	for i := range v.items {
		item, used := v.items[i], n.at(&v, i)
		if used != nil && used.ends {
			continue
		}
		name := strconv.Itoa(i)
		if v.kind == Object {
			name = v.names[i]
		}
		here := joinPath(parent, name)
		switch {
		case item.kind == Object && (used != nil || r.rest == restDimensions), item.kind == List && used != nil:
			if bad := r.remainder(item, used, here, add); bad != nil {
				return bad
			}
		case r.rest == restRefuse:
			return invalid(here, item.String(), ruleUnmapped)
		case item.kind == Null:
		case item.kind == List || v.kind == List:
			return invalid(here, item.String(), ruleRestParts)
		default:
			add(here, item)
		}
	}
	return nil
}

// keep makes the payload.
func (r *mapRun) keep() {
	switch {
	case r.whole:
		r.e.Payload = r.doc.AppendJSON(nil)
	case r.payload || r.rest == restPayload:
		if kept, some := r.prune(r.doc, r.uses); some {
			r.e.Payload = kept.AppendJSON(nil)
		}
	}
}

// prune is what of v goes into the payload, in its place.
func (r *mapRun) prune(v Value, n *pathNode) (kept Value, some bool) {
	kept.kind = v.kind
	for i := range v.items {
		item, used := v.items[i], n.at(&v, i)
		switch {
		case used != nil && used.payload, used == nil && r.rest == restPayload:
		case used == nil || used.ends && len(used.steps) == 0:
			continue
		case item.kind == Object || item.kind == List:
			if item, some = r.prune(item, used); !some {
				continue
			}
		default:
			continue
		}
		if v.kind == Object {
			kept.names = append(kept.names, v.names[i])
		}
		kept.items = append(kept.items, item)
	}
	return kept, len(kept.items) > 0
}
