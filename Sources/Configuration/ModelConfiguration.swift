import Interfaces
import Kernels
import Layers

/// The shape of the model and its initial values.
package struct ModelConfiguration: Sendable, Equatable {
  package var cell = Cell.Family.lstm
  /// Used by the Elman cell only.
  package var activation = Activation.tanh
  /// Used by the GRU only.
  package var reset = Cell.Reset.after
  package var layers = 2
  /// H, units in each recurrent layer.
  package var hiddenSize = 0
  /// E, the length of an embedding vector.
  package var embeddingSize = 0
  package var tieWeights = false
  /// Used by taggers only.
  package var isBidirectional = false
  /// Used by taggers only.
  package var hasChain = false
  /// Probability that a unit is dropped between layers, in 0..<1.
  package var dropout = 0.0
  /// Added to the forget gate's initial bias; used by the LSTM only.
  package var forgetBias = 0.0
  package var initialization = Initialization.Name.uniform
  /// Used by the uniform initialization only.
  package var initialRange = 0.1
  /// An HDF5 file with the tensors to start from, under PyTorch's names.
  package var initialParameters: String?

  static let keys: [ConfigurationKey] = [
    .word("model.cell", \.model.cell, "The recurrent cell"),
    .word("model.activation", \.model.activation, "The activation of the Elman cell")
      .only(where: "model.cell", is: ["elman"]),
    .word(
      "model.reset", \.model.reset,
      "Where the GRU applies its reset gate: `after` the recurrent product (PyTorch, cuDNN) or `before` it (Cho et al. 2014)"
    )
    .only(where: "model.cell", is: ["gru"]),
    .integer("model.layers", \.model.layers, 1...256, "Number of recurrent layers"),
    .integer("model.hidden_size", \.model.hiddenSize, 1...65_536, "Units in each recurrent layer").required(),
    .integer("model.embedding_size", \.model.embeddingSize, 1...65_536, "Length of an embedding vector")
      .derived("`hidden_size`") { $0.model.embeddingSize = $0.model.hiddenSize },
    .flag(
      "model.tie_weights", \.model.tieWeights,
      "Use the embedding matrix as the softmax matrix; needs `embedding_size` = `hidden_size`"
    )
    .only(where: "task", is: ["language_model"], orEquals: .flag(false)),
    .flag(
      "model.bidirectional", \.model.isBidirectional,
      "Read each sentence in both directions, with `hidden_size` units each"
    )
    .only(where: "task", is: ["tagging"]),
    .flag(
      "model.crf", \.model.hasChain,
      "Train a conditional random field over the labels of a sentence (Lafferty et al. 2001; Lample et al. 2016) instead of a softmax for each token"
    )
    .only(where: "task", is: ["tagging"]),
    .number(
      "model.dropout", \.model.dropout, .halfOpen(0, 1),
      "Probability that a unit is dropped on the non-recurrent connections (Zaremba et al. 2014)"),
    .number("model.forget_bias", \.model.forgetBias, .any, "Added to the initial bias of the LSTM's forget gate")
      .only(where: "model.cell", is: ["lstm"], orEquals: .number(0)),
    .word(
      "model.initialization", \.model.initialization,
      "`uniform` in ±`initial_range`, or the defaults of PyTorch's modules"),
    .number("model.initial_range", \.model.initialRange, .atLeast(0), "Half the width of the uniform initialization")
      .only(where: "model.initialization", is: ["uniform"]),
    .path(
      "model.initial_parameters", \.model.initialParameters,
      "An HDF5 file with the tensors to start from, under PyTorch's names; a checkpoint, or a run directory (its latest)"
    ).freeOnResume(),
  ]
}
