import Corpus
import Failures
import Files
import Workers

/// Verifies the digests of a corpus's shard files, which the workers do together at every start.
///
/// Each host verifies every shard that its workers read once: workers that see the same files on the same machine
/// divide
/// them. Verification runs concurrently with training; ``settle(atMost:)`` is called before anything lasting is
/// written.
package final class CorpusVerification {
  /// What a worker sends to the others.
  private struct Need: Codable {
    /// Equal for workers that see the same files on the same machine.
    let host: String
    /// The shards that it reads.
    let shards: [Range<Int>]
  }

  private let group: any WorkerGroup
  private let own: ShardVerification
  /// Whether all shards of all workers have been verified; the same on all workers.
  package private(set) var isSettled = false

  /// How long a start waits before training begins concurrently.
  package static let patience = Duration.seconds(2)

  /// Starts the verification; collective.
  /// - Parameter reading: the tokens that this worker reads.
  package init(
    _ group: any WorkerGroup, _ corpus: CorpusReader, reading tokens: [(split: Split, range: Range<Int>)]
  ) throws {
    self.group = group
    // Without a boot ID, machines can't be told apart, so each worker verifies its shards itself.
    let boot = ProcessIdentity.current.boot
    let machine = boot.isEmpty ? "worker \(group.rank)" : boot
    let need = Need(
      host: "\(machine) \(corpus.filesKey)",
      shards: tokens.map { corpus.shards(of: $0.split, holding: $0.range) })
    let needs = try group.gather(need)
    let peers = needs.indices.filter { needs[$0].host == need.host }
    let shards = Set(peers.flatMap { needs[$0].shards.flatMap { $0 } })
    let share = Self.shares(of: shards, sizes: corpus.shardSizes, among: peers.count)
    own = ShardVerification(corpus, shards: share[peers.firstIndex(of: group.rank) ?? 0])
  }

  deinit { own.cancel() }

  /// Distributes shards so that each of `count` workers reads about the same number of bytes.
  package static func shares(of shards: Set<Int>, sizes: [Int], among count: Int) -> [[Int]] {
    var shares = [[Int]](repeating: [], count: count)
    var bytes = [Int](repeating: 0, count: count)
    for shard in shards.sorted(by: { (-sizes[$0], $0) < (-sizes[$1], $1) }) {
      let least = bytes.indices.min { bytes[$0] < bytes[$1] } ?? 0
      shares[least].append(shard)
      bytes[least] += sizes[shard]
    }
    return shares.map { $0.sorted() }
  }

  /// Throws the failure that this worker has found so far, if any. Not collective; costs one load.
  package func check() throws {
    if let failure = own.failure { throw failure }
  }

  /// Waits until every worker has verified its share or has waited for `limit`; collective.
  /// - Throws: ``WorkerFailure``, the same on all workers, if a shard is damaged.
  package func settle(atMost limit: Duration? = nil) throws {
    guard !isSettled else { return }
    var pending = own.wait(atMost: limit) ? 0.0 : 1.0
    try group.agree(own.failure)
    try withUnsafeMutablePointer(to: &pending) {
      try group.allReduceSum(UnsafeMutableBufferPointer(start: $0, count: 1))
    }
    isSettled = pending == 0
  }
}
