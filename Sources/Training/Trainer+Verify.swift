import Failures
import Foundation
import Workers

extension Trainer {
  /// Whether each worker has its own copy of the weights, so that copies could diverge.
  var hasOwnWeights: Bool { group.count > 1 && !exchange.sharesWeights }

  /// Compares the digests of the workers' weights and, if each worker keeps whole slots, of the slots; collective.
  ///
  /// - Throws: ``WorkerFailure`` that names the first tensor that differs, and the workers concerned.
  func verifyWeights() throws {
    let count = weights.layout.parameters.count
    let tensors = exchange.keepsWholeSlots ? self.tensors : Array(self.tensors.prefix(count))
    let digests = try group.gather(tensors.map { Int64(bitPattern: digest(of: $0.values)) })
    defer { verifiedStep = position.step }
    for (index, tensor) in tensors.enumerated() {
      let values = digests.map { $0[index] }
      // The most frequent value counts as right; in a tie, the first worker's.
      let counts = Dictionary(values.map { ($0, 1) }, uniquingKeysWith: +)
      let most = counts.values.max() ?? 0
      let right = values.first { counts[$0] == most }
      let drifted = values.indices.filter { values[$0] != right }
      guard let first = drifted.first else { continue }
      let hosts = try hostNames()
      let who = WorkerName.list(drifted.map { WorkerName(rank: $0, host: group is MPIWorkers ? hosts[$0] : nil) })
      let since = verifiedStep > 0 ? "after step \(verifiedStep), which was verified" : "since the run started"
      let failure = Failure(
        .softwareFault, "\(who) \(drifted.count == 1 ? "has" : "have") other bits in \(tensor.name) than the others",
        at: "step \(position.step)", cause: "it is the first tensor that differs; they drifted apart \(since)",
        remedy: "suspect that machine's memory or processor, and leave it out; checkpoints of later steps may hold the "
          + "damage, those up to step \(verifiedStep) don't")
      throw WorkerFailure(
        rank: first, message: "\(failure)", exitStatus: failure.exitStatus, failedEverywhere: true)
    }
  }

  /// The name of each worker's machine; collective.
  private func hostNames() throws -> [String] {
    var name = Array(WorkerName.thisHost.utf8.prefix(64))
    name += [UInt8](repeating: 0, count: 64 - name.count)
    let words = name.withUnsafeBytes { bytes in
      (0..<8).map { bytes.loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self) }
    }
    return try group.gather(words).map { words in
      words.withUnsafeBytes { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
    }
  }
}

/// A 64-bit digest of the values' bits.
///
/// Not cryptographic: it detects accidents, in the time that reading the values takes. Each word is mixed in by an
/// invertible step, so two sequences that differ in one word never have the same digest.
func digest(of values: UnsafeMutableBufferPointer<Float>) -> UInt64 {
  var state = UInt64(values.count)
  for value in values {
    state = (state ^ UInt64(value.bitPattern)) &* 0x9E37_79B9_7F4A_7C15
    state ^= state >> 29
  }
  return state
}
