'use strict';
// What the page knows: its settings, the layout, and the points of every curve on one time axis.

const Store = (() => {
	const MINUTE = 60000;
	const MIN_SPAN = 30000; // an axis that has little to show is this long

	const S = {
		layout: null, seq: 0, every: 2000, range: 300000, query: '', off: new Set(), more: new Set(), open: new Map(),
		frozen: 0, marks: [], hover: NaN, hoverCard: null, lastOK: 0, fails: 0, started: false,
		fine: { t: [], v: new Map() }, coarse: { t: [], v: new Map(), at: 0 },
		keys: new Map(), cards: new Map(), sections: new Map(), dirty: false,
		changed() {}, // called when a setting has
	};

	// take appends points; series that are not told of have a gap.
	function take(d) {
		const f = S.fine;
		if (d.seq < S.seq) { f.t.length = 0; f.v.clear(); } // another life, by another clock
		S.every = d.every_ms;
		const n0 = f.t.length, last = n0 ? f.t[n0 - 1] : -Infinity;
		const skip = d.t.findIndex((t) => t > last);
		S.seq = d.seq;
		S.marks = d.marks;
		if (skip >= 0) {
			for (let i = skip; i < d.t.length; i++) f.t.push(d.t[i]);
			for (const s of d.s) {
				const key = S.keys.get(s.id);
				if (key === undefined) continue;
				if (!f.v.has(key)) f.v.set(key, new Array(n0).fill(NaN));
				const v = f.v.get(key);
				for (let i = skip; i < d.t.length; i++) v.push(s.p[i - (s.o || 0)] ?? NaN);
			}
			for (const v of f.v.values()) while (v.length < f.t.length) v.push(NaN);
		}
		const keep = S.layout.keep_ms * 1.02;
		if (f.t.length && f.t[0] < f.t[f.t.length - 1] - keep * 1.1) { // in lumps
			const [cut] = Chart.bounds(f.t, f.t[f.t.length - 1] - keep, Infinity);
			f.t.splice(0, cut);
			for (const [k, v] of f.v) { v.splice(0, cut); if (v.every(isNaN)) f.v.delete(k); }
		}
	}

	function takeCoarse(d) {
		const c = S.coarse = { t: d.t, v: new Map(), at: Date.now() };
		for (const s of d.s) {
			const key = S.keys.get(s.id);
			if (key !== undefined) c.v.set(key, [...new Array(s.o || 0), ...s.p].map((p) => p ?? NaN));
		}
	}

	// view is the time span on all axes, and whether coarse points are needed for it.
	function view() {
		const t = S.fine.t;
		const end = S.frozen || (t.length ? t[t.length - 1] : Date.now());
		let from = end - S.range, to = end;
		const coarse = t.length > 0 && from < t[0] && S.range > S.layout.keep_ms && S.coarse.t.length > 0 && S.coarse.t[0] + MINUTE < t[0];
		const first = coarse ? S.coarse.t[0] : t.length ? t[0] : end;
		if (from < first) { from = first; to = Math.max(end, from + MIN_SPAN); }
		return { from, to, coarse };
	}

	// points returns the time axis and a lookup of values for a view.
	function points(v) {
		const f = S.fine;
		const ft = S.frozen ? f.t.slice(0, Chart.bounds(f.t, 0, S.frozen)[1]) : f.t;
		if (!v.coarse) return { t: ft, of: (k) => f.v.get(k) || [], gap: Math.max(10000, S.every * 4) };
		const c = S.coarse;
		const [n] = Chart.bounds(c.t, f.t[0] - MINUTE, Infinity);
		const t = c.t.slice(0, n).concat(ft);
		const none = new Array(n).fill(NaN);
		return { t, gap: Math.max(150000, S.every * 4), of: (k) => (c.v.has(k) ? c.v.get(k).slice(0, n) : none).concat(f.v.get(k) || []) };
	}

	return { S, take, takeCoarse, view, points };
})();
