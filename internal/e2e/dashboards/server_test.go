// Package dashboards asks a real Prometheus everything that the dashboards and the
// rules ask, and holds the dashboards against Grafana's schema.
package dashboards

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program returns the path of a program of Debian's package prometheus; it skips
// where that is missing, and fails where it is required.
func program(t *testing.T, name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		missing := "no " + name + " in PATH (Debian: apt-get install prometheus)"
		if os.Getenv("CALM_E2E") == "required" {
			t.Fatal(missing + ", but CALM_E2E=required")
		}
		t.Skip(missing)
	}
	return path
}

// server is a Prometheus.
type server struct{ base string }

// start runs a Prometheus over the data of a folder until the test ends.
func start(t *testing.T, data, config string, flags ...string) server {
	path := program(t, "prometheus")
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o644))
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a free port
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())

	var log bytes.Buffer
	cmd := exec.Command(path, append([]string{"--config.file=" + file, "--storage.tsdb.path=" + data,
		"--storage.tsdb.retention.time=100y", "--web.listen-address=" + addr}, flags...)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	s := server{"http://" + addr}
	require.Eventually(t, func() bool {
		res, err := http.Get(s.base + "/-/ready")
		if err == nil {
			res.Body.Close()
		}
		return err == nil && res.StatusCode == http.StatusOK
	}, 60*time.Second, 100*time.Millisecond, "it gets ready")
	return s
}

// get reads an answer of the HTTP API.
func (s server) get(path string, query url.Values, data any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s", answer.Error)
	}
	return nil
}

// count asks an expression and returns how many series it has, without those that are
// no numbers. A zero time is now.
func (s server) count(expr string, at time.Time) (n int, err error) {
	query := url.Values{"query": {expr}}
	if !at.IsZero() {
		query.Set("time", strconv.FormatInt(at.Unix(), 10))
	}
	var data struct {
		ResultType string
		Result     json.RawMessage
	}
	if err := s.get("/api/v1/query", query, &data); err != nil {
		return 0, err
	}
	if data.ResultType == "scalar" {
		return 1, nil
	}
	var series []struct{ Value [2]any }
	if err := json.Unmarshal(data.Result, &series); err != nil {
		return 0, err
	}
	for _, r := range series {
		if r.Value[1] != "NaN" {
			n++
		}
	}
	return n, nil
}
