package dashboards

import (
	"slices"
	"strings"

	"github.com/calmops/calm/observe"
)

// units are Grafana's identifiers, of packages/grafana-data/src/valueFormats/categories.ts.
const units = ` none string short percent percentunit humidity dB hex0x hex sci locale pixel
 accMS2 accFS2 accG degree radian grad arcmin arcsec areaM2 areaF2 areaMI2 acres hectares
 flops mflops gflops tflops pflops eflops zflops yflops
 ppm conppb conngm3 conngNm3 conμgm3 conμgNm3 conmgm3 conmgNm3 congm3 congNm3 conmgdL conmmolL
 currencyUSD currencyGBP currencyEUR currencyJPY currencyRUB currencyUAH currencyBRL currencyDKK currencyISK currencyNOK currencySEK
 currencyCZK currencyCHF currencyPLN currencyBTC currencymBTC currencyμBTC currencyZAR currencyINR currencyKRW currencyIDR currencyPHP
 currencyVND currencyTRY currencyMYR currencyXPF currencyBGN currencyPYG currencyUYU currencyILS
 bytes decbytes bits decbits kbytes deckbytes mbytes decmbytes gbytes decgbytes tbytes dectbytes pbytes decpbytes
 pps binBps Bps binbps bps KiBs Kibits KBs Kbits MiBs Mibits MBs Mbits GiBs Gibits GBs Gbits TiBs Tibits TBs Tbits PiBs Pibits PBs Pbits
 dateTimeAsIso dateTimeAsIsoNoDateIfToday dateTimeAsUS dateTimeAsUSNoDateIfToday dateTimeAsLocal dateTimeAsLocalNoDateIfToday dateTimeAsSystem dateTimeFromNow
 watt kwatt megwatt gwatt mwatt Wm2 voltamp kvoltamp voltampreact kvoltampreact watth watthperkg kwatth kwattm amph kamph mamph joule ev amp kamp mamp
 volt kvolt mvolt dBm mohm ohm kohm Mohm farad µfarad nfarad pfarad ffarad henry mhenry µhenry lumens
 flowgpm flowcms flowcfs flowcfm litreh flowlpm flowmlpm lux forceNm forcekNm forceN forcekN
 Hs KHs MHs GHs THs PHs EHs massmg massg masslb masskg masst lengthmm lengthin lengthft lengthm lengthkm lengthmi
 rotrpm hertz kHz mhz rotrads rotdegs radbq radci radgy radrad radsv radmsv radusv radrem radexpckg radr radsvh radmsvh radusvh
 celsius fahrenheit kelvin ns µs ms s m h d dtdurationms dtdurations dthms dtdhms timeticks clockms clocks
 cps ops reqps rps wps iops eps mps recps rowsps cpm opm reqpm rpm wpm epm mpm
 velocityms velocitykmh velocitymph velocityknot mlitre litre m3 Nm3 dm3 gallons bool bool_yes_no bool_on_off
 pressurembar pressurebar pressurekbar pressurepa pressurehpa pressurekpa pressurehg pressurepsi `

// knownUnit reports whether Grafana knows a unit, or takes it as one of the caller's
// own.
func knownUnit(unit string) bool {
	if kind, own, ok := strings.Cut(unit, ":"); ok {
		return own != "" && slices.Contains([]string{"prefix", "suffix", "time", "si", "count", "currency", "bool"}, kind)
	}
	return unit != "" && !strings.ContainsAny(unit, " \n") && strings.Contains(units, " "+unit) && slices.Contains(strings.Fields(units), unit)
}

