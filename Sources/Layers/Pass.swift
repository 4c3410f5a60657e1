import Interfaces
import Kernels
import Parameters
import Sharding

/// What the layers of a forward pass share.
package struct Pass {
  /// T of this batch.
  package let steps: Int
  /// B of this worker.
  package let sequences: Int
  /// One for each sequence; read by dropout alone.
  package let keys: [SequenceKey]
  /// Time steps of each sequence; nil where all have T.
  package let lengths: [Int]?
  package let observer: any PassObserver

  package init(
    steps: Int, sequences: Int, lengths: [Int]? = nil, keys: [SequenceKey], observer: any PassObserver
  ) {
    (self.steps, self.sequences, self.lengths) = (steps, sequences, lengths)
    (self.keys, self.observer) = (keys, observer)
  }

  package init(_ input: some TokenBatch, keys: [SequenceKey], observer: any PassObserver) {
    self.init(
      steps: input.steps, sequences: input.sequences, lengths: input.lengths, keys: keys, observer: observer)
  }

  /// T·B
  package var rows: Int { steps * sequences }

  /// The rows of a time step.
  package func rows(of step: Int) -> Range<Int> { (step * sequences)..<((step + 1) * sequences) }
}

/// What the layers of a backward pass share in addition.
package struct BackwardPass {
  package let forward: Pass
  /// One for each of the worker's subtrees.
  package let gradients: [SubtreeGradient]
  /// The positions of each subtree.
  package let rows: [ShardRows]
  package let product: WeightGradient

  package init(_ forward: Pass, gradients: [SubtreeGradient], rows: [ShardRows], product: WeightGradient) {
    (self.forward, self.gradients, self.rows, self.product) = (forward, gradients, rows, product)
  }

  /// Announces that an addend is final in all subtrees.
  package func finish(_ addend: Int, _ workspace: Workspace) throws {
    if let probe = workspace.probe {
      for gradient in gradients {
        probe.visit("gradient of \(gradient.addends[addend].parameter.name)", gradient.matrix(addend))
      }
    }
    try forward.observer.didFinish(addend)
  }

  /// Writes the gradients of a weight, outputsᵀ·inputs over the rows of each subtree, and of its bias.
  ///
  /// - Parameters:
  ///   - rows: the rows of `outputs` and `inputs` in each subtree.
  ///   - part: rows of the weight; nil: all.
  func write(
    outputs: MatrixView, inputs: MatrixView, rows: [ShardRows], weight: Int, part: Range<Int>? = nil, bias: Int? = nil
  ) {
    for (gradient, rows) in zip(gradients, rows) {
      let whole = gradient.matrix(weight)
      product.accumulate(
        outputs: outputs, inputs: inputs, rows: rows.rows, ends: rows.ends, into: part.map(whole.rows(_:)) ?? whole,
        bias: bias.map { gradient.values[$0].pointer })
    }
  }

  /// Gives one bias the gradient of another that is added to the same sums.
  func copy(_ bias: Int, from other: Int) {
    for gradient in gradients {
      let (target, source) = (gradient.values[bias], gradient.values[other])
      target.pointer.update(from: source.pointer, count: target.count)
    }
  }
}
