//go:build race

package main

import "time"

const raceEnabled = true

// Under the race detector everything is ten times slower.
const testAgreement = 50 * time.Millisecond
