import Parameters

/// A model's parameters and the packed forms of those that are product operands.
///
/// Workers may share the memory: weights are written between barriers (each worker its own part), then packed (each
/// worker its own panels), then read by all.
package final class PackedParameters: Sendable {
  package let store: ParameterStore
  /// The instruction set of everything that computes with these weights.
  package let arithmetic: Arithmetic
  /// What the operands of matrix products are rounded to.
  package let precision: Precision
  /// Whether this worker's products begin with the last panel (``Product``).
  private let readsFromTheEnd: Bool
  /// By parameter, then by part (``Parameter/packedRows``).
  private let packed: [[PackedWeight]]
  /// All parts, in the order of the arena.
  let parts: [PackedPart]

  package var layout: ParameterLayout { store.layout }

  /// - Parameters:
  ///   - needsBackward: whether gradients will be wanted; without, the packed forms take half the memory.
  ///   - memory: asked for the same sizes in the same order whenever the other arguments are the same.
  ///   - readsFromTheEnd: see ``Product``.
  package init(
    _ layout: ParameterLayout, _ arithmetic: Arithmetic, precision: Precision = .f32, needsBackward: Bool,
    memory: FloatMemory = FloatBuffer.init(count:), readsFromTheEnd: Bool = false
  ) throws {
    // Each worker makes its weights on the thread that computes: from the first sum on, none sees a denormal.
    Arithmetic.flushDenormals()
    (self.arithmetic, self.precision, self.readsFromTheEnd) = (arithmetic, precision, readsFromTheEnd)
    let store = try ParameterStore(layout, memory: memory)
    self.store = store
    packed = try layout.parameters.map { parameter in
      try parameter.packedRows.map { rows in
        try PackedWeight(
          rows: rows, columns: parameter.columns, arithmetic, precision: precision, needsBackward: needsBackward,
          memory: memory)
      }
    }
    parts = zip(layout.parameters, packed).flatMap { parameter, weights in
      var row = 0
      return weights.map { weight in
        defer { row += weight.rows }
        return PackedPart(weight, store, parameter, firstRow: row)
      }
    }
  }

  /// The memory of all packed forms, for tests.
  package var packedForms: [FloatBuffer] {
    parts.flatMap { [$0.weight.forward.packed] + ($0.weight.backward.map { [$0.packed] } ?? []) }
  }

  /// [rows, columns]; a vector is one row.
  package func matrix(_ parameter: Parameter) -> MatrixView { store.matrix(parameter) }

  package func floats(_ parameter: Parameter) -> UnsafeMutablePointer<Float> {
    store.values.pointer + parameter.offset
  }

  /// x ↦ x·Wᵀ
  package func forwardProduct(_ parameter: Parameter, part: Int = 0) -> Product {
    Product(packed[parameter.index][part].forward, fromTheEnd: readsFromTheEnd)
  }

  /// dy ↦ dy·W
  ///
  /// - Precondition: made with `needsBackward`.
  package func backwardProduct(_ parameter: Parameter, part: Int = 0) -> Product {
    guard let matrix = packed[parameter.index][part].backward else {
      preconditionFailure("a backward product of weights that were packed for forward only")
    }
    return Product(matrix, fromTheEnd: readsFromTheEnd)
  }

  /// The product of each time step, forward: made together with other workers where that pays.
  package func recurrentProduct(_ parameter: Parameter, part: Int = 0, _ workers: JointProducts?) throws
    -> any RowProduct
  {
    try workers?.makeProduct(packed[parameter.index][part].forward, fromTheEnd: readsFromTheEnd)
      ?? forwardProduct(parameter, part: part)
  }

  /// The product of each time step on the backward pass, as ``recurrentProduct(_:part:_:)``.
  package func recurrentBackwardProduct(
    _ parameter: Parameter, part: Int = 0, _ workers: JointProducts?
  ) throws -> any RowProduct {
    let alone = backwardProduct(parameter, part: part)
    return try workers?.makeProduct(alone.weights, fromTheEnd: readsFromTheEnd) ?? alone
  }

  /// Bytes of the parameters and their packed forms: a packed [k × n] takes k, rounded up to 16, times n, rounded up to
  /// 64 floats; in bf16 half of that.
  package static func bytes(_ layout: ParameterLayout, precision: Precision, needsBackward: Bool) -> Int {
    func packed(_ inner: Int, _ outer: Int) -> Int {
      roundUp(precision == .f32 ? inner : (inner + 1) / 2, 16) * roundUp(outer, 64)
    }
    let floats = layout.parameters.reduce(layout.count) { total, parameter in
      parameter.packedRows.reduce(total) { total, rows in
        total + packed(parameter.columns, rows) + (needsBackward ? packed(rows, parameter.columns) : 0)
      }
    }
    return MemoryLayout<Float>.stride * floats
  }
}

private func roundUp(_ value: Int, _ unit: Int) -> Int { (value + unit - 1) / unit * unit }
