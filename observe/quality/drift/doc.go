// Package drift finds changes in the distribution of a stream of values, and says
// how far one sample is from another.
//
// # Quick start
//
// A detector takes one value after the other, and says of each whether the
// distribution has changed:
//
//	var detector drift.ADWIN
//	for x := range values {
//		if v := detector.Update(x); v.Drift {
//			log.Printf("the mean is %.3f now", v.Mean)
//		}
//	}
//
// A [Reference] keeps a sample of a good time, and compares others with it:
//
//	reference, err := drift.NewReference(drift.ReferenceConfig{Sample: lastMonth})
//	...
//	d := reference.Distance(lastHour)
//	log.Printf("PSI %.3f, JS %.4f nats, KS %.3f (p %.2g)", d.PSI, d.JS, d.KS.D, d.KS.P)
//
// # Detectors
//
//   - [ADWIN] finds any change of the mean, up or down, of values of any scale. It
//     knows no parameter but the chance of a false alarm. The best to begin with.
//   - [PageHinkley] finds a mean that rises. It needs a threshold in the unit of the
//     values; tuned to them, it is the fastest.
//   - [DDM] finds an error rate that rises, from values of 0 and 1, and warns before
//     it does.
//
// Drift is a change of the distribution; a warning comes before it, where a detector
// has two levels, and may be followed by nothing. After a drift a detector starts
// anew. A [Verdict] has the numbers that were compared.
//
// The detectors agree with those of river (github.com/online-ml/river, at 063ca61d)
// value by value, with its defaults. Two details are river's as well: ADWIN never
// cuts behind the newest bucket of a size, and PageHinkley's count begins at 1, so
// that value number MinInstances - 1 is the first that may be a drift. Where rounding
// makes a variance negative, ADWIN takes it for 0.
//
// # Distances
//
// With p and q, the shares of two samples in the same bins:
//
//	PSI   sum (q - p) ln(q / p), a share of 0 being 1e-4      0 and more
//	JS    sum p/2 ln(p / m) + q/2 ln(q / m), m = (p + q)/2     0 to ln 2, nats
//	KS    D = largest distance of the distribution functions   0 to 1, and a p-value
//
// The bands of PSI, below 0.1 for no change and above 0.25 for a large one, are a
// convention and no test: samples of the same distribution have a PSI of about
// (bins - 1)(1/n + 1/m), which a few values in ten bins bring above any band. The p
// of [KS] is a test. But it answers whether there is a difference at all: with many
// values the least one is certain.
//
// p is exact where no sample has more than 10,000 values: the share of the lattice
// paths, as likely as another if there is no difference, that come as far from the
// diagonal as these samples do. With more it is the limit
//
//	2 sum (-1)^(j-1) exp(-2 j^2 D^2 nm/(n+m))
//
// Ties, as binned counts have them, make both too high, never too low.
//
// # Errors and bad values
//
// Detectors never fail: values that are NaN or infinite, for DDM those that are not
// 0 to 1, are counted by Refused and change nothing; larger ones than 1e100 count as
// 1e100. Parameters out of range count as their defaults. [NewReference] reports
// every fault of its Config. Distances of a [Reference] are NaN without values, and
// leave NaN out, counted. The functions refuse bad input with [ErrInput].
//
// # Concurrency
//
// A detector is for one goroutine at a time. A copy of a PageHinkley or DDM is a
// clone; ADWIN has Clone. A Reference is never changed: any number of goroutines may
// use it. Nothing here reads a clock, starts a goroutine or keeps what it is given.
//
// # Cost
//
// An Update takes 20 to 200 ns and allocates nothing, but for an ADWIN that is wider
// than ever: that one holds 104 bytes for each power of two of its width. Distance
// sorts the sample. Its p, for sizes n and m that differ, costs up to n x m steps of
// about 2 ns: 1 to 2 ms for two samples of 1000, a fraction of a second at the most;
// next to nothing for samples of one size, or above 10,000.
//
// # Limitations
//
//   - Each detector sees one number at a time: changes of several together need a
//     figure that says so, such as a distance or an error.
//   - DDM that saw no error while it was warming up takes the first for a drift.
//   - Where ADWIN cuts, it drops a whole bucket: the window that is left may hold a
//     few values of before.
//   - The bins of a Reference are in one dimension, and their edges never move.
//
// # Sources
//
// Bifet and Gavalda 2007, ADWIN. Page 1954, Hinkley 1971. Gama and others 2004, DDM.
// Hodges 1958: exact Kolmogorov-Smirnov. SciPy's ks_2samp and jensenshannon, with
// which the results are compared.
package drift
