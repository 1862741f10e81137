//go:build !linux

package main

import "time"

// clockNote is printed above figures that are not CPU time.
const clockNote = "No CPU clock on this system: these are wall times."

var began = time.Now()

// threadCPU stands in for the CPU time of the calling thread.
func threadCPU() time.Duration { return time.Since(began) }

// processCPU stands in for the CPU time of all threads of this process.
func processCPU() time.Duration { return time.Since(began) }
