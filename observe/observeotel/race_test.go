//go:build race

package observeotel

const raceEnabled = true
