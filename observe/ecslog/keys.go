package ecslog

import (
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Field is a field of the Elastic Common Schema that a Handler writes under its own
// name.
type Field struct {
	Name string // dotted
	// Type is the Elasticsearch type of its mapping: date, match_only_text, wildcard,
	// keyword, long, integer, double, float, ip, object (labels, whose members are
	// keywords), nested or flattened.
	Type string
	// Array says that it is written as an array.
	Array bool
	// Content says that it holds content, which is written with ContentFull only.
	Content bool
	// Label, if not empty, is the label that is written in its place: a mapping of
	// type nested refuses the lists of strings that the field is used for.
	Label string
}

// Fields returns the table of known fields, ordered by name. An index template is
// made of it. The caller owns the result.
func Fields() []Field {
	t := make([]Field, 0, len(knownFields))
	for name, f := range knownFields {
		t = append(t, Field{Name: name, Type: typeNames[f], Array: f == typeKeywords, Content: f == typeFlattened, Label: renamedLabels[name]})
	}
	slices.SortFunc(t, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return t
}

// fieldType is what may be written under a name.
type fieldType uint8

const (
	typeOwn   fieldType = iota // the program's own field: anything but an object
	typeLabel                  // nothing: it goes to the labels
	typeDate
	typeText
	typeWildcard
	typeKeyword
	typeKeywords // array
	typeLong
	typeInteger // 32 bits
	typeDouble
	typeFloat // 32 bits
	typeIP
	typeObject
	typeNested
	typeFlattened
)

var typeNames = [...]string{
	typeDate: "date", typeText: "match_only_text", typeWildcard: "wildcard", typeKeyword: "keyword", typeKeywords: "keyword",
	typeLong: "long", typeInteger: "integer", typeDouble: "double", typeFloat: "float", typeIP: "ip",
	typeObject: "object", typeNested: "nested", typeFlattened: "flattened",
}

// ecsVersion is the version of the schema that the lines name.
const ecsVersion = "9.4.0"

// knownFields is the part of the schema that is written, with its types: elastic/ecs
// generated/csv/fields.csv at v9.4.0 and, for gen_ai.provider.name, at b85f757.
var knownFields = fieldsByName(map[fieldType]string{
	typeDate:     "@timestamp event.created event.start event.end event.ingested",
	typeText:     "message error.message",
	typeWildcard: "error.stack_trace url.path url.full",
	typeKeyword: `ecs.version log.level log.logger log.origin.file.name log.origin.function
		trace.id transaction.id span.id
		service.name service.version service.environment service.type service.id service.node.name
		event.dataset event.kind event.action event.outcome event.id event.code event.reason event.hash event.provider event.module
		error.type error.code error.id process.name process.thread.name host.name host.hostname
		http.request.method http.request.id http.version url.domain url.query client.address user.id user.name
		user_agent.original network.protocol container.id orchestrator.type orchestrator.namespace
		gen_ai.operation.name gen_ai.system gen_ai.provider.name gen_ai.output.type gen_ai.request.model
		gen_ai.response.model gen_ai.response.id gen_ai.token.type gen_ai.agent.id gen_ai.agent.name
		gen_ai.tool.name gen_ai.tool.type gen_ai.tool.call.id`,
	typeKeywords: "event.category event.type tags",
	typeLong: `log.origin.file.line event.duration event.severity event.sequence process.pid process.thread.id
		http.response.status_code http.request.body.bytes http.response.body.bytes`,
	typeInteger: "gen_ai.usage.input_tokens gen_ai.usage.output_tokens gen_ai.request.max_tokens gen_ai.request.seed gen_ai.request.choice.count",
	typeDouble: `gen_ai.request.temperature gen_ai.request.top_p gen_ai.request.top_k
		gen_ai.request.frequency_penalty gen_ai.request.presence_penalty`,
	typeFloat:  "event.risk_score",
	typeIP:     "client.ip source.ip",
	typeObject: "labels",
	typeNested: "gen_ai.response.finish_reasons gen_ai.request.stop_sequences gen_ai.request.encoding_formats",
	typeFlattened: `gen_ai.system_instructions gen_ai.input.messages gen_ai.output.messages
		gen_ai.tool.definitions gen_ai.tool.call.arguments gen_ai.tool.call.result`,
})

func fieldsByName(byType map[fieldType]string) map[string]fieldType {
	t := map[string]fieldType{}
	for kind, names := range byType {
		for name := range strings.FieldsSeq(names) {
			t[name] = kind
		}
	}
	return t
}

// renamedLabels are the labels that stand for fields of type nested.
var renamedLabels = map[string]string{
	"gen_ai.response.finish_reasons":  "finish_reason",
	"gen_ai.request.stop_sequences":   "stop_sequences",
	"gen_ai.request.encoding_formats": "encoding_formats",
}

// takenRoots are the first parts of names below which only known fields are written:
// those of the schema, as an index template may map any of its fields, and those
// that Filebeat fills in itself.
var takenRoots = func() map[string]bool {
	t := map[string]bool{}
	for root := range strings.FieldsSeq(`agent client cloud container data_stream destination device dll dns ecs email entity error
		event faas file gen_ai group host http labels log message network observer orchestrator organization package process
		registry related rule server service source span tags threat tls trace transaction url user user_agent volume
		vulnerability
		docker input kubernetes stream`) {
		t[root] = true
	}
	return t
}()

// The labels that the Handler writes of its own.
const (
	labelNonfinite  = "nonfinite"
	labelTruncated  = "truncated"
	labelSuppressed = "suppressed"
	labelDropped    = "dropped_fields"
)

var ownLabels = [...]string{labelNonfinite, labelTruncated, labelSuppressed, labelDropped}

// serviceNames are the fields that say which process writes.
var serviceNames = map[string]bool{
	"service.name": true, "service.version": true, "service.environment": true, "service.node.name": true, "event.dataset": true,
}

// maxParts bounds the parts of a dotted name: an index has objects 20 deep at most,
// by its default.
const maxParts = 16

// typeOf returns what may be written under a name.
func typeOf(name string) fieldType {
	switch name {
	case "@timestamp", "log.level", "message", "ecs.version", "labels":
		return typeLabel
	}
	if t, ok := knownFields[name]; ok {
		return t
	}
	root, _, _ := strings.Cut(name, ".")
	if takenRoots[root] || strings.HasPrefix(root, "_") || strings.HasPrefix(root, "@") ||
		len(name) > maxNameBytes || strings.ContainsAny(name, `*\`) {
		return typeLabel
	}
	parts := 0
	for part := range strings.SplitSeq(name, ".") {
		if parts++; parts > maxParts || strings.TrimSpace(part) == "" {
			return typeLabel
		}
	}
	return typeOwn
}

// labelOf returns the name that a key has among the labels.
func labelOf(name string) string {
	if l, ok := renamedLabels[name]; ok {
		return l
	}
	l := strings.TrimPrefix(name, "labels.")
	l = strings.Map(func(r rune) rune {
		if r == '.' || r == '*' || r == '\\' {
			return '_'
		}
		return r
	}, l)
	l, _ = cutText(l, maxNameBytes)
	if strings.TrimSpace(l) == "" {
		return "_"
	}
	return l
}

// key is what is known of a name before there is a value.
type key struct {
	set      *keySet
	leaf     string // as it was given
	name     string
	kind     fieldType
	content  bool // a text under it is content
	forError bool // an error under it is the error of the line
	service  bool // it is one of those of a Service

	hash        uint64
	above       []namePart // the names of which it is below
	label       string
	labelHash   uint64
	quoted      string // its JSON: ,"name":
	quotedLabel string // ,"labels.name":
}

// namePart is the part of a name up to a dot.
type namePart struct {
	name string
	hash uint64
}

// keys makes keys, and keeps the first of them: programs have few. There is one for
// a Handler and those derived from it.
type keys struct {
	content map[string]bool // in lower case
	seed    maphash.Seed

	sets atomic.Pointer[map[string]*keySet] // by prefix
	mu   sync.Mutex                         // held to keep one more key or set
	kept atomic.Int32                       // keys in all sets
}

// keySet are the keys below a prefix, which is empty or ends with a dot.
type keySet struct {
	keys   *keys
	prefix string
	kept   atomic.Pointer[map[string]*key] // by the rest of the name
}

const (
	maxKeptKeys  = 1024             // and sets
	maxKeptBytes = 2 * maxNameBytes // of a name or a prefix
)

func newKeys(content []string) *keys {
	ks := &keys{content: map[string]bool{}, seed: maphash.MakeSeed()}
	for _, c := range content {
		ks.content[strings.ToLower(c)] = true
	}
	ks.sets.Store(&map[string]*keySet{})
	return ks
}

// below returns the keys below a prefix.
func (ks *keys) below(prefix string) *keySet {
	sets := *ks.sets.Load()
	if s, ok := sets[prefix]; ok {
		return s
	}
	s := &keySet{keys: ks, prefix: strings.Clone(prefix)}
	s.kept.Store(&map[string]*key{})
	if len(sets) >= maxKeptKeys || len(prefix) > maxKeptBytes {
		return s
	}
	ks.mu.Lock()
	defer ks.mu.Unlock()
	sets = *ks.sets.Load()
	if other, ok := sets[prefix]; ok {
		return other
	}
	if len(sets) >= maxKeptKeys {
		return s
	}
	sets = maps.Clone(sets)
	sets[s.prefix] = s
	ks.sets.Store(&sets)
	return s
}

// get returns the key of a name below the prefix.
func (s *keySet) get(name string) *key {
	if k, ok := (*s.kept.Load())[name]; ok {
		return k
	}
	k := s.keys.make(s, strings.Clone(name))
	if s.keys.kept.Load() < maxKeptKeys && k.small() {
		s.keep(k)
	}
	return k
}

func (s *keySet) keep(k *key) {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	kept := *s.kept.Load()
	if _, ok := kept[k.leaf]; ok || s.keys.kept.Load() >= maxKeptKeys {
		return
	}
	s.keys.kept.Add(1)
	kept = maps.Clone(kept)
	kept[k.leaf] = k
	s.kept.Store(&kept)
}

// small reports whether a key is not too long to be kept.
func (k *key) small() bool { return len(k.set.prefix)+len(k.leaf) <= maxKeptBytes }

// memo holds keys that a line has had before: most lines are like others.
type memo [64]*key

func (m *memo) get(s *keySet, name string) *key {
	at := &m[0]
	if n := len(name); n > 0 {
		at = &m[(uint(n)*7+uint(name[n-1])*5+uint(name[n/2]))%uint(len(m))]
	}
	if k := *at; k != nil && k.set == s && k.leaf == name {
		return k
	}
	k := s.get(name)
	if k.small() {
		*at = k
	}
	return k
}

func (ks *keys) make(set *keySet, leaf string) *key {
	name := strings.ToValidUTF8(set.prefix+leaf, string(utf8.RuneError))
	k := &key{
		set: set, leaf: leaf, name: name, kind: typeOf(name), label: labelOf(name), hash: ks.hash(name),
		content: ks.isContent(name), service: serviceNames[name],
		forError: leaf == "err" || leaf == "error" || leaf == "",
	}
	k.labelHash = ks.hash(k.label)
	if k.kind != typeLabel {
		k.quoted = quotedKey("", name)
	}
	k.quotedLabel = quotedKey("labels.", k.label)
	if k.kind == typeOwn {
		for i := range len(name) {
			if name[i] == '.' {
				k.above = append(k.above, namePart{name[:i], ks.hash(name[:i])})
			}
		}
	}
	return k
}

func (ks *keys) hash(name string) uint64 { return maphash.String(ks.seed, name) }

// isContent reports whether texts under a name are content.
func (ks *keys) isContent(name string) bool {
	if t, ok := knownFields[name]; ok {
		return t == typeFlattened
	}
	for part := range strings.SplitSeq(name, ".") {
		if ks.content[strings.ToLower(part)] {
			return true
		}
	}
	return false
}

func quotedKey(prefix, name string) string {
	b := append(make([]byte, 0, len(prefix)+len(name)+4), ',', '"')
	b = appendEscaped(append(b, prefix...), name)
	return string(append(b, '"', ':'))
}
