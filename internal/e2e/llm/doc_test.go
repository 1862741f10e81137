// Package llm points clients that people use at servers that calm measures, and
// compares what both sides saw.
package llm
