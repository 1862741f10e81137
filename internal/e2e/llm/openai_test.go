package llm

import (
	"context"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe"
)

const (
	ttft     = "gen_ai_server_time_to_first_token_seconds"
	itl      = "llm_server_inter_token_latency_seconds"
	tpot     = "gen_ai_server_time_per_output_token_seconds"
	duration = "gen_ai_server_request_duration_seconds"
	requests = "llm_server_requests_total"
	finish   = "llm_server_finish_total"
	inFlight = "llm_server_requests_in_flight"
)

// seen is what a client saw of a stream.
type seen struct {
	chunks        int // That carried output.
	first, last   time.Duration
	usage         openai.CompletionUsage
	finish, model string
	err           error
}

// question is a chat request. kind says what the backend is to do.
func question(kind string) openai.ChatCompletionNewParams {
	p := openai.ChatCompletionNewParams{
		Model:         requested,
		Messages:      []openai.ChatCompletionMessageParamUnion{openai.UserMessage(`Is it so? Say "model": "other".`)},
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}
	if kind != "" {
		p.User = openai.String(kind)
	}
	return p
}

// chat reads a stream to its end, or until it has enough chunks. The clock
// starts before NewStreaming, which waits for the header.
func chat(ctx context.Context, client openai.Client, p openai.ChatCompletionNewParams, enough int) (s seen) {
	start := time.Now()
	stream := client.Chat.Completions.NewStreaming(ctx, p)
	defer stream.Close()
	for stream.Next() {
		now := time.Since(start)
		c := stream.Current()
		s.model = c.Model
		if c.JSON.Usage.Valid() {
			s.usage = c.Usage
		}
		for _, choice := range c.Choices {
			if choice.FinishReason != "" {
				s.finish = choice.FinishReason
			}
			if choice.Delta.Content == "" && len(choice.Delta.ToolCalls) == 0 {
				continue
			}
			if s.chunks == 0 {
				s.first = now
			}
			s.chunks++
			s.last = now
		}
		if s.chunks == enough {
			return s
		}
	}
	s.err = stream.Err()
	return s
}

// TestChatStream compares both sides of a stream.
func TestChatStream(t *testing.T) {
	b := start(t, observe.Config{})
	client := chat(t.Context(), b.client(), question(""), -1)
	require.NoError(t, client.err)
	require.Equal(t, tokens, client.chunks)
	require.Equal(t, answered, client.model)

	// The handler had not returned when the client closed the stream at [DONE].
	select {
	case <-b.left:
	case <-time.After(5 * time.Second):
		require.Fail(t, "the client kept the connection after [DONE]")
	}
	server := b.scraped(t, 1)
	require.EqualValues(t, 1, server.sum(requests, labels{"model": requested, "operation": "chat", "stream": "true", "outcome": "ok", "code": "200"}))
	require.Equal(t, 1, server.count(ttft, labels{"model": requested, "error_type": ""}))
	require.Equal(t, client.chunks-1, server.count(itl, labels{"model": requested}), "a gap for each chunk but the first")
	require.Equal(t, 1, server.count(tpot, nil))
	require.EqualValues(t, 1, server.sum(finish, labels{"model": requested, "reason": client.finish}))
	require.Equal(t, "stop", client.finish)
	require.EqualValues(t, inputTokens, client.usage.PromptTokens)
	require.Equal(t, client.usage.PromptTokens, server.tokens("input"))
	require.Equal(t, client.usage.CompletionTokens, server.tokens("output"))
	require.Equal(t, client.usage.PromptTokensDetails.CachedTokens, server.tokens("cached_input"))
	require.Zero(t, server.sum(inFlight, nil))
	require.Zero(t, server.sum("llm_server_parse_errors_total", nil))
}

// TestTimes compares the clocks of both sides. The client starts earlier and
// sees a token later, so its time to first token is never the shorter one. How
// much longer it is depends on who else uses the machine: the best of a few
// streams counts, which a difference in what is measured cannot pass.
func TestTimes(t *testing.T) {
	const tries, most = 10, 5 * time.Millisecond
	closest, closestSpan := time.Hour, time.Hour
	for range tries {
		b := start(t, observe.Config{})
		client := chat(t.Context(), b.client(), question(""), -1)
		require.NoError(t, client.err)
		server := b.scraped(t, 1)

		first := server.seconds(ttft)
		require.GreaterOrEqual(t, first, prefill)
		require.LessOrEqual(t, first, client.first)
		closest = min(closest, client.first-first)
		span := client.last - client.first
		closestSpan = min(closestSpan, (span - server.seconds(itl)).Abs())
		// TPOT counts the billed tokens, the gaps the chunks: both share the time.
		require.InDelta(t, server.sum(itl, nil), server.sum(tpot, nil)*(outputTokens-1), 1e-6)
		if closest < most && closestSpan < most {
			return
		}
	}
	require.Less(t, closest, most, "time to first token, client less server")
	require.Less(t, closestSpan, most, "first to last token, client less server")
}

