//go:build !race

package mlflow

const raceEnabled = false
