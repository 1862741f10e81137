package tinylm

import "math"

// fault is something that a user has planted in the data, to see it found.
type fault struct {
	kind        faultKind
	first, last int // batches
}

type faultKind uint8

const (
	garbledBatch faultKind = iota
	poisonedBatch
)

// Garble is for demonstrations: the batches of these numbers, from first on, will
// be read as random symbols, however often they are read. The loss of such a batch
// is far above that of text, and what is learned from it harms the steps after it;
// where the batches are skipped, neither happens.
func (t *Trainer) Garble(first, batches int) {
	t.faults = append(t.faults, fault{garbledBatch, first, first + batches - 1})
}

// Poison is for demonstrations: the gradient of the batch of this number will hold
// one NaN, as a device at fault may leave, however often it is computed.
func (t *Trainer) Poison(batch int) {
	t.faults = append(t.faults, fault{poisonedBatch, batch, batch})
}

// has reports whether the next batch has a fault.
func (t *Trainer) has(kind faultKind) bool {
	for _, f := range t.faults {
		if f.kind == kind && f.first <= t.batch+1 && t.batch+1 <= f.last {
			return true
		}
	}
	return false
}

// garble is the symbol that a place of the text has in a garbled batch: any symbol,
// and the same one each time.
func (t *Trainer) garble(place int) uint8 {
	h := (uint64(place) + 1) * 0x9E3779B97F4A7C15
	h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
	h = (h ^ h>>27) * 0x94D049BB133111EB
	return uint8((h ^ h>>31) % uint64(len(t.model.vocab.runes)))
}

// poison puts the NaN into the gradient of a poisoned batch.
func (t *Trainer) poison() {
	if t.has(poisonedBatch) {
		t.passes[0].grad[0] = float32(math.NaN())
	}
}
