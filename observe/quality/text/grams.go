package text

import "unicode/utf8"

// maxKept is how many entries of a buffer are kept for the next segment. A
// longer one goes back to the collector, so that one huge text is not paid for
// ever after.
const maxKept = 1 << 14

// maxOrder bounds the orders of n-grams, and so the cost of a segment.
const maxOrder = 16

// grams counts clipped n-gram matches. It is the scratch space of one metric.
//
// It goes order by order. An n-gram is named by the number of its first n-1
// tokens and its last token, so that no n-gram is ever spelled out: time is
// linear in order times tokens, memory in tokens.
type grams struct {
	next    map[uint64]int32
	counts  []gramCount
	hyp     []int32   // number of the n-gram that begins at each token, -1 if no reference has it
	refs    [][]int32 // the same, for each reference
	refText []int32   // the memory of refs
}

// gramCount counts one n-gram of the references.
type gramCount struct {
	most int32 // largest count in one reference
	now  int32 // count in reference ref
	ref  int32 // from 1
	used int32 // matches
}

// match adds to matches[n-1] the n-grams of hyp that references have, an n-gram
// at most as often as the reference that has it most.
func (g *grams) match(hyp []int32, refs [][]int32, matches []int64) {
	g.begin(len(hyp), refs)
	for n := 1; n <= len(matches); n++ {
		g.countRefs(n, refs)
		found := g.countHyp(n, hyp)
		if found == 0 {
			break // no longer n-gram can match
		}
		matches[n-1] += found
	}
	if len(g.counts) > maxKept || len(g.refText) > maxKept || len(g.hyp) > maxKept {
		*g = grams{}
	}
}

// begin sets every number to 0, the number of the empty n-gram.
func (g *grams) begin(hyp int, refs [][]int32) {
	if g.next == nil {
		g.next = map[uint64]int32{}
	}
	g.hyp = zeros(g.hyp, hyp)
	sum := 0
	for _, ref := range refs {
		sum += len(ref)
	}
	g.refText = zeros(g.refText, sum)
	g.refs = g.refs[:0]
	rest := g.refText
	for _, ref := range refs {
		g.refs = append(g.refs, rest[:len(ref)])
		rest = rest[len(ref):]
	}
}

func (g *grams) countRefs(n int, refs [][]int32) {
	clear(g.next)
	g.counts = g.counts[:0]
	for r, ref := range refs {
		numbers := g.refs[r]
		for i := range max(0, len(ref)-n+1) {
			key := gramKey(numbers[i], ref[i+n-1])
			number, known := g.next[key]
			if !known {
				number = int32(len(g.counts))
				g.next[key] = number
				g.counts = append(g.counts, gramCount{})
			}
			numbers[i] = number
			c := &g.counts[number]
			if c.ref != int32(r+1) {
				c.ref, c.now = int32(r+1), 0
			}
			c.now++
			c.most = max(c.most, c.now)
		}
	}
}

func (g *grams) countHyp(n int, hyp []int32) (found int64) {
	for i := range max(0, len(hyp)-n+1) {
		if g.hyp[i] < 0 {
			continue
		}
		number, known := g.next[gramKey(g.hyp[i], hyp[i+n-1])]
		if !known {
			g.hyp[i] = -1
			continue
		}
		g.hyp[i] = number
		if c := &g.counts[number]; c.used < c.most {
			c.used++
			found++
		}
	}
	return found
}

func gramKey(prefix, token int32) uint64 {
	return uint64(uint32(prefix))<<32 | uint64(uint32(token))
}

// gramsIn is how many n-grams a number of tokens has.
func gramsIn(tokens, n int) int64 {
	return int64(max(0, tokens-n+1))
}

// zeros returns n zeros, in the memory of s if they fit.
func zeros(s []int32, n int) []int32 {
	if cap(s) < n {
		return make([]int32, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// vocabulary numbers words within one segment.
type vocabulary map[string]int32

// number appends the numbers of words to out.
func (v vocabulary) number(out []int32, words []string) []int32 {
	for _, w := range words {
		n, known := v[w]
		if !known {
			n = int32(len(v))
			v[w] = n
		}
		out = append(out, n)
	}
	return out
}

// segment holds one hypothesis and its references as numbers of tokens. It is
// scratch space too.
type segment struct {
	words vocabulary
	hyp   []int32
	refs  [][]int32
	total int // numbers held since the last release
}

func newSegment() segment { return segment{words: vocabulary{}} }

// release lets go of the texts, and of buffers that are too large to keep.
func (s *segment) release() {
	if s.total > maxKept || len(s.refs) > maxKept {
		*s = newSegment()
		return
	}
	clear(s.words)
	s.hyp, s.refs, s.total = s.hyp[:0], s.refs[:0], 0
}

// nextRef returns the next reference's buffer, empty, to append to.
func (s *segment) nextRef() []int32 {
	if n := len(s.refs); n < cap(s.refs) {
		return s.refs[:n+1][n][:0] // what an earlier segment left there
	}
	return nil
}

func (s *segment) setHyp(tokens []int32) {
	s.hyp = tokens
	s.total += len(tokens)
}

func (s *segment) addRef(tokens []int32) {
	s.refs = append(s.refs, tokens)
	s.total += len(tokens)
}

// appendRunes appends the runes of a text, without white space if space is
// false. A byte that is not valid UTF-8 counts as a rune of its own.
func appendRunes(out []int32, text string, space bool) []int32 {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(text[i:]); n == 1 {
				out = append(out, unicodeEnd+int32(text[i]))
				continue
			}
		}
		if space || !isSpace(r) {
			out = append(out, r)
		}
	}
	return out
}

// unicodeEnd is the first number that is no rune.
const unicodeEnd = 0x110000
