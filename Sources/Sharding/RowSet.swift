import Parameters

/// Row numbers, collected in any order and given back in ascending order.
package struct RowSet {
  private let words: Buffer<UInt64>

  /// - Parameter rows: the bound of the numbers.
  package init(rows: Int) { words = Buffer(repeating: 0, count: (rows + 63) / 64) }

  package func insert(_ row: Int32) { words[Int(row) >> 6] |= 1 << UInt64(row & 63) }

  /// Replaces a list by the rows of the set, and empties the set.
  package func drain(into list: inout [Int32]) {
    list.removeAll(keepingCapacity: true)
    for word in 0..<words.count where words[word] != 0 {
      var bits = words[word]
      while bits != 0 {
        list.append(Int32(word * 64 + bits.trailingZeroBitCount))
        bits &= bits - 1
      }
      words[word] = 0
    }
  }
}
