//go:build race

package observegrpc

const raceEnabled = true
