import Interfaces
import Kernels
import Parameters
import Sharding

/// What the layers of a forward pass share.
package struct Pass {
  /// Where the positions stand in the rows of matrices.
  package let layout: TimeMajorRows
  /// One for each sequence; read by dropout alone.
  package let keys: [SequenceKey]
  package let observer: any PassObserver

  package init(_ layout: TimeMajorRows, keys: [SequenceKey], observer: any PassObserver) {
    (self.layout, self.keys, self.observer) = (layout, keys, observer)
  }

  /// T of this batch.
  package var steps: Int { layout.steps }
  /// B of this worker.
  package var sequences: Int { layout.sequences }
  /// Positions.
  package var rows: Int { layout.count }
  /// The rows of a time step.
  package func rows(of step: Int) -> Range<Int> { layout.rows(of: step) }
}

/// What the layers of a backward pass share in addition.
package struct BackwardPass {
  package let forward: Pass
  /// One for each of the worker's subtrees.
  package let gradients: [SubtreeGradient]
  /// The positions of each subtree.
  package let rows: [ShardRows]
  /// The rows of a ``StateTape`` that hold the states before those positions; nil where they are the same.
  private let stateRows: Buffer<Int32>?
  package let product: WeightGradient

  /// - Parameter stateRows: memory for a number per position; nil only where all sequences have one length.
  package init(
    _ forward: Pass, gradients: [SubtreeGradient], rows: [ShardRows], stateRows: Buffer<Int32>? = nil,
    product: WeightGradient
  ) {
    (self.forward, self.gradients, self.rows, self.product) = (forward, gradients, rows, product)
    self.stateRows = forward.layout.lengths == nil ? nil : stateRows
    precondition(forward.layout.lengths == nil || stateRows != nil, "memory for the rows of states")
    guard let stateRows = self.stateRows else { return }
    for (place, row) in rows.lazy.flatMap(\.rows).enumerated() {
      stateRows[place] = Int32(forward.layout.stateRow(before: Int(row)))
    }
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

  /// Writes the gradients of a weight that is multiplied by the states before each position.
  func write(
    outputs: MatrixView, statesBefore states: StateTape, weight: Int, part: Range<Int>? = nil, bias: Int? = nil
  ) {
    var first = 0
    for (gradient, rows) in zip(gradients, rows) {
      let whole = gradient.matrix(weight)
      let inputRows = stateRows.map { UnsafeBufferPointer(rebasing: $0.values[first..<(first + rows.count)]) }
      product.accumulate(
        outputs: outputs, inputs: states.all(forward), rows: rows.rows, inputRows: inputRows, ends: rows.ends,
        into: part.map(whole.rows(_:)) ?? whole, bias: bias.map { gradient.values[$0].pointer })
      first += rows.count
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
