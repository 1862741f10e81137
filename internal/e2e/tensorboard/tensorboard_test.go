// Package tensorboard reads what calm writes with TensorBoard's own code.
//
// It needs Debian's python3-protobuf, python3-numpy, python3-absl and
// protobuf-compiler, and the path of TensorBoard's source in CALM_TENSORBOARD:
//
//	git clone --depth 1 https://github.com/tensorflow/tensorboard
//	CALM_TENSORBOARD=$PWD/tensorboard go test ./tensorboard
//
// The test compiles the .proto files itself, into a folder of its own. Neither
// TensorFlow nor a build of TensorBoard is needed: its readers of event files are
// plain Python. CALM_PYTHON names the interpreter; it defaults to /usr/bin/python3.
package tensorboard

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/training"
	"github.com/calmops/calm/observe/training/tfevents"
)

// reader runs TensorBoard's code.
type reader struct{ python, checkout, protos string }

// newReader compiles the .proto files, or skips and says what is missing.
func newReader(t *testing.T) *reader {
	r := &reader{python: cmp.Or(os.Getenv("CALM_PYTHON"), "/usr/bin/python3"), checkout: os.Getenv("CALM_TENSORBOARD"), protos: t.TempDir()}
	if r.checkout == "" {
		t.Skip("CALM_TENSORBOARD does not name a checkout of github.com/tensorflow/tensorboard")
	}
	protoc, err := exec.LookPath("protoc")
	if err != nil {
		t.Skip("no protoc in PATH (Debian: apt-get install protobuf-compiler)")
	}
	for _, module := range []string{"google.protobuf", "numpy", "absl"} {
		if out, err := exec.Command(r.python, "-c", "import "+module).CombinedOutput(); err != nil {
			t.Skipf("%s cannot import %s (Debian: apt-get install python3-protobuf python3-numpy python3-absl): %v: %s", r.python, module, err, out)
		}
	}
	args := []string{"--proto_path=" + r.checkout, "--python_out=" + r.protos}
	for _, folder := range []string{"compat/proto", "plugins/*"} {
		protos, err := filepath.Glob(filepath.Join(r.checkout, "tensorboard", folder, "*.proto"))
		require.NoError(t, err)
		require.NotEmpty(t, protos, "no .proto files in %s of %s", folder, r.checkout)
		args = append(args, protos...)
	}
	out, err := exec.Command(protoc, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return r
}

// runView is what both readers make of a run.
type runView struct {
	Server struct {
		Plugins map[string][]string
		Points  map[string][]point
	}
	Classic struct{ Points map[string][]point }
}

// point is step, wall time and value.
type point [3]json.RawMessage

func (r *reader) read(t *testing.T, run string) *runView {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, r.python, "-W", "ignore", "-B", "read.py", r.checkout, r.protos, run)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", stderr.String())
	var all map[string]*runView
	require.NoError(t, json.Unmarshal(out, &all))
	require.NotNil(t, all[run])
	return all[run]
}

// scalars tells the points of a tag as "step:value".
func scalars(points []point) string {
	var all []string
	for _, p := range points {
		all = append(all, string(p[0])+":"+strings.Trim(strings.TrimSuffix(string(p[2]), ".0"), `"`))
	}
	return strings.Join(all, " ")
}

// process is a process that trains.
type process struct {
	t       *testing.T
	sink    *tfevents.Sink
	session *training.Session
}

var day = time.Unix(1_700_000_000, 0)

func start(t *testing.T, cfg tfevents.Config) *process {
	sink, err := tfevents.New(cfg)
	require.NoError(t, err)
	return &process{t: t, sink: sink, session: &training.Session{Run: "r", World: 1}}
}

func (p *process) write(r training.Record) {
	p.t.Helper()
	r.Session, r.At = p.session, day.Add(time.Duration(r.Step)*time.Second)
	require.NoError(p.t, p.sink.Write(p.t.Context(), []training.Record{r}))
}

// steps writes loss = 10 x step + of.
func (p *process) steps(from, to int64, of float64) {
	p.t.Helper()
	for n := from; n <= to; n++ {
		p.write(training.Record{Step: n, Tag: "train/loss", Value: float64(10*n) + of})
	}
}

func (p *process) event(step int64, kind training.EventKind) {
	p.t.Helper()
	p.write(training.Record{Kind: training.RecordEvent, Step: step, Event: &training.Event{Kind: kind, Step: step}})
}

func (p *process) mark(kind training.RecordKind, step int64) {
	p.t.Helper()
	p.write(training.Record{Kind: kind, Step: step})
}

func (p *process) close() {
	p.t.Helper()
	require.NoError(p.t, p.sink.Close(p.t.Context()))
}

// files returns the event files of a folder.
func files(t *testing.T, dir string) []string {
	names, err := filepath.Glob(filepath.Join(dir, "*tfevents*"))
	require.NoError(t, err)
	return names
}

