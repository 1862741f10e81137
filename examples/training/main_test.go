package main

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/examples/internal/tinylm"
)

// childOfTest makes the test binary the process that trains: by the plan, by none,
// or not at all.
const childOfTest = "CALM_TRAINING_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childOfTest) {
	case "":
		os.Exit(m.Run())
	case "train":
		os.Exit(childMain(context.Background(), os.Stdin, os.Stdout, os.Stderr))
	case "fails":
		os.Exit(7)
	case "silent":
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

func childThat(does string) starter {
	return func(ctx context.Context) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), childOfTest+"="+does)
		return cmd, nil
	}
}

// TestStory runs the whole example: two processes, three faults, every check.
func TestStory(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for some seconds")
	}
	dir := filepath.Join(t.TempDir(), "new", "run")
	var stdout, stderr bytes.Buffer
	p, err := parse([]string{"-fast", "-dir", dir})
	require.NoError(t, err)
	if raceEnabled { // a step takes ten times as long, and so may a pause
		p.Model.Context = 4
		p.Hang.StepFloor = 5 * time.Second
	}
	began := time.Now()
	require.NoError(t, demonstrate(t.Context(), p, &stdout, &stderr, childThat("train")), "%s\n%s", &stdout, &stderr)
	t.Logf("%v\n%s", time.Since(began), &stdout)
	assert.Empty(t, stderr.String())
	text := strings.TrimSpace(stdout.String())
	assert.NotContains(t, text, "FAILED")
	assert.True(t, strings.HasPrefix(text[strings.LastIndex(text, "\n")+1:], "training: ok 240 steps"), text)
	assert.Contains(t, text, "tensorboard --logdir "+filepath.Join(dir, "tensorboard"))

	for _, path := range []string{p.ledger(), p.history(), p.picture(), p.model(), filepath.Join(dir, "stacks.txt")} {
		assert.FileExists(t, path)
	}
	picture, err := os.ReadFile(p.picture())
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal(picture, new(struct{})))
	for _, what := range []string{"spike", "NaN", "hang", "restart"} {
		assert.Contains(t, string(picture), ">"+what+"</text>")
	}
	stacks, err := os.ReadFile(filepath.Join(dir, "stacks.txt"))
	require.NoError(t, err)
	assert.Contains(t, string(stacks), "(*child).step", "where it hung")
	saved, err := filepath.Glob(filepath.Join(p.checkpoints(), "state-*"))
	require.NoError(t, err)
	assert.Len(t, saved, keep)

	// A run is not written over.
	assert.Equal(t, 2, run(t.Context(), []string{"-fast", "-dir", dir}, &stdout, &stderr, childThat("fails")))
	assert.Contains(t, stderr.String(), "is not empty")
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"-frobnicate"}, "frobnicate"},
		{[]string{"hello"}, "hello"},
		{[]string{"-steps", "199"}, "200 to 20000"},
		{[]string{"-steps", "20001"}, "200 to 20000"},
		{[]string{"-seed", "x"}, "seed"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, 2, run(t.Context(), c.args, &stdout, &stderr, childThat("fails")))
		assert.Equal(t, 1, strings.Count(stderr.String(), "\n"), "one clear line: %s", &stderr)
		assert.Contains(t, stderr.String(), c.says)
		assert.Empty(t, stdout.String())
	}
	var stdout, stderr bytes.Buffer
	assert.Zero(t, run(t.Context(), []string{"-help"}, &stdout, &stderr, childThat("fails")))
	for _, flag := range []string{"-dir", "-steps", "-seed", "-fast"} {
		assert.Contains(t, stdout.String(), flag)
	}
}

