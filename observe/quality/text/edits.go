package text

import (
	"math"
	"slices"
)

// The limits of Tercom, and of sacreBLEU, which this must equal.
const (
	maxShiftSize  = 10   // words
	maxShiftDist  = 50   // words between the places in hypothesis and reference
	maxCandidates = 1000 // shifts tried in one segment
	beamWidth     = 25   // words on each side of the diagonal
)

// maxWork bounds the search for shifts in one segment and one reference: cells
// of edit matrices, and pairs of words compared. It is about a second. The 1000
// candidates of a segment of 1000 words are 50 million cells.
const maxWork = 1 << 26

// An operation of the edit matrix rewrites the reference into the hypothesis in
// the end, so hypOnly is an insertion and refOnly a deletion.
const (
	opNone    = iota // not reached
	opSame           // equal words
	opSub            // different words
	opHypOnly        // the word has no partner in the reference
	opRefOnly        // the word has no partner in the hypothesis
)

const unreached = math.MaxInt32 / 2

// editRate returns the shifts, insertions, deletions and substitutions that
// make ref of hyp, as Tercom finds them. It is cut when the limit of work ended
// the search for shifts.
func editRate(hyp, ref []int32, limit int) (edits int, cut bool) {
	if len(ref) == 0 {
		return len(hyp), false
	}
	s := shifter{
		hyp:      slices.Clone(hyp),
		ref:      ref,
		matrix:   newMatrix(len(hyp), ref),
		align:    make([]int, len(ref)),
		limit:    limit,
		hypWrong: make([]bool, len(hyp)),
		refWrong: make([]bool, len(ref)),
	}
	shifts := 0
	for {
		gain := s.bestShift()
		if s.spent() {
			return shifts + s.before, s.candidates < maxCandidates
		}
		if gain <= 0 {
			return shifts + s.before, false
		}
		shifts++
		s.hyp, s.best.words = s.best.words, s.hyp
	}
}

// shifter looks for the block of words that to shift helps most.
type shifter struct {
	hyp, ref   []int32
	matrix     *editMatrix
	before     int    // edit distance of hyp
	align      []int  // of each word of ref the last word of hyp that is up to it, or -1
	hypWrong   []bool // the word is edited
	refWrong   []bool
	next       []int32 // a candidate's words
	best       shift
	candidates int // tried
	work       int // pairs compared; matrix.cells is the rest
	limit      int // of both
}

// shift is a candidate. Of two the better has the larger gain, then the larger
// size, then the earlier source, then the earlier target.
type shift struct {
	gain, size, from, to int
	words                []int32
}

func (s *shift) betterThan(t *shift) bool {
	switch {
	case s.gain != t.gain:
		return s.gain > t.gain
	case s.size != t.size:
		return s.size > t.size
	case s.from != t.from:
		return s.from < t.from
	}
	return s.to < t.to
}

func (s *shifter) spent() bool {
	return s.candidates >= maxCandidates || s.work+s.matrix.cells >= s.limit
}

// bestShift tries the shifts of blocks that are in the reference too, and
// returns the gain of the best, in edits. It is at most 0 when none helps.
func (s *shifter) bestShift() int {
	s.before = s.matrix.distance(s.hyp)
	if s.before == 0 {
		return 0
	}
	s.matrix.trace(s.align, s.hypWrong, s.refWrong)
	s.best = shift{gain: math.MinInt, words: s.best.words[:0]}
	for from := range s.hyp {
		for at := max(0, from-maxShiftDist); at < min(len(s.ref), from+maxShiftDist+1); at++ {
			s.tryBlocks(from, at)
			if s.spent() {
				return 0
			}
		}
	}
	return s.best.gain
}

// tryBlocks tries the blocks that begin at from in the hypothesis and at at in
// the reference, of one word, of two and so on while they are equal. A block is
// tried only if there is an edit in it on both sides.
func (s *shifter) tryBlocks(from, at int) {
	hypWrong, refWrong := false, false
	s.work++
	for size := 1; size <= maxShiftSize; size++ {
		h, r := from+size-1, at+size-1
		if h >= len(s.hyp) || r >= len(s.ref) || s.hyp[h] != s.ref[r] {
			return
		}
		s.work++
		hypWrong = hypWrong || s.hypWrong[h]
		refWrong = refWrong || s.refWrong[r]
		within := from <= s.align[at] && s.align[at] < from+size
		if hypWrong && refWrong && !within {
			s.tryTargets(from, at, size)
		}
		if s.spent() {
			return
		}
	}
}

