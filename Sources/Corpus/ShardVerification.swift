import Failures
import Foundation
import Synchronization

/// Compares the digests of some shards with the manifest on a thread of its own.
///
/// `@unchecked Sendable`: the outcome is only touched under `condition`.
package final class ShardVerification: @unchecked Sendable {
  private struct Cancelled: Error {}

  private let condition = NSCondition()
  private var outcome: Result<Void, any Error>?
  private let hasFailed = Atomic<Bool>(false)
  private let isCancelled = Atomic<Bool>(false)

  /// Starts immediately.
  /// - Parameter shards: numbers as in ``CorpusReader/shards(of:holding:)``.
  package init(_ corpus: CorpusReader, shards: [Int]) {
    let files = corpus.allShards
    let chosen = shards.map { files[$0] }
    let thread = Thread { [self] in
      finish(
        Result {
          for file in chosen {
            try file.ensureVerified { if isCancelled.load(ordering: .relaxed) { throw Cancelled() } }
          }
        })
    }
    thread.name = "corpus digests"
    thread.start()
  }

  /// Ends the thread within the mebibyte that it is reading.
  package func cancel() { isCancelled.store(true, ordering: .relaxed) }

  /// Waits until all shards are read or one was found wrong; nil: as long as that takes. Returns whether that is so.
  package func wait(atMost limit: Duration?) -> Bool {
    let deadline = limit.map { Date(timeIntervalSinceNow: $0 / .seconds(1)) }
    condition.lock()
    defer { condition.unlock() }
    while outcome == nil {
      // Foundation traps on a date in the distant future.
      guard let deadline else {
        condition.wait()
        continue
      }
      guard condition.wait(until: deadline) else { return outcome != nil }
    }
    return true
  }

  /// What was found wrong so far. Costs one load while nothing is.
  package var failure: (any Error)? {
    guard hasFailed.load(ordering: .acquiring) else { return nil }
    condition.lock()
    defer { condition.unlock() }
    if case .failure(let error) = outcome { return error }
    return nil
  }

  private func finish(_ outcome: Result<Void, any Error>) {
    condition.lock()
    self.outcome = outcome
    if case .failure = outcome { hasFailed.store(true, ordering: .releasing) }
    condition.broadcast()
    condition.unlock()
  }
}
