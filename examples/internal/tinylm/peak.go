package tinylm

import "time"

// PeakFLOPS measures the floating-point operations per second that the package's
// kernel reaches on the given number of goroutines, at most 8, with matrices that
// fit a core's cache. It is a fair peak for the utilization of this package on
// this machine; the vector units that Go does not use could do more. It takes
// about a tenth of a second. Below one, workers counts as one.
func PeakFLOPS(workers int) float64 {
	const m, n, k = 16, 256, 64
	workers = min(max(workers, 1), shards)
	p := newPool(workers)
	defer p.close()
	bufs := make([][]float32, workers)
	for i := range bufs {
		bufs[i] = make([]float32, m*n+m*k+k*n)
	}
	rounds, best := 8, 0.0
	for start := time.Now(); time.Since(start) < 100*time.Millisecond; {
		round := time.Now()
		p.run(workers, func(i int) {
			c, a, b := bufs[i][:m*n], bufs[i][m*n:][:m*k], bufs[i][m*n+m*k:]
			for range rounds {
				gemm(c, a, b, m, n, k)
			}
		})
		took := time.Since(round)
		if took < 5*time.Millisecond { // too short for the clock
			rounds *= 2
			continue
		}
		best = max(best, float64(2*m*n*k*rounds*workers)/took.Seconds())
	}
	return best
}
