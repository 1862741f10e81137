package resource

import (
	"bytes"
	"errors"
	"math"
	"os"
	"strconv"
)

// ticksPerSecond is USER_HZ, which Linux fixes at 100 on the systems that Go has.
const ticksPerSecond = 100

// otherName stands for the network devices that have no name of their own.
const otherName = "other"

var errSyntax = errors.New("not in the form expected")

// usage is what getrusage tells.
type usage struct {
	user, system           float64
	voluntary, involuntary int64
}

// procStat is what is used of /proc/self/stat.
type procStat struct {
	user, system         float64 // seconds
	threads              int64
	minor, major         int64
	started              float64 // seconds since boot
	virtualBytes, rBytes int64
}

// parseStat reads /proc/self/stat. The name of the command, in parentheses, may hold
// anything, so that fields count from the last parenthesis.
func parseStat(b []byte) (procStat, error) {
	at := bytes.LastIndexByte(b, ')')
	if at < 0 {
		return procStat{}, errSyntax
	}
	var v [22]int64 // v[0] is the state, field 3 of proc(5)
	n := 0
	for word := range bytes.FieldsSeq(b[at+1:]) {
		if n > 0 {
			var err error
			if v[n], err = strconv.ParseInt(string(word), 10, 64); err != nil {
				return procStat{}, err
			}
		}
		if n++; n == len(v) {
			break
		}
	}
	page := int64(os.Getpagesize())
	if n < len(v) || min(v[7], v[9], v[11], v[12], v[17], v[19], v[20], v[21]) < 0 || v[21] > math.MaxInt64/page {
		return procStat{}, errSyntax
	}
	return procStat{
		minor: v[7], major: v[9],
		user: float64(v[11]) / ticksPerSecond, system: float64(v[12]) / ticksPerSecond,
		threads: v[17], started: float64(v[19]) / ticksPerSecond,
		virtualBytes: v[20], rBytes: v[21] * page,
	}, nil
}

// parseUptime reads the first number of /proc/uptime: seconds since boot.
func parseUptime(b []byte) (float64, error) {
	first, _, _ := bytes.Cut(b, []byte(" "))
	v, err := strconv.ParseFloat(string(first), 64)
	if err == nil && !(v >= 0 && v < 1e12) {
		err = errSyntax
	}
	return v, err
}

// parseMaxFiles reads the soft limit of open files in /proc/self/limits. ok is false
// where it is unlimited.
func parseMaxFiles(b []byte) (n int64, ok bool, err error) {
	for line := range bytes.Lines(b) {
		if rest, found := bytes.CutPrefix(line, []byte("Max open files")); found {
			for soft := range bytes.FieldsSeq(rest) {
				if string(soft) == "unlimited" {
					return 0, false, nil
				}
				n, err := parseCount(soft)
				return n, err == nil, err
			}
		}
	}
	return 0, false, errSyntax
}

// parseCount reads a whole number from 0 to 2^63-1.
func parseCount(b []byte) (int64, error) {
	v, err := strconv.ParseUint(string(b), 10, 63)
	if err != nil {
		return 0, err // not the greatest, as for a number out of range
	}
	return int64(v), nil
}

// keyed reads the number of a line that begins with a key, as in memory.stat; sep is
// what stands between the two. found is false where there is no such line: older
// kernels lack some.
func keyed(b []byte, key, sep string) (v int64, found bool, err error) {
	for line := range bytes.Lines(b) {
		if len(line) > len(key)+len(sep) && string(line[:len(key)]) == key && string(line[len(key):len(key)+len(sep)]) == sep {
			v, err := parseCount(bytes.TrimSpace(line[len(key)+len(sep):]))
			return v, err == nil, err
		}
	}
	return 0, false, nil
}

// keyed is the value of a key in a file that was read; a value that is no number is
// counted as an error of the file.
func (s *source) keyed(h *handle, b []byte, key, sep string) (int64, bool) {
	v, found, err := keyed(b, key, sep)
	if err != nil {
		s.fail(h, err)
	}
	return v, found
}

// devices gives each network device a name, the same string each time.
type devices struct {
	names []string // the first maxDevices
	list  []Device // reused
}

// maxDevices bounds the network devices that have their own name.
const maxDevices = 16

// parse reads /proc/self/net/dev: two lines of heading, then "NAME: " and 8 columns
// of what was received and 8 of what was sent, bytes first.
func (d *devices) parse(b []byte) error {
	d.list = d.list[:0]
	var other Device
	row := 0
	for line := range bytes.Lines(b) {
		if row++; row <= 2 {
			continue
		}
		name, rest, ok := bytes.Cut(line, []byte(":"))
		name = bytes.TrimSpace(name)
		var column [9]int64
		n := 0
		for word := range bytes.FieldsSeq(rest) {
			if n == 0 || n == 8 {
				var err error
				if column[n], err = parseCount(word); err != nil {
					return err
				}
			}
			if n++; n == len(column) {
				break
			}
		}
		if !ok || n < len(column) || len(name) == 0 {
			return errSyntax
		}
		if string(name) == "lo" {
			continue
		}
		if own := d.name(name); own != "" {
			d.list = append(d.list, Device{Name: own, ReceiveBytes: column[0], TransmitBytes: column[8]})
			continue
		}
		other.Name = otherName
		other.ReceiveBytes = add(other.ReceiveBytes, column[0])
		other.TransmitBytes = add(other.TransmitBytes, column[8])
	}
	if other.Name != "" {
		d.list = append(d.list, other)
	}
	return nil
}

// name returns the string of a name, empty if there is no room for it.
func (d *devices) name(b []byte) string {
	for _, s := range d.names {
		if s == string(b) {
			return s
		}
	}
	if len(d.names) == maxDevices || string(b) == otherName {
		return ""
	}
	d.names = append(d.names, string(b))
	return d.names[len(d.names)-1]
}

// add sums two counts, up to the greatest there is.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// parseDisk sums rbytes and wbytes of the devices in io.stat.
func parseDisk(b []byte) (read, written int64, err error) {
	for word := range bytes.FieldsSeq(b) {
		key, value, ok := bytes.Cut(word, []byte("="))
		if !ok {
			continue // MAJOR:MINOR
		}
		to := &read
		switch string(key) {
		case "rbytes":
		case "wbytes":
			to = &written
		default:
			continue
		}
		n, err := parseCount(value)
		if err != nil {
			return 0, 0, err
		}
		*to = add(*to, n)
	}
	return read, written, nil
}
