package ecslog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"sync"
	"time"
)

// AuditConfig configures an Audit.
type AuditConfig struct {
	// Log says what stands on a line. Its Profile must be ProfileECS; its Level and
	// its Sample are not used, as every event is written.
	Log Config
	// Sync has the writer's Sync method called after each line. Defaults to false: a
	// crash of the machine may lose the last seconds.
	Sync bool
}

// AuditEvent is something that is to be accounted for.
type AuditEvent struct {
	Action   string      // event.action, such as "weights-changed": at most 256 bytes of UTF-8 without control characters. Required.
	Category []string    // event.category, such as "configuration": up to 4, each of at most 64 bytes
	Outcome  string      // event.outcome: success, failure or unknown. Defaults to unknown.
	Message  string      // message. Defaults to Action.
	Attrs    []slog.Attr // further fields; one that an Audit writes itself becomes a label
}

// Audit writes events as lines that are chained: each holds, as event.hash, the
// SHA-256 of the hash before it and of its own text, and event.sequence counts them.
// It is safe for concurrent use; callbacks of the Config must not call Record.
type Audit struct {
	log  *Handler
	sync bool

	mu       sync.Mutex // held while an event is encoded and written
	w        io.Writer
	file     auditFile // nil if w is no regular file
	size     int64     // of the whole lines in file
	lost     int64     // bytes that NewAudit has cut away, until a line tells
	sequence uint64
	sum      [sha256.Size]byte
	broken   error // why nothing more can be written
}

// auditFile is what os.File has and a chain can go on in.
type auditFile interface {
	io.ReaderAt
	io.Seeker
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
}

// ErrAuditBroken is wrapped by errors that say that a chain of audit lines does not
// hold, or cannot be gone on with.
var ErrAuditBroken = errors.New("ecslog: audit chain broken")

// The end of a line, and what the hash stands between.
const (
	hashMember = `,"event.hash":"`
	hashEnd    = "\"}\n"
	hashBytes  = len(hashMember) + 2*sha256.Size + len(hashEnd) // from the hash to the end of the line
)

// NewAudit returns an Audit that writes to w, or every fault of the Config. Where w
// is a regular file, such as an os.File opened with O_RDWR and O_CREATE, it goes on
// after its last whole line; what stands behind that, a line torn by a crash, is cut
// away, and the next line says how much in labels.discarded_bytes. No other process
// may write to the file. Lines before the last are not checked: VerifyAudit does.
// Other writers begin a new chain.
func NewAudit(w io.Writer, cfg AuditConfig) (*Audit, error) {
	log, err := cfg.Log.withDefaults()
	if w == nil {
		err = errors.Join(err, errors.New("ecslog: the writer is nil"))
	} else if _, ok := w.(interface{ Sync() error }); cfg.Sync && !ok {
		err = errors.Join(err, fmt.Errorf("ecslog: AuditConfig.Sync is true: the writer, a %T, has no Sync method", w))
	}
	if cfg.Log.Profile == ProfileOTel {
		err = errors.Join(err, errors.New("ecslog: AuditConfig.Log.Profile is ProfileOTel: want ProfileECS"))
	}
	if err != nil {
		return nil, err
	}
	log.MaxLineBytes -= hashBytes
	a := &Audit{log: newHandler(nil, log), sync: cfg.Sync, w: w}
	if f, ok := w.(auditFile); ok {
		if err := a.resume(f); err != nil {
			return nil, fmt.Errorf("ecslog: audit file: %w", err)
		}
	}
	return a, nil
}

// Head returns the number of the last line and its hash: kept elsewhere, they show
// whether lines were cut away from the end. Of a new chain they are zero.
func (a *Audit) Head() (sequence uint64, hash [32]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sequence, a.sum
}

// Record writes an event. On an error the event is not in the chain, unless it is
// Sync that failed: then it may not be on the disk. If a part of a line has been
// written and cannot be taken back, this and every later call return an error that
// wraps ErrAuditBroken.
func (a *Audit) Record(ctx context.Context, e AuditEvent) error {
	if err := e.check(); err != nil {
		return err
	}
	if e.Message == "" {
		e.Message = e.Action
	}
	l := newLine(ctx, a.log)
	defer l.free()
	sequence := l.addEvent(&e)
	message := l.clean(l.message(e.Message))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken != nil {
		return a.broken
	}
	l.fields[sequence].value = slog.Uint64Value(a.sequence + 1)
	if a.lost > 0 {
		l.add(a.log.core.keys.below("labels."), slog.Int64("discarded_bytes", a.lost))
	}
	l.assemble(ctx, time.Now(), levelIndex(slog.LevelInfo), message, 0)
	line, sum := chained(l.buf[1:], a.sum)
	l.buf = line[:0]
	return a.append(line, sum)
}

