//go:build !race

package main

import "time"

const raceEnabled = false

const testAgreement = 5 * time.Millisecond