// Processes that do not do their work end the program, with a reason.
func TestProcessFails(t *testing.T) {
	for does, says := range map[string]string{"fails": "exit status 7", "silent": "it did not say how it went"} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var stdout, stderr bytes.Buffer
		s := newSupervisor(newPlan(minSteps, 1, true), childThat(does), &stdout, &stderr)
		if does == "silent" {
			ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
			says = context.DeadlineExceeded.Error()
		}
		err := s.run(ctx)
		cancel()
		assert.ErrorContains(t, err, says, does)
	}
	broken := func(context.Context) (*exec.Cmd, error) { return nil, errors.New("no such program") }
	var stdout, stderr bytes.Buffer
	assert.Equal(t, 1, run(t.Context(), []string{"-fast", "-dir", t.TempDir()}, &stdout, &stderr, broken))
	assert.Contains(t, stdout.String(), "training: FAILED no such program")
	assert.ErrorContains(t, newSupervisor(plan{Attempt: maxProcesses}, broken, &stdout, &stderr).run(t.Context()), "3 processes hung")
}

// A process without a plan, or without a place to write, says so.
func TestChildRefuses(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Equal(t, 1, childMain(t.Context(), strings.NewReader("no plan"), &stdout, &stderr))
	assert.Contains(t, stderr.String(), "training process: ")
	assert.Empty(t, stdout.String())

	p := newPlan(minSteps, 1, true)
	p.Dir = filepath.Join(t.TempDir(), "none")
	var in bytes.Buffer
	require.NoError(t, gob.NewEncoder(&in).Encode(p))
	stderr.Reset()
	assert.Equal(t, 1, childMain(t.Context(), &in, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "no such file")
}

// No training outlives its supervisor.
func TestChildAlone(t *testing.T) {
	p := newPlan(maxSteps, 1, true)
	p.Dir = t.TempDir()
	require.NoError(t, os.MkdirAll(p.checkpoints(), 0o755))
	in, supervisor := io.Pipe()
	heard, out := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() { code <- childMain(t.Context(), in, out, &stderr) }()
	require.NoError(t, gob.NewEncoder(supervisor).Encode(p))
	var m message
	require.NoError(t, gob.NewDecoder(heard).Decode(&m))
	require.NotNil(t, m.Started)
	assert.EqualValues(t, 1, m.Started.Next)
	go func() { _, _ = io.Copy(io.Discard, heard) }()
	require.NoError(t, supervisor.Close())
	select {
	case c := <-code:
		assert.Equal(t, 1, c)
		assert.Contains(t, stderr.String(), context.Canceled.Error())
	case <-time.After(time.Minute):
		require.Fail(t, "it trains on")
	}
}

// A checkpoint that is torn is passed over for the one before.
func TestRestoreNewest(t *testing.T) {
	corpus := []byte(strings.Repeat("one two three four five six seven.\n", 100))
	cfg := tinylm.Config{Steps: 10, Batch: 4, Context: 4, Width: 8, Embed: 8, Order: 2, Buckets: 16}
	trainer := func() *tinylm.Trainer {
		tr, err := tinylm.NewTrainer(corpus, cfg)
		require.NoError(t, err)
		t.Cleanup(tr.Close)
		return tr
	}
	c := &child{plan: plan{Dir: t.TempDir()}, trainer: trainer()}
	require.NoError(t, os.MkdirAll(c.checkpoints(), 0o755))
	step, err := c.restoreNewest()
	require.NoError(t, err)
	assert.Zero(t, step, "there is none")
	for n := int64(1); n <= 6; n++ {
		_, err := c.trainer.Step()
		require.NoError(t, err)
		require.NoError(t, c.save(n))
	}
	files, err := c.saved()
	require.NoError(t, err)
	require.Len(t, files, keep)
	for n := int64(6); n > 6-keep; n-- {
		c.trainer = trainer()
		step, err = c.restoreNewest()
		require.NoError(t, err)
		assert.Equal(t, n, step)
		assert.EqualValues(t, n+1, c.trainer.NextStep())
		require.NoError(t, os.Truncate(c.checkpoint(n), 100))
	}
	c.trainer = trainer()
	step, err = c.restoreNewest()
	require.NoError(t, err)
	assert.Zero(t, step, "none is whole")
}
