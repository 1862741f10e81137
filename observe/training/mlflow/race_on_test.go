//go:build race

package mlflow

const raceEnabled = true
