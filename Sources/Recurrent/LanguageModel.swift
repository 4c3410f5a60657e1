import Arena
import Kernels

/// A stacked recurrent language model over one worker's streams: embedding → layers → softmax, with dropout on the
/// non-recurrent connections (Zaremba et al. 2014), and truncated backpropagation through time.
///
/// The weights may be shared with other workers; everything else here belongs to one worker.
package final class LanguageModel {
  package let weights: ModelWeights
  package let batch: LocalBatch
  package let layers: [any RecurrentLayer]
  /// One gradient for each subtree that this worker sums by itself (``LocalBatch/nodes``); empty without training.
  package let gradients: [NodeGradient]
  /// Summed cross-entropy of each local shard over the last window, in nats.
  package let shardLosses: UnsafeMutableBufferPointer<Double>

  /// Tells a benchmark what the worker is busy with.
  package var timer: PhaseTimer? {
    didSet {
      head.timer = timer
      for layer in layers { layer.timer = timer }
    }
  }

  private let shape: ModelShape
  private let dropout: Dropout
  private let embedding: Embedding
  private let head: SoftmaxHead
  private let product: WeightGradient?
  private let embedded: FloatBuffer  // [T·B, E]
  private let dropped: [FloatBuffer]  // [T·B, H], the output of each layer after dropout; empty without dropout
  private var inputs: [MatrixView] = []  // what each layer was given; kept to spare an allocation a step
  private let dValues: [FloatBuffer]  // two of [T·B, max(E, H)], taking turns

  /// - Parameters:
  ///   - training: whether ``trainingPass(_:step:)`` will be called.
  ///   - chunkFloats: see ``SoftmaxHead``.
  package init(
    _ weights: ModelWeights, batch: LocalBatch, dropout: Dropout = Dropout(probability: 0, seed: 0), training: Bool,
    chunkFloats: Int? = nil
  ) throws {
    let shape = weights.shape
    self.weights = weights
    self.shape = shape
    self.batch = batch
    self.dropout = dropout
    let streams = batch.streams.count
    layers = try (0..<shape.layers).map {
      try makeLayer($0, of: weights, window: batch.window, streams: streams)
    }
    embedding = try Embedding(
      vocabularySize: shape.vocabularySize, size: shape.embeddingSize, rows: batch.rows, levels: batch.tree.root.level)
    head = try SoftmaxHead(
      weights, rows: batch.rows, shards: batch.shards.count, training: training, chunkFloats: chunkFloats)
    embedded = try FloatBuffer(count: batch.rows * shape.embeddingSize)
    let drops = training && dropout.isActive
    dropped = try (0..<(drops ? shape.layers : 0)).map { _ in
      try FloatBuffer(count: batch.rows * shape.hiddenSize)
    }
    let widest = max(shape.embeddingSize, shape.hiddenSize)
    dValues = try (0..<(training ? 2 : 0)).map { _ in try FloatBuffer(count: batch.rows * widest) }
    product = training ? try WeightGradient(rows: batch.rows, columns: widest, precision: weights.precision) : nil
    gradients = training ? try batch.nodes.map { try NodeGradient(rows: $0, shape: shape) } : []
    shardLosses = .allocate(capacity: batch.shards.count)
    shardLosses.initialize(repeating: 0)
  }

  deinit { shardLosses.deallocate() }

  /// One window forward and backward: fills ``gradients`` and ``shardLosses`` with sums over the window's unmasked
  /// tokens, and carries the states over to the next window.
  ///
  /// - Parameter step: the optimiser step, which keys dropout.
  package func trainingPass(_ window: Window, step: Int) throws {
    guard let product else { preconditionFailure("training pass of a model that was made for evaluation") }
    let steps = window.steps
    batch.prepare(steps: steps)
    inputs.removeAll(keepingCapacity: true)
    var x = embed(window)
    drop(x, into: x, connection: 0, step: step)
    for (index, layer) in layers.enumerated() {
      inputs.append(x)
      let y = try layer.forward(x, steps: steps)
      if dropped.isEmpty {
        x = y
      } else {
        x = dropped[index].matrix(window.rows, shape.hiddenSize)
        drop(y, into: x, connection: index + 1, step: step)
      }
    }

    var d = dValues[0].matrix(window.rows, shape.hiddenSize)
    var shard = 0
    for gradient in gradients {
      try head.trainingPass(
        x, targets: window.targets, rows: gradient.rows, with: product, dInput: d, gradient: gradient.decoder,
        shardLosses: shardLosses.baseAddress! + shard)
      shard += gradient.rows.shardCount
    }
    var free = 1
    for index in layers.indices.reversed() {
      drop(d, into: d, connection: index + 1, step: step)
      let dInput = dValues[free].matrix(window.rows, inputs[index].columns)
      try layers[index].backward(dOutput: d, dInput: dInput, steps: steps)
      timer?.enter(.weightGradients)
      for gradient in gradients {
        layers[index].writeGradients(
          input: inputs[index], rows: gradient.rows, with: product, to: gradient.store, steps: steps)
      }
      d = dInput
      free = 1 - free
    }
    drop(d, into: d, connection: 0, step: step)
    timer?.enter(.embedding)
    for gradient in gradients {
      embedding.writeGradient(
        window.inputs, d, rows: gradient.rows, to: gradient.embedding, of: gradient.store)
    }
    for layer in layers { layer.carry(steps: steps) }
    timer?.enter(.other)
  }

  /// One window forward, without dropout: fills ``shardLosses`` and carries the states over.
  package func evaluationPass(_ window: Window) throws {
    batch.prepare(steps: window.steps)
    let x = try forward(window)
    var shard = 0
    for rows in batch.nodes {
      try head.evaluationPass(
        x, targets: window.targets, rows: rows, shardLosses: shardLosses.baseAddress! + shard)
      shard += rows.shardCount
    }
    for layer in layers { layer.carry(steps: window.steps) }
  }

  /// The logits after the window's last step, [B, V], without dropout; states are carried over. Valid until the next
  /// call.
  package func lastLogits(_ window: Window) throws -> MatrixView {
    let y = try forward(window)
    for layer in layers { layer.carry(steps: window.steps) }
    return try head.logits(of: y.rows(((window.steps - 1) * window.streams)..<window.rows))
  }

  /// The tokens whose rows of a gradient's `encoder.weight` are not zero, each once: those that the last training pass
  /// met in the streams of its subtree.
  package func touchedTokens(of gradient: NodeGradient) -> UnsafeBufferPointer<Int32> {
    embedding.touchedTokens(of: gradient.store)
  }

  /// Sets every state to zero: the start of an epoch or of a text.
  package func resetStates() {
    for state in states { state.values.update(repeating: 0) }
  }

  /// The states that are carried from window to window: `hidden_l0` … and, for an LSTM, `cell_l0` …, each [B, H].
  package var states: [(name: String, values: UnsafeMutableBufferPointer<Float>)] {
    layers.enumerated().map { ("hidden_l\($0)", $1.hidden.initial) }
      + layers.enumerated().compactMap { index, layer in layer.cell.map { ("cell_l\(index)", $0.initial) } }
  }

  private func embed(_ window: Window) -> MatrixView {
    timer?.enter(.embedding)
    let x = embedded.matrix(window.rows, shape.embeddingSize)
    embedding.forward(window.inputs, weights.parameters.matrix("encoder.weight"), into: x)
    return x
  }

  private func forward(_ window: Window) throws -> MatrixView {
    var x = embed(window)
    for layer in layers { x = try layer.forward(x, steps: window.steps) }
    return x
  }

  /// Dropout of one non-recurrent connection, forward or backward: both multiply by the same mask.
  private func drop(_ source: MatrixView, into destination: MatrixView, connection: Int, step: Int) {
    guard dropout.isActive else { return }
    dropout.apply(source, into: destination, streams: batch.streams, layer: connection, step: step)
  }
}
