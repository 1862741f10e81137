package ecslog

import "strconv"

// settle makes the names of a line unique, the last of each staying, and parts those
// that are both a value and an object.
func (l *line) settle() {
	l.names.reset()
	l.places, l.servicesGiven = 0, false
	dotted := false
	for i := range l.fields {
		f := &l.fields[i]
		if before, ok := l.names.put(l.fields, i); ok {
			l.fields[before].place = placeNone
		}
		l.places |= 1 << f.place
		dotted = dotted || len(f.key.above) > 0
		l.servicesGiven = l.servicesGiven || f.key.service
	}
	if !dotted {
		return
	}
	for i := range l.fields {
		f := &l.fields[i]
		if f.place != placeField {
			continue
		}
		// Those above become labels even if this one is moved later: it is so because
		// of one below it, which is below those too.
		for _, above := range f.key.above {
			if j, ok := l.names.get(l.fields, above.name, above.hash); ok && l.fields[j].place == placeField {
				l.fields[j].enc = ""
				l.move(&l.fields[j], placeLabel)
			}
		}
	}
}

// move changes where a field is written, after settle.
func (l *line) move(f *field, to place) {
	f.place = to
	l.places |= 1 << to
}

// fieldNames finds fields by name. As most lines have few names, and each once, it
// has a filter that mostly says so, and a table only if that could not say it.
type fieldNames struct {
	filter [8]uint64 // a bit a name
	tabled bool
	table  nameTable
}

func (n *fieldNames) reset() { n.filter, n.tabled = [8]uint64{}, false }

// put notes the name of a field, after those before it, and returns the place of one
// with the same name, if there is one.
func (n *fieldNames) put(fields []field, i int) (before int, ok bool) {
	k := fields[i].key
	if n.tabled {
		return n.table.put(k.name, k.hash, i)
	}
	word, bit := filterBit(k.hash)
	if n.filter[word]&bit == 0 {
		n.filter[word] |= bit
		return 0, false
	}
	n.tabled = true
	n.table.reset()
	for j := range fields[:i] {
		n.table.put(fields[j].key.name, fields[j].key.hash, j)
	}
	return n.table.put(k.name, k.hash, i)
}

// get returns the place of the last field of a name.
func (n *fieldNames) get(fields []field, name string, hash uint64) (i int, ok bool) {
	if n.tabled {
		return n.table.get(name, hash)
	}
	if word, bit := filterBit(hash); n.filter[word]&bit == 0 {
		return 0, false
	}
	for i := range fields {
		if k := fields[i].key; k.hash == hash && k.name == name {
			return i, true
		}
	}
	return 0, false
}

// filterBit takes other bits of a hash than the table does.
func filterBit(hash uint64) (word int, bit uint64) {
	h := hash >> 55
	return int(h >> 6), 1 << (h & 63)
}

// label returns the key under which a label is written, in JSON, comma and colon
// included: with _2, _3 if the name is taken.
func (l *line) label(name string, hash uint64, quoted string) string {
	ks := l.h.core.keys
	if l.labels.used == 0 {
		for _, own := range ownLabels {
			l.labels.put(own, ks.hash(own), 1)
		}
	}
	// The index of a name is the last number given to it.
	n, taken := l.labels.get(name, hash)
	if !taken {
		l.labels.put(name, hash, 1)
		return quoted
	}
	for {
		n++
		next := name + "_" + strconv.Itoa(n)
		h := ks.hash(next)
		if _, taken := l.labels.get(next, h); !taken {
			l.labels.put(name, hash, n)
			l.labels.put(next, h, 1)
			return quotedKey("labels.", next)
		}
	}
}

// nameTable is a hash table of names, kept from line to line.
type nameTable struct {
	slots []nameSlot // a power of two, at most half of them used
	used  int
	epoch uint32 // of the line; slots of others are empty
}

type nameSlot struct {
	name  string
	hash  uint64
	index int
	epoch uint32
}

const (
	minSlots  = 64
	keepSlots = 1024
)

func (t *nameTable) reset() {
	if t.used = 0; len(t.slots) > keepSlots {
		t.slots = nil
	}
	if t.epoch++; t.epoch == 0 {
		clear(t.slots)
		t.epoch = 1
	}
}

// get returns the index of a name.
func (t *nameTable) get(name string, hash uint64) (index int, ok bool) {
	if t.used == 0 {
		return 0, false
	}
	s := t.find(name, hash)
	return s.index, s.epoch == t.epoch
}

// put sets the index of a name, and returns the one before.
func (t *nameTable) put(name string, hash uint64, index int) (before int, ok bool) {
	if 2*t.used >= len(t.slots) {
		t.grow()
	}
	s := t.find(name, hash)
	if s.epoch == t.epoch {
		before, s.index = s.index, index
		return before, true
	}
	*s = nameSlot{name, hash, index, t.epoch}
	t.used++
	return 0, false
}

// find returns the slot of a name, or the empty one where it would be.
func (t *nameTable) find(name string, hash uint64) *nameSlot {
	mask := len(t.slots) - 1
	for i := int(hash) & mask; ; i = (i + 1) & mask {
		s := &t.slots[i]
		if s.epoch != t.epoch || s.hash == hash && s.name == name {
			return s
		}
	}
}

func (t *nameTable) grow() {
	old := t.slots
	t.slots = make([]nameSlot, max(minSlots, 2*len(old)))
	if t.epoch == 0 {
		t.epoch = 1
	}
	for i := range old {
		if old[i].epoch == t.epoch {
			*t.find(old[i].name, old[i].hash) = old[i]
		}
	}
}
