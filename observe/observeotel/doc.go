// Package observeotel exports what package observe measures to OpenTelemetry.
package observeotel
