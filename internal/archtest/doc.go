// Package archtest holds the rules that every folder of calm keeps, and the
// tests that check them: who may import whom, what go.mod may require, what
// must be documented, and what must not be in production code.
//
// A rule is a pure function from a [Tree] (file names and contents) to a list
// of [Fault]. So the same function checks the project and small trees with a
// planted fault; testdata/faults.txt holds one or more of those for each rule,
// and a rule that finds nothing in them fails the tests.
//
//	imports     who may import whom, and no cycles
//	modules     go.mod files: requirements, replace and go directives
//	docs        documentation of packages and exported names, Examples
//	state       no init functions, no package-level variable that changes
//	production  no testing packages, no process-wide defaults
//	api         the exported API equals testdata/api.txt
//	links       relative links and anchors of Markdown files resolve
//	snippets    Go blocks of Markdown files equal Examples
//	files       length of files, unfinished marks
//
// Rewrite testdata/api.txt and the Go blocks of Markdown files with
//
//	go test ./internal/archtest -update
//
// With CALM_MODULES=all in the environment every nested module is also vetted
// and tested.
package archtest
