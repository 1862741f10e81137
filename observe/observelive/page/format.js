'use strict';
// Numbers as people read them. A scale is a divisor and a unit, chosen for the size of a value.

const Format = (() => {
	const seconds = [
		[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's'], [1e-3, 'ms'], [1e-6, 'µs'], [1e-9, 'ns'],
	];
	const binary = [[2 ** 60, 'EiB'], [2 ** 50, 'PiB'], [2 ** 40, 'TiB'], [2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB'], [1, 'B']];
	const metric = [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k'], [1, '']];

	// scale returns the divisor and the unit in which a value of this size is shown.
	function scale(size, unit) {
		size = Math.abs(size);
		if (unit === 'ratio') return { by: 0.01, unit: '%' };
		if (unit === 's') {
			for (const [by, u] of seconds) {
				// 90 s stay seconds, 100 min stay minutes
				if (size >= (by >= 60 ? by * 2 : by)) return { by, unit: u };
			}
			return size > 0 ? { by: 1e-9, unit: 'ns' } : { by: 1, unit: 's' };
		}
		const rate = unit.endsWith('/s') ? '/s' : '';
		if (unit === 'B' || unit === 'B/s') {
			for (const [by, u] of binary) if (size >= by) return { by, unit: u + rate };
			return { by: 1, unit };
		}
		for (const [by, prefix] of metric) {
			if (size >= by * (prefix === 'k' ? 10 : 1)) {
				if (unit === 'W' || unit === 'J' || unit === 'Hz') return { by, unit: prefix + unit };
				return { by, prefix, unit };
			}
		}
		return { by: 1, unit };
	}

	// digits writes a number with about three significant digits and no needless zeros.
	function digits(v) {
		const a = Math.abs(v);
		if (a === 0) return '0';
		if (a < 0.00001) return v.toExponential(1).replace('e-', 'e−');
		if (a < 1) return String(+v.toPrecision(2));
		if (a < 10) return String(+v.toFixed(2));
		if (a < 100) return String(+v.toFixed(1));
		return Math.round(v).toLocaleString('en-US');
	}

	// parts returns the number and its unit apart, for a headline.
	function parts(v, unit, at) {
		if (v == null || isNaN(v)) return { n: '–', u: '' };
		const s = at || scale(v, unit);
		return { n: digits(v / s.by).replace('-', '−') + (s.prefix || ''), u: s.unit };
	}

	function text(v, unit, at) {
		const p = parts(v, unit, at);
		if (p.u === '') return p.n;
		return p.u === '%' || p.u.startsWith('/') ? p.n + p.u : p.n + ' ' + p.u;
	}

	// ticks returns round values from lo to hi, about n spaces between them.
	function ticks(lo, hi, n, unit) {
		const s = scale(Math.max(Math.abs(lo), Math.abs(hi)), unit);
		const step = niceStep((hi - lo) / s.by / n) * s.by;
		const out = [];
		for (let k = Math.ceil(lo / step - 1e-9); k * step <= hi + step * 1e-9; k++) out.push(k * step);
		return { scale: s, step, values: out };
	}

	function niceStep(raw) {
		if (!(raw > 0)) return 1;
		const p = 10 ** Math.floor(Math.log10(raw));
		const m = raw / p;
		return (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10) * p;
	}

	// tick writes the label of an axis value, with as many decimals as the step needs.
	function tick(v, t, top) {
		const step = t.step / t.scale.by;
		const x = v / t.scale.by;
		let n = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
		if (Math.abs(step * 10 ** n - Math.round(step * 10 ** n)) > 1e-6) n++;
		const s = Math.abs(x) < step * 1e-6 ? '0' : step < 1e-5 ? x.toExponential(1) : x.toFixed(n);
		const u = t.scale.unit;
		const named = u === '%' || (top && u !== '' && (s + u).length <= 6 && !u.includes('/') && u !== 'req' && u !== 'cores');
		return s.replace('-', '−') + (x === 0 ? '' : t.scale.prefix || '') + (!named ? '' : u === '%' ? u : '\u202f' + u);
	}

	const two = (n) => String(n).padStart(2, '0');

	function clock(ms, withSeconds) {
		const d = new Date(ms);
		return two(d.getHours()) + ':' + two(d.getMinutes()) + (withSeconds ? ':' + two(d.getSeconds()) : '');
	}

	function ago(ms) {
		const s = Math.max(0, Math.round(ms / 1000));
		if (s < 90) return s + ' s';
		if (s < 5400) return Math.round(s / 60) + ' min';
		return Math.round(s / 3600) + ' h';
	}

	// timeTicks returns round clock times between two times, at least gap apart.
	function timeTicks(from, to, gap) {
		const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800];
		const step = (steps.find((s) => s * 1000 >= gap) || 21600) * 1000;
		const shift = new Date(to).getTimezoneOffset() * 60000;
		const out = [];
		for (let t = Math.ceil((from - shift) / step) * step + shift; t <= to; t += step) out.push(t);
		return { values: out, seconds: step < 60000 };
	}

	// level is the class of a mark's severity.
	const level = (s) => (/^(critical|error)$/.test(s) ? 'bad' : s === 'warning' ? 'warn' : '');

	return { level, parts, text, scale, ticks, tick, clock, ago, timeTicks };
})();
