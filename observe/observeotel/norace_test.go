//go:build !race

package observeotel

const raceEnabled = false
