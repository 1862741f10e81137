package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strings"
)

// The picture: two plots, one above the other, over the same steps.
const (
	width, height   = 1000.0, 560.0
	left, right     = 64.0, 976.0
	lossTop, lossAt = 84.0, 300.0 // upper and lower edge of the plot
	normTop, normAt = 348.0, 508.0
)

const svgHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="Loss and gradient norm over steps">
<style>
:root { --back: #ffffff; --text: #24292f; --quiet: #57606a; --grid: #d8dee4; --loss: #0b63ce; --norm: #a34d00; --mark: #c62828; }
@media (prefers-color-scheme: dark) {
  :root { --back: #0d1117; --text: #e6edf3; --quiet: #9198a1; --grid: #30363d; --loss: #58a6ff; --norm: #f0883e; --mark: #ff7b72; }
}
.back { fill: var(--back); } text { fill: var(--text); } .quiet { fill: var(--quiet); }
.grid { stroke: var(--grid); } .mark { stroke: var(--mark); stroke-dasharray: 4 3; } .bad { fill: var(--mark); }
.loss { stroke: var(--loss); } .norm { stroke: var(--norm); } .loss, .norm { fill: none; stroke-width: 1.4; stroke-linejoin: round; }
.undone { opacity: .5; } .band { fill: var(--mark); opacity: .1; } .up { text-anchor: end; } .mid { text-anchor: middle; }
</style>
<rect class="back" width="100%%" height="100%%"/>
`

// draw writes a history as an SVG: what counts in full colour, what was undone
// pale in a band, and a mark where something happened.
func draw(w io.Writer, h history) error {
	d := drawing{w: bufio.NewWriter(w), h: h}
	last := int64(1)
	for _, p := range d.all() {
		last = max(last, p.step)
	}
	d.x = scale{low: 0, high: float64(last), from: left, to: right}
	d.printf(svgHead, width, height)
	d.printf(`<text x="%g" y="24" font-size="15" font-weight="600">Loss and gradient norm</text>`+"\n", left)
	d.printf(`<text class="quiet" x="%g" y="42">bands: steps that were undone and made again; dashed: what was found; both scales are logarithmic</text>`+"\n", left)
	d.bands()
	d.marks()
	d.plot("loss", "loss, nats a character", lossTop, lossAt, func(p point) float64 { return p.loss })
	d.plot("norm", "gradient norm before clipping", normTop, normAt, func(p point) float64 { return p.norm })
	for _, t := range ticks(float64(last), 10) {
		d.printf(`<text class="mid" x="%.1f" y="%g">%g</text>`+"\n", d.x.at(t), normAt+20, t)
	}
	d.printf(`<text class="mid quiet" x="%g" y="%g">optimizer step</text>`+"\n", (left+right)/2, normAt+40)
	d.printf("</svg>\n")
	return d.w.Flush()
}

type drawing struct {
	w *bufio.Writer
	h history
	x scale
}

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(d.w, format, args...) }

// all is every point there is.
func (d *drawing) all() []point {
	list := d.h.steps
	for _, piece := range d.h.undone {
		list = append(list[:len(list):len(list)], piece...)
	}
	return list
}

// bands draws where steps were undone.
func (d *drawing) bands() {
	for _, piece := range d.h.undone {
		from, to := d.x.at(float64(piece[0].step)-.5), d.x.at(float64(piece[len(piece)-1].step)+.5)
		for _, plot := range [][2]float64{{lossTop, lossAt}, {normTop, normAt}} {
			d.printf(`<rect class="band" x="%.1f" width="%.1f" y="%g" height="%g"/>`+"\n", from, to-from, plot[0], plot[1]-plot[0])
		}
	}
}

// plot draws one value of the points.
func (d *drawing) plot(class, title string, top, bottom float64, value func(point) float64) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range d.all() {
		if v := value(p); drawable(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	if low > high { // nothing to draw
		low, high = 1, 2
	}
	y := scale{low: low * .9, high: high * 1.1, from: bottom, to: top, log: true}
	for _, t := range decadeTicks(y.low, y.high) {
		at := y.at(t)
		d.printf(`<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="up" x="%g" y="%.1f">%.4g</text>`+"\n",
			left, right, at, at, left-8, at+4, t)
	}
	d.printf(`<line class="grid" x1="%g" x2="%g" y1="%g" y2="%g"/>`+"\n", left, right, bottom, bottom)
	d.printf(`<text class="quiet" x="%g" y="%g">%s</text>`+"\n", left, top-8, title)
	for _, piece := range d.h.undone {
		d.line(class+" undone", piece, y, value)
	}
	d.line(class, d.h.steps, y, value)
}

// line draws points. Where a value cannot be drawn, NaN above all, it has a gap and
// a cross.
func (d *drawing) line(class string, points []point, y scale, value func(point) float64) {
	var b strings.Builder
	pen := "M"
	for _, p := range points {
		v := value(p)
		if !drawable(v) {
			d.printf(`<text class="mid bad" x="%.1f" y="%.1f">×</text>`+"\n", d.x.at(float64(p.step)), y.to+4)
			pen = "M"
			continue
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", pen, d.x.at(float64(p.step)), y.at(v))
		pen = "L"
	}
	if b.Len() > 0 {
		d.printf(`<path class="%s" d="%s"/>`+"\n", class, b.String())
	}
}

// marks draws what happened. Texts that would meet go into another row.
func (d *drawing) marks() {
	ends := [2]float64{}
	for _, m := range d.h.marks {
		x := d.x.at(float64(m.step))
		row := 0
		if x-30 < ends[0] {
			row = 1
		}
		ends[row] = x + 30
		y := lossTop - 24 - 14*float64(row)
		d.printf(`<line class="mark" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text class="mid bad" x="%.1f" y="%g">%s</text>`+"\n",
			x, x, y+4, normAt, x, y, m.text)
	}
}

// scale maps values to places on the picture.
type scale struct {
	low, high float64
	from, to  float64
	log       bool
}

func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		low, high, v = math.Log(low), math.Log(high), math.Log(v)
	}
	return s.from + (s.to-s.from)*(v-low)/(high-low)
}

// ticks are the multiples of 1, 2 or 5 times a power of ten from 0 to high, at
// most as many as are wanted and the 0.
func ticks(high float64, want int) []float64 {
	step := math.Pow(10, math.Floor(math.Log10(high/float64(want))))
	for _, k := range []float64{1, 2, 5, 10} {
		if high/(step*k) <= float64(want) {
			step *= k
			break
		}
	}
	var list []float64
	for i := 0.0; i*step <= high*(1+1e-12); i++ {
		list = append(list, i*step)
	}
	return list
}

// decadeTicks are 1, 2, 3, 5 and 7 times the powers of ten from low, above 0, to high.
func decadeTicks(low, high float64) (list []float64) {
	for e := math.Floor(math.Log10(low)); e <= math.Log10(high); e++ {
		for _, k := range []float64{1, 2, 3, 5, 7} {
			if t := k * math.Pow(10, e); t >= low && t <= high {
				list = append(list, t)
			}
		}
	}
	return list
}

// drawable reports whether a value has a place on a logarithmic scale.
func drawable(v float64) bool { return v > 1e-300 && v < 1e300 }
