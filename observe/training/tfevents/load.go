package tfevents

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/calmops/calm/observe/training"
)

// Point is one value of a tag.
type Point struct {
	At        time.Time           // when it was recorded, to the microsecond
	Step      int64               // the step that it belongs to
	Value     float64             // the scalar, unless there is a Histogram
	Histogram *training.Histogram // nil for a scalar
}

// Load reads the folder of one run, its event files by name and not the folders in
// it, and returns the points of each tag as TensorBoard's server shows them: a
// restart (SessionLog START) at a step removes the points of all tags at this and
// later steps that came before, except for the first restart of a run. In files
// without a version, a step below the one before does that to its own tags. A file
// that is damaged is read up to the damage; Load returns all that could be read,
// and what was wrong with each file. It keeps all points in memory.
func Load(fsys fs.FS) (map[string][]Point, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("tfevents: %w", err)
	}
	run := run{points: map[string][]Point{}, newest: -1}
	var errs []error
	for _, entry := range entries {
		if entry.IsDir() || !isEventFile(entry.Name()) {
			continue
		}
		if err := run.load(fsys, entry.Name()); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", entry.Name(), err))
		}
	}
	for tag, points := range run.points {
		if len(points) == 0 {
			delete(run.points, tag)
		}
	}
	return run.points, errors.Join(errs...)
}

// isEventFile is the server's rule.
func isEventFile(name string) bool {
	return strings.Contains(name, "tfevents") && !strings.HasSuffix(name, ".profile-empty")
}

// run is what the server knows of a run.
type run struct {
	points  map[string][]Point
	version float64 // of the files; 0 is not known
	started bool    // there was a START
	newest  int64   // step of the last summary
}

func (r *run) load(fsys fs.FS, name string) error {
	file, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	for event, err := range Read(file) {
		if err != nil {
			return err
		}
		r.add(&event)
	}
	return nil
}

func (r *run) add(e *Event) {
	if e.FileVersion != "" {
		r.version = parseVersion(e.FileVersion)
	}
	switch {
	case r.version >= 2:
		if e.Start && r.started {
			for tag := range r.points {
				r.purge(tag, e.Step)
			}
		}
		r.started = r.started || e.Start
	case e.summary && e.Step < r.newest:
		for _, v := range e.Values {
			r.purge(v.Tag, e.Step)
		}
	}
	if e.summary {
		r.newest = e.Step
	}
	for _, v := range e.Values {
		r.points[v.Tag] = append(r.points[v.Tag], Point{At: e.At, Step: e.Step, Value: v.Scalar, Histogram: v.Histogram})
	}
}

// purge removes the points of a tag at a step and above.
func (r *run) purge(tag string, step int64) {
	points := r.points[tag]
	kept := points[:0]
	for _, p := range points {
		if p.Step < step {
			kept = append(kept, p)
		}
	}
	clear(points[len(kept):])
	r.points[tag] = kept
}

// parseVersion returns the number in "brain.Event:2", and -1 if there is none.
func parseVersion(s string) float64 {
	parts := strings.Split(s, "brain.Event:")
	v, err := strconv.ParseFloat(strings.TrimSpace(parts[len(parts)-1]), 64)
	if err != nil || math.IsNaN(v) {
		return -1
	}
	return v
}
