package mlflow

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/calmops/calm/observe/training"
)

// createdTag marks a run with a text of its own, by which it is found if the
// answer to its creation is lost.
const createdTag = "calm.created"

// pair is a tag or a param as it travels.
type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// start finds or creates the run, once, and queues its params and tags.
func (s *Sink) start(ctx context.Context, first *training.Record) error {
	if s.run != "" {
		return nil
	}
	if err := s.mayCall(); err != nil {
		return err
	}
	id, err := s.findRun(ctx, first)
	if err != nil {
		s.heed(err)
		return err
	}
	s.run = jsonString(id)
	s.mu.Lock()
	s.runID = id
	s.mu.Unlock()

	for _, key := range sortedKeys(s.cfg.Params) {
		s.queue(param, key, s.cfg.Params[key], maxParam)
	}
	if session := first.Session; session != nil {
		s.queue(tag, "calm.run", session.Run, maxTag)
		s.queue(tag, "calm.rank", strconv.Itoa(session.Rank), maxTag)
		s.queue(tag, "calm.world", strconv.Itoa(session.World), maxTag)
	}
	for _, key := range sortedKeys(s.cfg.Tags) {
		s.queue(tag, key, s.cfg.Tags[key], maxTag)
	}
	return nil
}

func (s *Sink) findRun(ctx context.Context, first *training.Record) (string, error) {
	if s.cfg.RunID != "" {
		return s.cfg.RunID, s.update(ctx, s.cfg.RunID, "RUNNING", time.Time{})
	}
	if s.experiment == "" {
		id, err := s.findExperiment(ctx)
		if err != nil {
			return "", err
		}
		s.experiment = id
	}
	if s.maybeCreated {
		if id, err := s.searchRun(ctx); err == nil && id != "" || err != nil && !isRefused(err) {
			return id, err
		}
	}
	return s.createRun(ctx, first)
}

func (s *Sink) findExperiment(ctx context.Context) (string, error) {
	switch {
	case s.cfg.ExperimentID != "":
		return s.cfg.ExperimentID, nil
	case s.cfg.Experiment == "":
		return "0", nil
	}
	if !s.missing {
		id, err := s.experimentByName(ctx)
		if s.missing = hasCode(err, "RESOURCE_DOES_NOT_EXIST"); !s.missing {
			return id, err
		}
	}
	var answer struct {
		ID string `json:"experiment_id"`
	}
	err := s.api.post(ctx, "experiments/create", map[string]string{"name": s.cfg.Experiment}, &answer)
	if hasCode(err, "RESOURCE_ALREADY_EXISTS") { // another process was faster, or an answer was lost
		s.missing = false
		return s.experimentByName(ctx)
	}
	if err != nil {
		return "", err
	}
	return checkID("experiments/create", "experiment_id", answer.ID)
}

func (s *Sink) experimentByName(ctx context.Context) (string, error) {
	var answer struct {
		Experiment struct {
			ID string `json:"experiment_id"`
		} `json:"experiment"`
	}
	const path = "experiments/get-by-name"
	if err := s.api.call(ctx, http.MethodGet, path+"?experiment_name="+url.QueryEscape(s.cfg.Experiment), nil, &answer); err != nil {
		return "", err
	}
	return checkID(path, "experiment_id", answer.Experiment.ID)
}

// runAnswer is a run in an answer.
type runAnswer struct {
	Info struct {
		ID string `json:"run_id"`
	} `json:"info"`
}

func (s *Sink) createRun(ctx context.Context, first *training.Record) (string, error) {
	if s.created == "" {
		s.created = rand.Text()
	}
	request := struct {
		Experiment string `json:"experiment_id"`
		Name       string `json:"run_name,omitempty"`
		Start      int64  `json:"start_time"`
		Tags       []pair `json:"tags"`
	}{s.experiment, s.runName(first.Session), max(first.At.UnixMilli(), 0), []pair{{createdTag, s.created}}}
	var answer struct {
		Run runAnswer `json:"run"`
	}
	err := s.api.post(ctx, "runs/create", request, &answer)
	if e, ok := errors.AsType[*callError](err); ok && e.verdict == ambiguous {
		s.maybeCreated = true
	}
	if err != nil {
		return "", err
	}
	s.maybeCreated = true // an answer without the ID
	return checkID("runs/create", "run_id", answer.Run.Info.ID)
}

func (s *Sink) runName(session *training.Session) string {
	name := s.cfg.RunName
	if name == "" && session != nil {
		name = session.Run
		if session.Rank > 0 {
			name += "-rank" + strconv.Itoa(session.Rank)
		}
	}
	name, _ = plainText(name, maxKey)
	return name
}

// searchRun looks for a run whose creation was not answered. It returns "" if
// there is none.
func (s *Sink) searchRun(ctx context.Context) (string, error) {
	request := map[string]any{
		"experiment_ids": []string{s.experiment},
		"filter":         fmt.Sprintf("tags.`%s` = '%s'", createdTag, s.created),
		"max_results":    1,
	}
	var answer struct {
		Runs []runAnswer `json:"runs"`
	}
	if err := s.api.post(ctx, "runs/search", request, &answer); err != nil || len(answer.Runs) == 0 {
		return "", err
	}
	return checkID("runs/search", "run_id", answer.Runs[0].Info.ID)
}

// update sets the status of the run, and the time of its end if that is not zero.
func (s *Sink) update(ctx context.Context, id, status string, end time.Time) error {
	request := struct {
		Run    string `json:"run_id"`
		Status string `json:"status"`
		End    int64  `json:"end_time,omitempty"`
	}{Run: id, Status: status}
	if !end.IsZero() {
		request.End = max(end.UnixMilli(), 0)
	}
	return s.api.post(ctx, "runs/update", request, nil)
}

// checkID returns an ID that a server gave, if it can be one.
func checkID(path, field, id string) (string, error) {
	if id == "" || len(id) > maxKey {
		return "", &callError{path: path, verdict: ambiguous, status: http.StatusOK, message: fmt.Sprintf("the answer has %s %.80q", field, id)}
	}
	return id, nil
}

func hasCode(err error, code string) bool {
	e, ok := errors.AsType[*callError](err)
	return ok && e.code == code
}
