//go:build !race

package ecslog

const raceEnabled = false
