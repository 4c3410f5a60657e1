import Failures

/// A sequence of tokens that can be read in pieces, from any thread.
package protocol TokenSource: Sendable {
  /// The number of tokens.
  var count: Int { get }
  /// Fills `ids`, which has the length of `range`.
  /// - Throws: what the storage underneath says.
  func read(_ range: Range<Int>, into ids: UnsafeMutableBufferPointer<Int32>) throws
}

/// Tokens in memory, for benchmarks and tests.
package struct InMemoryTokens: TokenSource {
  private let ids: [Int32]

  package init(_ ids: [Int32]) { self.ids = ids }

  package var count: Int { ids.count }

  package func read(_ range: Range<Int>, into target: UnsafeMutableBufferPointer<Int32>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count && target.count == range.count)
    _ = target.update(fromContentsOf: ids[range])
  }
}