// TestTimesTellChunksFromTokens is the negative control of TestTimes: a server
// that takes its first chunk for its first token is found out.
func TestTimesTellChunksFromTokens(t *testing.T) {
	b := start(t, observe.Config{FirstToken: observe.FirstTokenChunk})
	client := chat(t.Context(), b.client(), question(""), -1)
	require.NoError(t, client.err)
	require.Greater(t, client.first-b.scraped(t, 1).seconds(ttft), prefill-5*time.Millisecond)
}

// TestChatToolCalls: a tool call is output, from the first mention of its name.
func TestChatToolCalls(t *testing.T) {
	b := start(t, observe.Config{})
	client := chat(t.Context(), b.client(), question("tools"), -1)
	require.NoError(t, client.err)
	require.Equal(t, tokens, client.chunks)
	require.Equal(t, "tool_calls", client.finish)
	server := b.scraped(t, 1)
	require.Equal(t, client.chunks-1, server.count(itl, nil))
	require.EqualValues(t, 1, server.sum(finish, labels{"reason": client.finish}))
	require.EqualValues(t, 1, server.sum(requests, labels{"outcome": "ok"}))
}

// TestChatWithoutUsage: a client that does not ask for usage gets none, and no
// tokens are counted. Nothing is added to its request.
func TestChatWithoutUsage(t *testing.T) {
	b := start(t, observe.Config{})
	p := question("")
	p.StreamOptions = openai.ChatCompletionStreamOptionsParam{}
	client := chat(t.Context(), b.client(), p, -1)
	require.NoError(t, client.err)
	require.Zero(t, client.usage.TotalTokens)
	server := b.scraped(t, 1)
	require.Equal(t, client.chunks-1, server.count(itl, nil))
	require.Zero(t, server.sum("llm_server_tokens_total", nil))
	require.Zero(t, server.count(tpot, nil))
	require.EqualValues(t, 1, server.sum(requests, labels{"outcome": "ok"}))
}

// TestChatCancelled: a client that leaves in the middle is one that left, with
// what it got until then.
func TestChatCancelled(t *testing.T) {
	const enough = 5
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := start(t, observe.Config{})
	client := chat(ctx, b.client(), question("endless"), enough)
	cancel()
	require.Equal(t, enough, client.chunks)

	server := b.scraped(t, 1)
	require.EqualValues(t, 1, server.sum(requests, labels{"model": requested, "stream": "true", "outcome": "client_disconnect"}))
	require.Equal(t, 1, server.count(duration, labels{"error_type": "client_disconnect"}))
	require.Equal(t, 1, server.count(ttft, labels{"error_type": "client_disconnect"}))
	require.GreaterOrEqual(t, server.count(itl, nil), enough-1)
	require.Zero(t, server.count(tpot, nil))
	require.Zero(t, server.sum(finish, nil))
	require.Zero(t, server.sum("llm_server_tokens_total", nil))
	require.Zero(t, server.sum(inFlight, nil))
}

// TestChatFails: an error event in a stream is an error on both sides, though
// the status is 200.
func TestChatFails(t *testing.T) {
	b := start(t, observe.Config{})
	client := chat(t.Context(), b.client(), question("error"), -1)
	require.ErrorContains(t, client.err, "overloaded")
	server := b.scraped(t, 1)
	require.EqualValues(t, 1, server.sum(requests, labels{"outcome": "stream_error", "code": "200"}))
	require.Equal(t, client.chunks-1, server.count(itl, nil))
	require.Zero(t, server.count(tpot, nil))
}

