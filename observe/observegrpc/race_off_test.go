//go:build !race

package observegrpc

const raceEnabled = false
