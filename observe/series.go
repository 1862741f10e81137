package observe

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

const (
	otherLabel     = "other"
	unknownModel   = "unknown"
	otherErrorType = "_OTHER"
	customProvider = "custom"
)

// validName reports whether a name may become a label value.
func validName(s string) bool {
	if s == "" || len(s) > maxNameBytes || !utf8.ValidString(s) {
		return false
	}
	return strings.IndexFunc(s, unicode.IsControl) < 0
}

// words is a bounded set of strings that interns its members: the first max
// valid names are in, all others are out. Reading is one atomic load.
type words struct {
	m   atomic.Pointer[map[string]string]
	mu  sync.Mutex // held to add
	max int
}

func newWords(max int, first ...string) *words {
	w := &words{max: max + len(first)}
	m := make(map[string]string, len(first))
	for _, s := range first {
		m[s] = s
	}
	w.m.Store(&m)
	return w
}

// get returns the member equal to b without allocating, if there is one.
func (w *words) get(b []byte) (string, bool) {
	s, ok := (*w.m.Load())[string(b)]
	return s, ok
}

// add returns s, and whether it is a member; it becomes one while there is room.
func (w *words) add(s string) (string, bool) {
	all := *w.m.Load()
	if v, ok := all[s]; ok {
		return v, true
	}
	if len(all) >= w.max || !validName(s) { // full: no lock for a hostile client
		return s, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	old := *w.m.Load()
	if v, ok := old[s]; ok {
		return v, true
	}
	if len(old) >= w.max {
		return s, false
	}
	m := maps.Clone(old)
	m[s] = s
	w.m.Store(&m)
	return s, true
}

// model is one value of the model label, with its series and its engine.
type model struct {
	name        string
	series      atomic.Pointer[[]*series] // few: one for each operation and provider
	preemptions atomic.Uint64             // by Request.Preempted
	engine      atomic.Pointer[Engine]
}

// series is one label set: what is live in it, and the handles of every sink.
type series struct {
	labels   Labels
	model    *model
	inFlight atomic.Int64
	waiting  atomic.Int64
	open     func(Labels) []SeriesSink
	once     sync.Once // of open: off the registry's lock, since it calls the sinks
	sinks    []SeriesSink
}

// registry holds the models of a Recorder. Look-ups are lock-free; what is added
// is never removed, and bounded.
type registry struct {
	models  atomic.Pointer[map[string]*model]
	mu      sync.Mutex // held to add a model or a series
	closed  bool       // only listed models
	max     int        // models besides unknown and other
	order   []*model   // as they came; guarded by mu
	unknown *model
	other   *model
	open    func(Labels) []SeriesSink
}

func newRegistry(listed []string, max int, open func(Labels) []SeriesSink) *registry {
	g := &registry{closed: len(listed) > 0, max: max, open: open,
		unknown: &model{name: unknownModel}, other: &model{name: otherLabel}}
	m := map[string]*model{unknownModel: g.unknown, otherLabel: g.other}
	for _, name := range listed {
		if m[name] == nil {
			m[name] = &model{name: name}
			g.order = append(g.order, m[name])
		}
	}
	g.order = append(g.order, g.unknown, g.other)
	g.models.Store(&m)
	return g
}

// known returns the model of that name without allocating, if it has a place.
func (g *registry) known(name []byte) (*model, bool) {
	m, ok := (*g.models.Load())[string(name)]
	return m, ok
}

// model returns the place of a name: its own, "unknown" or "other".
func (g *registry) model(name string) *model {
	if name == "" {
		return g.unknown
	}
	all := *g.models.Load()
	if m, ok := all[name]; ok {
		return m
	}
	if g.closed || len(all) >= g.max+2 || !validName(name) { // full: no lock for a hostile client
		return g.other
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	old := *g.models.Load()
	if m, ok := old[name]; ok {
		return m
	}
	if len(old) >= g.max+2 { // unknown and other do not count
		return g.other
	}
	m := &model{name: name}
	next := maps.Clone(old)
	next[name] = m
	g.models.Store(&next)
	g.order = append(g.order, m)
	return m
}

// find returns the series of a label set, making it at its first use.
func (g *registry) find(m *model, op Operation, provider string) *series {
	if s := m.find(op, provider); s != nil {
		return s
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := m.find(op, provider); s != nil {
		return s
	}
	l := Labels{Model: m.name, Operation: op, Provider: provider}
	s := &series{labels: l, model: m, open: g.open}
	var next []*series
	if old := m.series.Load(); old != nil {
		next = slices.Clone(*old)
	}
	next = append(next, s)
	m.series.Store(&next)
	return s
}

func (m *model) find(op Operation, provider string) *series {
	if p := m.series.Load(); p != nil {
		for _, s := range *p {
			if s.labels.Operation == op && s.labels.Provider == provider {
				return s
			}
		}
	}
	return nil
}

// all returns the models in the order in which they came.
func (g *registry) all() []*model {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.order)
}
