// Package text measures what a model wrote: against references (BLEU, chrF,
// TER, exact match and F1 of an answer), and by itself (empty, refused, in the
// wrong script, repeating itself).
//
// A metric is a value that sums segments and can be read at any time:
//
//	bleu, err := text.NewBLEU(text.BLEUConfig{})
//	bleu.Add(answer, reference)
//	...
//	fmt.Println(bleu.Score().Score, bleu.Signature())
//
// The figures are those of sacreBLEU, to 1e-9, for the settings that both have.
// Publish the signature with a score: scores of different signatures are not
// comparable.
//
// # Terms
//
//   - Segment: one hypothesis (what the model wrote) and its references (what
//     it could have written). A segment without a reference is refused and
//     counted.
//   - Corpus score: computed from sums over all segments. It is not the mean of
//     the segments' scores.
//   - n-gram: n tokens in a row. A match is clipped: an n-gram of the hypothesis
//     counts at most as often as a reference has it.
//   - BLEU, 0 to 100: BP exp(mean of ln p_n), n = 1 to Order. p_n is matches /
//     n-grams of the hypotheses, in percent, clipped by the reference that has
//     the n-gram most. BP, the brevity penalty, is exp(1 - r/s) where the
//     hypotheses have s words and the references of closest length (the shorter
//     of two) r > s; else 1. It is 0 when nothing matches, and when an order is
//     not reached at all unless EffectiveOrder leaves that order out.
//   - Smoothing, of the p_n of an order without a match: "exp", 100 / (2^k
//     n-grams) for the k-th such order; "floor", 100 value / n-grams; "add-k",
//     value added to matches and n-grams of every order above 1; "none", 0.
//   - chrF, 0 to 100: F = (1 + b^2) P R / (b^2 P + R), with P and R the means
//     of the precisions and recalls of character n-grams of order 1 to 6, b the
//     Beta, for each segment against the reference with the best F. chrF++ has
//     words of order 1 and 2 besides (WordOrder 2).
//   - TER, translation edit rate, percent: edits / words of the references
//     (their mean length). Edits insert, delete and replace a word, or shift a
//     block of words. Lower is better.
//   - Distinct-n, 0 to 1: different n-grams / n-grams of words.
//   - Repeated run, in words: the longest run of words that follows itself.
//
// # Tokens
//
// BLEU's "13a" is that of mteval-v13a: it resolves four entities and splits
// ASCII punctuation from words, full stops and commas not within numbers.
// "none" splits at white space, "char" at every rune. TER's words are parted by
// white space and in lower case. White space, for all, is Unicode's and U+001C
// to U+001F; lower case is Unicode's full mapping: both as in Python, whose
// tables of letters may be those of another version of Unicode.
//
// Every text is valid. A byte that is not UTF-8 is a token or part of one; as a
// character of chrF it is one of its own.
//
// # Errors
//
// [NewBLEU], [NewChrF] and [NewScripts] name every fault at once, with field and
// value. Merge refuses other settings with [ErrSettings]. Nothing else fails.
//
// # Concurrency
//
// [BLEU], [ChrF] and [TER] are for one goroutine at a time: give each goroutine
// its own and Merge them. The result does not depend on the order of segments.
// A [Scripts] and all functions are safe for concurrent use.
//
// # Cost
//
// Time and memory are linear in the texts, times the orders, for [BLEU] and
// [ChrF]; linear for [SQuAD], [Distinct], [Refused] and [Scripts]; n log n in
// the words for [RepeatedRun]. A sentence of 17 words took 9 us (BLEU), 18 us
// (chrF, without allocation) and 0.1 ms (TER) on a busy two-core machine, and a
// hostile megabyte about a second. Buffers of a segment above 16384 tokens are
// not kept.
//
// [TER] compares in a beam of 25 words to each side of the diagonal: linear in
// the words of hypothesis and reference. It looks for shifts with Tercom's
// limits (blocks of at most 10 words, over at most 50, 1000 candidates a segment)
// and one more, 67 million cells and comparisons, about a second: what a segment
// of 1000 words needs. A longer segment whose search ends there is counted in
// [TERScore].Cut.
//
// # Limitations
//
//   - No tokenizer for text without spaces other than "char": intl, zh,
//     ja-mecab, ko-mecab and the SentencePiece ones need tables or models. Any
//     other name is an error.
//   - TER without Tercom's normalization and its splitting of Asian text.
//     (sacreBLEU normalizes references twice, so that a text can differ from
//     itself.)
//   - Where sacreBLEU gives 100.00000000000004, Score is 100. The smoothed
//     counts of "add-k" are not in [BLEUScore], and a SmoothValue of 0 is the
//     default.
//   - No ROUGE and no learned metric (COMET, BERTScore): they need stemmers or
//     models.
//   - [Refused] knows openings, not meaning, and [Openings] are English.
//
// # Sources
//
//   - BLEU: Papineni et al. 2002 (aclanthology.org/P02-1040). Smoothing: Chen
//     and Cherry 2014 (aclanthology.org/W14-3346).
//   - chrF: Popović 2015 (aclanthology.org/W15-3049); chrF++: Popović 2017
//     (aclanthology.org/W17-4770).
//   - TER: Snover et al. 2006 (aclanthology.org/2006.amta-papers.25).
//   - sacreBLEU: Post 2018 (aclanthology.org/W18-6319), commit f615c72.
//   - SQuAD 2.0: evaluate-v2.0.py of rajpurkar/SQuAD-explorer.
//   - Distinct-n: Li et al. 2016 (aclanthology.org/N16-1014).
//   - Repetitions: Main and Lorentz, An O(n log n) algorithm for finding all
//     repetitions in a string, J. Algorithms 5, 1984.
package text
