package resource

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseStatCut(t *testing.T) {
	whole := []byte(process["/proc/self/stat"])
	want, err := parseStat(whole)
	require.NoError(t, err)
	rss := strings.Index(string(whole), " 2500 ")
	for i := range whole {
		got, err := parseStat(whole[:i])
		if i < rss+2 {
			assert.Error(t, err, "%q", whole[:i])
		} else if i >= rss+5 {
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
	}
	for _, line := range []string{"", "1", "1 (x)", "1 (x) R", "1 (x) R 1 1 1 1 1 1 1 1 1 1 -1 1 1 1 1 1 1 1 1 1 1 1"} {
		_, err := parseStat([]byte(line))
		assert.Error(t, err, line)
	}
}

func TestParseUptime(t *testing.T) {
	v, err := parseUptime([]byte("350735.47 234388.90\n"))
	require.NoError(t, err)
	assert.Equal(t, 350735.47, v)
	for _, s := range []string{"", "\n", "NaN 1", "-1 1", "Inf 1", "1e300 1", "x"} {
		_, err := parseUptime([]byte(s))
		assert.Error(t, err, s)
	}
}

func TestParseMaxFiles(t *testing.T) {
	for _, c := range []struct {
		line string
		n    int64
		ok   bool
		bad  bool
	}{
		{"Max open files            1024                 524288               files     \n", 1024, true, false},
		{"Max open files            unlimited            unlimited            files     \n", 0, false, false},
		{"Max open files            0 0 files\n", 0, true, false},
		{"Max open files            -1 0 files\n", 0, false, true},
		{"Max open files\n", 0, false, true},
		{"", 0, false, true},
	} {
		n, ok, err := parseMaxFiles([]byte("Limit  Soft Limit  Hard Limit  Units\n" + c.line))
		assert.Equal(t, []any{c.n, c.ok, c.bad}, []any{n, ok, err != nil}, c.line)
	}
}

func TestKeyed(t *testing.T) {
	b := []byte("oom_kill_disable 0\noom 7\noom_kill 3\nbad x\nnegative -1\nlast 18446744073709551615")
	for _, c := range []struct {
		key   string
		v     int64
		found bool
		bad   bool
	}{
		{"oom_kill", 3, true, false}, {"oom", 7, true, false}, {"kill", 0, false, false}, {"oom_kill 3", 0, false, false},
		{"bad", 0, false, true}, {"negative", 0, false, true}, {"absent", 0, false, false},
	} {
		v, found, err := keyed(b, c.key, " ")
		assert.Equal(t, []any{c.v, c.found, c.bad}, []any{v, found, err != nil}, c.key)
	}
	_, found, err := keyed(b, "last", " ")
	assert.False(t, found)
	assert.Error(t, err)
}

// A host with more devices than have names: the rest are one.
func TestNetworkDevicesAreBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString(netHeading + "lo: 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0\n")
	line := " %s:%d 0 0 0 0 0 0 0 %d 0 0 0 0 0 0 0\n"
	for i := range 5000 {
		fmt.Fprintf(&text, line, fmt.Sprintf("veth%d", i), i, 2*i)
	}
	var d devices
	require.NoError(t, d.parse([]byte(text.String())))
	require.Len(t, d.list, maxDevices+1)
	assert.Equal(t, Device{"veth15", 15, 30}, d.list[15])
	rest := int64(5000*4999/2 - 16*15/2)
	assert.Equal(t, Device{"other", rest, 2 * rest}, d.list[16])

	// Those that have a name keep it; new ones have none.
	require.NoError(t, d.parse([]byte(netHeading+fmt.Sprintf(line, "eth0", math.MaxInt64, 1)+fmt.Sprintf(line, "veth3", 8, 9)+fmt.Sprintf(line, "other", 5, 6))))
	assert.Equal(t, []Device{{"veth3", 8, 9}, {"other", math.MaxInt64, 7}}, d.list)
	assert.Len(t, d.names, maxDevices)

	for _, bad := range []string{"eth0: 1 2 3\n", "eth0 1 0 0 0 0 0 0 0 1\n", "eth0: -1 0 0 0 0 0 0 0 1\n", ": 1 0 0 0 0 0 0 0 1\n"} {
		assert.Error(t, d.parse([]byte(netHeading+bad)), bad)
	}
}

func TestParseDisk(t *testing.T) {
	read, written, err := parseDisk([]byte("8:16 rbytes=1 wbytes=2 rios=9\n8:0\n253:1 wbytes=30 rbytes=10\n"))
	require.NoError(t, err)
	assert.Equal(t, []int64{11, 32}, []int64{read, written})
	_, _, err = parseDisk([]byte("8:16 rbytes=1 wbytes=x\n"))
	assert.Error(t, err)
	_, _, err = parseDisk(nil)
	assert.NoError(t, err)
}

func TestParseCPUMax(t *testing.T) {
	for _, c := range []struct {
		text  string
		cores float64
		ok    bool
		bad   bool
	}{
		{"max 100000\n", 0, false, false}, {"max\n", 0, false, false},
		{"200000 100000\n", 2, true, false}, {"1 1000000", 1e-6, true, false},
		{"0 100000\n", 0, false, true}, {"100000 0\n", 0, false, true}, {"100000\n", 0, false, true},
		{"-1 100000\n", 0, false, true}, {"1.5 1\n", 0, false, true}, {"1 2 3\n", 0, false, true}, {"", 0, false, true},
	} {
		cores, ok, err := parseCPUMax([]byte(c.text))
		assert.Equal(t, []any{c.cores, c.ok, c.bad}, []any{cores, ok, err != nil}, c.text)
	}
}

func TestParsePressure(t *testing.T) {
	p, err := parsePressure([]byte("some avg10=12.34 avg60=5.00 avg300=1.00 total=123456 new=7\n"))
	require.NoError(t, err)
	assert.Equal(t, Stalls{Some: Stall{true, .1234, .05, .01, .123456}}, p, "an older kernel has no full for CPU")
	for _, bad := range []string{
		"x", "some\n", "some avg10=0.00 avg60=0.00 avg300=0.00\n", "some total=-1\n", "some total=x\n", "some avg10=NaN total=1\n",
		"some avg10=101 total=1\n", "some avg10=-1 total=1\n", "all total=1\n", "some total=1\nfull total=\n",
	} {
		p, err := parsePressure([]byte(bad))
		assert.Error(t, err, bad)
		assert.Zero(t, p, bad)
	}
	p, err = parsePressure(nil)
	assert.NoError(t, err)
	assert.Zero(t, p)
}
