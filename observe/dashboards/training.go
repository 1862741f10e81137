package dashboards

func trainingBoard(h histograms) board {
	const steps, events = "llm_train_steps_total", "llm_train_events_total"
	const spent, lost = "llm_train_time_seconds_total", "llm_train_lost_seconds_total"
	return board{
		name: "training", title: "Training", about: "Training runs and the quality of models, as calm/observe/training and calm/observe/quality tell.",
		anchor: "llm_train_running",
		vars:   []variable{{name: "run", label: "Run"}},
		marks:  []query{{title: "Event", expr: "sum by (run, kind) (increase(" + events + "[2m])) > 0", legend: "{{run}}: {{kind}}"}},
		rows: []row{
			{title: "Now", panels: []panel{
				{title: "Step", kind: stat, unit: "short", about: "Number of the last optimizer step.", q: []query{{expr: "max by (run) (llm_train_step)", legend: "{{run}}"}}},
				{title: "Loss", kind: stat, unit: "none", digits: 4, about: "Of the last step, mean over ranks.", q: []query{{expr: "avg by (run) (llm_train_loss)", legend: "{{run}}"}}},
				{title: "MFU", kind: stat, unit: "percentunit", empty: "Peak not known", about: "Model FLOPs utilization now: rate of model FLOPs over the peak of all devices.",
					q: []query{{expr: share(rate("llm_train_model_flops_total", "run"), sum("llm_train_peak_flops", "run")), legend: "{{run}}"}}},
				{title: "Goodput, 24 h", kind: stat, unit: "percentunit", base: "red", limits: []limit{{.8, "orange"}, {.9, "green"}}, about: "Time of steps that were not undone later over all time.",
					q: []query{{expr: goodput("24h", "run"), legend: "{{run}}", now: true}}},
				{title: "Tokens a second", kind: stat, unit: "short", about: "Tokens trained on, those of steps that were undone included.", q: []query{{expr: rate("llm_train_tokens_total", "run"), legend: "{{run}}"}}},
				{title: "Since the last step", kind: stat, unit: "s", about: "How long ago the last step ended.", q: []query{{expr: "time() - max by (run) (llm_train_last_step_timestamp_seconds)", legend: "{{run}}"}}},
			}},
			{title: "Curves", panels: []panel{
				{title: "Loss", unit: "none", about: "As given: a gap is a NaN.", q: []query{{expr: "avg by (run) (llm_train_loss)", legend: "{{run}}"}}},
				{title: "Gradient norm", unit: "none", about: "Global L2 norm before clipping.", q: []query{{expr: "avg by (run) (llm_train_grad_norm)", legend: "{{run}}"}}},
				{title: "Steps clipped and skipped", unit: "percentunit", about: "Share of steps whose gradient was clipped, and of those that the optimizer did not apply.", q: []query{
					{expr: share(rate("llm_train_clipped_steps_total", "run"), rate(steps, "run")), legend: "{{run}} clipped"},
					{expr: share(rate("llm_train_skipped_steps_total", "run"), rate(steps, "run")), legend: "{{run}} skipped"}}},
				{title: "Learning rate", unit: "none", empty: "Not given", about: "Of the last step.", q: []query{{expr: "max by (run) (llm_train_learning_rate)", legend: "{{run}}"}}},
				{title: "Loss scale", unit: "none", empty: "Not given", about: "Of the last step. It halves when gradients overflow: one that only falls has found no scale that holds.", q: []query{{expr: "min by (run) (llm_train_loss_scale)", legend: "{{run}}"}}},
				{title: "Step time", unit: "s", about: "Time an optimizer step takes.", q: []query{
					{expr: h.quantile(.5, "llm_train_step_seconds", "run"), legend: "{{run}} p50"},
					{expr: h.quantile(.99, "llm_train_step_seconds", "run"), legend: "{{run}} p99"}}},
				{title: "Data wait", unit: "percentunit", about: "Share of time that steps waited for data.", q: []query{
					{expr: share(rate(spent+`{state="data_wait"}`, "run"), rate(spent, "run")), legend: "{{run}}"}}},
				{title: "Steps a second", unit: "short", about: "Optimizer steps, mean over ranks.", q: []query{{expr: "avg by (run) (rate(" + steps + "[$__rate_interval]))", legend: "{{run}}"}}},
				{title: "Training FLOP/s", unit: "flops", empty: "FLOPs not known", about: "Model FLOPs a second and the peak of all devices.", q: []query{
					{expr: rate("llm_train_model_flops_total", "run"), legend: "{{run}}"}, {expr: sum("llm_train_peak_flops", "run"), legend: "{{run}} peak"}}},
			}},
			{title: "Where the time goes", panels: []panel{
				{title: "Wall time by state", kind: stacked, unit: "percentunit", about: "Seconds a second, summed over ranks. All but step is badput.", q: []query{{expr: rate(spent, "state"), legend: "{{state}}"}}},
				{title: "Time undone, last hour", unit: "s", about: "Of steps that a rollback or an interruption undid.", q: []query{{expr: "sum by (cause) (increase(" + lost + "[1h]))", legend: "{{cause}}"}}},
				{title: "Interruptions, last 24 h", unit: "short", about: "Times that another process had to take over.", q: []query{{expr: "sum by (cause) (increase(llm_train_interruptions_total[24h]))", legend: "{{cause}}"}}},
				{title: "Checkpoint age in steps", unit: "short", empty: "No checkpoint yet", about: "What a crash would cost now.", q: []query{{expr: "max by (run) (llm_train_step - llm_train_checkpoint_step)", legend: "{{run}}"}}},
				{title: "Goodput, 6 h", unit: "percentunit", base: "red", limits: []limit{{.8, "green"}}, about: "Time of steps that were not undone later over all time. Right after a rollback it may be negative.", q: []query{{expr: goodput("6h", "run"), legend: "{{run}}"}}},
				{title: "Present phase", unit: "s", about: "How long the present phase or step has lasted, and how long it may last before it counts as hung.", q: []query{
					{expr: "max by (run) (llm_train_phase_seconds)", legend: "{{run}}"}, {expr: "max by (run) (llm_train_hang_limit_seconds)", legend: "{{run}} limit"}}},
			}},
			{title: "Health", panels: []panel{
				{title: "Runs", unit: "short", about: "Ranks whose recorder runs.", q: []query{{expr: sum("llm_train_running", "run"), legend: "{{run}}"}}},
				{title: "Values that are no numbers, last hour", unit: "short", about: "NaN or infinity in a loss, a gradient norm or a tensor's gradient.", q: []query{{expr: "sum by (what) (increase(llm_train_nonfinite_total[1h]))", legend: "{{what}}"}}},
				{title: "Spikes, last hour", unit: "short", about: "One an episode.", q: []query{{expr: "sum by (signal) (increase(llm_train_spikes_total[1h]))", legend: "{{signal}}"}}},
				{title: "Events, last hour", unit: "short", about: "What the detectors found, by kind.", q: []query{{expr: "sum by (kind) (increase(" + events + "[1h]))", legend: "{{kind}}"}}},
				{title: "Straggler score", unit: "percentunit", empty: "One rank", about: "Median time of the ranks before the collective over that of the slowest: 50 % is twice as slow.", q: []query{{expr: "min by (run) (llm_train_straggler_score_ratio)", legend: "{{run}}"}}},
				{title: "Stragglers", unit: "short", empty: "One rank", about: "Ranks that lag now.", q: []query{{expr: "max by (run) (llm_train_stragglers)", legend: "{{run}}"}}},
				{title: "Records dropped", unit: "short", about: "A second, by sink: the history there has gaps.", q: []query{{expr: rate("llm_train_dropped_records_total", "sink"), legend: "{{sink}}"}}},
				{title: "Sink errors", unit: "short", about: "Calls a second that failed, by sink; they are tried again.", q: []query{{expr: rate("llm_train_sink_errors_total", "sink"), legend: "{{sink}}"}}},
				{title: "Out of order, and panics", unit: "short", about: "Steps a second whose number did not rise, and panics of callbacks.", q: []query{
					{expr: rate("llm_train_out_of_order_steps_total"), legend: "out of order"}, {expr: rate("llm_train_callback_panics_total"), legend: "panics"}}},
			}},
			{title: "Quality of models", panels: []panel{
				{title: "Scores", unit: "none", empty: "No scores", about: "Over the window of the monitor, of all classes together. Shares and probabilities are from 0 to 1, BLEU and chrF from 0 to 100, perplexity from 1 up.", wide: 12, q: []query{
					{expr: `avg by (task, version, metric) (llm_quality_score{class=""})`, legend: "{{task}} {{version}} {{metric}}"}}},
				{title: "Scores by class", unit: "none", empty: "No classes", about: "Over the window of the monitor.", wide: 12, q: []query{
					{expr: `avg by (task, version, metric, class) (llm_quality_score{class!=""})`, legend: "{{task}} {{version}} {{metric}} {{class}}"}}},
				{title: "Distance from the reference", unit: "none", empty: "No reference", about: "Of the recent values of a stream: PSI above 0.2 is usually looked at.", q: []query{
					{expr: "max by (task, measure) (llm_quality_distance)", legend: "{{task}} {{measure}}"}}},
				{title: "Drifts, last hour", unit: "short", empty: "No streams", about: "By stream and detector.", q: []query{
					{expr: "sum by (task, detector) (increase(llm_quality_drift_events_total[1h]))", legend: "{{task}} {{detector}}"}}},
				{title: "Drift warnings", kind: timeline, unit: "none", empty: "No streams", about: "Whether a detector of the stream warns.", states: []state{{"0", "quiet", "green"}, {"1", "warns", "orange"}}, q: []query{{expr: "max by (task) (llm_quality_drift_warning)", legend: "{{task}}"}}},
				{title: "Samples", unit: "short", empty: "No samples", about: "A second, by task and version.", q: []query{{expr: rate("llm_quality_samples_total", "task", "version"), legend: "{{task}} {{version}}"}}},
				{title: "Values left out", unit: "short", empty: "None", about: "A second, by reason: not finite, or out of range.", q: []query{{expr: rate("llm_quality_refused_total", "task", "reason"), legend: "{{task}} {{reason}}"}}},
				{title: "Panics of callbacks, quality", unit: "short", about: "A second.", q: []query{{expr: rate("llm_quality_callback_panics_total"), legend: "panics"}}},
			}},
		},
	}
}

