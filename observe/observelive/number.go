package observelive

import (
	"math"
	"strconv"
)

// appendPoints writes numbers of 6 significant digits, null for a gap.
func appendPoints(b []byte, p []float32) []byte {
	b = append(b, '[')
	for i, v := range p {
		if i > 0 {
			b = append(b, ',')
		}
		if v != v {
			b = append(b, "null"...)
		} else {
			b = appendNumber(b, float64(v))
		}
	}
	return append(b, ']')
}

// appendNumber writes v with six significant digits, without trailing zeros. Numbers of everyday
// size take a way of their own: it is several times faster than strconv's, which is exact to the
// last digit; here the sixth digit may round the other way where the seventh is a five.
func appendNumber(b []byte, v float64) []byte {
	a := math.Abs(v)
	if a == 0 {
		return append(b, '0')
	}
	if !(a >= 1e-3 && a < 999999.5) {
		return strconv.AppendFloat(b, v, 'g', 6, 32)
	}
	decimals, scale := 0, 1.0 // of the fraction, such that there are six digits in all
	for t := a; t < 99999.95 && decimals < 8; t *= 10 {
		decimals++
		scale *= 10
	}
	n := uint64(math.Round(a * scale))
	if v < 0 {
		b = append(b, '-')
	}
	power := uint64(scale)
	b = strconv.AppendUint(b, n/power, 10)
	frac := n % power
	if frac == 0 {
		return b
	}
	b = append(b, '.')
	for power /= 10; frac > 0; power /= 10 {
		b = append(b, byte('0'+frac/power))
		frac %= power
	}
	return b
}
