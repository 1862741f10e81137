package quality_test

import (
	"fmt"
	"strings"

	"github.com/calmops/calm/observe/quality"
)

// show prints some figures of a version.
func show(s quality.Snapshot, version string, metrics ...string) {
	for _, v := range s.Versions {
		if v.Version != version {
			continue
		}
		for _, want := range metrics {
			for _, f := range v.Scores {
				if f.Metric == want {
					fmt.Printf("%s %s %.3g\n", version, f.Metric, f.Value)
				}
			}
		}
	}
}

// A customer-service bot: what users say of its answers, and how often it declines.
// Each answer's figures go to whoever compares versions.
func ExampleMonitor_customerService() {
	m, err := quality.New(quality.Config{Refusals: []string{"I cannot help", "Please call"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	answers := []quality.Answer{
		{Text: "Your order left our warehouse on Monday.", OutputTokens: 9, Finish: "stop", Feedback: quality.FeedbackUp},
		{Text: "Please call our hotline.", OutputTokens: 5, Finish: "stop", Feedback: quality.FeedbackDown},
		{Text: "You can return it within 30 days, and", OutputTokens: 10, Finish: "length"},
		{Text: "Yes, the blue one is in stock.", OutputTokens: 9, Finish: "stop", Feedback: quality.FeedbackUp},
	}
	for _, a := range answers {
		out := m.Answered("support", "v2", a)
		if out.Refused || out.Truncated || out.Empty {
			fmt.Println("bad outcome:", a.Text)
		}
	}
	m.Judged("support", "v2", 0.9, 0.1) // a judge that sees one answer in ten
	show(m.Snapshot(), "v2", "refused", "truncated", "feedback_up", "judge")
	// Output:
	// bad outcome: Please call our hotline.
	// bad outcome: You can return it within 30 days, and
	// v2 refused 0.25
	// v2 truncated 0.25
	// v2 feedback_up 0.667
	// v2 judge 0.9
}

// A translator: BLEU and chrF of a sample that people translate too, and answers in
// the wrong script.
func ExampleMonitor_translator() {
	m, err := quality.New(quality.Config{Scripts: []string{"Latin"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, pair := range [][2]string{
		{"The dog bit the man.", "The dog bit the man."},
		{"It was not surprising.", "It was not unexpected."},
		{"The man had just bitten him.", "The man had bitten the dog."},
		{"Собака укусила человека.", "The dog bit the man."}, // not translated
	} {
		m.Answered("ru-en", "v7", quality.Answer{Text: pair[0], Reference: pair[1], HasReference: true})
	}
	show(m.Snapshot(), "v7", "bleu", "chrf", "script_mismatch")
	// Output:
	// v7 bleu 42.5
	// v7 chrf 46.2
	// v7 script_mismatch 0.25
}

// A text generator that begins to repeat itself: the drift is told within a few
// hundred answers.
func ExampleMonitor_textGenerator() {
	drifted := map[string]bool{}
	m, err := quality.New(quality.Config{OnDrift: func(d quality.Drift) {
		if !d.Warning {
			drifted[d.Task] = true
		}
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	story := "Once upon a time there lived a miller who had three sons and a very clever cat"
	loop := strings.Repeat("and then the cat said ", 12)
	for range 500 {
		m.Answered("stories", "v1", quality.Answer{Text: story})
	}
	fmt.Println("while it is well:", drifted["stories/distinct_2"], drifted["stories/repeated_run"])
	for range 200 {
		m.Answered("stories", "v1", quality.Answer{Text: loop})
	}
	fmt.Println("once it loops:", drifted["stories/distinct_2"], drifted["stories/repeated_run"])
	// Output:
	// while it is well: false false
	// once it loops: true true
}
