package resource

import (
	"bytes"
	"strconv"
)

// parsePressure reads a pressure file: lines
//
//	some avg10=0.00 avg60=0.00 avg300=0.00 total=0
//
// and the same for full, with averages in percent and the total in microseconds.
func parsePressure(b []byte) (Stalls, error) {
	var s Stalls
	for line := range bytes.Lines(b) {
		kind, rest, _ := bytes.Cut(line, []byte(" "))
		var to *Stall
		switch string(kind) {
		case "some":
			to = &s.Some
		case "full":
			to = &s.Full
		default:
			return Stalls{}, errSyntax
		}
		var ok bool
		if *to, ok = parseStall(rest); !ok {
			return Stalls{}, errSyntax
		}
	}
	return s, nil
}

func parseStall(b []byte) (s Stall, ok bool) {
	for word := range bytes.FieldsSeq(b) {
		key, value, _ := bytes.Cut(word, []byte("="))
		if string(key) == "total" {
			n, err := parseCount(value)
			if err != nil {
				return Stall{}, false
			}
			s.TotalSeconds, s.Valid = float64(n)/1e6, true
			continue
		}
		var to *float64
		switch string(key) {
		case "avg10":
			to = &s.Avg10Ratio
		case "avg60":
			to = &s.Avg60Ratio
		case "avg300":
			to = &s.Avg300Ratio
		default:
			continue // a later kernel may tell more
		}
		v, err := strconv.ParseFloat(string(value), 64)
		if err != nil || !(v >= 0 && v <= 100) {
			return Stall{}, false
		}
		*to = v / 100
	}
	return s, s.Valid
}

// pressureFiles are those of the system or of a cgroup.
type pressureFiles struct{ cpu, memory, io handle }

func (f *pressureFiles) read(s *source) (p Pressure) {
	return Pressure{CPU: readStalls(s, &f.cpu), Memory: readStalls(s, &f.memory), IO: readStalls(s, &f.io)}
}

func (f *pressureFiles) close() {
	f.cpu.close()
	f.memory.close()
	f.io.close()
}

func readStalls(s *source, h *handle) Stalls {
	b, ok := s.read(h)
	if !ok {
		return Stalls{}
	}
	p, err := parsePressure(b)
	if err != nil {
		s.fail(h, err)
	}
	return p
}
