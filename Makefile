# Shorthands; .ci/run is what counts.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 30s

.PHONY: help test race bench fuzz lint ci update-golden

help: ## Print the targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

test: ## Test the root module, and vet and test every nested one.
	go test ./...
	CALM_MODULES=all go test -count=1 -timeout 15m -run '^TestNestedModules$$' -v ./internal/archtest

race: ## Test the root module under the race detector, in random order.
	go test -race -shuffle=on -timeout 15m ./...

bench: ## Compare with the peers: one line a claim; fails when one is short.
	cd internal/bench && go run . -bars

fuzz: ## Run each fuzz target of the project for FUZZTIME.
	@grep -roE --include='*_test.go' --exclude-dir=testdata '^func Fuzz[A-Za-z0-9_]+' . | \
	sed -E 's#/[^/]*_test\.go:func # #' | sort | while read -r dir name; do \
		echo "== $$dir $$name"; \
		go -C "$$dir" test -run='^$$' -fuzz="^$$name$$" -fuzztime=$(FUZZTIME) . || exit 1; \
	done

lint: ## Print what is not formatted, and what go vet, go fix and staticcheck find.
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	go vet ./...
	go fix -diff ./...
	go run $(STATICCHECK) ./...

ci: ## Everything that a change must pass.
	bash .ci/run

update-golden: ## Rewrite the API golden file and the Go blocks of Markdown files.
	go test ./internal/archtest -run '^TestProject$$' -update
