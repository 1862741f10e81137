//go:build !race

package observelive

const raceEnabled = false
