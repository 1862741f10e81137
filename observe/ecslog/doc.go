// Package ecslog is a slog.Handler whose lines Elasticsearch takes: ECS JSON, or the
// log data model of OpenTelemetry as JSON, one object a line.
//
// Elasticsearch refuses a document as a whole if one value is not of the type of its
// field, and the bulk request that carried it is answered with 200 all the same. So
// the lines of a training run vanish when its loss becomes NaN, which log/slog, zap
// and zerolog write as a string. A Handler never writes such a line, whatever the
// attributes are; what has no place in the schema is written as a label.
//
// # Quick start
//
//	h, err := ecslog.New(os.Stdout, ecslog.Config{
//		Service: ecslog.Service{Name: "gateway", Version: version},
//		HashKey: key,
//	})
//	log := slog.New(h)
//	log.Info("request finished", "gen_ai.request.model", model, "gen_ai.usage.output_tokens", 256,
//		"event.duration", took, "prompt", prompt, "err", err)
//
// Config.Trace adds the ids of the current span; observeprom exports the counters of
// [Metrics]. [Verify] says what is wrong with a line of any logger, for tests;
// [Fields] is the table that an index template is made of.
//
// # The rules
//
//  1. An attribute is resolved, redacted, looked at for content, and then the line is
//     sampled and encoded. A LogValuer, an Error or a MarshalJSON that panics becomes
//     a label that says so, without what it panicked with.
//  2. Numbers: NaN and infinities are left out, and labels.nonfinite lists their keys.
//     A float has a point or an exponent, an integer has neither; a duration is an
//     integer of nanoseconds. A field of the program's own is a label if it is more
//     than 64 bits, a float beyond 32 bits, or a text that spells NaN or an infinity.
//  3. Each name occurs once: the last of With, groups and call wins. The keys of every
//     line (@timestamp, log.level, message, ecs.version) given as attributes are labels.
//  4. A field of the schema is written only with a value of its type. Anything else at
//     or below a first part of the schema's names (error, service, user, ...), of
//     Filebeat's (input, stream, docker, kubernetes), of one with _ or @ in front,
//     below a value, or with an empty or a 17th part, is a label.
//  5. The first error under err, error or the empty key becomes error.message and
//     error.type, the dynamic type of the first error of its chain that is no wrapper
//     of fmt or errors; with Config.ErrorStack error.stack_trace too. Others are
//     labels.
//  6. Groups are dotted prefixes. A []string is an array. Any other value is a label
//     that holds its JSON as text. Nil is left out. Bytes that are not UTF-8 become
//     U+FFFD. A string that is too long is cut and its key listed in
//     labels.truncated. A line that is too long loses its labels from the last one,
//     then its fields; labels.dropped_fields says how many.
//  7. One Write a line. Its error is returned by Handle and counted; after a short one
//     the next line begins with an end of line, so that only one is torn.
//
// A label is a string under labels.NAME, NAME being the key with _ for . * and \, cut
// at 256 bytes; a second one of the same name is NAME_2. Lists of strings that the
// schema maps as nested objects have labels of their own (finish_reason,
// stop_sequences, encoding_formats): a nested field refuses strings.
//
// # Profiles
//
// ProfileECS writes @timestamp, log.level, message and ecs.version 9.4.0 first, then
// trace.id, span.id, service.* and event.dataset, then the fields, then the labels; all
// keys are dotted. Levels below Info are debug, below Warn info, below Error warn.
//
// ProfileOTel writes timestamp, severity_text, severity_number (5, 9, 13, 17), body,
// trace_id, span_id, trace_flags, resource and attributes. The rules hold in attributes.
//
// # Content
//
// What stands under prompt, messages, output and the like (see Config.ContentKeys),
// under a flattened gen_ai field, below either, or in a [Content], is content. So are
// such members of the JSON of other values. Numbers and booleans are not.
//
//   - ContentHash: labels.KEY_bytes, and labels.KEY_hmac with a Config.HashKey: the
//     first 16 bytes of HMAC-SHA-256, in hex.
//   - ContentOff: nothing.
//   - ContentFull: the text. A flattened field, which takes objects only, has it in a
//     member text.
//
// But for ContentFull, each content value of 8 bytes or more, and each text of
// [WithContent], is replaced by [content] wherever else it occurs in the line: in the
// message, in errors, in keys, and also as %q or JSON quotes it. Not found are parts of
// it, and texts that were changed: cut, in another case, escaped for a URL, in base64.
//
// What is neither under such a key nor given to WithContent is not known to be content:
// the body of a request as one string, say.
//
// The hash shows which lines have the same text, to everybody who reads them, and how
// long it is. Who has the key can try texts that he guesses; who does not learns
// nothing else. A plain hash would let everybody guess. Keep the key out of the logs'
// reach, and change it to cut the link to older lines.
//
// # Sampling
//
// See [Sample]: a token bucket for each level and message below Warn. The times are
// those of the records. Up to Keys pairs have buckets, which are kept for good; use
// messages that do not change, and put what changes into attributes.
//
// # Audit
//
// An [Audit] writes events as a chain of hashes: event.hash = hex of SHA-256(hash
// before, as bytes || line without its event.hash and end of line), 32 zero bytes
// before the first. A changed, added or missing line shows in [VerifyAudit]; lines cut
// away from the end show by [Audit.Head] only, and who may write the file can make the
// whole chain anew: keep the head elsewhere.
//
// # Errors
//
// New and NewAudit report every fault of a Config at once. Handle returns the writer's
// error, io.ErrShortWrite, or one for a writer that panicked; log/slog ignores it, and
// [Handler.Dropped] counts it. Record returns the same; ErrAuditBroken is wrapped if
// the chain cannot go on.
//
// # Concurrency and cost
//
// All methods are safe for concurrent use. A line is encoded without a lock and written
// under one. With resolves and encodes its attributes once. A line of strings, numbers,
// booleans, durations and times allocates nothing; an error, a list, any other value,
// content and AddSource do. Kept in memory: 1024 names of attributes, up to 64 KiB a
// line at work, the buckets, and the content given to With.
//
// # Limitations
//
//   - No Elasticsearch, Logstash or Kibana was run; the types are those of the schema
//     and the limits those of the documentation.
//   - A line knows nothing of other lines. A field of the program's own must have one
//     type everywhere, never be a value here and an object there, and there must not be
//     more of them than the index takes (1000 by default). Use an index template with
//     date_detection off.
//   - A record without a time has no timestamp, as log/slog asks for: Filebeat fills
//     it in.
//   - The gen_ai fields of ECS are beta.
//
// # Sources
//
// Fields and types: https://github.com/elastic/ecs, generated/csv/fields.csv, v9.4.0
// and b85f757. Order and required keys: https://github.com/elastic/ecs-logging,
// spec/spec.json, eabe529. Names of a record in OpenTelemetry's JSON:
// https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/. Limits
// of an index: https://www.elastic.co/guide/en/elasticsearch/reference/current/mapping-settings-limit.html.
package ecslog