func TestTensorBoard(t *testing.T) {
	r := newReader(t)
	t.Run("values", r.testValues)
	t.Run("runs", r.testRuns)
	t.Run("without marks", r.testWithoutMarks)
	t.Run("damage", r.testDamage)
}

// Values of every kind, in both styles, arrive as they were written.
func (r *reader) testValues(t *testing.T) {
	histogram := &training.Histogram{Min: -1, Max: 2.5, Count: 6, Sum: 3.25, SumSquares: 9.5,
		Limits: []float64{-2, -.5, 0, 1, 3, 4}, Counts: []int64{0, 2, 0, 3, 1, 0}}
	for _, tensors := range []bool{false, true} {
		t.Run(fmt.Sprintf("tensors=%t", tensors), func(t *testing.T) {
			dir := t.TempDir()
			p := start(t, tfevents.Config{Dir: dir, Tensors: tensors})
			for i, v := range []float64{3, 0, -1.5, math.NaN(), math.Inf(1), math.Inf(-1), 1e300, 1 << 25} {
				p.write(training.Record{Step: int64(i + 1), Tag: "train/loss", Value: v})
			}
			p.write(training.Record{Kind: training.RecordScalar, Step: 8, Tag: "bad \xff tag", Value: 1})
			p.write(training.Record{Kind: training.RecordHistogram, Step: 8, Tag: "gradients/a", Histogram: histogram})
			p.write(training.Record{Kind: training.RecordHistogram, Step: 9, Tag: "gradients/a", Histogram: &training.Histogram{}})
			p.event(9, training.EventNonFinite)
			p.close()

			view := r.read(t, dir)
			want := "1:3 2:0 3:-1.5 4:nan 5:inf 6:-inf 7:inf 8:33554432"
			for _, points := range []map[string][]point{view.Server.Points, view.Classic.Points} {
				assert.Equal(t, want, scalars(points["train/loss"]))
				assert.Equal(t, "8:1", scalars(points["bad \uFFFD tag"]))
				assert.Equal(t, "9:1", scalars(points["events/non_finite"]))
				assert.JSONEq(t, "1700000001", string(points["train/loss"][0][1]))
				require.Len(t, points["gradients/a"], 2)
			}
			assert.ElementsMatch(t, []string{"train/loss", "bad \uFFFD tag", "events/non_finite"}, view.Server.Plugins["scalars"])
			assert.Equal(t, []string{"gradients/a"}, view.Server.Plugins["histograms"])
			assert.JSONEq(t, `[[-1, -0.5, 2], [-0.5, 0, 0], [0, 1, 3], [1, 2.5, 1]]`, string(view.Server.Points["gradients/a"][0][2]))
			assert.JSONEq(t, `[]`, string(view.Server.Points["gradients/a"][1][2]))
			assert.JSONEq(t, `{"head": [-1, 2.5, 6, 3.25, 9.5], "limits": [-0.5, 0, 1, 3], "counts": [2, 0, 3, 1]}`,
				string(view.Classic.Points["gradients/a"][0][2]))
		})
	}
}

