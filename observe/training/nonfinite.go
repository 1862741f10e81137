package training

// toleratedSkips is how many skipped steps in a row a loss scale may need to come
// down: it halves with each.
const toleratedSkips = 2

// NonFinite finds a NaN or an infinity in the loss or the gradient norm of a Step.
//
// A step with a LossScale that was Skipped because its gradient overflowed is a
// part of fp16 training, as long as it is rare: the gradient norm of such a step
// is reported from the third in a row on. The zero value is ready. A NonFinite is
// not safe for concurrent use.
type NonFinite struct {
	skips int // steps in a row that a loss scale accounts for
}

// NonFiniteVerdict is what a NonFinite says of one Step.
type NonFiniteVerdict struct {
	Loss     bool // the loss is to be reported
	GradNorm bool // the gradient norm is to be reported
	Skips    int  // steps in a row, this one included, that a loss scale accounts for
}

// Observe judges one Step. It allocates nothing.
func (n *NonFinite) Observe(s Step) NonFiniteVerdict {
	overflow := !finite(s.GradNorm)
	if overflow && s.Skipped && s.LossScale > 0 {
		n.skips = min(n.skips+1, maxSteps)
	} else {
		n.skips = 0
	}
	return NonFiniteVerdict{
		Loss:     !finite(s.Loss),
		GradNorm: overflow && (n.skips == 0 || n.skips > toleratedSkips),
		Skips:    n.skips,
	}
}
