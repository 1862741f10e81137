//go:build !race

package main

import "time"

const raceEnabled = false

// The tests of other packages run beside these; the program itself wants 5 ms.
const testAgreement = 20 * time.Millisecond
