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
  /// Rows that the first layer's products with its input had in the last training pass: forward, and both for dL/dx and
  /// for dL/dW. At most the window's rows, and fewer where positions of one token are computed together.
  package private(set) var inputRows = (forward: 0, backward: 0)

  /// Tells a benchmark what the worker is busy with.
  package var timer: PhaseTimer? {
    didSet {
      head.timer = timer
      for layer in layers { layer.timer = timer }
    }
  }

  /// Sees each tensor of a training pass, in a replay.
  package var probe: NonFiniteProbe? {
    didSet {
      head.probe = probe
      for layer in layers { layer.probe = probe }
    }
  }

  private let shape: ModelShape
  private let dropout: Dropout
  private let embedding: Embedding
  private let tokens: InputTokens
  private let head: SoftmaxHead
  private let product: WeightGradient?
  private let embedded: FloatBuffer  // [T·B, E], or the rows of distinct tokens
  private let dropped: [FloatBuffer]  // [T·B, H], the output of each layer after dropout; empty without dropout
  private var inputs: [MatrixView] = []  // what each layer was given; kept to spare an allocation a step
  private let dValues: [FloatBuffer]  // two of [T·B, max(E, H)], taking turns

  /// - Parameters:
  ///   - training: whether ``trainingPass(_:step:)`` will be called.
  ///   - team: workers over one copy of the weights, with which this one may make recurrent products together; then
  ///     ``trainingPass(_:step:)`` is collective, and the team is to be connected before.
  ///   - gradientMemory: where the gradients go, which other workers may have to read.
  ///   - chunkFloats: see ``SoftmaxHead``.
  package init(
    _ weights: ModelWeights, batch: LocalBatch, dropout: Dropout = Dropout(probability: 0, seed: 0), training: Bool,
    team: ProductTeam? = nil, gradientMemory: FloatMemory = FloatBuffer.init(count:), chunkFloats: Int? = nil
  ) throws {
    // The workers' threads, which share the weights, have one model each.
    Arithmetic.flushDenormals()
    let shape = weights.shape
    self.weights = weights
    self.shape = shape
    self.batch = batch
    self.dropout = dropout
    let streams = batch.streams.count
    let vocabularySize = shape.vocabularySize
    let sumsByToken =
      training && !dropout.isActive && ShardTokens.pay(vocabularySize: vocabularySize, batch: batch)
    let tokens = InputTokens(
      window: DistinctTokens(
        vocabularySize: vocabularySize, rows: batch.rows, capacity: min(vocabularySize, batch.rows),
        weights.arithmetic),
      shards: sumsByToken
        ? ShardTokens(vocabularySize: vocabularySize, batch: batch, weights.arithmetic) : nil)
    self.tokens = tokens
    layers = try (0..<shape.layers).map {
      try makeLayer(
        $0, of: weights, window: batch.mostSteps, streams: streams, tokens: $0 == 0 ? tokens : nil, team: team)
    }
    embedding = try Embedding(
      vocabularySize: vocabularySize, size: shape.embeddingSize, rows: batch.rows, levels: batch.tree.root.level,
      weights.arithmetic)
    head = try SoftmaxHead(
      weights, rows: batch.rows, shards: batch.shards.count, training: training, chunkFloats: chunkFloats)
    head.streams = streams
    embedded = try FloatBuffer(count: batch.rows * shape.embeddingSize)
    let drops = training && dropout.isActive
    dropped = try (0..<(drops ? shape.layers : 0)).map { _ in
      try FloatBuffer(count: batch.rows * shape.hiddenSize)
    }
    let widest = max(shape.embeddingSize, shape.hiddenSize)
    dValues = try (0..<(training ? 2 : 0)).map { _ in try FloatBuffer(count: batch.rows * widest) }
    product =
      training
      ? try WeightGradient(rows: batch.rows, columns: widest, weights.arithmetic, precision: weights.precision) : nil
    gradients = training ? try batch.nodes.map { try NodeGradient(rows: $0, shape: shape, memory: gradientMemory) } : []
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
    var x = embed(window, once: !dropout.isActive)
    if let probe {
      x.rows == window.rows
        ? probe.visit("embedding", x, streams: window.streams)
        : probe.visit("embedding", x, rowKind: "distinct token")
    }
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
      probe?.visit("gradient of \(shape.decoderWeightName)", gradient.decoder.weight)
    }
    probe?.visit("gradient of the last layer's output", d, streams: window.streams)
    var free = 1
    for index in layers.indices.reversed() {
      drop(d, into: d, connection: index + 1, step: step)
      if index == 0 { inputs[0] = inputOfGradients(window) }
      let input = inputs[index]
      let dInput = dValues[free].matrix(input.rows, input.columns)
      try layers[index].backward(dOutput: d, dInput: dInput, steps: steps, toInitialStates: false)
      timer?.enter(.weightGradients)
      for gradient in gradients {
        layers[index].writeGradients(
          input: input, rows: gradient.rows, with: product, to: gradient.store, steps: steps)
        if let probe { inspect(gradient, layer: index, probe) }
      }
      d = dInput
      free = 1 - free
    }
    drop(d, into: d, connection: 0, step: step)
    timer?.enter(.embedding)
    for gradient in gradients {
      embedding.writeGradient(
        tokens.shards?.tokens ?? window.inputs, d, rows: tokens.shards?.entries(of: gradient.rows) ?? gradient.rows,
        to: gradient.embedding, of: gradient.store)
      probe?.visit("gradient of encoder.weight", gradient.embedding)
    }
    for layer in layers { layer.carry(steps: steps) }
    timer?.enter(.other)
  }

  private func inspect(_ gradient: NodeGradient, layer index: Int, _ probe: NonFiniteProbe) {
    for parameter in shape.layout.parameters
    where parameter.name.hasPrefix("rnn.") && parameter.name.hasSuffix("_l\(index)") {
      probe.visit("gradient of \(parameter.name)", gradient.store.matrix(parameter.name))
    }
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

  /// The first layer's input: a row for each position or, where that pays, for each distinct token.
  ///
  /// - Parameter once: whether positions of one token have the same row, that is, no dropout follows.
  private func embed(_ window: Window, once: Bool) -> MatrixView {
    timer?.enter(.embedding)
    inputRows.forward = window.rows
    if once {
      let distinct = tokens.window
      distinct.removeAll()
      distinct.append(0..<Int32(window.rows), of: window.inputs)
      if distinct.pays(insteadOf: window.rows) {
        inputRows.forward = distinct.count
        return lookUp(distinct.tokens, rows: distinct.count)
      }
    }
    return lookUp(window.inputs, rows: window.rows)
  }

  /// The first layer's input as its gradients take it: a row for each position, or for each token of a shard.
  private func inputOfGradients(_ window: Window) -> MatrixView {
    timer?.enter(.embedding)
    inputRows.backward = window.rows
    if let shards = tokens.shards {
      shards.list(window.inputs)
      inputRows.backward = shards.count
      return lookUp(shards.tokens, rows: shards.count)
    }
    return inputs[0].rows == window.rows ? inputs[0] : lookUp(window.inputs, rows: window.rows)
  }

  private func lookUp(_ tokens: UnsafeMutableBufferPointer<Int32>, rows: Int) -> MatrixView {
    let x = embedded.matrix(rows, shape.embeddingSize)
    embedding.forward(tokens, weights.parameters.matrix("encoder.weight"), into: x)
    return x
  }

  private func forward(_ window: Window) throws -> MatrixView {
    var x = embed(window, once: true)
    for layer in layers { x = try layer.forward(x, steps: window.steps) }
    return x
  }

  /// Dropout of one non-recurrent connection, forward or backward: both multiply by the same mask.
  private func drop(_ source: MatrixView, into destination: MatrixView, connection: Int, step: Int) {
    guard dropout.isActive else { return }
    dropout.apply(source, into: destination, streams: batch.streams, layer: connection, step: step, weights.arithmetic)
  }
}
