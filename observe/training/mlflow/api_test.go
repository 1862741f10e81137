package mlflow

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/training"
)

// answers gives every request the same answer.
func answers(status int, header, value string, body io.Reader) *network {
	return &network{server: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if header != "" {
			w.Header().Set(header, value)
		}
		w.WriteHeader(status)
		_, _ = io.Copy(w, body)
	})}
}

// TestHostileAnswers: whatever a server says costs one bounded request.
func TestHostileAnswers(t *testing.T) {
	for _, c := range []struct {
		name    string
		w       *network
		want    string
		dropped bool
	}{
		{"HTML", answers(200, "", "", strings.NewReader("<html>log in</html>")), "not what MLflow sends", false},
		{"nothing", answers(200, "", "", strings.NewReader("")), `run_id ""`, false},
		{"a long ID", answers(200, "", "", strings.NewReader(`{"run":{"info":{"run_id":"`+strings.Repeat("x", 1000)+`"}}}`)), "run_id \"xxx", false},
		{"another type", answers(200, "", "", strings.NewReader(`{"run":7}`)), "not what MLflow sends", false},
		{"huge", answers(200, "", "", strings.NewReader(strings.Repeat(" ", 3<<20))), "more than 1 MiB", false},
		{"huge error", answers(500, "", "", strings.NewReader(strings.Repeat("x", 3<<20))), "status 500", false},
		{"redirect", answers(301, "Location", "http://elsewhere.test/", strings.NewReader("")), `elsewhere, at "http://elsewhere.test/"`, true},
		{"error without JSON", answers(403, "", "", strings.NewReader("forbidden")), `status 403: "forbidden"`, true},
		{"error with control characters", answers(400, "", "", strings.NewReader(`{"error_code":"A\u0000","message":"b\u001bc`+strings.Repeat("d", 5000)+`"}`)), "400 A : b cddd", true},
		{"status 999", answers(999, "", "", strings.NewReader("")), "status 999", false},
	} {
		s := newSink(t, c.w, nil)
		err := s.Write(context.Background(), steps(0, 1))
		require.ErrorContains(t, err, c.want, c.name)
		require.Less(t, len(err.Error()), 700, c.name)
		require.Equal(t, c.dropped, isRefused(err), c.name)
		require.Equal(t, 1, c.w.n, c.name)
		if c.dropped {
			require.ErrorIs(t, err, training.ErrDropped, c.name)
		} else {
			require.NotErrorIs(t, err, training.ErrDropped, c.name)
		}
	}
}

// token authenticates requests.
type token struct{ http.RoundTripper }

func (a token) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer t")
	return a.RoundTripper.RoundTrip(r)
}

// TestRealHTTP: over a real connection, with authentication and a connection that
// is reset after the request was taken.
func TestRealHTTP(t *testing.T) {
	f := newFake()
	resets := 2
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			w.WriteHeader(401)
			return
		}
		r.URL.Path = strings.TrimPrefix(r.URL.Path, "/proxy")
		if resets > 0 && strings.HasSuffix(r.URL.Path, "log-batch") {
			resets--
			f.ServeHTTP(httptest.NewRecorder(), r)
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
			return
		}
		f.ServeHTTP(w, r)
	}))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	s, err := New(Config{URL: server.URL + "/proxy/", Client: &http.Client{Transport: token{transport}}, Experiment: "e"})
	require.NoError(t, err)
	failures := 0
	for {
		err := s.Write(context.Background(), steps(0, 300))
		if err == nil {
			break
		}
		require.NotErrorIs(t, err, training.ErrDropped)
		failures++
	}
	require.NoError(t, s.Close(context.Background()))
	require.Equal(t, 2, failures)
	require.EqualValues(t, 2, s.Stats().Resent)
	require.Zero(t, checkPoints(t, f.run(t), 0, 300, 1))

	anonymous := newSink(t, nil, func(c *Config) { c.URL, c.Client = server.URL, nil })
	require.ErrorIs(t, anonymous.Write(context.Background(), steps(0, 1)), training.ErrDropped)
}

// TestNotSent: a request that found no server is not one that it may have taken.
func TestNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	for _, scheme := range []string{"http", "https"} {
		s, err := New(Config{URL: scheme + "://" + address, ExperimentID: "1"})
		require.NoError(t, err)
		err = s.Write(context.Background(), steps(0, 1))
		require.Error(t, err)
		require.False(t, s.maybeCreated, "nothing was sent")
	}
	plain := httptest.NewServer(newFake())
	defer plain.Close()
	s, err := New(Config{URL: "https" + strings.TrimPrefix(plain.URL, "http"), ExperimentID: "1"})
	require.NoError(t, err)
	require.Error(t, s.Write(context.Background(), steps(0, 1)))
	require.False(t, s.maybeCreated, "TLS failed")
}
