package text

import "strconv"

// version is the part of a signature that names this package. Its number
// changes when the same texts could get another score.
const version = "version:calm1"

// corpus counts segments.
type corpus struct {
	segments int64
	refused  int64
	refs     int  // references of each segment
	varied   bool // they differ
}

// add is false for a segment without a reference.
func (c *corpus) add(refs int) bool {
	if refs == 0 {
		c.refused++
		return false
	}
	c.merge(corpus{segments: 1, refs: refs})
	return true
}

func (c *corpus) merge(other corpus) {
	switch {
	case other.segments == 0:
	case c.segments == 0:
		c.refs, c.varied = other.refs, other.varied
	default:
		c.varied = c.varied || other.varied || c.refs != other.refs
	}
	c.segments += other.segments
	c.refused += other.refused
}

// nrefs is the number of references of each segment, for a signature.
func (c *corpus) nrefs() string {
	if c.varied {
		return "var"
	}
	return strconv.Itoa(c.refs)
}

func caseName(lower bool) string {
	if lower {
		return "lc"
	}
	return "mixed"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
