package wire

import "math"

// skip reads past one value without making it. The number of values is bounded, as they needn't have bytes.
func (r *avroReader) skip(t *avroType, depth int) (bad *avroFault) {
	if depth == 0 {
		r.made = 0
	}
	if r.made++; r.made > maxAvroValues {
		return fault(ruleAvroMany)
	}
	n := int64(0)
	switch t.kind {
	case avroNull:
		return nil
	case avroBoolean:
		n = 1
	case avroInt, avroLong, avroEnum:
		_, bad = r.long()
		return bad
	case avroFloat:
		n = 4
	case avroDouble:
		n = 8
	case avroFixed:
		n = int64(t.size)
	case avroBytes, avroString:
		if n, bad = r.long(); bad != nil {
			return bad
		}
	case avroUnion:
		branch, bad := r.long()
		switch {
		case bad != nil:
			return bad
		case branch < 0 || branch >= int64(len(t.fields)):
			return fault(ruleAvroBranch)
		}
		return r.skip(t.fields[branch], max(depth, 1))
	default:
		if depth > maxAvroDepth {
			return fault(ruleAvroDeep)
		}
		return r.skipParts(t, max(depth, 1)+1)
	}
	_, bad = r.take(n)
	return bad
}

// skipParts skips a record, an array or a map.
func (r *avroReader) skipParts(t *avroType, depth int) (bad *avroFault) {
	if t.kind == avroRecord {
		for i, f := range t.fields {
			if bad = r.skip(f, depth); bad != nil {
				return bad.under(t.names[i])
			}
		}
		return nil
	}
	for {
		n, bad := r.long()
		size := int64(-1)
		if bad == nil && n < 0 && n > math.MinInt64 {
			n = -n
			size, bad = r.long()
		}
		switch {
		case bad != nil:
			return bad
		case n == 0:
			return nil
		case n < 0 || n > maxAvroValues:
			return fault(ruleAvroMany)
		case size >= 0 && r.made+int(n) <= maxAvroValues:
			r.made += int(n)
			if _, bad = r.take(size); bad != nil {
				return bad
			}
			continue
		}
		for range n {
			if t.kind == avroMap {
				if bad = r.skip(&avroType{kind: avroString}, depth); bad != nil {
					return bad
				}
			}
			if bad = r.skip(t.items, depth); bad != nil {
				return bad
			}
		}
	}
}
