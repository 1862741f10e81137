package main

import "testing"

// BenchmarkCases runs each case that a thread can measure by itself, for a
// profile of one of them:
//
//	go test -bench 'Cases/observe.sse/observe$' -cpuprofile cpu.out
func BenchmarkCases(b *testing.B) {
	for _, s := range suites() {
		b.Run(s.Name, func(b *testing.B) {
			if s.Cases == nil {
				b.Skip("not made of cases that run on one thread")
			}
			cases, done, err := s.Cases()
			if err != nil {
				b.Fatal(err)
			}
			defer done()
			for _, c := range cases {
				b.Run(c.Name, func(b *testing.B) {
					b.ReportAllocs()
					c.Run(b.N)
				})
			}
		})
	}
}
