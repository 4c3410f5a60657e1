/// Counts the n-grams of a text, one length after the other.
///
/// The occurrences of n-grams are sorted by context and last token with counting sorts: equal ones then stand together,
/// and no hash table is needed.
struct NGramCounter {
  private let text: [Int32]
  /// The positions in the text by ascending token.
  private let positionsByToken: [Int32]
  /// The id of the n-gram of ``length`` tokens that ends before each position, for positions from ``length`` on.
  private var ids: [Int32]
  /// The length of the n-grams that were counted last.
  private var length = 0
  /// The n-grams counted so far. Those of the last table have raw counts, the shorter ones numbers of left contexts.
  private(set) var tables: [NGramTable] = []

  init(_ text: [Int32], vocabularySize: Int) {
    self.text = text
    positionsByToken = Buckets(sorting: text.indices.lazy.map(Int32.init), by: text, bound: vocabularySize).positions
    // There is one n-gram of no tokens.
    ids = [Int32](repeating: 0, count: text.count + 1)
  }

  /// Counts the n-grams of one token more.
  mutating func countNextLength() {
    let contextCount = tables.last?.tokens.count ?? 1
    let fullPositions = positionsByToken.lazy.filter { [length] in $0 >= length }
    let occurrences = Buckets(sorting: fullPositions, by: ids, bound: contextCount)

    var table = NGramTable(starts: [0], tokens: [], counts: [])
    table.starts.reserveCapacity(contextCount + 1)
    var longerIDs = ids
    var leftContextCounts = [Int32](repeating: 0, count: contextCount)
    for context in 0..<contextCount {
      var lastToken: Int32?
      for position in occurrences[context].lazy.map(Int.init) {
        let token = text[position]
        if token != lastToken {
          lastToken = token
          table.tokens.append(token)
          table.counts.append(0)
          // A new n-gram is a new left context for what remains of it without its first token.
          leftContextCounts[Int(ids[position + 1])] += 1
        }
        table.counts[table.counts.count - 1] += 1
        longerIDs[position + 1] = Int32(table.tokens.count - 1)
      }
      table.starts.append(Int32(table.tokens.count))
    }
    replaceCountsOfLastTable(by: leftContextCounts)
    tables.append(table)
    ids = longerIDs
    length += 1
  }

  private mutating func replaceCountsOfLastTable(by leftContextCounts: [Int32]) {
    guard !tables.isEmpty, text.count >= length else { return }
    tables[length - 1].counts = leftContextCounts
    // The start of the text is a left context of the n-gram that the text begins with.
    tables[length - 1].counts[Int(ids[length])] += 1
  }
}

/// Positions sorted by a key, with equal keys in the order given.
private struct Buckets {
  private let starts: [Int32]
  let positions: [Int32]

  /// - Parameters:
  ///   - keys: the key of each position, from 0 up to `bound`.
  init(sorting positions: some Sequence<Int32>, by keys: [Int32], bound: Int) {
    var starts = [Int32](repeating: 0, count: bound + 1)
    var count = 0
    for position in positions {
      starts[Int(keys[Int(position)]) + 1] += 1
      count += 1
    }
    for key in 0..<bound { starts[key + 1] += starts[key] }
    var ends = starts
    var sorted = [Int32](repeating: 0, count: count)
    for position in positions {
      let key = Int(keys[Int(position)])
      sorted[Int(ends[key])] = position
      ends[key] += 1
    }
    self.starts = starts
    self.positions = sorted
  }

  /// The positions with this key.
  subscript(key: Int) -> ArraySlice<Int32> { positions[Int(starts[key])..<Int(starts[key + 1])] }
}
