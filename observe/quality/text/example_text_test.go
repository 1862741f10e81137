package text_test

import (
	"fmt"

	"github.com/calmops/calm/observe/quality/text"
)

func ExampleBLEU() {
	bleu, err := text.NewBLEU(text.BLEUConfig{})
	if err != nil {
		panic(err)
	}
	bleu.Add("The dog bit the man.", "The dog bit the man.", "The dog had bit the man.")
	bleu.Add("It wasn't surprising.", "It was not unexpected.", "No one was surprised.")
	bleu.Add("The man had just bitten him.", "The man bit him first.", "The man had bitten the dog.")

	s := bleu.Score()
	fmt.Printf("%.2f %d/%d BP %.3f\n", s.Score, s.Counts, s.Totals, s.BP)
	fmt.Println(bleu.Signature())
	// Output:
	// 48.53 [14 7 5 3]/[17 14 11 8] BP 0.943
	// nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:calm1
}

// One sentence has few long n-grams: leave out the orders that it is too short
// for.
func ExampleBLEUConfig() {
	bleu, err := text.NewBLEU(text.BLEUConfig{EffectiveOrder: true, Lowercase: true})
	if err != nil {
		panic(err)
	}
	bleu.Add("it is Ready", "It is ready")
	fmt.Printf("%.1f\n", bleu.Score().Score)

	_, err = text.NewBLEU(text.BLEUConfig{Order: -1, Tokenizer: "intl"})
	fmt.Println(err)
	// Output:
	// 100.0
	// text: BLEUConfig.Order is -1: want 0 to 16
	// text: BLEUConfig.Tokenizer is "intl": want 13a, none or char
}

// Each worker counts alone; the sums are merged.
func ExampleBLEU_Merge() {
	var workers [2]*text.BLEU
	for i := range workers {
		workers[i], _ = text.NewBLEU(text.BLEUConfig{})
	}
	workers[0].Add("a b c d", "a b c d")
	workers[1].Add("a b c x", "a b c d")
	if err := workers[0].Merge(workers[1]); err != nil {
		panic(err)
	}
	fmt.Printf("%.2f\n", workers[0].Score().Score)
	// Output: 72.31
}

func ExampleBLEUScore() {
	bleu, err := text.NewBLEU(text.BLEUConfig{})
	if err != nil {
		panic(err)
	}
	bleu.Add("no reference for this one")
	bleu.Add("a b c d e", "a b c d e f g")
	s := bleu.Score()
	fmt.Printf("%.1f of %.0f, %d words for %d, refused %d\n", s.Score, s.Precisions, s.SysLen, s.RefLen, s.Refused)
	// Output: 67.0 of [100 100 100 100], 5 words for 7, refused 1
}

func ExampleChrF() {
	chrf, err := text.NewChrF(text.ChrFConfig{})
	if err != nil {
		panic(err)
	}
	chrf.Add("The dog bit the man.", "The dog had bit the man.")
	fmt.Printf("%.2f %s\n", chrf.Score().Score, chrf.Signature())
	// Output: 67.65 nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:calm1
}

// WordOrder 2 is chrF++.
func ExampleChrFConfig() {
	chrf, err := text.NewChrF(text.ChrFConfig{WordOrder: 2})
	if err != nil {
		panic(err)
	}
	chrf.Add("The dog bit the man.", "The dog had bit the man.")
	fmt.Printf("%.2f\n", chrf.Score().Score)
	// Output: 70.39
}

func ExampleChrFScore() {
	chrf, err := text.NewChrF(text.ChrFConfig{CharOrder: 2})
	if err != nil {
		panic(err)
	}
	chrf.Add("abcd", "abxd")
	s := chrf.Score()
	fmt.Printf("%.2f: %d of %d, and of %d\n", s.Score, s.Matches, s.HypTotals, s.RefTotals)
	// Output: 54.17: [3 1] of [4 3], and of [4 3]
}

// To move three words is one edit.
func ExampleTER() {
	ter := text.NewTER(text.TERConfig{})
	ter.Add("d e f g h a b c", "a b c d e f g h")
	fmt.Println(ter.Score().Score)
	// Output: 12.5
}

func ExampleTERConfig() {
	ter := text.NewTER(text.TERConfig{CaseSensitive: true, NoPunctuation: true})
	ter.Add("Yes, we can!", "yes we can")
	fmt.Println(ter.Score().Edits, ter.Signature())
	// Output: 1 nrefs:1|case:mixed|tok:tercom|norm:no|punct:no|asian:no|version:calm1
}

func ExampleTERScore() {
	ter := text.NewTER(text.TERConfig{})
	ter.Add("a b c", "a b c d", "a b")
	s := ter.Score()
	fmt.Printf("%d edit for %.0f words: %.1f\n", s.Edits, s.RefLen, s.Score)
	// Output: 1 edit for 3 words: 33.3
}

func ExampleExact() {
	fmt.Println(text.Exact(" 42\n", "41", "42"), text.Exact("The Answer", "answer"))
	// Output: true false
}

func ExampleSQuAD() {
	fmt.Println(text.SQuAD("The Eiffel Tower!", "Eiffel tower"))
	fmt.Println(text.SQuAD("in the year 1889", "1889"))
	// Output:
	// true 1
	// false 0.5
}

func ExampleDistinct() {
	words := text.Words("the more the more the more")
	one, _ := text.Distinct(1, words)
	two, _ := text.Distinct(2, words)
	fmt.Printf("%.2f %.2f\n", one, two)
	// Output: 0.33 0.40
}

func ExampleRepeatedRun() {
	fmt.Println(text.RepeatedRun(text.Words("and then I said and then I said and then I stopped")))
	// Output: 4
}

func ExampleRefused() {
	openings := append(text.Openings(), "Das kann ich nicht")
	fmt.Println(text.Refused("I’m sorry, but I can’t help with that.", openings))
	fmt.Println(text.Refused("Das kann ich nicht beantworten.", openings))
	fmt.Println(text.Refused("Here is the recipe.", openings))
	// Output:
	// true
	// true
	// false
}

func ExampleScripts() {
	latin, err := text.NewScripts("Latin")
	if err != nil {
		panic(err)
	}
	fmt.Println(latin.Outside("The answer is 42."))
	fmt.Println(latin.Outside("Ответ: 42"))
	// Output:
	// 0 false
	// 1 true
}

func ExampleEmpty() {
	fmt.Println(text.Empty(" \n"), text.Empty("?"))
	// Output: true false
}