func (e *AuditEvent) check() error {
	var faults []error
	fault := func(bad bool, field, value, want string) {
		if bad {
			faults = append(faults, fmt.Errorf("ecslog: AuditEvent.%s is %.300q: %s", field, value, want))
		}
	}
	fault(e.Action == "" || !plainName(e.Action), "Action", e.Action, "want 1 to 256 bytes of UTF-8 without control characters")
	fault(len(e.Category) > 4, "Category", fmt.Sprint(len(e.Category)), "want 4 at most")
	for i, c := range e.Category {
		fault(c == "" || len(c) > 64 || !plainName(c), fmt.Sprintf("Category[%d]", i), c, "want 1 to 64 bytes of UTF-8 without control characters")
	}
	switch e.Outcome {
	case "", "success", "failure", "unknown":
	default:
		fault(true, "Outcome", e.Outcome, "want success, failure or unknown")
	}
	return errors.Join(faults...)
}

// addEvent takes the fields of an event, and returns the place of its number.
func (l *line) addEvent(e *AuditEvent) (sequence int) {
	names := &l.h.core.names
	outcome := e.Outcome
	if outcome == "" {
		outcome = "unknown"
	}
	l.known(names.kind, slog.StringValue("event"), true)
	if len(e.Category) > 0 {
		l.known(names.category, slog.AnyValue(e.Category), true)
	}
	l.known(names.action, slog.StringValue(e.Action), true)
	l.known(names.outcome, slog.StringValue(outcome), true)
	sequence = len(l.fields)
	l.known(names.sequence, slog.Uint64Value(0), true)
	from, labels := len(l.fields), l.h.core.keys.below("labels.")
	for _, attr := range e.Attrs {
		l.add(l.h.keys, attr)
	}
	for i := range l.fields[from:] {
		switch f := &l.fields[from+i]; f.key {
		case names.kind, names.category, names.action, names.outcome, names.sequence, names.sum:
			f.key = labels.get(f.key.name)
			if f.place == placeField {
				f.place = placeLabel
			}
		}
	}
	return sequence
}

// chained returns a line with its hash, and the hash.
func chained(line []byte, before [sha256.Size]byte) ([]byte, [sha256.Size]byte) {
	line = line[:len(line)-len("\n")]
	sum := chainSum(before, line)
	line = append(line[:len(line)-len("}")], hashMember...)
	line = hex.AppendEncode(line, sum[:])
	return append(line, hashEnd...), sum
}

// chainSum is the hash of a line without its hash, and without its end of line.
func chainSum(before [sha256.Size]byte, line []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(before[:])
	h.Write(line)
	return [sha256.Size]byte(h.Sum(nil))
}

// append writes a line, and moves the chain on if the whole of it was written.
func (a *Audit) append(line []byte, sum [sha256.Size]byte) error {
	n, err := tryWrite(a.w, line)
	if n < len(line) {
		if n > 0 {
			a.takeBack(err)
		}
		if a.broken != nil {
			return a.broken
		}
		return fmt.Errorf("ecslog: %w", err)
	}
	a.sequence++
	a.sum, a.lost = sum, 0
	a.size += int64(len(line))
	if s, ok := a.w.(interface{ Sync() error }); err == nil && a.sync && ok {
		err = s.Sync()
	}
	if err != nil {
		return fmt.Errorf("ecslog: audit line %d was written, but: %w", a.sequence, err)
	}
	return nil
}

// takeBack removes the part of a line that was written.
func (a *Audit) takeBack(cause error) {
	if a.file == nil {
		a.broken = fmt.Errorf("%w: a part of line %d was written: %w", ErrAuditBroken, a.sequence+1, cause)
		return
	}
	if err := a.cutTo(a.size); err != nil {
		a.broken = fmt.Errorf("%w: a part of line %d was written: %w, and %w", ErrAuditBroken, a.sequence+1, cause, err)
	}
}

func (a *Audit) cutTo(size int64) error {
	if err := a.file.Truncate(size); err != nil {
		return err
	}
	_, err := a.file.Seek(size, io.SeekStart)
	return err
}

// resume reads where the chain of a file ends.
func (a *Audit) resume(f auditFile) error {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	a.file = f
	last, end, err := lastLine(f, info.Size())
	if err != nil {
		return err
	}
	if len(last) > 0 {
		body, sum, ok := unchained(last)
		if !ok {
			return fmt.Errorf("%w: the last line is no audit line", ErrAuditBroken)
		}
		if a.sequence, ok = sequenceOf(body); !ok || a.sequence == math.MaxInt64 {
			return fmt.Errorf("%w: the last line has no event.sequence", ErrAuditBroken)
		}
		_, _ = hex.Decode(a.sum[:], sum) // unchained has looked at the digits
	}
	a.size, a.lost = end, info.Size()-end
	if a.lost > 0 {
		return a.cutTo(end)
	}
	_, err = f.Seek(end, io.SeekStart)
	return err
}
