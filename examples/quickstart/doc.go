// Quickstart is calm at work in one program: it trains a small language model on
// real text, serves it with an OpenAI-compatible API, measures every request, and
// shows what is happening on a live page.
//
//	go run ./examples/quickstart              # until interrupted
//	go run ./examples/quickstart -for 60s     # ends by itself with a report
//
// The files read in this order: main.go (the plan), train.go (from text to a
// model), engine.go (slots and decoding), api.go and wire.go (HTTP), load.go (its
// own clients), operate.go (quality, machine, cost, log), report.go (what was
// measured, and whether it agrees).
package main
