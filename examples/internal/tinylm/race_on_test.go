//go:build race

package tinylm

// raceEnabled says that the race detector is on, which makes training about ten
// times slower.
const raceEnabled = true
