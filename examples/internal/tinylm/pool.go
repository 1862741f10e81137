package tinylm

import (
	"sync"
	"sync/atomic"
)

// pool runs numbered pieces of work on a fixed number of goroutines. Which
// goroutine does which piece is left to chance; no result depends on it.
type pool struct {
	workers int
	work    func(i int)
	count   int64
	next    atomic.Int64
	start   chan struct{}
	wait    sync.WaitGroup
	alive   sync.WaitGroup
}

// newPool starts workers-1 goroutines; the caller of run is the last worker.
// They end at close.
func newPool(workers int) *pool {
	p := &pool{workers: workers, start: make(chan struct{})}
	for range workers - 1 {
		p.alive.Go(func() {
			for range p.start {
				p.drain()
				p.wait.Done()
			}
		})
	}
	return p
}

// run calls work with 0 to count-1 and returns when all calls have.
func (p *pool) run(count int, work func(i int)) {
	p.work, p.count = work, int64(count)
	p.next.Store(0)
	helpers := min(p.workers, count) - 1
	p.wait.Add(max(helpers, 0))
	for range helpers {
		p.start <- struct{}{}
	}
	p.drain()
	p.wait.Wait()
}

func (p *pool) drain() {
	for {
		i := p.next.Add(1) - 1
		if i >= p.count {
			return
		}
		p.work(int(i))
	}
}

func (p *pool) close() {
	close(p.start)
	p.alive.Wait()
}
