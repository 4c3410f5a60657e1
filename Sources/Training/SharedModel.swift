import Recurrent
import Workers

extension ModelWeights {
  /// The weights that this worker computes with; collective.
  ///
  /// Threads of one process share one object, made by the first of them. Processes make one each; `make` must give all
  /// of them the same values.
  ///
  /// - Returns: the weights, packed, and whether other workers hold the same object.
  package static func shared(
    by group: any WorkerGroup, make: () throws -> ModelWeights
  ) throws -> (weights: ModelWeights, isShared: Bool) {
    var probe: UInt8 = 0
    let sharesMemory = try withUnsafeMutablePointer(to: &probe) { try group.share(UnsafeMutableRawPointer($0)) != nil }
    let mine = try group.agreeing { !sharesMemory || group.rank == 0 ? try make() : nil }
    guard sharesMemory, group.count > 1 else {
      guard let mine else { preconditionFailure("a process without weights") }
      try group.agreeing { try mine.pack() }
      return (mine, sharesMemory)
    }
    // Until the barrier the first worker's reference is the only one: it must not end at its last use in the text.
    let weights = try withExtendedLifetime(mine) {
      try adopt(mine, from: group)
    }
    try group.agreeing { try weights.pack(rank: group.rank, of: group.count) }
    try group.barrier()
    return (weights, true)
  }

  /// The object of the first worker, which alone passes one; collective.
  private static func adopt(_ mine: ModelWeights?, from group: any WorkerGroup) throws -> ModelWeights {
    var nothing: UInt8 = 0
    return try withUnsafeMutablePointer(to: &nothing) { nothing in
      let own = mine.map { Unmanaged.passUnretained($0).toOpaque() } ?? UnsafeMutableRawPointer(nothing)
      guard let pointers = try group.share(own) else { preconditionFailure("memory is shared or it is not") }
      let weights = Unmanaged<ModelWeights>.fromOpaque(pointers[0]).takeUnretainedValue()
      // The first worker must not let go of its object before all others hold it.
      try group.barrier()
      return weights
    }
  }
}
