import Kernels
import Parameters
import Workers

extension PackedParameters {
  /// The weights that this worker computes with, filled and packed; collective.
  ///
  /// Workers that share memory hold one copy between them, which the first of them makes and fills. Others have one
  /// each; `fill` must give all of them the same values.
  ///
  /// - Parameter apart: each worker gets a copy of its own in any case.
  /// - Returns: the weights, and whether other workers hold the same memory.
  package static func shared(
    by group: any WorkerGroup, _ layout: ParameterLayout, _ arithmetic: Arithmetic, precision: Precision = .f32,
    needsBackward: Bool, apart: Bool = false, fill: (ParameterStore) throws -> Void
  ) throws -> (weights: PackedParameters, isShared: Bool) {
    guard group.count > 1, group.sharesMemory, !apart else {
      let weights = try group.agreeing {
        let weights = try PackedParameters(layout, arithmetic, precision: precision, needsBackward: needsBackward)
        try fill(weights.store)
        weights.pack()
        return weights
      }
      return (weights, group.count == 1)
    }
    func make(_ memory: FloatMemory) throws -> PackedParameters {
      try PackedParameters(
        layout, arithmetic, precision: precision, needsBackward: needsBackward, memory: memory,
        readsFromTheEnd: group.rank % 2 == 1)
    }
    var buffers: [FloatBuffer] = []
    let first = try group.agreeing {
      guard group.rank == 0 else { return PackedParameters?.none }
      let weights = try make { count in
        buffers.append(try group.floats(count))
        return buffers[buffers.count - 1]
      }
      try fill(weights.store)
      return weights
    }
    var theirs = try group.share(buffers)[0][...]
    let weights = try group.agreeing {
      let weights =
        try first
        ?? make { count in
          let buffer = theirs.removeFirst()
          precondition(buffer.count == count, "workers disagree on the size of a matrix")
          return buffer
        }
      weights.pack(rank: group.rank, of: group.count)
      return weights
    }
    // All panels must be packed before any worker multiplies.
    try group.barrier()
    return (weights, true)
  }
}
