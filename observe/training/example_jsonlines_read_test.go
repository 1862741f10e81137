package training_test

import (
	"fmt"
	"log"
	"strings"

	"github.com/calmops/calm/observe/training"
)

// The last line was torn by a crash.
func ExampleReadJSONLines() {
	file := strings.NewReader(`{"type":"step","run":"r7","rank":0,"time":"2026-01-02T15:04:05.6Z","step":12,"loss":2.5,"nonfinite":{"grad_norm":"NaN"}}
{"type":"event","run":"r7","rank":0,"time":"2026-01-02T15:04:05.6Z","step":12,"kind":"non_finite","signal":"grad_norm","rollback_to":10}
{"type":"step","run":"r7","rank":0,"time":"2026-01-02T15:04:`)

	for line, err := range training.ReadJSONLines(file) {
		if err != nil {
			log.Fatal(err)
		}
		switch line.Type {
		case "step":
			fmt.Println("step", line.Step, "loss", line.Values["loss"], "gradient norm", line.Values["grad_norm"])
		case "event":
			fmt.Println(line.Event.Kind, "in", line.Event.Signal, "go back to", line.Event.RollbackTo)
		}
	}
	// Output:
	// step 12 loss 2.5 gradient norm NaN
	// non_finite in grad_norm go back to 10
}
