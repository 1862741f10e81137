// Package logs sends what calm logs through real shippers into a real log store.
//
// Both are built by ../build.sh from their Go modules: VictoriaLogs, which takes the
// bulk API of Elasticsearch, and Filebeat. A test skips where one is missing. There
// is no Elasticsearch here: what its mapping would refuse is tested in examples/elk.
package logs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// part returns the path of a program that build.sh has built, or skips.
func part(t *testing.T, name string) string {
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	path := filepath.Join(cmp.Or(os.Getenv("CALM_PARTS"), filepath.Join(cache, "calm-parts")), name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not built: internal/e2e/build.sh %s", name, name)
	}
	return path
}

// start runs a program until the end of the test.
func start(t *testing.T, path string, args ...string) {
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(path), out.String())
		}
	})
}

// store starts VictoriaLogs and returns its address.
func store(t *testing.T) string {
	path := part(t, "victoria-logs")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	l.Close()
	start(t, path, "-storageDataPath="+t.TempDir(), "-httpListenAddr="+address, "-retentionPeriod=30d", "-memory.allowedPercent=5")
	require.Eventually(t, func() bool {
		res, err := http.Get("http://" + address + "/health")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, 20*time.Second, 100*time.Millisecond, "VictoriaLogs is not ready")
	return address
}

// query returns the documents that LogsQL finds.
func query(t *testing.T, address, q string) (docs []map[string]any) {
	res, err := http.Get("http://" + address + "/select/logsql/query?limit=1000&query=" + url.QueryEscape(q))
	require.NoError(t, err)
	defer res.Body.Close()
	d := json.NewDecoder(res.Body)
	for {
		var doc map[string]any
		if err := d.Decode(&doc); err == io.EOF {
			return docs
		} else {
			require.NoError(t, err)
		}
		docs = append(docs, doc)
	}
}

// app writes the lines of examples/elk into a file.
func app(t *testing.T, n int) (file string) {
	dir := t.TempDir()
	program, file := filepath.Join(dir, "elk"), filepath.Join(dir, "app.log")
	out, err := exec.Command("go", "build", "-o", program, "github.com/calmops/calm/examples/elk").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.Command(program, "-n", fmt.Sprint(n), "-every", "1ms", "-out", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return file
}

// check looks at what has arrived.
func check(t *testing.T, address string, n int) {
	require.Eventually(t, func() bool { return len(query(t, address, "*")) == n }, 60*time.Second, 500*time.Millisecond,
		"not every line has arrived")
	for _, doc := range query(t, address, "*") {
		text, err := json.Marshal(doc)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "launch code")
	}
	served := query(t, address, `"request served"`)
	require.NotEmpty(t, served)
	assert.Equal(t, "tiny", served[0]["gen_ai.request.model"])
	assert.Equal(t, "412000000", served[0]["event.duration"])
	assert.Equal(t, "chat", served[0]["service.name"])
	assert.Len(t, served[0]["trace.id"], 32)

	steps := query(t, address, `labels.nonfinite:*`)
	require.NotEmpty(t, steps, "the steps whose loss was no number")
	assert.Equal(t, "loss,grad_norm", steps[0]["labels.nonfinite"])
	assert.NotContains(t, steps[0], "loss")
	assert.Equal(t, "no object", steps[0]["labels.error"])

	failed := query(t, address, `error.message:backend`)
	require.NotEmpty(t, failed)
	assert.Contains(t, failed[0]["error.message"], "[content]")
}

func TestBulk(t *testing.T) {
	address := store(t)
	lines, err := os.ReadFile(app(t, 30))
	require.NoError(t, err)
	var body bytes.Buffer
	for line := range bytes.Lines(lines) {
		body.WriteString(`{"create":{"_index":"logs-chat-calm"}}` + "\n")
		body.Write(line)
	}
	res, err := http.Post("http://"+address+"/insert/elasticsearch/_bulk?_time_field=@timestamp&_msg_field=message&_stream_fields=service.name",
		"application/x-ndjson", &body)
	require.NoError(t, err)
	answer, err := io.ReadAll(res.Body)
	res.Body.Close()
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", answer)
	assert.Contains(t, string(answer), `"errors":false`)
	assert.Equal(t, 30, strings.Count(string(answer), `"status":201`))
	check(t, address, 30)
}

func TestFilebeat(t *testing.T) {
	filebeat := part(t, "filebeat")
	address := store(t)
	dir, file := t.TempDir(), app(t, 30)
	// The input is that of examples/elk; only where it leads to differs.
	shipped, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "elk", "filebeat.yml"))
	require.NoError(t, err)
	input, _, ok := strings.Cut(string(shipped), "setup.template.enabled")
	require.True(t, ok)
	config := strings.ReplaceAll(input, "${CALM_LOG:/var/log/calm/*.log}", file) + fmt.Sprintf(`
setup.template.enabled: false
setup.ilm.enabled: false
seccomp.enabled: false # its filter is older than the glibc of today, which it would kill
path.home: %s
output.elasticsearch:
  hosts: ["http://%s/insert/elasticsearch"]
  parameters: {_msg_field: message, _time_field: "@timestamp", _stream_fields: service.name}
  allow_older_versions: true
`, dir, address)
	path := filepath.Join(dir, "filebeat.yml")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	start(t, filebeat, "--strict.perms=false", "-e", "-c", path)
	check(t, address, 30)
	for _, doc := range query(t, address, "*") {
		assert.NotEmpty(t, doc["agent.type"], "Filebeat has had it")
	}
}
