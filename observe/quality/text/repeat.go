package text

// RepeatedRun is the length, in words, of the longest run of words that is
// repeated at once: the largest n such that n words are followed by the same n
// words. It is 0 if no word is. A model that loops has one as long as half its
// loops. It is exact for any length: time is n log n in the words, memory
// linear.
//
// The method is that of Main and Lorentz (1984): a repetition lies in the left
// half, in the right half, or over the middle, and the last are found by
// matching both halves with themselves and each other.
func RepeatedRun(words []string) int {
	f := repeatFinder{words: vocabulary{}.number(make([]int32, 0, len(words)), words)}
	f.search(0, len(words))
	return f.longest
}

type repeatFinder struct {
	words         []int32
	longest       int
	line          []int32
	back, forward []int32
}

// separator equals no word.
const separator = -1

func (f *repeatFinder) search(from, to int) {
	if to-from < 2*(f.longest+1) {
		return // no room for a longer one
	}
	middle := from + (to-from)/2
	f.over(from, middle, to)
	f.search(from, middle)
	f.search(middle, to)
}

// over looks for repetitions that have the words before and after middle. One
// of period n has n pairs of equal words, n apart. They are counted from
// middle to both sides: once with the left words of the pairs there, once with
// the right ones.
func (f *repeatFinder) over(from, middle, to int) {
	left, right := f.words[from:middle], f.words[middle:to]
	nl, nr := len(left), len(right)

	// back[i] is how long the end of left is repeated before the place i words
	// from its end; after the separator, from the end of right.
	f.line = f.line[:0]
	for i := nl - 1; i >= 0; i-- {
		f.line = append(f.line, left[i])
	}
	f.line = append(f.line, separator)
	for i := nr - 1; i >= 0; i-- {
		f.line = append(f.line, right[i])
	}
	f.back = appendPrefixes(f.back[:0], f.line)

	// forward[i] is how long the beginning of right is repeated from its place i
	// on; after the separator, from the beginning of left.
	f.line = append(append(append(f.line[:0], right...), separator), left...)
	f.forward = appendPrefixes(f.forward[:0], f.line)

	for n := f.longest + 1; n <= nr; n++ { // pairs (middle-1, middle+n-1), (middle, middle+n)
		before, after := f.back[nl+1+nr-n], int32(0)
		if n < nr {
			after = f.forward[n]
		}
		if int(before+after) >= n {
			f.longest = n
		}
	}
	for n := f.longest + 1; n <= nl; n++ { // pairs (middle-n-1, middle-1), (middle-n, middle)
		before, after := int32(0), f.forward[nr+1+nl-n]
		if n < nl {
			before = f.back[n]
		}
		if int(before+after) >= n {
			f.longest = n
		}
	}
}

// appendPrefixes appends for each place of s how long the beginning of s is
// repeated from there: the Z function (Gusfield 1997). For place 0 it is 0.
func appendPrefixes(z, s []int32) []int32 {
	left, right := 0, 0 // the repeated part that reaches furthest
	for i := range s {
		n := 0
		if i > 0 && i < right {
			n = min(right-i, int(z[i-left]))
		}
		for i > 0 && i+n < len(s) && s[n] == s[i+n] {
			n++
		}
		z = append(z, int32(n))
		if i+n > right {
			left, right = i, i+n
		}
	}
	return z
}
