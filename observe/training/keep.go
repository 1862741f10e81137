package training

import "time"

// openLedger begins the account of time, or goes on with that of the file.
func (r *Recorder) openLedger(now time.Time) error {
	st := &r.state
	if r.cfg.LedgerPath == "" {
		st.ledger = NewLedger(now)
		return nil
	}
	st.saved = &saved{}
	ledger, counters, lost, err := loadLedger(r.cfg.LedgerPath, r.cfg.Run, now)
	if err != nil {
		return err
	}
	st.ledger, st.count.ledgerCounters = ledger, counters
	*st.saved = saved{counters, ledger.Totals(now)}
	if lost != "" {
		var found findings
		r.found(&found, Event{Kind: EventLedgerLost, At: now, Detail: lost})
		r.tell(found)
	}
	return nil
}

// saved is what the ledger file holds of the counters. They are exported so: one
// that was ahead of the file would fall after a crash, which Prometheus takes for a
// restart from 0 and adds the whole value again.
type saved struct {
	counters ledgerCounters
	totals   LedgerTotals
}

// save has the ledger file written soon.
func (r *Recorder) save() {
	select {
	case r.dirty <- struct{}{}:
	default:
	}
}

// keepLedger keeps the ledger file until ending, then closes it. It has a goroutine
// of its own: a disk that hangs must not keep a hang from being found.
func (r *Recorder) keepLedger(ending <-chan struct{}) error {
	keeper := time.NewTicker(r.cfg.LedgerEvery)
	defer keeper.Stop()
	r.writeLedger(false)
	for {
		select {
		case <-keeper.C:
			r.writeLedger(false)
		case <-r.dirty:
			r.writeLedger(false)
		case <-ending:
			return r.writeLedger(true)
		}
	}
}

// writeLedger replaces the ledger file. The lock is held to copy the state, not
// while it is written.
func (r *Recorder) writeLedger(closed bool) error {
	r.mu.Lock()
	now := time.Now()
	next := saved{r.state.count.ledgerCounters, r.state.ledger.Totals(now)}
	f := ledgerFile{Run: r.cfg.Run, SavedAt: now, Closed: closed, Counters: next.counters, Ledger: r.state.ledger.clone()}
	r.mu.Unlock()
	err := saveLedger(r.cfg.LedgerPath, f)
	if err == nil {
		r.ledgerFailing = false
		r.mu.Lock()
		*r.state.saved = next
		r.mu.Unlock()
		return nil
	}
	r.ledgerErrors.Add(1)
	if !r.ledgerFailing {
		r.ledgerFailing = true
		r.sinkFailing(ledgerName, err)
	}
	return err
}
