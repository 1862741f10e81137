// Package tfevents writes and reads the event files of TensorBoard: histories of
// scalars and histograms that TensorBoard opens, and that trackers import. Its Sink
// keeps the history of a training run:
//
//	sink, err := tfevents.New(tfevents.Config{Dir: "runs/tiny"})
//	rec, err := training.New(training.Config{Run: "tiny", Sinks: []training.Sink{sink}})
//	go rec.Run(ctx)
//
// and "tensorboard --logdir runs" shows it while it is written. A program without a
// Recorder uses a [Writer] on any io.Writer. [Load] reads the folder of a run back,
// [Read] one file.
//
// # What the sink writes
//
//   - Values of steps, Recorder.Scalar and norms of gradients: scalars under their
//     tag, such as "train/loss". NaN and infinities too: they are what one looks for.
//   - Gradients: histograms, "gradients/" and the tag.
//   - Events: the scalar "events/" and their kind, such as "events/spike", with the
//     value 1 at the step where they were found.
//   - Resume and RolledBack: a restart mark, see below. The cause of a rollback,
//     checkpoints and the account of a session have no place in these files.
//
// Files are named "events.out.tfevents.SECOND.HOST.PID.N". A Sink makes a new one
// each time it opens one and never adds to an old one. The second is the time of
// the first record, but at least one more than that of any file in the folder:
// readers take files by name, and the clock may have been set back.
//
// A folder is one run and has one writer. Of several ranks each writes into its own
// folder, "rank0", "rank1", ... in Dir. In a common one, a restart mark of one rank
// would remove points of the others.
//
// # Resuming
//
// The restart mark is SessionLog START with a step S: readers remove the points of
// all tags at S and later that they have read so far. TensorBoard's server ignores
// the first mark of a run, so that a mark in the second file only does nothing and
// both curves are shown, one over the other. The sink therefore follows one rule:
// every process writes a mark, the first too, before anything that belongs to a
// step of its own. S is the first step that this process will run:
//
//   - after Recorder.Resume(next), next;
//   - without it, the step of the first Step.
//
// So a fresh run loses nothing, and a run that resumes at 4 after it had reached 5
// shows 1, 2, 3, 4', 5'. Recorder.RolledBack(to) writes a mark of to+1 into the same
// file. Records that come before anybody knows where the process goes on, such as
// an event at step 0, are written without a mark: a mark at 0 would remove the
// whole run.
//
// # Errors
//
// A file holds whole records up to any point: a process that is killed, or a disk
// that is full, leaves at most one torn record at the end, which readers ignore. A
// reader never gets past a torn record, so after a failed write the Sink opens a
// new file. The Recorder gives it the same batch again, and it goes on after the
// records that are whole on disk: none is there twice, none is lost. That file
// has no mark of its own if the mark of this process is on disk. A file that would
// hold nothing is removed.
//
// A record that no file can hold is left out and told as [ErrInvalid], which in the
// sink also wraps training.ErrDropped.
//
// [Read] ends without an error at a torn record, and with a [*CorruptError] where a
// checksum is wrong. [Load] goes on with the next file then, as TensorBoard does,
// and tells what was wrong beside the points.
//
// # Concurrency and cost
//
// A Writer and a Sink are for one goroutine at a time; a Recorder keeps to that. A
// Writer allocates nothing per record and gives its io.Writer up to 64 KiB at once;
// a scalar takes about 0.1 us and 50 bytes. The Sink writes each batch out before
// Write returns, and does not wait for the disk: what the operating system has not
// yet stored is lost when the machine loses power. Read needs memory for the
// largest record, at most a small multiple of its size, and records are at most
// 64 MiB. Load keeps all points.
//
// # Limitations
//
//   - Scalars are float32, with 24 bits of precision: a counter such as
//     train/tokens is exact up to 16,777,216, then to 6e-8 of its value. Finite values
//     above 3.4e38 become infinite.
//   - Times are to the microsecond.
//   - Images, audio, text, graphs and hyperparameters are neither written nor read.
//   - Of tensors, only those of float, double, half and bfloat16 are read.
//   - TensorBoard's data server (--load_fast, the default where it is installed) does
//     not look at marks, by its source; it has not been run: there, a point removes the
//     points of its own tag at this and later steps. It shows the same of a resumed
//     run, but the old points of a tag until the first new one comes.
//   - The older event_accumulator removes no tensors at a mark: leave Config.Tensors
//     off for scripts that read with it.
//   - Compressed files, cloud storage and --reload_multifile have not been tried.
//
// # Sources
//
// Formats: github.com/tensorflow/tensorboard, tensorboard/compat/proto (event.proto,
// summary.proto, histogram.proto, tensor.proto) and
// tensorboard/summary/writer/record_writer.py. Behaviour of readers:
// tensorboard/backend/event_processing (plugin_event_accumulator.py, which Load
// follows, event_accumulator.py, directory_watcher.py), tensorboard/data_compat.py and
// tensorboard/data/server (run.rs, reservoir.rs). Restart marks that are ignored:
// tensorboard issue 4763; marks of one writer that remove points of another: 1519.
package tfevents