// tryTargets tries one block before the partner of its place in the reference,
// and after the partner of each of its words.
func (s *shifter) tryTargets(from, at, size int) {
	last := -1
	for r := at - 1; r < min(at+size, len(s.ref)); r++ {
		to := 0
		if r >= 0 {
			to = s.align[r] + 1
		}
		if to == last {
			continue
		}
		last = to
		s.next = appendShifted(s.next[:0], s.hyp, from, size, to)
		c := shift{gain: s.before - s.matrix.distance(s.next), size: size, from: from, to: to}
		s.candidates++
		if c.betterThan(&s.best) {
			c.words, s.next = s.next, s.best.words
			s.best = c
		}
	}
}

// appendShifted appends words with the block at from put before the word that
// is at to. A target within the block moves it on by so many words.
func appendShifted(out, words []int32, from, size, to int) []int32 {
	end := from + size
	if to < from {
		out = append(append(out, words[:to]...), words[from:end]...)
		return append(append(out, words[to:from]...), words[end:]...)
	}
	if to <= end {
		to = min(to+size, len(words))
	}
	out = append(append(out, words[:from]...), words[end:to]...)
	return append(append(out, words[from:end]...), words[to:]...)
}

// editMatrix computes edit distances to one reference, for hypotheses of one
// length. Of the matrix only a beam along the diagonal is visited.
type editMatrix struct {
	ref    []int32
	rows   int
	ratio  float64
	width  int
	costs  []int32 // one row
	ops    []byte  // of all rows from 1 on, the beams one after the other
	starts []int   // of each row in ops
	cells  int     // visited so far
}

func newMatrix(rows int, ref []int32) *editMatrix {
	m := &editMatrix{
		ref:    ref,
		rows:   rows,
		ratio:  1,
		width:  beamWidth,
		costs:  make([]int32, len(ref)+1),
		starts: make([]int, rows+1),
	}
	if rows > 0 {
		m.ratio = float64(len(ref)) / float64(rows)
	}
	if m.ratio/2 > beamWidth {
		m.width = int(math.Ceil(m.ratio/2 + beamWidth)) // else the beams of two rows may not meet
	}
	return m
}

// beam is the range of columns that row i visits.
func (m *editMatrix) beam(i int) (first, end int) {
	middle := int(float64(i) * m.ratio)
	first, end = max(0, middle-m.width), min(len(m.ref)+1, middle+m.width)
	if i == m.rows {
		end = len(m.ref) + 1
	}
	return first, end
}

// distance fills the matrix for hyp and returns the edit distance to ref.
func (m *editMatrix) distance(hyp []int32) int {
	for j := range m.costs {
		m.costs[j] = int32(j)
	}
	m.ops = m.ops[:0]
	for i := 1; i <= m.rows; i++ {
		first, end := m.beam(i)
		m.starts[i] = len(m.ops)
		m.fillRow(hyp[i-1], first, end)
		m.cells += end - first
		if i == 1 { // from here on, what lies after the beam was not visited
			for j := end; j < len(m.costs); j++ {
				m.costs[j] = unreached
			}
		}
	}
	return int(m.costs[len(m.ref)])
}

// fillRow replaces the costs of the row before by those of the row of word.
// Between equal costs a pair of words comes before a word of the hypothesis
// alone, and that before a word of the reference alone.
func (m *editMatrix) fillRow(word int32, first, end int) {
	diagonal, left := int32(unreached), int32(unreached)
	if first > 0 {
		diagonal = m.costs[first-1]
		m.costs[first-1] = unreached
	}
	for j := first; j < end; j++ {
		up := m.costs[j]
		cost, op := int32(unreached), byte(opNone)
		if j > 0 && m.ref[j-1] == word {
			if diagonal < cost {
				cost, op = diagonal, opSame
			}
		} else if diagonal+1 < cost {
			cost, op = diagonal+1, opSub
		}
		if up+1 < cost {
			cost, op = up+1, opHypOnly
		}
		if left+1 < cost {
			cost, op = left+1, opRefOnly
		}
		m.costs[j] = cost
		m.ops = append(m.ops, op)
		diagonal, left = up, cost
	}
}

// trace walks the cheapest way back through the matrix that distance filled
// last.
func (m *editMatrix) trace(align []int, hypWrong, refWrong []bool) {
	i, j := m.rows, len(m.ref)
	for i > 0 || j > 0 {
		switch op := m.op(i, j); op {
		case opHypOnly:
			hypWrong[i-1] = true
			i--
		case opRefOnly:
			align[j-1], refWrong[j-1] = i-1, true
			j--
		default:
			align[j-1] = i - 1
			hypWrong[i-1], refWrong[j-1] = op == opSub, op == opSub
			i, j = i-1, j-1
		}
	}
}

func (m *editMatrix) op(i, j int) byte {
	if i == 0 {
		return opRefOnly
	}
	first, _ := m.beam(i)
	return m.ops[m.starts[i]+j-first]
}
