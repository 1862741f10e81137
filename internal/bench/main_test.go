package main

import (
	"bytes"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeprom"
)

// spin works in a way that the compiler cannot take away.
func spin(name string, rounds uint64) Case {
	var x uint64
	return Case{Name: name, Run: func(n int) {
		for range n {
			for i := range rounds {
				x = x*6364136223846793005 + i
			}
		}
		runtime.KeepAlive(x)
	}}
}

// TestPlantedSlowCase is the negative control: with the real clocks a case that
// does twice the work is short of a bar of 1.5, and one that does the same is
// not.
func TestPlantedSlowCase(t *testing.T) {
	for _, process := range []bool{false, true} {
		s := Suite{
			Name: "planted",
			Claims: []Claim{
				{Name: "planted.same", Ours: Of("same"), Peer: Of("base"), Bar: 1.5},
				{Name: "planted.slow", Ours: Of("slow"), Peer: Of("base"), Bar: 1.5},
				{Name: "planted.added", Ours: Added("slow", "base"), Peer: Of("base"), Bar: 0.5},
				{Name: "planted.reported", Ours: Of("slow"), Peer: Of("base"), Open: true},
			},
			Process: process,
			Cases: func() ([]Case, func(), error) {
				return []Case{spin("base", 500), spin("same", 500), spin("slow", 1000)}, func() {}, nil
			},
		}
		var out bytes.Buffer
		short, err := report(&out, []Suite{s}, Limits{Time: time.Second, Rounds: 30, Slice: 200 * time.Microsecond}, true)
		require.NoError(t, err)
		verdicts := map[string]string{}
		for line := range strings.Lines(out.String()) {
			if words := strings.Fields(line); strings.HasPrefix(line, "planted") {
				verdicts[words[0]] = words[len(words)-1]
			}
		}
		require.Equal(t, map[string]string{"planted.same": "ok", "planted.slow": "short", "planted.added": "short", "planted.reported": "-"}, verdicts, out.String())
		require.Equal(t, 2, short)
	}
}

// TestContended is the negative control of the claim about locks: a lock that
// goroutines wait for is seen.
func TestContended(t *testing.T) {
	n := contended("github.com/calmops/calm/internal/bench", func() {
		var mu sync.Mutex
		var waiting sync.WaitGroup
		mu.Lock()
		waiting.Go(func() {
			mu.Lock()
			defer mu.Unlock()
		})
		time.Sleep(20 * time.Millisecond)
		mu.Unlock()
		waiting.Wait()
	})
	require.Positive(t, n)
	require.Zero(t, contended("github.com/calmops/calm/internal/bench.nobody", func() {}))
}

// TestWorkloads: every stream is read as what it is, so that the figures are
// those of the path that they name.
func TestWorkloads(t *testing.T) {
	for _, test := range []struct {
		name     string
		make     func() workload
		protocol observe.Protocol
		stream   bool
	}{
		{"answer", answer, observe.ProtocolOpenAI, false},
		{"chat", func() workload { return chat(events) }, observe.ProtocolOpenAI, true},
		{"crlf", crlf, observe.ProtocolOpenAI, true},
		{"responses", responses, observe.ProtocolResponses, true},
		{"anthropic", anthropic, observe.ProtocolAnthropic, true},
		{"ollama", ollama, observe.ProtocolOllama, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []observe.RequestStats
			m, err := withObserve(observe.Config{OnRequest: func(s observe.RequestStats) { got = append(got, s) }}, observeprom.ServingConfig{})
			require.NoError(t, err)
			w := test.make()
			w.served(m(w.handler()))(2)
			require.Len(t, got, 2)
			for _, s := range got {
				require.Equal(t, observe.OutcomeOK, s.Outcome)
				require.Equal(t, test.protocol, s.Protocol)
				require.Equal(t, test.stream, s.Stream)
				require.Equal(t, modelName, s.Model)
				require.EqualValues(t, 9, s.Usage.Input)
				if test.stream {
					require.True(t, s.Complete)
					require.Equal(t, events, s.TokenEvents)
					require.EqualValues(t, events, s.Usage.Output)
				}
			}
		})
	}
	for _, chunk := range chat(events).writes[:events] {
		require.Len(t, chunk, chunkBytes)
	}
}

// TestPeersWork: the peers do what their names say.
func TestPeersWork(t *testing.T) {
	chunks := chat(events)
	usage := chunks.writes[events]
	prompt, completion := decode(usage)
	require.EqualValues(t, 9, prompt)
	require.EqualValues(t, events, completion)

	for _, s := range suites() {
		if s.Cases == nil {
			continue
		}
		cases, done, err := s.Cases()
		require.NoError(t, err, s.Name)
		names := map[string]bool{}
		for _, c := range cases {
			require.False(t, names[c.Name], "%s has %s twice", s.Name, c.Name)
			names[c.Name] = true
			c.Run(2)
		}
		for name := range s.needed() {
			require.True(t, names[name], "%s has no case %q", s.Name, name)
		}
		done()
	}
}

// TestClaims: the names follow the pattern, once each.
func TestClaims(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range suites() {
		for _, c := range s.Claims {
			require.True(t, strings.HasPrefix(c.Name, s.Name+"."), c.Name)
			require.False(t, seen[c.Name], c.Name)
			seen[c.Name] = true
			require.NotEmpty(t, c.Doc, c.Name)
			require.False(t, c.Open && c.Bar != 0, c.Name)
		}
	}
}

func TestRun(t *testing.T) {
	for _, test := range []struct {
		args   string
		code   int
		stdout string // Part of it.
		stderr string
	}{
		{"", 2, "", "give one of -bars and -list"},
		{"-bars -list", 2, "", "give one of -bars and -list"},
		{"-bars -only nothing.", 2, "", "-only nothing.: no claim has that name"},
		{"-bars -time 0s", 2, "", "-time 0s: want more than 0"},
		{"-bars -rounds -1", 2, "", "-rounds -1: want more than 0"},
		{"-bars observe", 2, "", `"observe" is no flag`},
		{"-time soon", 2, "", "invalid value"},
		{"-h", 0, "", "-bars"},
		{"-list -only observe.sse.", 0, "observe.sse.unmarshal", ""},
		{"-bars -only observe.allocs.chunk", 0, "observe.allocs.chunk", ""},
		{"-bars -only observe.sse.self -rounds 2", 0, "observe.sse.self", ""},
	} {
		t.Run(test.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			require.Equal(t, test.code, run(strings.Fields(test.args), &stdout, &stderr), "%s%s", &stdout, &stderr)
			require.Contains(t, stdout.String(), test.stdout)
			require.Contains(t, stderr.String(), test.stderr)
		})
	}
}

func TestFormat(t *testing.T) {
	for want, got := range map[string]string{
		"27.8ns": Nanoseconds.format(27.83), "2298ns": Nanoseconds.format(2298), "33.6us": Nanoseconds.format(33_600),
		"1.24ms": Nanoseconds.format(1.24e6), "-12.0ns": Nanoseconds.format(-12), "2allocs": Allocations.format(2),
		"8192B": Bytes.format(8192), "1x": Times.format(1), "0.07": number(0.07), "0.074": number(0.0737), "0.20": number(0.2), "2": number(2), "24.5": number(24.5),
	} {
		require.Equal(t, want, got)
	}
	l := Judge(Claim{Ours: Of("absent"), Open: true}, nil)
	require.Equal(t, []string{"-", "-", "-"}, []string{Nanoseconds.format(l.OursIs), number(l.Ratio), l.verdict()})
}
