'use strict';
// One card a panel: caption, headline number, chart or table, legend. Only cards in view are
// drawn. All text from outside goes through textContent; nothing is ever parsed as markup.

const Cards = (() => {
	const { S, view, points } = Store;
	const HINTS = {
		ok: 2, p50: 0, p90: 4, p99: 1, limit: 7,
		client_error: 4, server_error: 1, panic: 3, timeout: 6, client_disconnect: 7, stream_error: 5,
		step: 0, data_wait: 4, checkpoint_save: 3, checkpoint_restore: 3, eval: 5, init: 6, idle: 7, recovery: 1,
	};
	const SEQUENCE = [0, 4, 2, 1, 3, 5, 6, 7];

	function el(tag, cls, text, parent) {
		const e = document.createElement(tag);
		if (tag === 'button') e.type = tag;
		if (cls) e.className = cls;
		if (text != null) e.textContent = text;
		if (parent) parent.appendChild(e);
		return e;
	}

	const listen = (e, type, f) => e.addEventListener(type, f);

	// say writes a text that has changed.
	const say = (e, text) => { if (e.textContent !== text) e.textContent = text; };

	// place makes nodes the children of a parent, moving only what is out of place.
	function place(parent, nodes) {
		nodes.forEach((n, i) => { if (parent.children[i] !== n) parent.insertBefore(n, parent.children[i] || null); });
		while (parent.children.length > nodes.length) parent.lastElementChild.remove();
	}

	function newCard(p) {
		const c = { panel: p, key: p.key, visible: false, rows: new Map(), table: false, plot: null };
		S.cards.set(p.key, c);
		if (p.kind === 'info') { c.root = el('li', 'fact'); return c; }
		c.root = el('figure', 'card');
		c.cap = el('figcaption', '', null, c.root);
		el('span', 'name', p.title, c.cap);
		c.sim = el('span', 'sim', 'simulated', c.cap);
		c.flip = el('button', 'flip', 'table', c.cap);
		c.flip.setAttribute('aria-pressed', 'false');
		c.flip.setAttribute('aria-label', p.title + ' as a table');
		listen(c.flip, 'click', () => {
			c.table = !c.table;
			c.body.hidden = c.table;
			c.numbers.hidden = !c.table;
			c.flip.setAttribute('aria-pressed', c.table);
			invalidate();
		});
		c.now = el('p', 'now', null, c.root);
		c.num = el('span', 'num', '–', c.now);
		c.unit = el('span', 'unit', '', c.now);
		c.of = el('span', 'of', '', c.now);
		c.rate = el('span', 'rate', '', c.now);
		c.body = el('div', 'plot', null, c.root);
		c.numbers = el('div', 'numbers', null, c.root);
		c.numbers.hidden = true;
		c.legend = el('div', 'legend', null, c.root);
		seer.observe(c.root);
		if (p.kind === 'state') { c.now.hidden = true; c.flip.hidden = true; return c; }
		c.plot = new Chart.Plot(c.body, p.title);
		sizes.observe(c.body);
		c.body.tabIndex = 0;
		c.body.setAttribute('role', 'group');
		c.body.setAttribute('aria-label', p.title + ', arrow keys read values');
		const move = (e) => { const box = c.body.getBoundingClientRect(); if (c.plot.t) hover(c, c.plot.timeAt(e.clientX - box.left)); };
		listen(c.body, 'pointermove', move);
		listen(c.body, 'pointerdown', move);
		listen(c.body, 'pointerleave', (e) => { if (e.pointerType === 'mouse') hover(null, NaN); });
		listen(c.body, 'blur', () => hover(null, NaN));
		listen(c.body, 'keydown', (e) => step(c, e));
		return c;
	}

	function step(c, e) {
		if (!c.plot.t) return;
		const v = view(), t = c.plot.t;
		const [lo, hi] = Chart.bounds(t, v.from, v.to);
		const i = isNaN(S.hover) ? hi - 1 : Chart.nearest(t, S.hover);
		const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[e.key];
		if (e.key === 'Escape') hover(null, NaN);
		if (by === undefined) return;
		e.preventDefault();
		hover(c, t[Math.max(lo, Math.min(hi - 1, i + by))]);
	}

	function hover(card, ms) {
		S.hover = ms;
		S.hoverCard = card;
		invalidate();
	}

	function fillCard(c) {
		const p = c.panel;
		c.text = [p.group, p.title, p.metric, ...p.series.map((s) => s.name)].join(' ').toLowerCase();
		if (p.kind === 'info') { fillFact(c); return; }
		c.sim.hidden = !p.simulated;
		c.cap.setAttribute('title', p.metric + (p.help ? ': ' + p.help : ''));
		c.curves = p.series.filter((s) => s.part !== 'rate' || p.series.length === 1);
		c.rates = c.curves.length < p.series.length ? p.series.filter((s) => s.part === 'rate') : [];
		const leads = (s) => p.head === '=' + s.name;
		c.curves.sort((a, b) => leads(b) - leads(a));
		const plain = c.curves.filter((s) => !s.limit);
		// Known names have their colours where there are few curves; the others share what is left.
		const used = new Set();
		for (const s of c.curves) {
			const h = plain.length > 8 ? NaN : HINTS[s.part || s.name];
			s.color = used.has(h) ? NaN : h;
			if (h >= 0) used.add(h);
		}
		let k = 0;
		for (const s of c.curves) {
			if (s.color >= 0) continue;
			while (used.size < 8 && used.has(SEQUENCE[k % 8])) k++;
			used.add(s.color = s.limit ? 7 : SEQUENCE[k++ % 8]);
		}
		c.curves.forEach((s, i) => { s.index = i; });
		c.slots = [];
	}

	function fillFact(c) {
		c.root.replaceChildren();
		el('span', 'fact-name', c.panel.title, c.root);
		for (const s of c.panel.series.slice(0, 12)) {
			const words = Object.entries(s.labels || {}).filter(([, v]) => v !== '').sort(([a], [b]) => (b === 'model') - (a === 'model'));
			const chip = el('span', 'chip', null, c.root);
			for (const [k, v] of words) {
				const pair = el('span', 'pair', null, chip);
				el('span', 'k', k, pair);
				el('span', 'v', v, pair);
			}
		}
	}

	// shown are the curves of a card: the top ones by last value, or all on demand.
	function shown(c, last) {
		const top = c.panel.top || 8;
		if (c.curves.length <= top || S.more.has(c.key)) return c.curves;
		const at = (s) => { const v = last(s); return isNaN(v) ? -Infinity : v; };
		const best = new Set([...c.curves].sort((a, b) => at(b) - at(a)).slice(0, top));
		// Of more curves than colours, those shown have one each, for as long as they are shown.
		c.slots = c.slots.map((s) => (best.has(s) ? s : null));
		for (const s of best) {
			if (c.slots.includes(s)) continue;
			const free = c.slots.indexOf(null);
			s.index = free < 0 ? c.slots.length : free;
			s.color = SEQUENCE[s.index % 8];
			c.slots[s.index] = s;
		}
		return c.curves.filter((s) => best.has(s));
	}

	function drawCard(c, v, data) {
		const p = c.panel;
		const values = new Map(p.series.map((s) => [s.key, data.of(s.key)]));
		const [lo, hi] = Chart.bounds(data.t, v.from, v.to);
		const at = (s, i) => values.get(s.key)[i] ?? NaN;
		const last = (s) => at(s, hi - 1);
		if (p.kind === 'state') { drawStates(c, last); return; }
		const list = shown(c, last).filter((s) => s.limit || values.get(s.key).some((x) => !isNaN(x)));
		const on = list.filter((s) => !S.off.has(s.key));
		const i = !isNaN(S.hover) ? Chart.nearest(data.t, S.hover) : hi - 1;
		headline(c, on, c.curves.length === 1 ? (s) => at(s, i) : last);
		legend(c, list, (s) => at(s, i));
		if (c.table) { table(c, on, values, lo, hi); return; }
		c.plot.draw(data.t, on.map((s) => ({ v: values.get(s.key), color: s.color, index: s.index, limit: s.limit, name: s.name })), {
			from: v.from, to: v.to, unit: p.unit, gap: data.gap, empty: p.empty, marks: S.marks,
			step: p.kind === 'step', stack: p.kind === 'stack', fit: p.fit, rows: p.own ? 3 : 2.2,
		});
		c.plot.point(isNaN(S.hover) ? -1 : i, c === S.hoverCard);
	}

	const atLeast = (s, x) => (s.cap && x >= s.cap * 0.999999 ? '≥ ' : '');

	function headline(c, on, last) {
		const p = c.panel;
		const live = on.filter((s) => !s.limit && !isNaN(last(s)));
		let x = NaN, of = '', lead = '';
		if (p.head === 'sum' && live.length) {
			x = live.reduce((a, s) => a + last(s), 0);
			of = live.length > 1 ? 'in all' : '';
		} else if (live.length) {
			let s = live[0];
			if (p.head === 'max') s = live.reduce((a, b) => (last(b) > last(a) ? b : a));
			x = last(s);
			lead = atLeast(s, x);
			of = on.length > 1 || s.part ? s.name : '';
		}
		const parts = Format.parts(x, p.unit);
		say(c.num, lead + parts.n);
		say(c.unit, parts.u);
		say(c.of, of);
		c.root.classList.toggle('idle', isNaN(x));
		const rates = c.rates.map(last).filter((r) => !isNaN(r));
		say(c.rate, rates.length && live.length ? Format.text(rates.reduce((a, b) => a + b, 0), '/s') : '');
	}

	function legend(c, list, at) {
		c.legend.hidden = c.curves.length === 1; // the headline says it all
		const nodes = [];
		for (const s of c.legend.hidden ? [] : list) {
			let b = c.rows.get(s.key);
			if (!b) {
				b = el('button', 'key');
				b.swatch = el('span', 'swatch', null, b);
				b.label = el('span', 'label', '', b);
				b.val = el('span', 'val', '', b);
				listen(b, 'click', () => { if (!S.off.delete(s.key)) S.off.add(s.key); S.changed(); invalidate(); });
				c.rows.set(s.key, b);
			}
			b.swatch.className = 'swatch c' + s.color;
			b.swatch.dataset.dash = s.limit ? 'limit' : c.panel.kind === 'stack' ? 0 : s.index % 8;
			say(b.label, s.name || c.panel.title);
			const x = at(s);
			say(b.val, atLeast(s, x) + Format.text(x, c.panel.unit));
			b.setAttribute('aria-pressed', !S.off.has(s.key));
			nodes.push(b);
		}
		const hidden = c.curves.length - shown(c, at).length;
		if (hidden > 0 || S.more.has(c.key)) {
			if (!c.moreButton) {
				c.moreButton = el('button', 'key more');
				listen(c.moreButton, 'click', () => { if (!S.more.delete(c.key)) S.more.add(c.key); invalidate(); });
			}
			c.moreButton.textContent = hidden > 0 ? '+' + hidden + ' more' : 'fewer';
			nodes.push(c.moreButton);
		}
		place(c.legend, nodes);
	}

	function table(c, on, values, lo, hi) {
		const t = el('table');
		const head = el('tr', '', null, el('thead', '', null, t));
		const columns = ['last', 'min', 'mean', 'max'];
		for (const h of ['', ...columns]) el('th', '', h, head).setAttribute('scope', 'col');
		const body = el('tbody', '', null, t);
		for (const s of on) {
			const row = el('tr', '', null, body), at = Chart.span(values.get(s.key), lo, hi);
			el('th', '', s.name || c.panel.title, row).setAttribute('scope', 'row');
			for (const k of columns) el('td', '', Format.text(at[k], c.panel.unit), row);
		}
		c.numbers.replaceChildren(t);
	}

	// drawStates lists what is in which state: of series that are 0 or 1, the label of the 1.
	function drawStates(c, last) {
		const rows = new Map();
		for (const s of c.curves) {
			const { state, phase, ...labels } = s.labels || {};
			const name = Object.values(labels).join(' · ') || c.panel.title;
			if (!rows.has(name)) rows.set(name, '–');
			if (last(s) === 1) rows.set(name, state || phase || '');
		}
		const list = [...rows].slice(0, 12).map(([name, state]) => {
			const r = el('div', 'state');
			el('span', 'label', name, r);
			el('span', 'pill ' + (/^(up|ok|serving|healthy|done|promoted|ready|beating)$/.test(state) ? 'good' : /^(down|failed|rolled_back|critical|hung|unhealthy)$/.test(state) ? 'bad' : ''), state, r);
			return r;
		});
		c.body.className = 'states';
		c.body.replaceChildren(...list);
	}

	const seer = new IntersectionObserver((entries) => {
		for (const e of entries) for (const c of S.cards.values()) if (c.root === e.target) c.visible = e.isIntersecting;
		invalidate();
	}, { rootMargin: '160px' });

	const sizes = new ResizeObserver(() => invalidate());

	function invalidate() {
		if (!S.dirty) requestAnimationFrame(draw);
		S.dirty = true;
	}

	function draw() {
		S.dirty = false;
		if (!S.layout) return;
		const v = view(), data = points(v);
		const list = [...S.cards.values()].filter((c) => c.visible && c.curves && c.root.offsetParent);
		for (const c of list) if (c.plot) c.plot.measure();
		for (const c of list) drawCard(c, v, data);
	}

	return { el, listen, newCard, fillCard, forget: (c) => { c.root.remove(); seer.unobserve(c.root); }, place, invalidate, draw };
})();
