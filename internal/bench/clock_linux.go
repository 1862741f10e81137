package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// clockNote is printed above figures that are not CPU time.
const clockNote = ""

// threadCPU is the CPU time of the calling thread: it leaves out what other
// threads and processes do meanwhile.
func threadCPU() time.Duration { return cpuTime(unix.CLOCK_THREAD_CPUTIME_ID) }

// processCPU is the CPU time of all threads of this process.
func processCPU() time.Duration { return cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID) }

func cpuTime(id int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		panic("bench: clock_gettime: " + err.Error()) // Every Linux has these clocks.
	}
	return time.Duration(t.Nano())
}
