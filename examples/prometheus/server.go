package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// server is a Prometheus, by its HTTP API.
type server struct{ base string }

// ready waits until it is.
func (s server) ready(ctx context.Context, ended <-chan error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("prometheus did not start: %w", errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/-/ready", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
}

// report is what a server says of its rules.
type report struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Name, Health, LastError, State, Type string
		}
	}
}

// rules asks for the rules and how they fare.
func (s server) rules(ctx context.Context) (r report, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/api/v1/rules", nil)
	if err != nil {
		return r, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return r, err
	}
	defer res.Body.Close()
	answer := struct {
		Status, Error string
		Data          *report
	}{Data: &r}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return r, err
	}
	if answer.Status != "success" {
		return r, errors.New(answer.Error)
	}
	return r, nil
}

// String counts the rules, and names those that failed, wait to fire or fire.
func (r report) String() string {
	var evaluated, all int
	said := map[string][]string{}
	for _, g := range r.Groups {
		for _, rule := range g.Rules {
			all++
			if rule.Health == "ok" {
				evaluated++
			}
			if rule.LastError != "" {
				said["failed"] = append(said["failed"], rule.Name+" ("+rule.LastError+")")
			}
			if rule.State == "pending" || rule.State == "firing" {
				said[rule.State] = append(said[rule.State], rule.Name)
			}
		}
	}
	var line strings.Builder
	fmt.Fprintf(&line, "%d of %d rules in %d groups evaluated", evaluated, all, len(r.Groups))
	for _, state := range []string{"failed", "pending", "firing"} {
		if names := slices.Compact(said[state]); len(names) > 0 {
			fmt.Fprintf(&line, "; %s: %s", state, strings.Join(names, ", "))
		}
	}
	return line.String()
}
