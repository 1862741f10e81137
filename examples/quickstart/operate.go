package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/cost"
	"github.com/calmops/calm/observe/ecslog"
	"github.com/calmops/calm/observe/observeprom"
	"github.com/calmops/calm/observe/quality"
	"github.com/calmops/calm/observe/resource"
)

// operation is what is watched besides the requests: what the model writes, what the
// process uses of its machine, what that costs, and a log. Cost and log are nil
// where nobody asked for them, and then do nothing.
type operation struct {
	quality *quality.Monitor
	account *cost.Account
	log     *slog.Logger
	file    io.Closer
}

// machine is the one device there is.
const machine = "machine"

func newOperation(o options, reg prometheus.Registerer) (*operation, error) {
	reader, err := resource.New(resource.Config{})
	if err != nil {
		return nil, err
	}
	op := &operation{}
	if op.quality, err = quality.New(quality.Config{Window: 5 * time.Minute}); err != nil {
		return nil, err
	}
	_, noResource := observeprom.NewResource(observeprom.ResourceConfig{Reader: reader, Registerer: reg})
	_, noQuality := observeprom.NewQuality(observeprom.QualityConfig{Monitor: op.quality, Registerer: reg})
	return op, errors.Join(noResource, noQuality, op.openAccount(o.price, reg), op.openLog(o.log, reg))
}

// openAccount makes the account of -price.
func (op *operation) openAccount(price string, reg prometheus.Registerer) (err error) {
	if price == "" {
		return nil
	}
	amount, currency, _ := strings.Cut(price, " ")
	hour, err := strconv.ParseFloat(amount, 64)
	if err != nil {
		return fmt.Errorf("%w: -price %q: want an amount an hour and a currency, as in \"2.10 EUR\"", errUsage, price)
	}
	op.account, err = cost.New(cost.Config{Prices: cost.Prices{Currency: strings.TrimSpace(currency), DeviceHour: map[string]float64{machine: hour}}})
	if err != nil {
		return fmt.Errorf("%w: -price %q: %w", errUsage, price, err)
	}
	_, err = observeprom.NewCost(observeprom.CostConfig{Account: op.account, Registerer: reg})
	return err
}

// openLog makes the log of -log.
func (op *operation) openLog(path string, reg prometheus.Registerer) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("%w: -log: %w", errUsage, err)
	}
	h, err := ecslog.New(f, ecslog.Config{Service: ecslog.Service{Name: "quickstart", Version: modelVersion}})
	if err != nil {
		return err
	}
	op.log, op.file = slog.New(h), f
	_, err = observeprom.NewLog(observeprom.LogConfig{Handler: h, Registerer: reg})
	return err
}

// close ends the log.
func (op *operation) close() {
	if op.file != nil {
		op.file.Close()
	}
}

// request is told of each finished request.
func (op *operation) request(s observe.RequestStats) {
	// The price of the machine is known; tokens have none, and are what it is divided by.
	_ = op.account.Add(cost.Usage{Model: s.Model, Requests: 1, InputTokens: s.Usage.Input, OutputTokens: s.Usage.Output})
	if op.log == nil {
		return
	}
	level := slog.LevelInfo
	if s.Outcome != observe.OutcomeOK {
		level = slog.LevelWarn
	}
	op.log.LogAttrs(context.Background(), level, "request",
		slog.String("gen_ai.request.model", s.Model), slog.String("gen_ai.operation.name", string(s.Operation)),
		slog.String("event.outcome", map[bool]string{true: "success", false: "failure"}[s.Outcome == observe.OutcomeOK]),
		slog.String("event.reason", string(s.Outcome)), slog.Duration("event.duration", s.Duration),
		slog.Int("http.response.status_code", s.StatusCode), slog.Duration("ttft_ns", s.TTFT), slog.Duration("queue_ns", s.Queue),
		slog.Int64("gen_ai.usage.input_tokens", s.Usage.Input), slog.Int64("gen_ai.usage.output_tokens", s.Usage.Output))
}

// accountEvery is how often the engine is looked at for the account.
const accountEvery = 100 * time.Millisecond

// spend adds the time of the machine until ctx ends: busy by the share of slots in
// use, starting until there is a model.
func (op *operation) spend(ctx context.Context, e *engine) {
	if op.account == nil {
		return
	}
	look := time.NewTicker(accountEvery)
	defer look.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			took := now.Sub(last)
			last = now
			busy := time.Duration(float64(took) * float64(len(e.slots)) / float64(cap(e.slots)))
			u := cost.Usage{Device: machine, Busy: busy, Idle: took - busy}
			if e.model.Load() == nil {
				u = cost.Usage{Device: machine, Starting: took}
			}
			_ = op.account.Add(u)
		}
	}
}

// report prints what it cost.
func (op *operation) report(out io.Writer) error {
	if op.account == nil {
		return nil
	}
	fmt.Fprintln(out, "\ncost")
	return op.account.Totals().WriteText(out)
}
