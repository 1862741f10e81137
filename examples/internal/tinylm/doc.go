// Package tinylm is a small language model that is trained by gradient descent,
// in pure Go, in the time it takes to read this page. The examples train and
// serve it, so that what they show comes from a real model: its loss falls, its
// checkpoints differ, its tokens cost what they cost.
//
//	corpus, err := tinylm.LoadCorpus(tinylm.CorpusConfig{})
//	model, err := tinylm.Train(ctx, corpus.Text, tinylm.Config{Seed: 1})
//	err = model.Save("model.ckpt")
//
//	session, err := model.NewSession(tinylm.SessionConfig{Temperature: 0.7, TopK: 40})
//	session.Feed("The Rays of Light ")
//	for range 100 {
//		fmt.Print(session.Next())
//	}
//
// # The model
//
// A token is a character: one of the 127 most frequent runes of the text, or the
// unknown symbol, which stands for every other rune and for each byte that is
// not valid UTF-8. The unknown symbol is read, and never written.
//
// The input of a token is a sum of embeddings: its own, and one for each suffix
// of 2 to Order symbols that ends with it, found in a table of Buckets rows by a
// hash of the suffix (rows are shared where hashes meet):
//
//	x = E[c_t] + E₂[hash(c_t-1 c_t)] + ... + E_n[hash(c_t-n+1 ... c_t)]
//
// So short spellings are looked up and not computed, which is where most of the
// learning per second of CPU comes from. The rest is the work of Layers gated
// recurrent layers of Width units, each of which keeps a state h:
//
//	z = σ(x·Wz + bz + h·Uz)              the keep gate
//	r = σ(x·Wr + br + h·Ur)              the reset gate
//	c = tanh(x·Wc + bc + r⊙(h·Uc + bn))  the candidate
//	h ← z⊙h + (1-z)⊙c
//
// The state of a layer is the input of the next. The logits are
//
//	y = h·Wo + x·Ws + bo        p(next) = softmax(y)
//
// with h of the last layer and x again, so that a spelling can speak for itself.
//
// # Training
//
// The loss is the mean of -ln p(next) in nats per token; its exponential is the
// perplexity. Batch places in the text are read side by side, Context tokens a
// step. The gradient goes back through a step's tokens; the state goes on from
// step to step (truncated backpropagation through time). The backward pass is
// written by hand; a test compares it with central differences of a second,
// plain implementation in float64.
//
// The optimizer is AdamW with decoupled weight decay on the matrices, after
// clipping of the gradient's global norm, with a linear warm-up and a cosine
// down to a twentieth of the peak. Of the embedding table, only the rows that a
// batch touched are updated, each with its own count of updates, at four times
// the rate. There is no dropout.
//
// The last part of the text, a tenth by default, is held out. Facts has the loss
// on all of it, and that of a table of pairs of characters (a bigram model) of
// the same training text, with the smoothing that suits the held-out text best.
// On Newton's Opticks the default model ends some 40% below the pairs.
//
// Train takes all steps at once. A Trainer is driven step by step: it shows each
// tensor's gradient, leaves out batches, saves and restores the whole state of the
// training. For demonstrations, Trainer.Garble and Trainer.Poison plant the faults
// that a loss spike and a NaN come from.
//
// # Determinism
//
// The same text and Config give the same weights to the last bit, for any number
// of workers and any GOMAXPROCS: a batch is cut into at most eight parts
// whatever the number of workers, and the parts' gradients are added in their
// order. Bits may differ between architectures and values of GOAMD64, where the
// compiler may fuse a product and a sum. A training that was saved, and restored by
// this or another process, goes on to the same bits.
//
// # Sessions
//
// A Session holds the recurrent state and the last Order symbols of one text. It
// has no context window: a text may go on for ever, what was read long ago fades,
// and each token costs the same. Reading a text token by token gives the same
// logits, to the last bit, as reading it in one pass.
//
// # Checkpoints
//
// Save writes to a temporary file, syncs and renames it. A checkpoint has a
// version, the Config, the vocabulary, the Facts, the weights and a SHA-256.
// Load checks the sum before it believes anything, and the sizes before it
// allocates anything. Model.Fits says whether a checkpoint is what a Config would
// train again; Model.Digest names its weights.
//
// Trainer.Save writes the state of a training in the same way: the weights, both
// moments, the state of the recurrent layers, the counts of the embedding rows, and
// the places in the text. It is three times as large. Trainer.Restore takes it only
// if text and Config are the same.
//
// # Errors
//
// ErrCorpus: a text is missing, no text, or under 1000 characters. ErrDiverged:
// the loss or the gradient is not a number, mostly of a LearningRate too high; the
// weights are not touched then. ErrCheckpoint: a file is not a whole checkpoint of
// this version, or the state of another training. The error of a cancelled Train
// wraps that of its context. The faults of a Config come all at once.
//
// # Concurrency
//
// Train starts Workers-1 goroutines and ends them before it returns; those of a
// Trainer end at Close. A Model is read-only and may be used by any number of
// goroutines. A Session is for one, and so is a Trainer.
//
// # Cost
//
// Matrix products cost 6 floating-point operations per weight and token in
// training and 2 in generation: Model.TrainFLOPsPerToken and
// Model.FLOPsPerToken. The kernels reach some 9 GFLOP/s on a core of 2024. A
// training step and a generated token allocate nothing. A session of the default
// model takes about 10 kB.
//
// # Limitations
//
// The model knows letters, words and half a sentence, of one book. There are no
// attention layers, no subword tokens, no mixed precision, no vector
// instructions and no accelerator: it is to be operated, not admired.
//
// # Sources
//
// Gated recurrent unit: Cho et al. 2014, arXiv:1406.1078, with the reset gate
// after the product as in cuDNN. AdamW: Loshchilov and Hutter 2019,
// arXiv:1711.05101. Clipping: Pascanu et al. 2013, arXiv:1211.5063. Hashed
// embeddings of suffixes: Bojanowski et al. 2017, arXiv:1607.04606. The fast
// exponential: Cephes, expf. 6N: Kaplan et al. 2020, arXiv:2001.08361.
package tinylm
