import Arena
import Kernels

/// The embedding's lookup and its gradient, which touches only the rows of tokens that occur in a window.
package final class Embedding {
  private let arithmetic: Arithmetic
  private let size: Int
  /// Rows of a gradient that the last window wrote, a list for each gradient: they are the ones to be zeroed.
  private var touched: [ObjectIdentifier: TouchedRows] = [:]
  /// First position of a token in the batch at hand, or −1: heads of linked lists through `next`.
  private let head: UnsafeMutableBufferPointer<Int32>
  private let next: UnsafeMutableBufferPointer<Int32>
  /// One row of E floats for each level of the shard tree.
  private let partialSums: FloatBuffer

  /// - Parameters:
  ///   - vocabularySize: V. `size`: E.
  ///   - rows: the most rows of a window.
  ///   - levels: levels of the shard tree.
  package init(vocabularySize: Int, size: Int, rows: Int, levels: Int, _ arithmetic: Arithmetic) throws {
    self.arithmetic = arithmetic
    self.size = size
    head = .allocate(capacity: vocabularySize)
    head.initialize(repeating: -1)
    next = .allocate(capacity: rows)
    next.initialize(repeating: -1)
    partialSums = try FloatBuffer(count: (levels + 1) * size)
  }

  deinit {
    head.deallocate()
    next.deallocate()
  }

  /// output[r, :] = matrix[tokens[r], :]
  package func forward(_ tokens: UnsafeMutableBufferPointer<Int32>, _ matrix: MatrixView, into output: MatrixView) {
    for row in 0..<output.rows {
      (output.pointer + row * output.stride).update(
        from: matrix.pointer + Int(tokens[row]) * matrix.stride, count: size)
    }
  }

  /// Writes dL/dmatrix summed over the rows of one subtree of the shard tree: for every token that occurs, the sum of
  /// its rows of `dOutput` inside each shard in order, then along the tree. All other rows are zero.
  ///
  /// - Parameters:
  ///   - dOutput: [T·B, E]
  ///   - gradient: [V, E]; rows that this object did not touch are zero already: whoever else writes some makes them
  ///     zero again.
  package func writeGradient(
    _ tokens: UnsafeMutableBufferPointer<Int32>, _ dOutput: MatrixView, rows: ShardRows, to gradient: MatrixView,
    of store: ParameterStore
  ) {
    let list = touchedRows(of: store)
    for row in list.tokens[0..<list.count] {
      (gradient.pointer + Int(row) * gradient.stride).update(repeating: 0, count: size)
    }
    list.count = 0

    let positions = rows.rows
    // Built from the back, so that each list runs forward through the shards.
    for position in positions.indices.reversed() {
      let token = Int(tokens[Int(positions[position])])
      next[position] = head[token]
      head[token] = Int32(position)
    }
    for position in positions.indices {
      let token = Int(tokens[Int(positions[position])])
      guard head[token] == position else { continue }
      list.append(Int32(token))
      var cursor = Int32(position)
      sum(rows.node, rows, dOutput, cursor: &cursor, into: gradient.pointer + token * gradient.stride, depth: 0)
      // Marked as done; the entry is reset below, when no earlier position can find it any more.
      head[token] = -2
    }
    for token in list.tokens[0..<list.count] { head[Int(token)] = -1 }
  }

  /// Sum along the tree from `cursor` on. A shard without the token adds nothing: its sum would be +0, and x + 0 = x
  /// for every sum that started from +0, so skipping it changes no bit.
  private func sum(
    _ node: ShardTree.Node, _ rows: ShardRows, _ dOutput: MatrixView, cursor: inout Int32,
    into out: UnsafeMutablePointer<Float>, depth: Int
  ) {
    out.update(repeating: 0, count: size)
    let first = node.shards.lowerBound - rows.node.shards.lowerBound
    if node.shards.count == 1 {
      let end = rows.ends[first]
      while cursor >= 0, cursor < end {
        arithmetic.add(dOutput.pointer + Int(rows.rows[Int(cursor)]) * dOutput.stride, to: out, count: size)
        cursor = next[Int(cursor)]
      }
      return
    }
    let tree = ShardTree(count: node.shards.upperBound)
    let (left, right) = tree.children(of: node)
    let middle = rows.ends[first + left.shards.count - 1]
    if cursor >= 0, cursor < middle {
      sum(left, rows, dOutput, cursor: &cursor, into: out, depth: depth)
    }
    if let right, cursor >= 0, cursor < rows.ends[first + node.shards.count - 1] {
      let partial = partialSums.pointer + depth * size
      sum(right, rows, dOutput, cursor: &cursor, into: partial, depth: depth + 1)
      arithmetic.add(partial, to: out, count: size)
    }
  }

  /// The tokens whose rows of `store`'s gradient the last ``writeGradient(_:_:rows:to:of:)`` wrote, each once; valid
  /// until the next.
  func touchedTokens(of store: ParameterStore) -> UnsafeBufferPointer<Int32> {
    let list = touchedRows(of: store)
    return UnsafeBufferPointer(rebasing: list.tokens[0..<list.count])
  }

  private func touchedRows(of store: ParameterStore) -> TouchedRows {
    let key = ObjectIdentifier(store)
    if let list = touched[key] { return list }
    let list = TouchedRows(capacity: next.count)
    touched[key] = list
    return list
  }
}

/// Tokens whose rows of a gradient are not zero.
private final class TouchedRows {
  let tokens: UnsafeMutableBufferPointer<Int32>
  var count = 0

  init(capacity: Int) {
    tokens = .allocate(capacity: capacity)
    tokens.initialize(repeating: 0)
  }

  func append(_ token: Int32) {
    tokens[count] = token
    count += 1
  }

  deinit { tokens.deallocate() }
}