// goodput is the share of time that steps took which were not undone later.
func goodput(window string, labels ...string) string {
	over := func(selector string) string {
		return "sum" + by(labels) + "(increase(" + selector + "[" + window + "]))"
	}
	return "(" + over(`llm_train_time_seconds_total{state="step"}`) + " - " + over("llm_train_lost_seconds_total") + ") / (" +
		over("llm_train_time_seconds_total") + " > 0)"
}

func trainingAlerts() []alert {
	return []alert{
		{name: "TrainingNonFinite", expr: "increase(llm_train_nonfinite_total[5m]) > 0", severity: page,
			summary: "{{ $labels.run }} has a {{ $labels.what }} that is no number.",
			about:   "The batch or the state is broken. Restore the last checkpoint before it and skip the batch."},
		{name: "TrainingStalled", expr: "llm_train_phase_seconds > llm_train_hang_limit_seconds and llm_train_running == 1", minutes: 2, severity: page,
			summary: "{{ $labels.run }}, rank {{ $labels.rank }}, does not get on.",
			about:   "Its present phase has lasted for {{ $value | humanizeDuration }}, longer than it may. A collective waits for a rank, or the storage does not answer."},
		{name: "TrainingSpikes", expr: "increase(llm_train_spikes_total[1h]) >= 3", severity: ticket,
			summary: "{{ $labels.run }} had three spikes of {{ $labels.signal }} within an hour.",
			about:   "The learning rate may be too high, or the data of this part is bad."},
		{name: "TrainingDiverging", expr: `increase(llm_train_events_total{kind="diverging"}[15m]) > 0`, severity: page,
			summary: "The loss of {{ $labels.run }} keeps rising.",
			about:   "Go back to an earlier checkpoint, with a lower learning rate."},
		{name: "GoodputLow", expr: goodput("6h", "job", "run") + " < 0.8", minutes: 30, severity: ticket,
			summary: "Goodput of {{ $labels.run }} is {{ $value | humanizePercentage }}.",
			about:   "Over 6 hours, less than 80 % of the time went into steps that were kept."},
		{name: "DataStarved", expr: `sum by (job, run) (rate(llm_train_time_seconds_total{state="data_wait"}[15m])) / (sum by (job, run) (rate(llm_train_time_seconds_total[15m])) > 0) > 0.2`,
			minutes: 15, severity: ticket,
			summary: "{{ $labels.run }} waits for data {{ $value | humanizePercentage }} of the time.",
			about:   "The input pipeline is slower than the devices."},
		{name: "CheckpointStale", expr: "llm_train_checkpoint_step == llm_train_checkpoint_step offset 2h and increase(llm_train_steps_total[2h]) > 0 and llm_train_running == 1", minutes: 5, severity: ticket,
			summary: "{{ $labels.run }} has saved no checkpoint for two hours.",
			about:   "Its newest one is still that after step {{ $value }}, and it has gone on since. A crash would cost all of that."},
		{name: "StragglerFound", expr: "llm_train_stragglers > 0", minutes: 10, severity: ticket,
			summary: "{{ $value }} ranks of {{ $labels.run }} lag.",
			about:   "All ranks wait for the slowest at every step. The event names the rank: cordon its node."},
		{name: "RecordsDropped", expr: "increase(llm_train_dropped_records_total[15m]) > 0", severity: ticket,
			summary: "The history of {{ $labels.run }} in {{ $labels.sink }} has gaps.",
			about:   "The sink failed or was too slow for too long, and its queue was full. Training goes on."},
		{name: "DriftFound", expr: "increase(llm_quality_drift_events_total[30m]) > 0", severity: ticket,
			summary: "{{ $labels.task }} has changed, says {{ $labels.detector }}.",
			about:   "What comes in, what goes out, or how often it is right is no longer what it was."},
	}
}
