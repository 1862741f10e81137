'use strict';
// The page: asks for points, puts cards into sections, tells how it stands, and keeps its
// settings in the fragment.

(() => {
	const { S, take, takeCoarse } = Store;
	const { el, listen, newCard, fillCard, forget, place, invalidate } = Cards;
	const $ = (id) => document.getElementById(id);
	const ranges = document.querySelectorAll('[data-range]');
	const COLLAPSED = ['Go runtime', 'Promhttp'];

	async function get(url) {
		const stop = new AbortController();
		const timer = setTimeout(() => stop.abort(), 15000);
		try {
			const r = await fetch(url, { cache: 'no-store', signal: stop.signal });
			if (!r.ok) throw new Error(/40[13]/.test(r.status) ? 'not allowed' : 'HTTP ' + r.status);
			return await r.json();
		} finally { clearTimeout(timer); }
	}

	async function poll() {
		let wait = Math.min(5000, Math.max(500, S.every));
		try {
			if (!document.hidden || !S.started) {
				const d = await get('data?since=' + S.seq);
				if (!S.layout || d.layout !== S.layout.id) setLayout(await get('layout'));
				if (S.range > S.layout.keep_ms && Date.now() - S.coarse.at > 60000) takeCoarse(await get('data?range=coarse'));
				take(d);
				events();
				S.fails = 0;
				S.lastOK = Date.now();
				status(d);
				invalidate();
			}
		} catch (err) {
			S.fails++;
			wait = Math.min(15000, 1000 * 1.6 ** Math.min(S.fails, 8));
			status(null, err);
		}
		setTimeout(poll, wait);
	}

	// ---- layout

	function setLayout(l) {
		S.layout = l;
		S.keys.clear();
		const seen = new Set();
		for (const p of l.panels) {
			p.key = [p.group, p.title, p.metric].join('|');
			for (const s of p.series) {
				s.key = p.key + '|' + JSON.stringify(s.labels) + '|' + s.name + '|' + (s.part || '');
				S.keys.set(s.id, s.key);
			}
			seen.add(p.key);
			const card = S.cards.get(p.key) || newCard(p);
			card.panel = p;
			fillCard(card);
		}
		for (const [k, c] of S.cards) if (!seen.has(k)) { forget(c); S.cards.delete(k); }
		arrange();
	}

	function section(name) {
		let s = S.sections.get(name);
		if (s) return s;
		const root = el('section', 'group');
		root.id = 'g-' + name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
		const toggle = el('button', 'fold', null, el('h2', '', null, root));
		el('span', 'chevron', '', toggle);
		el('span', '', name, toggle);
		const count = el('span', 'count', '', toggle);
		const facts = el('ul', 'facts', null, root);
		const grid = el('div', 'grid-cards', null, root);
		s = { root, toggle, count, facts, grid, link: el('a', '', name) };
		s.link.href = '#' + root.id;
		listen(s.link, 'click', (e) => { e.preventDefault(); S.open.set(name, true); arrange(); root.scrollIntoView(); });
		listen(toggle, 'click', () => { S.open.set(name, !isOpen(name)); arrange(); });
		S.sections.set(name, s);
		return s;
	}

	const isOpen = (name) => S.query !== '' || (S.open.has(name) ? S.open.get(name) : !COLLAPSED.includes(name));

	// arrange puts cards into sections in the layout's order and hides what the filter leaves out.
	function arrange() {
		const wanted = new Map();
		for (const p of S.layout.panels) wanted.set(p.group, [...(wanted.get(p.group) || []), S.cards.get(p.key)]);
		const words = S.query.toLowerCase().split(/\s+/).filter(Boolean);
		const nodes = [], links = [];
		$('welcome').hidden = S.layout.panels.some((p) => p.own);
		for (const [name, cards] of wanted) {
			const s = section(name);
			const shown = cards.filter((c) => words.every((w) => c.text.includes(w)));
			const open = isOpen(name);
			s.toggle.setAttribute('aria-expanded', open);
			s.count.textContent = open ? '' : shown.length + (shown.length === 1 ? ' chart' : ' charts');
			place(s.facts, shown.filter((c) => c.panel.kind === 'info').map((c) => c.root));
			place(s.grid, shown.filter((c) => c.panel.kind !== 'info').map((c) => c.root));
			s.grid.hidden = !open;
			s.facts.hidden = !open || !s.facts.firstChild;
			s.root.classList.toggle('minor', !cards.some((c) => c.panel.own));
			if (!shown.length) continue;
			nodes.push(s.root);
			links.push(s.link);
		}
		if (words.length && !links.length) nodes.push(el('p', 'hint', 'No chart matches this filter.'));
		place($('charts'), nodes);
		place($('nav'), links.length > 1 ? links : []);
		foot();
		invalidate();
	}

	let told = '';
	function events() {
		const marks = JSON.stringify(S.marks);
		if (marks === told) return;
		told = marks;
		const rows = S.marks.slice(-30).reverse().map((m) => {
			const li = el('li', Format.level(m.severity));
			el('time', '', Format.clock(m.at, true) + (m.end ? ' – ' + Format.clock(m.end, true) : ''), li);
			if (m.severity || m.kind) el('span', 'tag', m.kind || m.severity, li);
			el('b', '', m.title, li);
			if (m.detail) el('span', 'detail', m.detail, li);
			return li;
		});
		$('events').hidden = !rows.length;
		$('event-list').replaceChildren(...rows);
	}

	// foot also fills the list, in the title bar, of what has no metric.
	function foot() {
		const f = $('foot'), l = S.layout, n = S.keys.size;
		f.textContent = n + ' curves of this one process, sampled every ' + Format.text(l.every_ms / 1000, 's') +
			'; forgotten at restart.' + (l.dropped ? ' ' + l.dropped + ' series are over the limit and counted in “other”.' : '');
		const list = $('missing-list');
		list.replaceChildren();
		for (const m of l.missing) {
			const li = el('li', '', null, list);
			el('b', '', m.group, li);
			el('span', '', ' ' + m.titles.join(', '), li);
		}
		$('missing').hidden = !l.missing.length;
		$('missing-count').textContent = l.missing.reduce((a, m) => a + m.titles.length, 0) + ' missing';
	}

	// status tells how the page stands; the text changes only when the state does.
	function status(d, err) {
		const banner = $('banner');
		let state = 'live', text = 'live', says = '';
		if (err) {
			state = 'lost';
			text = 'no connection';
			says = err.message === 'not allowed' ? 'This page is not allowed to read the data.' : 'The server does not answer' + (S.lastOK ? '; last sample ' + Format.ago(Date.now() - S.lastOK) + ' ago' : '') + '. Trying again.';
		} else if (!d.running) {
			state = 'still';
			text = 'not sampling';
			says = 'Nothing is sampling: Run is not running.';
		} else if (d.errors.length) {
			state = 'still';
			text = 'partly';
			says = 'Some metrics could not be gathered: ' + d.errors.join('; ');
		} else if (S.frozen) { state = 'still'; text = 'paused'; }
		$('status').dataset.state = state;
		if ($('status-text').textContent !== text) $('status-text').textContent = text;
		banner.hidden = says === '';
		banner.classList.toggle('bad', state === 'lost');
		if (banner.textContent !== says) banner.textContent = says;
		S.started = true;
		S.said = d || S.said;
	}

	// ---- controls, kept in the fragment

	function remember() {
		const q = new URLSearchParams();
		if (S.range !== 300000) q.set('range', S.range / 60000 + 'm');
		if (S.query) q.set('q', S.query);
		if (S.frozen) q.set('paused', '1');
		if (S.off.size) q.set('off', JSON.stringify([...S.off].slice(0, 40)));
		history.replaceState(null, '', '#' + q.toString());
	}

	function setRange(ms) {
		S.range = ms;
		for (const b of ranges) b.setAttribute('aria-pressed', +b.dataset.range === ms);
		if (S.layout && ms > S.layout.keep_ms) get('data?range=coarse').then(takeCoarse).then(invalidate, () => {});
		remember();
		invalidate();
	}

	function setPaused(on) {
		const t = S.fine.t;
		S.frozen = on ? (t.length ? t[t.length - 1] : Date.now()) : 0;
		$('pause').setAttribute('aria-pressed', on);
		$('pause').setAttribute('aria-label', on ? 'Resume' : 'Pause');
		if (S.said) status(S.said);
		remember();
		invalidate();
	}

	// saved reads the theme kept by the browser, or keeps one; without storage it forgets.
	function saved(v) {
		try {
			if (v) localStorage.setItem('calm-live-theme', v);
			return localStorage.getItem('calm-live-theme');
		} catch { return null; }
	}

	function setTheme(name) { if (/^(dark|light)$/.test(name)) document.documentElement.dataset.theme = name; }

	function start() {
		setTheme(saved());
		const q = new URLSearchParams(location.hash.slice(1));
		const range = parseFloat(q.get('range') || '') * 60000;
		if ([300000, 1800000, 21600000].includes(range)) S.range = range;
		S.query = q.get('q') || '';
		$('filter').value = S.query;
		try { for (const k of JSON.parse(q.get('off') || '[]')) S.off.add(String(k)); } catch { /* not ours */ }
		for (const b of ranges) listen(b, 'click', () => setRange(+b.dataset.range));
		setRange(S.range);
		listen($('pause'), 'click', () => setPaused(!S.frozen));
		listen($('theme'), 'click', () => {
			const d = document.documentElement.dataset;
			const dark = d.theme ? d.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
			setTheme(dark ? 'light' : 'dark');
			saved(d.theme);
		});
		listen($('filter'), 'input', (e) => { S.query = e.target.value.trim(); remember(); if (S.layout) arrange(); });
		listen(document, 'visibilitychange', () => { if (!document.hidden) invalidate(); });
		if (q.get('paused')) setTimeout(() => setPaused(true), 3000);
		S.changed = remember;
		poll();
	}

	start();
})();
