import Synchronization
import Workers

/// Runs `body` on `count` workers, threads if there are several, and returns what each of them returned, by rank.
package func onWorkers<Result: Sendable>(
  _ count: Int, _ body: @escaping @Sendable (any WorkerGroup) throws -> Result
) throws -> [Result] {
  let results = Mutex<[Int: Result]>([:])
  try WorkerLaunch.run(threads: count) { group in
    let result = try body(group)
    results.withLock { $0[group.rank] = result }
  }
  return results.withLock { results in (0..<count).compactMap { results[$0] } }
}
