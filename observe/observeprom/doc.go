// Package observeprom exports what package observe measures to Prometheus.
package observeprom