// Resumed, rolled back and torn runs look to both readers as to tfevents.Load.
func (r *reader) testRuns(t *testing.T) {
	for name, c := range map[string]struct {
		run     func(t *testing.T, dir string)
		want    string
		classic string // if event_accumulator shows something else
	}{
		"fresh": {func(t *testing.T, dir string) {
			start(t, tfevents.Config{Dir: dir}).steps(1, 5, 0)
		}, "1:10 2:20 3:30 4:40 5:50", ""},
		"resumed": {func(t *testing.T, dir string) {
			start(t, tfevents.Config{Dir: dir}).steps(1, 5, 0)
			p := start(t, tfevents.Config{Dir: dir})
			p.mark(training.RecordSession, 4)
			p.steps(4, 6, 1)
		}, "1:10 2:20 3:30 4:41 5:51 6:61", ""},
		// event_accumulator's marks remove no tensors.
		"resumed as tensors": {func(t *testing.T, dir string) {
			start(t, tfevents.Config{Dir: dir, Tensors: true}).steps(1, 5, 0)
			p := start(t, tfevents.Config{Dir: dir, Tensors: true})
			p.mark(training.RecordSession, 4)
			p.steps(4, 6, 1)
		}, "1:10 2:20 3:30 4:41 5:51 6:61", "1:10 2:20 3:30 4:40 5:50 4:41 5:51 6:61"},
		"Resume forgotten": {func(t *testing.T, dir string) {
			start(t, tfevents.Config{Dir: dir}).steps(1, 5, 0)
			start(t, tfevents.Config{Dir: dir}).steps(4, 6, 1)
		}, "1:10 2:20 3:30 4:41 5:51 6:61", ""},
		"an event before anybody knows the step": {func(t *testing.T, dir string) {
			start(t, tfevents.Config{Dir: dir}).steps(1, 5, 0)
			p := start(t, tfevents.Config{Dir: dir})
			p.event(0, training.EventLedgerLost)
			p.steps(4, 6, 1)
		}, "1:10 2:20 3:30 4:41 5:51 6:61", ""},
		"begun again": {func(t *testing.T, dir string) {
			start(t, tfevents.Config{Dir: dir}).steps(1, 5, 0)
			start(t, tfevents.Config{Dir: dir}).steps(1, 2, 1)
		}, "1:11 2:21", ""},
		"rolled back": {func(t *testing.T, dir string) {
			p := start(t, tfevents.Config{Dir: dir})
			p.steps(1, 5, 0)
			p.mark(training.RecordRollback, 3)
			p.steps(3, 4, 1)
		}, "1:10 2:20 3:31 4:41", ""},
		"rolled back after a resume": {func(t *testing.T, dir string) {
			start(t, tfevents.Config{Dir: dir}).steps(1, 5, 0)
			p := start(t, tfevents.Config{Dir: dir})
			p.mark(training.RecordSession, 4)
			p.steps(4, 6, 1)
			p.mark(training.RecordRollback, 2)
			p.steps(2, 3, 2)
		}, "1:10 2:22 3:32", ""},
		"torn, then resumed": {func(t *testing.T, dir string) {
			p := start(t, tfevents.Config{Dir: dir})
			p.steps(1, 5, 0)
			p.close()
			name := files(t, dir)[0]
			info, err := os.Stat(name)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(name, info.Size()-20))
			p = start(t, tfevents.Config{Dir: dir})
			p.mark(training.RecordSession, 5)
			p.steps(5, 6, 1)
		}, "1:10 2:20 3:30 4:40 5:51 6:61", ""},
		"the clock was set back": {func(t *testing.T, dir string) {
			start(t, tfevents.Config{Dir: dir, Host: "z"}).steps(1000, 1001, 0)
			start(t, tfevents.Config{Dir: dir, Host: "a"}).steps(3, 4, 1)
		}, "3:31 4:41", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.run(t, dir)
			view := r.read(t, dir)
			assert.Equal(t, c.want, scalars(view.Server.Points["train/loss"]), "plugin_event_accumulator")
			assert.Equal(t, cmp.Or(c.classic, c.want), scalars(view.Classic.Points["train/loss"]), "event_accumulator")
			assert.Equal(t, c.want, loaded(t, dir), "Load")
		})
	}
}

// loaded tells what tfevents.Load makes of a folder.
func loaded(t *testing.T, dir string) string {
	points, err := tfevents.Load(os.DirFS(dir))
	require.NoError(t, err)
	var all []string
	for _, p := range points["train/loss"] {
		all = append(all, fmt.Sprintf("%d:%v", p.Step, p.Value))
	}
	return strings.Join(all, " ")
}

// What the rules of the sink are for: without marks in the first file the server's
// reader shows both curves, and so does Load.
func (r *reader) testWithoutMarks(t *testing.T) {
	dir := t.TempDir()
	for i, mark := range []bool{false, true} {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("events.out.tfevents.170000000%d.h.1.0", i)))
		require.NoError(t, err)
		w, err := tfevents.NewWriter(f, day)
		require.NoError(t, err)
		if mark {
			require.NoError(t, w.SessionStart(day, 4))
		}
		for n := int64(1 + 3*i); n <= 5; n++ {
			require.NoError(t, w.Scalar(day, n, "train/loss", float64(10*n+int64(i))))
		}
		require.NoError(t, w.Flush())
		require.NoError(t, f.Close())
	}
	view := r.read(t, dir)
	both := "1:10 2:20 3:30 4:40 5:50 4:41 5:51"
	assert.Equal(t, both, scalars(view.Server.Points["train/loss"]))
	assert.Equal(t, both, loaded(t, dir))
	assert.Equal(t, "1:10 2:20 3:30 4:41 5:51", scalars(view.Classic.Points["train/loss"]))
}

// One wrong byte costs all later records of its file, to TensorBoard as to Load.
func (r *reader) testDamage(t *testing.T) {
	dir := t.TempDir()
	p := start(t, tfevents.Config{Dir: dir})
	p.steps(1, 5, 0)
	p.close()
	name := files(t, dir)[0]
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	b[len(b)-3*48]++
	require.NoError(t, os.WriteFile(name, b, 0o600))

	points, err := tfevents.Load(os.DirFS(dir))
	var corrupt *tfevents.CorruptError
	require.ErrorAs(t, err, &corrupt)
	var ours []string
	for _, p := range points["train/loss"] {
		ours = append(ours, fmt.Sprintf("%d:%v", p.Step, p.Value))
	}
	require.Len(t, ours, 2)
	view := r.read(t, dir)
	assert.Equal(t, strings.Join(ours, " "), scalars(view.Server.Points["train/loss"]))
	assert.Equal(t, strings.Join(ours, " "), scalars(view.Classic.Points["train/loss"]))
}
