import Kernels
import Parameters

/// The distinct tokens of the rows of a batch, in order of first appearance: what follows from a token alone, such as the
/// first layer's input product, is computed once for each of them.
///
/// Rows may come in several groups; a token has an entry in every group that it occurs in.
final class DistinctTokens {
  /// The first ``count`` hold the entries, group after group; the others hold tokens of an earlier batch.
  let tokens: Buffer<Int32>
  private(set) var count = 0
  private let arithmetic: Arithmetic
  /// The entry of each row that was listed.
  private let entries: Buffer<Int32>
  /// The entry of a token in the current group; −1 for all between calls.
  private let entryOfToken: Buffer<Int32>

  /// - Parameters:
  ///   - rows: maximum rows of a batch.
  ///   - capacity: the most entries that they can have.
  init(vocabularySize: Int, rows: Int, capacity: Int, _ arithmetic: Arithmetic) {
    self.arithmetic = arithmetic
    tokens = Buffer(repeating: 0, count: capacity)
    entries = Buffer(repeating: 0, count: rows)
    entryOfToken = Buffer(repeating: -1, count: vocabularySize)
  }

  /// Whether one product row per entry, copied to all its positions, is less work than `rows` product rows.
  ///
  /// A copied row costs its memory traffic, a few hundredths of a product row where an embedding has hundreds of
  /// values. At three quarters the whole saves an eighth there, and with sixteen values it comes out even.
  func pays(insteadOf rows: Int) -> Bool { 4 * count <= 3 * rows }

  func removeAll() { count = 0 }

  /// Lists a group of rows.
  ///
  /// - Parameter tokens: the token of every row of the batch.
  func append(_ rows: some Sequence<Int32>, of tokens: Buffer<Int32>) {
    let first = count
    let (entryOfToken, entries, listed) = (entryOfToken.values, entries.values, self.tokens.values)
    for row in rows {
      let token = Int(tokens.values[Int(row)])
      if entryOfToken[token] < 0 {
        entryOfToken[token] = Int32(count)
        listed[count] = Int32(token)
        count += 1
      }
      entries[Int(row)] = entryOfToken[token]
    }
    for token in listed[first..<count] { entryOfToken[Int(token)] = -1 }
  }

  /// Gives every row of a matrix the values of its entry, which stand in its first rows. All rows are one group.
  func spread(_ matrix: MatrixView) {
    // Tokens are in order of first appearance, so a row's entry is no later than the row: from the end, an entry is
    // overwritten only after all its rows have been served.
    for row in (0..<matrix.rows).reversed() where Int(entries[row]) != row {
      (matrix.pointer + row * matrix.stride).update(
        from: matrix.pointer + Int(entries[row]) * matrix.stride, count: matrix.columns)
    }
  }

  /// Adds up the rows of each entry, in the order in which they were listed.
  ///
  /// - Parameters:
  ///   - rows: all listed rows, in that order.
  ///   - sums: a row for each entry.
  func sum(_ source: MatrixView, over rows: some Sequence<Int32>, into sums: MatrixView) {
    var next = 0
    for row in rows {
      let entry = Int(entries[Int(row)])
      let values = source.pointer + Int(row) * source.stride
      let sum = sums.pointer + entry * sums.stride
      if entry == next {
        sum.update(from: values, count: source.columns)
        next += 1
      } else {
        arithmetic.add(values, to: sum, count: source.columns)
      }
    }
    precondition(next == count, "rows that were not listed, or not all of them")
  }
}
