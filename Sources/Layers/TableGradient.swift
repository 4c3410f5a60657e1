import Interfaces
import Kernels
import Parameters
import Sharding

/// The gradient of a table whose rows are looked up by token: only the rows of tokens that occur in a batch.
final class TableGradient {
  private let table: Parameter
  private let addend: Int
  private let arithmetic: Arithmetic
  private let seen: RowSet
  /// The place of each token in the list of the subtree that was listed last.
  private let placeOfToken: Buffer<Int32>
  /// For each listed token the first position that is not summed yet, or −1: heads of linked lists through `next`.
  private let head: Buffer<Int32>
  private let next: Buffer<Int32>
  /// A row for each level of the shard tree.
  private let partialSums: FloatBuffer

  /// - Parameter rows: maximum rows of a batch.
  init(_ table: Parameter, rows: Int, levels: Int, _ arithmetic: Arithmetic, _ addends: inout AddendList) throws {
    (self.table, self.arithmetic) = (table, arithmetic)
    addend = addends.enroll(table, .listed)
    seen = RowSet(rows: table.rows)
    placeOfToken = Buffer(repeating: 0, count: table.rows)
    head = Buffer(repeating: -1, count: min(rows, table.rows))
    next = Buffer(repeating: -1, count: rows)
    partialSums = try FloatBuffer(count: (levels + 1) * table.columns)
  }

  /// Lists and announces the rows of the tokens that occur in each subtree.
  ///
  /// - Parameters:
  ///   - tokens: by row of the batch.
  ///   - rows: the positions of each subtree.
  func list(_ tokens: Buffer<Int32>, rows: [ShardRows], _ gradients: [SubtreeGradient], _ observer: any PassObserver)
    throws
  {
    for (rows, gradient) in zip(rows, gradients) {
      for row in rows.rows { seen.insert(tokens[Int(row)]) }
      seen.drain(into: &gradient.touched[addend])
    }
    try observer.didList(addend)
  }

  /// Writes and announces dL/dtable: for every listed token the sum of its rows of `dOutput` inside each shard in order,
  /// then along the tree.
  ///
  /// - Parameters:
  ///   - tokens: by row of `dOutput`.
  ///   - dOutput: [rows, E]
  ///   - rows: the rows of each subtree.
  func write(
    _ tokens: Buffer<Int32>, _ dOutput: MatrixView, rows: [ShardRows], _ pass: BackwardPass, _ workspace: Workspace
  ) throws {
    for (rows, gradient) in zip(rows, pass.gradients) { write(tokens, dOutput, rows, gradient) }
    try pass.finish(addend, workspace)
  }

  private func write(_ tokens: Buffer<Int32>, _ dOutput: MatrixView, _ rows: ShardRows, _ gradient: SubtreeGradient) {
    let positions = rows.rows
    let (head, next) = (head.values, next.values)
    for (place, token) in gradient.touched[addend].enumerated() { placeOfToken[Int(token)] = Int32(place) }
    // Built from the end, so that each list runs forward through the shards.
    for position in positions.indices.reversed() {
      let place = Int(placeOfToken[Int(tokens[Int(positions[position])])])
      next[position] = head[place]
      head[place] = Int32(position)
    }
    let values = gradient.values[addend].pointer
    for place in gradient.touched[addend].indices {
      var cursor = head[place]
      head[place] = -1
      sum(rows.node, rows, dOutput, cursor: &cursor, into: values + place * table.columns, depth: 0)
    }
  }

  /// Sum along the tree from `cursor` on. A shard without the token adds nothing: its sum would be +0, and x + 0 = x
  /// for every sum that started from +0, so skipping it changes no bit.
  private func sum(
    _ node: ShardTree.Node, _ rows: ShardRows, _ dOutput: MatrixView, cursor: inout Int32,
    into out: UnsafeMutablePointer<Float>, depth: Int
  ) {
    let size = table.columns
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
    let (left, right) = ShardTree(count: node.shards.upperBound).children(of: node)
    let middle = rows.ends[first + left.shards.count - 1]
    if cursor >= 0, cursor < middle { sum(left, rows, dOutput, cursor: &cursor, into: out, depth: depth) }
    if let right, cursor >= 0, cursor < rows.ends[first + node.shards.count - 1] {
      let partial = partialSums.pointer + depth * size
      sum(right, rows, dOutput, cursor: &cursor, into: partial, depth: depth + 1)
      arithmetic.add(partial, to: out, count: size)
    }
  }
}