// TestChatUnstreamed compares both sides of an answer in one piece.
func TestChatUnstreamed(t *testing.T) {
	b := start(t, observe.Config{})
	p := question("")
	p.StreamOptions = openai.ChatCompletionStreamOptionsParam{}
	began := time.Now()
	client := b.client()
	answer, err := client.Chat.Completions.New(t.Context(), p)
	took := time.Since(began)
	require.NoError(t, err)

	server := b.scraped(t, 1)
	require.EqualValues(t, 1, server.sum(requests, labels{"model": requested, "operation": "chat", "stream": "false", "outcome": "ok", "code": "200"}))
	require.EqualValues(t, 1, server.sum(finish, labels{"reason": answer.Choices[0].FinishReason}))
	require.Equal(t, answer.Usage.PromptTokens, server.tokens("input"))
	require.Equal(t, answer.Usage.CompletionTokens, server.tokens("output"))
	require.Equal(t, answer.Usage.PromptTokensDetails.CachedTokens, server.tokens("cached_input"))
	require.Zero(t, server.count(ttft, nil))
	require.Zero(t, server.count(itl, nil))
	require.GreaterOrEqual(t, server.seconds(duration), gap)
	require.LessOrEqual(t, server.seconds(duration), took)
	require.EqualValues(t, len(answer.RawJSON()), server.sum("llm_server_response_bytes_total", nil))
}

// input is a request of the Responses API.
func input() responses.ResponseNewParams {
	return responses.ResponseNewParams{
		Model: requested,
		Input: responses.ResponseNewParamsInputUnion{OfString: param.NewOpt("Is it so?")},
	}
}

// TestResponsesStream compares both sides of a stream of the Responses API.
func TestResponsesStream(t *testing.T) {
	const tries, most = 10, 5 * time.Millisecond
	closest := time.Hour
	for range tries {
		b := start(t, observe.Config{})
		client := b.client()
		began := time.Now()
		stream := client.Responses.NewStreaming(t.Context(), input())
		var first time.Duration
		var usage responses.ResponseUsage
		deltas := 0
		for stream.Next() {
			switch e := stream.Current().AsAny().(type) {
			case responses.ResponseTextDeltaEvent:
				if deltas == 0 {
					first = time.Since(began)
				}
				deltas++
			case responses.ResponseCompletedEvent:
				usage = e.Response.Usage
			}
		}
		require.NoError(t, stream.Err())
		require.NoError(t, stream.Close())
		require.Equal(t, tokens, deltas)

		server := b.scraped(t, 1)
		require.EqualValues(t, 1, server.sum(requests, labels{"model": requested, "operation": "chat", "stream": "true", "outcome": "ok", "code": "200"}))
		require.Equal(t, deltas-1, server.count(itl, labels{"model": requested}))
		require.EqualValues(t, 1, server.sum(finish, labels{"reason": "stop"}))
		require.EqualValues(t, inputTokens, usage.InputTokens)
		require.Equal(t, usage.InputTokens, server.tokens("input"))
		require.Equal(t, usage.OutputTokens, server.tokens("output"))
		require.Equal(t, usage.InputTokensDetails.CachedTokens, server.tokens("cached_input"))
		require.GreaterOrEqual(t, server.seconds(ttft), prefill)
		require.LessOrEqual(t, server.seconds(ttft), first)
		if closest = min(closest, first-server.seconds(ttft)); closest < most {
			return
		}
	}
	require.Less(t, closest, most, "time to first token, client less server")
}

// TestResponsesUnstreamed compares both sides of a response in one piece.
func TestResponsesUnstreamed(t *testing.T) {
	b := start(t, observe.Config{})
	client := b.client()
	answer, err := client.Responses.New(t.Context(), input())
	require.NoError(t, err)
	server := b.scraped(t, 1)
	require.EqualValues(t, 1, server.sum(requests, labels{"model": requested, "operation": "chat", "stream": "false", "outcome": "ok"}))
	require.EqualValues(t, 1, server.sum(finish, labels{"reason": "stop"}))
	require.Equal(t, answer.Usage.InputTokens, server.tokens("input"))
	require.Equal(t, answer.Usage.OutputTokens, server.tokens("output"))
}

// TestRetries: each attempt of a client is a request, and only the last is ok.
func TestRetries(t *testing.T) {
	b := start(t, observe.Config{})
	client := b.client(option.WithMaxRetries(2))
	answer, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: requested, Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("so")}})
	require.NoError(t, err)
	server := b.scraped(t, 3)
	of := labels{"model": requested, "operation": "embeddings", "outcome": "client_error", "code": "429"}
	require.EqualValues(t, 2, server.sum(requests, of))
	require.Equal(t, 2, server.count(duration, labels{"error_type": "429"}))
	of["outcome"], of["code"] = "ok", "200"
	require.EqualValues(t, 1, server.sum(requests, of))
	require.Equal(t, answer.Usage.PromptTokens, server.tokens("input"))
	require.Zero(t, server.tokens("output"))
}