// shown are the units of Grafana in which a quantity may be shown. Counts and shares
// are plain numbers.
func shown(quantity string) []string {
	plain := []string{"none", "short", "locale", "sci", "bool", "bool_yes_no", "bool_on_off", "string"}
	switch quantity {
	case "s":
		return []string{"s", "dtdurations", "dthms", "dtdhms", "clocks"}
	case "By":
		return []string{"bytes", "decbytes"}
	case "By/s":
		return []string{"Bps", "binBps"}
	case "{FLOP}/s":
		return []string{"flops"}
	case "Cel":
		return []string{"celsius"}
	case "W":
		return []string{"watt"}
	case "J":
		return []string{"joule"}
	case "Hz":
		return []string{"hertz"}
	case "1", "s/s":
		return append(plain, "percentunit")
	case "{request}/s":
		return append(plain, "reqps", "rps", "cps", "ops")
	case "1/s":
		return append(plain, "cps", "ops", "eps")
	}
	return plain
}

// unitOfTable looks whether the unit of a panel is that of the metrics it asks for, by
// the table of metrics.
func (l *linter) unitOfTable(p *lintPanel, t *lintTarget, e expr) {
	unit := p.FieldConfig.Defaults.Unit
	quantity := l.names.quantity(e)
	if of := selectors(e); p.Type == "heatmap" && len(of) > 0 {
		m, _, _ := l.names.of(of[0].name) // the axis is that of the values
		quantity = m.Unit
	}
	if unit == "" || quantity == "" || strings.Contains(unit, ":") || slices.Contains(shown(quantity), unit) {
		return
	}
	l.found("panel-unit-table-rule", SeverityError, p, t, "its unit is %q, and what it shows is in %s", unit, quantity)
}

// quantity returns the unit of what an expression is worth, as UCUM writes it, or ""
// where it is not known.
func (c catalogue) quantity(e expr) string {
	switch e := e.(type) {
	case *selector:
		m, suffix, ok := c.of(e.name)
		switch {
		case !ok:
			return ""
		case suffix == "_count":
			return "1"
		case suffix == "_bucket" && e.window == "": // only a quantile has the unit
			return "1"
		}
		return m.Unit
	case subquery:
		return c.quantity(e.of)
	case paren:
		return c.quantity(e.of)
	case negation:
		return c.quantity(e.of)
	case aggregate:
		if e.op == "count" || e.op == "count_values" || e.op == "group" {
			return "1"
		}
		return c.quantity(e.of)
	case call:
		return c.quantityOfCall(e)
	case binary:
		return c.quantityOfBinary(e)
	}
	return ""
}

func (c catalogue) quantityOfCall(e call) string {
	switch e.name {
	case "time":
		return "s"
	case "rate", "irate", "deriv":
		if c.counts(e.args[0]) {
			return "1/s"
		}
		if unit := c.quantity(e.args[0]); unit != "" {
			return unit + "/s"
		}
	case "increase", "delta":
		if c.counts(e.args[0]) {
			return "1"
		}
		return c.quantity(e.args[0])
	case "histogram_quantile":
		for _, s := range selectors(e.args[1]) {
			m, _, _ := c.of(s.name)
			return m.Unit
		}
	case "sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "last_over_time", "abs", "round", "ceil", "floor", "clamp", "clamp_min", "clamp_max":
		return c.quantity(e.args[0])
	case "changes", "resets", "count_over_time", "absent", "histogram_count":
		return "1"
	}
	return ""
}

// counts reports whether an expression is a histogram or its buckets: what rises in it
// is a count, whatever is measured.
func (c catalogue) counts(e expr) bool {
	s, ok := e.(*selector)
	if !ok {
		return false
	}
	m, suffix, ok := c.of(s.name)
	return ok && m.Kind == observe.KindHistogram && suffix != "_sum"
}

func (c catalogue) quantityOfBinary(e binary) string {
	l, r := c.quantity(e.left), c.quantity(e.right)
	switch {
	case precedence[e.op] <= 3: // sets and comparisons: what is left of the left side
		return l
	case e.op == "+" || e.op == "-":
		if l == "" {
			return r
		}
		return l
	case e.op == "/" && l != "" && l == r:
		return "1"
	}
	// A product with a number may be in another unit.
	return ""
}
