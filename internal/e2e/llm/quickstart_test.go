package llm

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/stretchr/testify/require"
)

// quickstart is the example's process, serving, and what it prints.
type quickstart struct {
	base  string
	cmd   *exec.Cmd
	lines chan string
}

// startQuickstart builds and starts the example without its own load. The
// checkpoint is in the user's cache after the first time, which takes half a
// minute to train.
func startQuickstart(t *testing.T) *quickstart {
	binary := filepath.Join(t.TempDir(), "quickstart")
	build := exec.Command("go", "build", "-o", binary, "./examples/quickstart")
	build.Dir = "../../.."
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))

	q := &quickstart{cmd: exec.Command(binary, "-addr", "127.0.0.1:0", "-load", "off"), lines: make(chan string, 1000)}
	stdout, err := q.cmd.StdoutPipe()
	require.NoError(t, err)
	q.cmd.Stderr = os.Stderr
	require.NoError(t, q.cmd.Start())
	t.Cleanup(func() { q.cmd.Process.Kill(); q.cmd.Wait() })
	go func() {
		defer close(q.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			q.lines <- s.Text()
		}
	}()
	serving := q.until(t, "serving ", 4*time.Minute)
	q.base = strings.Fields(serving)[1]
	return q
}

// until returns the first line that begins so.
func (q *quickstart) until(t *testing.T, prefix string, limit time.Duration) string {
	deadline := time.After(limit)
	for {
		select {
		case line, ok := <-q.lines:
			if !ok {
				require.FailNow(t, "the quickstart ended before it said: "+prefix)
			}
			t.Log(line)
			if strings.HasPrefix(line, prefix) {
				return line
			}
		case <-deadline:
			require.FailNow(t, "the quickstart did not say: "+prefix)
		}
	}
}

// TestQuickstart points the real client at the flagship example: what it counts
// and times is what /metrics says, and an interrupt while a stream runs cuts
// nothing.
func TestQuickstart(t *testing.T) {
	q := startQuickstart(t)
	client := openai.NewClient(option.WithBaseURL(q.base+"/v1"), option.WithAPIKey("none"))
	models, err := client.Models.List(t.Context())
	require.NoError(t, err)
	require.Len(t, models.Data, 1)
	ask := openai.ChatCompletionNewParams{
		Model:         models.Data[0].ID,
		Messages:      []openai.ChatCompletionMessageParamUnion{openai.UserMessage("The Rays of Light ")},
		MaxTokens:     openai.Int(200),
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}
	b := &backend{metrics: q.base + "/metrics"}
	chat(t.Context(), client, ask, -1) // opens the connection

	best := time.Hour // a busy machine may delay the client by chance, not every time
	served := 2       // that stream, and the one by which the program knows that it serves
	before := b.served(t, served)
	for range 10 {
		got := chat(t.Context(), client, ask, -1)
		require.NoError(t, got.err)
		served++
		after := b.served(t, served)
		require.Equal(t, 200, got.chunks)
		require.Equal(t, "length", got.finish)
		require.EqualValues(t, 200, got.usage.CompletionTokens)
		require.EqualValues(t, 200, after.sum("llm_server_tokens_total", labels{"type": "output"})-before.sum("llm_server_tokens_total", labels{"type": "output"}))
		require.Equal(t, 1, after.count(ttft, nil)-before.count(ttft, nil))
		require.Equal(t, 199, after.count(itl, nil)-before.count(itl, nil))
		server := after.seconds(ttft) - before.seconds(ttft)
		require.GreaterOrEqual(t, got.first, server-time.Millisecond, "no client sees a token before it is sent")
		best = min(best, got.first-server)
		before = after
	}
	t.Logf("TTFT of client and server differ by %v at best", best)
	require.Less(t, best, 5*time.Millisecond)

	whole, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: ask.Model, Messages: ask.Messages, MaxTokens: openai.Int(7)})
	require.NoError(t, err)
	require.EqualValues(t, 7, whole.Usage.CompletionTokens)

	_, err = client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: ask.Model, Messages: ask.Messages, Temperature: openai.Float(7)})
	var refused *openai.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusBadRequest, refused.StatusCode)
	require.Equal(t, "temperature", refused.Param)

	// An interrupt while a long stream runs: it runs to its end.
	ask.MaxTokens = openai.Int(4000)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream := client.Chat.Completions.NewStreaming(ctx, ask)
	defer stream.Close()
	chunks := 0
	for stream.Next() {
		for _, c := range stream.Current().Choices {
			if c.Delta.Content != "" {
				chunks++
			}
		}
		if chunks == 1 {
			require.NoError(t, q.cmd.Process.Signal(os.Interrupt))
		}
	}
	require.NoError(t, stream.Err())
	require.Equal(t, 4000, chunks)
	q.until(t, "quickstart: ok", time.Minute)
	require.NoError(t, q.cmd.Wait())
}

// served waits until a scrape has n streams with all that is recorded of them:
// each of these had a first token, and the output tokens are counted with it. A
// request that has just ended may show one before the other.
func (b *backend) served(t *testing.T, n int) (s scrape) {
	require.Eventually(t, func() bool {
		s = b.scrape(t)
		return s.sum(requests, labels{"stream": "true"}) == float64(n) && s.count(ttft, nil) == n &&
			s.count("llm_server_request_output_tokens", nil) == n && s.sum(inFlight, nil) == 0
	}, 15*time.Second, 5*time.Millisecond)
	return s
}
