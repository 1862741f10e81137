//go:build race

package observelive

const raceEnabled = true
