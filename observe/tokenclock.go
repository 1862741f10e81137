package observe

import "time"

// maxGaps is how many gaps are gathered before they are merged into the sinks.
const maxGaps = 64

// maxBatch bounds the tokens of one batch, and so the gaps it may record.
const maxBatch = 1 << 20

// tokenClock turns batches of token events and their times into first token,
// gaps and last token. All times count from the arrival of the request.
type tokenClock struct {
	first, last, content time.Duration
	hasFirst, hasContent bool
	events               int           // token events
	count                int           // gaps
	sum, longest         time.Duration // of the gaps

	share   time.Duration // of each gap of the batch that is being gathered
	extra   int           // gaps of it that are 1 ns longer, so that the sum is exact
	left    int           // gaps of it that are still to be gathered
	pending int           // gaps gathered in a gapBuffer
}

type gapBuffer [maxGaps]time.Duration

// batch records k token events at one time. The gap since the batch before is
// divided among them; the first batch has none. A time before the last reads as
// the last; back is true then.
func (c *tokenClock) batch(k int, now time.Duration, content bool) (back bool) {
	k = min(k, maxBatch)
	if content && !c.hasContent {
		c.content, c.hasContent = max(now, c.last), true
	}
	c.events += k
	if !c.hasFirst {
		c.first, c.last, c.hasFirst = now, now, true
		return false
	}
	gap := now - c.last
	if gap < 0 {
		gap, back = 0, true
	} else {
		c.last = now
	}
	c.count += k
	c.sum += gap
	if k == 1 { // the common case, without the divisions
		c.share, c.extra, c.left = gap, 0, 1
		c.longest = max(c.longest, gap)
		return back
	}
	c.share, c.extra, c.left = gap/time.Duration(k), int(gap%time.Duration(k)), k
	longest := c.share
	if c.extra > 0 {
		longest++
	}
	c.longest = max(c.longest, longest)
	return back
}

// gather moves gaps of the last batch into buf. It is true when buf is full: the
// caller merges it, sets pending to 0 and calls again.
func (c *tokenClock) gather(buf *gapBuffer) bool {
	for c.left > 0 && c.pending < maxGaps {
		g := c.share
		if c.left <= c.extra {
			g++
		}
		buf[c.pending] = g
		c.pending++
		c.left--
	}
	return c.pending == maxGaps
}
