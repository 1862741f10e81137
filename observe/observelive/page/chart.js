'use strict';
// One chart: SVG paths over a shared time axis. It knows nothing of the page around it.

const Chart = (() => {
	const NS = 'http://www.w3.org/2000/svg';
	const MAX_POINTS = 900;
	const DASHES = ['', '7 3', '2 3', '9 3 2 3', '4 2', '1 4', '12 4', '6 2 2 2'];
	const PAD = { top: 10, right: 10, bottom: 20, left: 46 };
	let serial = 0;

	function svg(tag, attrs, parent) {
		const e = set(document.createElementNS(NS, tag), attrs);
		if (parent) parent.appendChild(e);
		return e;
	}

	// set writes attributes that have changed: laying out text again is what costs most.
	function set(e, attrs) {
		for (const k in attrs) if (e.getAttribute(k) !== String(attrs[k])) e.setAttribute(k, attrs[k]);
		return e;
	}

	// refill makes the children of a parent be of a tag and have these attributes and texts.
	function refill(parent, tag, list) {
		list.forEach(([attrs, text], i) => {
			const e = set(parent.children[i] || svg(tag, {}, parent), attrs);
			if (text && e.textContent !== text) e.textContent = text;
		});
		while (parent.children.length > list.length) parent.lastElementChild.remove();
	}

	// bounds returns the first index with time >= from and the first with time > to.
	function bounds(t, from, to) {
		let lo = 0, hi = t.length;
		while (lo < hi) { const m = (lo + hi) >> 1; if (t[m] < from) lo = m + 1; else hi = m; }
		const start = lo;
		hi = t.length;
		while (lo < hi) { const m = (lo + hi) >> 1; if (t[m] <= to) lo = m + 1; else hi = m; }
		return [start, lo];
	}

	// nearest is the index of the sample nearest to a time, -1 without one.
	function nearest(t, ms) {
		const [i] = bounds(t, ms, Infinity);
		if (i >= t.length) return t.length - 1;
		return i > 0 && ms - t[i - 1] < t[i] - ms ? i - 1 : i;
	}

	// span is what values from lo to hi come to; NaN where there is none.
	function span(v, lo, hi) {
		let last = NaN, min = NaN, max = NaN, sum = 0, n = 0;
		for (let i = lo; i < hi; i++) {
			if (isNaN(v[i])) continue;
			last = v[i];
			if (!(last >= min)) min = last;
			if (!(last <= max)) max = last;
			sum += last;
			n++;
		}
		return { last, min, mean: sum / n, max };
	}

	// thin returns indexes of at most n points: the lowest and highest of each bucket, so that
	// spikes stay, and a gap.
	function thin(v, lo, hi, n) {
		const out = [], per = hi - lo <= n ? 1 : Math.ceil((hi - lo) / (n / 3));
		// Buckets stand on absolute indexes, or the curve would shimmer as it scrolls.
		for (let b = lo - (lo % per); b < hi; b += per) {
			let min = -1, max = -1, gap = -1;
			for (let i = Math.max(b, lo); i < Math.min(b + per, hi); i++) {
				if (isNaN(v[i])) { gap = i; continue; }
				if (min < 0 || v[i] < v[min]) min = i;
				if (max < 0 || v[i] > v[max]) max = i;
			}
			for (const i of [min, max, gap].sort((a, b) => a - b)) if (i >= 0 && i !== out[out.length - 1]) out.push(i);
		}
		return out;
	}

	class Plot {
		constructor(host, label) {
			this.host = host;
			this.id = 'plot' + ++serial;
			this.root = svg('svg', { role: 'img', 'aria-labelledby': this.id + 't ' + this.id + 'd', class: 'svg' }, host);
			svg('title', { id: this.id + 't' }, this.root).textContent = label;
			this.desc = svg('desc', { id: this.id + 'd' }, this.root);
			const defs = svg('defs', {}, this.root);
			this.fade = svg('linearGradient', { id: this.id + 'g', x1: 0, y1: 0, x2: 0, y2: 1 }, defs);
			svg('stop', { offset: 0, 'stop-opacity': 0.2 }, this.fade);
			svg('stop', { offset: 1, 'stop-opacity': 0 }, this.fade);
			const clip = svg('clipPath', { id: this.id + 'c' }, defs);
			this.clip = svg('rect', {}, clip);
			this.bands = svg('g', {}, this.root);
			const grid = svg('g', { class: 'grid' }, this.root);
			this.lines = svg('g', {}, grid);
			this.levels = svg('g', { 'text-anchor': 'end' }, grid);
			this.times = svg('g', { 'text-anchor': 'middle' }, grid);
			this.curves = svg('g', { 'clip-path': 'url(#' + this.id + 'c)' }, this.root);
			this.empty = svg('text', { class: 'empty', 'text-anchor': 'middle' }, this.root);
			this.cross = svg('g', { class: 'cross', visibility: 'hidden' }, this.root);
			this.line = svg('line', {}, this.cross);
			this.dots = svg('g', {}, this.cross);
			this.when = svg('text', { class: 'when' }, this.cross);
		}

		// measure reads the size; of all charts before any is drawn, or each would lay out the page.
		measure() {
			this.w = this.host.clientWidth;
			this.h = this.host.clientHeight;
		}

		// draw paints series [{v, color, index, limit}] over t from view.from to view.to.
		draw(t, series, o) {
			const { w, h } = this;
			if (w < 40 || h < 40) return;
			this.o = o; this.t = t; this.series = series;
			const x0 = PAD.left, x1 = w - PAD.right, y0 = PAD.top, y1 = h - PAD.bottom;
			this.root.setAttribute('viewBox', '0 0 ' + w + ' ' + h);
			set(this.clip, { x: x0, y: 0, width: Math.max(0, x1 - x0 + 3), height: y1 + 2 });
			const [lo, hi] = bounds(t, o.from, o.to);
			const first = Math.max(0, lo - 1); // a line comes in from the left
			this.x = (ms) => x0 + ((ms - o.from) / (o.to - o.from)) * (x1 - x0);
			const tops = o.stack ? this.pile(series, first, hi) : null;
			let min = Infinity, max = -Infinity;
			const stats = series.map((s) => span(s.v, lo, hi));
			series.forEach((s, k) => {
				const at = tops ? span(tops[k], lo, hi) : stats[k];
				if (at.min < min) min = at.min;
				if (at.max > max) max = at.max;
			});
			const any = series.some((s, k) => !s.limit && !isNaN(stats[k].last));
			const range = this.range(any ? min : 0, any ? max : 1, o);
			this.y = (v) => y1 - ((v - range.lo) / (range.hi - range.lo)) * (y1 - y0);
			this.paintGrid(x0, x1, y1, range, any);
			this.paintMarks(y0, y1, x0, x1);
			this.paintCurves(series, tops, first, hi, y1, Math.min(MAX_POINTS, 1.5 * (x1 - x0)));
			this.empty.textContent = any ? '' : o.empty;
			set(this.empty, { x: (x0 + x1) / 2, y: (y0 + y1) / 2 + 4 });
			this.describe(series, stats, any);
		}

		// pile adds each curve onto those below it.
		pile(series, lo, hi) {
			const sum = [];
			return series.map((s) => {
				const out = [];
				for (let i = lo; i < hi; i++) {
					if (!isNaN(s.v[i])) sum[i] = (sum[i] || 0) + s.v[i];
					out[i] = sum[i] ?? NaN;
				}
				return out;
			});
		}

		// range is the span of the y axis: from zero, unless the values keep far from it.
		range(min, max, o) {
			let lo = Math.min(0, min), hi = Math.max(0, max);
			if (o.fit && min > 0 && max - min < 0.6 * max) lo = min - Math.max((max - min) * 0.12, max * 0.01);
			if (o.unit === 'ratio' && hi > 0.4 && hi <= 1) hi = 1;
			if (hi - lo < 1e-12) hi = lo + (o.unit === 's' ? 0.001 : 1);
			if (o.unit !== 'ratio' || hi !== 1) hi += (hi - lo) * 0.08;
			return { lo, hi, ticks: Format.ticks(lo, hi, o.rows, o.unit) };
		}

		paintGrid(x0, x1, y1, { lo, ticks }, any) {
			const values = any ? ticks.values : [lo], top = values[values.length - 1];
			const at = (v) => Math.round(this.y(v)) + 0.5;
			refill(this.lines, 'line', values.map((v) => [{ x1: x0, x2: x1, y1: at(v), y2: at(v), class: v === 0 ? 'base' : '' }]));
			refill(this.levels, 'text', any ? values.map((v) => [{ x: x0 - 6, y: at(v) + 3.5 }, Format.tick(v, ticks, v === top)]) : []);
			const times = Format.timeTicks(this.o.from, this.o.to, (this.o.to - this.o.from) * 84 / (x1 - x0));
			const half = times.seconds ? 24 : 15;
			refill(this.times, 'text', times.values.map((ms) => [{ x: Math.round(this.x(ms)), y: y1 + 15 }, Format.clock(ms, times.seconds)])
				.filter(([{ x }]) => x >= x0 + half - 8 && x <= x1 - half + 6));
		}

		paintMarks(y0, y1, x0, x1) {
			this.bands.replaceChildren();
			for (const m of this.o.marks) {
				const a = this.x(m.at), b = m.end ? this.x(m.end) : a;
				if (b < x0 || a > x1) continue;
				const level = ' ' + Format.level(m.severity);
				const from = Math.max(a, x0);
				if (m.end) svg('rect', { x: from, y: y0, width: Math.max(2, Math.min(b, x1) - from), height: y1 - y0, class: 'band' + level }, this.bands);
				if (a >= x0) svg('line', { x1: a, x2: a, y1: y0, y2: y1, class: 'mark' + level }, this.bands);
			}
		}

		paintCurves(series, tops, lo, hi, y1, most) {
			const paths = [], plain = series.filter((s) => !s.limit);
			const shaded = !tops && plain.length <= 3 ? plain[0] : null;
			const fill = 'url(#' + this.id + 'g)';
			for (let k = series.length - 1; k >= 0; k--) {
				const s = series[k], color = ' c' + s.color, v = tops ? tops[k] : s.v;
				const dash = s.limit ? '3 4' : tops ? '' : DASHES[s.index % DASHES.length];
				const d = this.path(v, thin(v, lo, hi, most), s === shaded || tops ? y1 : null);
				if (d.area) paths.push([{ d: d.area, class: (tops ? 'area pile' : 'area') + color, fill, 'stroke-dasharray': '' }]);
				if (s === shaded) set(this.fade, { class: color });
				paths.push([{ d: d.line, class: (s.limit ? 'curve limit' : 'curve') + color, fill, 'stroke-dasharray': dash }]);
			}
			refill(this.curves, 'path', paths);
		}

		// path writes the points of some indexes as an SVG path, broken at gaps; with base also as an
		// area down to it.
		path(v, indexes, base) {
			let line = '', area = '', open = false, last = 0, startX = 0, endX = 0;
			const n = (x) => Math.round(x * 10) / 10, t = this.t;
			const close = () => { if (open && base !== null) area += 'L' + endX + ' ' + n(base) + 'L' + startX + ' ' + n(base) + 'Z'; open = false; };
			indexes.forEach((i, k) => {
				const gap = isNaN(v[i]);
				if (gap || (open && t[i] - last > this.o.gap)) close();
				if (gap) return;
				const x = n(this.x(t[i])), y = n(this.y(v[i]));
				let to = 'M' + x + ' ' + y;
				if (open) to = (this.o.step ? 'H' + x : '') + 'L' + x + ' ' + y;
				else startX = x;
				if (base !== null) area += to;
				if (!open && isNaN(v[indexes[k + 1]])) to += 'h0.01'; // a lone point is a dot
				line += to;
				open = true;
				endX = x;
				last = t[i];
			});
			close();
			return { line, area };
		}

		describe(series, stats, any) {
			const f = (v) => Format.text(v, this.o.unit);
			const says = series.slice(0, 8).map((s, k) => {
				const { last, min, max } = stats[k];
				return (s.name || 'value') + ': ' + (isNaN(last) ? 'no value' : 'last ' + f(last) + ', minimum ' + f(min) + ', maximum ' + f(max));
			});
			this.desc.textContent = any ? says.join('; ') : this.o.empty;
		}

		timeAt(px) {
			const x0 = PAD.left, x1 = this.w - PAD.right;
			return this.o.from + ((px - x0) / (x1 - x0)) * (this.o.to - this.o.from);
		}

		// point shows the crosshair at sample i, or hides it for -1.
		point(i, label) {
			const ms = i >= 0 ? this.t[i] : NaN;
			if (!(ms >= this.o.from && ms <= this.o.to)) { this.cross.setAttribute('visibility', 'hidden'); return; }
			const x = this.x(ms);
			this.cross.setAttribute('visibility', 'visible');
			set(this.line, { x1: x, x2: x, y1: PAD.top, y2: this.h - PAD.bottom });
			this.dots.replaceChildren();
			let sum = 0;
			for (const s of this.series) {
				if (isNaN(s.v[i])) continue;
				sum += s.v[i];
				svg('circle', { cx: x, cy: this.y(this.o.stack ? sum : s.v[i]), r: 3.2, class: 'c' + s.color }, this.dots);
			}
			this.when.textContent = label ? Format.clock(ms, true) : '';
			const right = x > this.w - 70;
			set(this.when, { x: x + (right ? -6 : 6), y: PAD.top + 3, 'text-anchor': right ? 'end' : 'start' });
		}
	}

	return { Plot, bounds, nearest, span };
})();
