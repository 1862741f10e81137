#!/usr/bin/env bash
# build.sh NAME... builds real systems from their Go modules into the folder that
# the tests look in: $CALM_PARTS, or calm-parts below the user's cache folder. It is
# for parts that no package manager has: victoria-logs, filebeat. The versions stand
# in the file beside this one. A part that is there already is left alone.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
parts=${CALM_PARTS:-${XDG_CACHE_HOME:-$HOME/.cache}/calm-parts}
mkdir -p "$parts"
export GOWORK=off GOFLAGS=-mod=mod

version() { awk -v name="$1" '$1 == name { print $2 "@" $3 }' "$here/versions"; }

victoria_logs() {
	local work=$1 source
	source=$(cd "$work" && go mod init calm-part >&2 && go mod download -json "$(version victoria-logs)" | awk -F'"' '$2 == "Dir" { print $4 }')
	cp -r "$source" "$work/source"
	chmod -R u+w "$work/source"
	cd "$work/source"
	rm -rf vendor
	# Its go.mod names a version that no proxy has.
	go mod edit -require="$(version victoria-metrics-lib)"
	go mod tidy
	go build -o "$parts/victoria-logs" ./app/victoria-logs
}

filebeat() {
	local work=$1 gomod
	gomod=$(cd "$work" && go mod init calm-part >&2 && go mod download -json "$(version filebeat)" | awk -F'"' '$2 == "GoMod" { print $4 }')
	cd "$work"
	{
		printf 'module calm-part\n\ngo 1.26.0\n\nrequire %s\n\n' "$(version filebeat | tr '@' ' ')"
		awk '/^replace \(/ { on = 1 } on { print } /^\)/ { on = 0 }' "$gomod" # replacements of a dependency do not count
	} >go.mod
	cat >main.go <<'GO'
// Filebeat, as its own main has it.
package main

import (
	"os"

	"github.com/elastic/beats/v7/filebeat/cmd"
	inputs "github.com/elastic/beats/v7/filebeat/input/default-inputs"
)

func main() {
	if err := cmd.Filebeat(inputs.Init, cmd.FilebeatSettings()).Execute(); err != nil {
		os.Exit(1)
	}
}
GO
	go mod tidy
	go build -o "$parts/filebeat" .
}

for name in "$@"; do
	if [[ -x $parts/$name ]]; then
		echo "$parts/$name is there"
		continue
	fi
	work=$(mktemp -d)
	trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
	case $name in
	victoria-logs) (victoria_logs "$work") ;;
	filebeat) (filebeat "$work") ;;
	*)
		echo "build.sh: $name: want victoria-logs or filebeat" >&2
		exit 2
		;;
	esac
	chmod -R u+w "$work"
	rm -rf "$work"
	trap - EXIT
	echo "built $parts/$name"
done
