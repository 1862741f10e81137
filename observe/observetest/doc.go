// Package observetest checks implementations of observe.Sink.
package observetest
