// Package observe measures the requests of a language-model server from inside
// it: when the first token really left, every gap between tokens, tokens in and
// out, the wait in the queue, what is in flight now, and how each request ended.
//
// Wrap the handler once:
//
//	prom, err := observeprom.NewServing(observeprom.ServingConfig{Registerer: reg})
//	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{prom}})
//	mux.Handle("POST /v1/chat/completions", rec.Middleware(chat))
//
// The handler is not changed. The middleware reads what it writes: server-sent
// events and NDJSON of OpenAI (chat, completions, Responses), Anthropic and
// ollama, and JSON answers of all of them. An engine may add what the bytes do
// not say:
//
//	req := observe.FromContext(ctx)
//	req.Queued()
//	// ... wait for a slot ...
//	req.Scheduled()
//
// Code that is no HTTP server uses [Recorder.Start] or [Recorder.Func].
//
// # Terms
//
// All durations count from the arrival, by one monotonic clock.
//
//   - Token event: an event that carries output, that is non-empty text,
//     reasoning, refusal, audio or a tool call. A role-only prelude, an empty
//     delta, a comment, a ping, a usage chunk and [DONE] carry none. Where the
//     first output of an event is reasoning, the event is reasoning.
//   - TTFT, time to first token: the first token event. It includes queueing.
//     [FirstToken] selects other definitions, for comparison.
//   - TTFB, time to first byte: the first body byte or flush, whatever it holds.
//   - ITL, inter-token latency: the gap between token events, every one. Events
//     that one Write completes share its time, and the gap before is divided
//     among them. The sum of a request's gaps is LastToken - TTFT.
//   - TPOT, time per output token: (LastToken - TTFT) / (n - 1), with n the
//     visible output tokens, one value for a stream that ended well.
//   - Queue time: first Queued (or arrival) to the last Scheduled before the
//     first token. Prefill: from there to the first token. Decode: first token to
//     last token.
//   - Usage: tokens as billed. Input includes cached tokens, output includes
//     reasoning.
//   - Attainment: met / (met + missed), the share of counted requests that met
//     an objective of [SLO].
//
// Durations are [time.Duration]; metrics are in seconds. [RequestStats.Has]
// tells an absent duration from a zero.
//
// # Outcomes
//
// The first rule that holds decides:
//
//  1. panic: the handler panicked.
//  2. hijacked: the handler took the connection.
//  3. stream_error: an error event inside a stream that began with 2xx.
//  4. ok: the stream's terminal event was sent. What happens after it changes
//     nothing: clients of OpenAI leave as soon as they have read [DONE].
//  5. client_disconnect: a Write failed, or the context was cancelled before the
//     answer was whole. No status is invented for it: what a handler or proxy
//     writes to a client that has left (499, 502) is not one that anybody saw.
//  6. aborted: http.ErrAbortHandler or runtime.Goexit.
//  7. timeout: a deadline passed before the answer was whole, or with a 5xx.
//  8. server_error: 5xx. 9. client_error: 4xx. 10. ok.
//
// What is known up to the end of a failed request is kept: its first token, its
// gaps, its tokens. A panic goes on with the same value.
//
// # Paths
//
// Without [Config.Classify] the end of the path names the operation:
// /chat/completions, /responses, /v1/messages and /api/chat are chat;
// /completions and /api/generate text_completion; /embeddings, /api/embed and
// /api/embeddings embeddings; :generateContent and :streamGenerateContent
// generate_content; all else is other. The model comes from SetModel, else
// RequestInfo, else the request body (read ahead up to [Config.PeekBytes] and
// given back unchanged), else the response, else it is "unknown".
//
// # Bounds
//
// Clients choose model names, so they are hostile. Labels take the listed
// [Config.Models], or the first MaxModels names; any other reads "other" and is
// counted in [Losses]. Series of one Recorder are at most (MaxModels + 2) x
// operations x what each metric multiplies by. Host, path and user are never
// labels. A stream costs less than 8 KiB whatever its length: an event that is
// longer than 4 KiB and split over Writes, or longer than 64 KiB, is read from
// its beginning and its end, and counted as truncated. The layout of a JSON
// answer takes 1.3 KiB more.
//
// # Errors
//
// [New] joins every fault of the Config. After that nothing fails: what cannot
// be recorded is counted in [Losses], and a callback or sink that panics is
// recovered and counted while the request is served.
//
// # Concurrency
//
// A Recorder, its Engines and Requests may be used from any goroutine. No lock
// is shared between requests on the path of a chunk; a Request has a mutex of
// its own, which its response writer takes once for 64 gaps. New starts no
// goroutine.
//
// # Cost
//
// Two allocations a request, one of them the copy of http.Request that carries
// the context; none a chunk. A chunk that carries a token costs one reading of
// the clock and a comparison with the shape of the one before; the first of a
// shape is scanned as JSON. A JSON answer is compared with the layout of the one
// before, and scanned if it has another. Sinks are called once for 64 gaps and
// once at the end.
//
// # Limitations
//
//   - ITL is per token event: an event with several tokens (speculative
//     decoding) is one gap. With n > 1 choices, gaps run across choices.
//   - Without stream_options.include_usage an OpenAI stream carries no usage.
//     Nothing is added to the request; [Config.CountEvents] counts events instead.
//   - Compressed bodies and unknown types are timed and counted only.
//   - A token's time is when net/http took it, not when the client read it.
//   - A model name beyond PeekBytes, or under an escaped key, comes from the
//     response.
//   - An event over 4 KiB that spans Writes is told by its first 1 KiB. Of a JSON
//     body over 4 KiB the first 512 bytes and the last 4 KiB are read.
//   - An event is checked to be JSON up to its first output, not to its end.
//   - RequestStats.Route is empty if another middleware copies the request.
//   - A server that closes connections looks like clients that leave.
//   - Counters of tokens move at the end of a request, ITL every 64 gaps.
//   - TTFT is not measured for answers that are not streamed, unless the engine
//     calls Token.
//
// # Sources
//
// Definitions follow vLLM (docs/design/metrics.md) and the OpenTelemetry GenAI
// semantic conventions; TPOT ends at the last token, where the convention's ends
// with the request, so that work after the stream is not counted as decoding.
// Framing follows the WHATWG HTML standard, server-sent events. The buckets hold
// the convention's; TTFT and duration go on to minutes, since long streams would
// all fall into the last bucket, and ITL resolves single milliseconds, since
// vLLM's first bucket of 10 ms hides every fast engine.
package observe
