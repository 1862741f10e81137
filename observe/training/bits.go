package training

import "math"

// A float32 is counted by its upper 15 bits: sign, exponent and 6 bits of mantissa.
// Without the sign that is a magnitude: 0 is zero and what is nearly zero, and from
// notFinite on there are infinities and NaN.
const (
	bucketShift = 17
	magnitudes  = 1 << 14
	notFinite   = 0x7f800000 >> bucketShift
)

// magnitudeOf returns the magnitude of a number from 0 up.
func magnitudeOf(x float64) int {
	return int(math.Float32bits(float32(x)) >> bucketShift)
}

// lowest returns the smallest number of a magnitude.
func lowest(magnitude int) float64 {
	return float64(math.Float32frombits(uint32(magnitude) << bucketShift))
}

// highest returns the largest number of a magnitude.
func highest(magnitude int) float64 {
	return float64(math.Float32frombits(uint32(magnitude)<<bucketShift | (1<<bucketShift - 1)))
}

// center returns the number that stands for a magnitude. Zeros are most of the
// lowest one.
func center(magnitude int) float64 {
	if magnitude == 0 {
		return 0
	}
	return (lowest(magnitude) + highest(magnitude)) / 2
}
