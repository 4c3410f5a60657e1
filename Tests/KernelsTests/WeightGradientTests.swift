import Kernels
import NumericSupport
import Parameters
import Sharding
import Testing

@Suite struct WeightGradientTests {
  /// Row lists of `counts[s]` rows a shard, scattered over a matrix of all rows.
  private struct Rows {
    var list: [Int32] = []
    var ends: [Int32] = []

    init(_ counts: [Int]) {
      let total = counts.reduce(0, +)
      // A stride that shares no divisor with the number of rows visits each of them once.
      let step = (1...max(total, 1)).last { $0 < max(total, 2) && Self.greatestCommonDivisor($0, total) == 1 } ?? 1
      for count in counts {
        for _ in 0..<count { list.append(Int32(list.count * step % total)) }
        ends.append(Int32(list.count))
      }
    }

    private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
      b == 0 ? a : greatestCommonDivisor(b, a % b)
    }
  }

  /// Uneven shards, one of them empty where there are several.
  private func counts(shards: Int) -> [Int] { (0..<shards).map { $0 == 1 ? 0 : 3 + 7 * ($0 % 3) } }

  @Test(arguments: [1, 7, 8, 33, 65, 100], [1, 7, 8, 33, 65, 100])
  func agreesWithTheNaiveTwin(outputs m: Int, inputs n: Int) throws {
    try withEachArithmetic { scratch, arithmetic in
      for shards in [1, 2, 3, 5, 8] {
        let rows = Rows(counts(shards: shards))
        let total = rows.list.count
        let a = try scratch.uniform(total, m, stride: m + 2)
        let b = try scratch.uniform(total, n, stride: n + 1)
        // What stands there before must not matter.
        let (out, bias) = (try scratch.uniform(m, n, stride: n + 3), try scratch.uniform(1, m))
        let (expected, expectedBias) = (try scratch.zeros(m, n), try scratch.zeros(1, m))
        let gradient = try WeightGradient(rows: total, columns: n, arithmetic)
        rows.list.withUnsafeBufferPointer { list in
          rows.ends.withUnsafeBufferPointer { ends in
            gradient.accumulate(outputs: a, inputs: b, rows: list, ends: ends, into: out, bias: bias.pointer)
            WeightGradient.naive(
              outputs: a, inputs: b, rows: list, ends: ends, into: expected, bias: expectedBias.pointer)
          }
        }
        #expect(zip(out.values, expected.values).allSatisfy { abs($0 - $1) < 1e-5 }, "\(shards) shards")
        #expect(zip(bias.values, expectedBias.values).allSatisfy { abs($0 - $1) < 1e-5 }, "\(shards) shards")
        #expect(out.gapsAreUntouched)
      }
    }
  }

  /// The tree itself, to the bit: shards one by one, then added in the order of `ShardTree`.
  @Test(arguments: 1...17) func shardsAreAddedAlongTheTree(shards: Int) throws {
    try withEachArithmetic { scratch, arithmetic in
      let (m, n) = (9, 50)
      let rows = Rows(counts(shards: shards))
      let a = try scratch.uniform(rows.list.count, m)
      let b = try scratch.uniform(rows.list.count, n)
      let gradient = try WeightGradient(rows: rows.list.count, columns: n, arithmetic)
      func sum(_ list: [Int32], _ ends: [Int32]) throws -> [Float] {
        let (out, bias) = (try scratch.zeros(m, n), try scratch.zeros(1, m))
        list.withUnsafeBufferPointer { list in
          ends.withUnsafeBufferPointer { ends in
            gradient.accumulate(outputs: a, inputs: b, rows: list, ends: ends, into: out, bias: bias.pointer)
          }
        }
        return out.values + bias.values
      }
      let tree = ShardTree(count: shards)
      func total(_ node: ShardTree.Node) throws -> [Float] {
        guard node.level > 0 else {
          let start = node.index == 0 ? 0 : Int(rows.ends[node.index - 1])
          let leaf = Array(rows.list[start..<Int(rows.ends[node.index])])
          // An empty list has no address to hand over: zeros by definition.
          return leaf.isEmpty ? Array(repeating: 0, count: m * n + m) : try sum(leaf, [Int32(leaf.count)])
        }
        let (left, right) = tree.children(of: node)
        guard let right else { return try total(left) }
        return zip(try total(left), try total(right)).map { $0 + $1 }
      }
      #expect(try sum(rows.list, rows.ends).map(\.bitPattern) == total(tree.root).map(\.bitPattern))
    }
  }

  @Test(arguments: [1, 7, 8, 33, 65], [1, 7, 8, 33, 65])
  func aShardInChunksHasTheSameBits(outputs m: Int, inputs n: Int) throws {
    try withEachArithmetic { scratch, arithmetic in
      let total = 37
      let list = (0..<Int32(total)).map { $0 * 5 % 37 }
      let a = try scratch.uniform(total, m)
      let b = try scratch.uniform(total, n)
      let gradient = try WeightGradient(rows: total, columns: n, arithmetic)
      func sum(chunk: Int) throws -> [UInt32] {
        let (out, bias) = (try scratch.uniform(m, n), try scratch.uniform(1, m))
        for start in stride(from: 0, to: total, by: chunk) {
          let rows = Array(list[start..<min(start + chunk, total)])
          rows.withUnsafeBufferPointer { rows in
            [Int32(rows.count)].withUnsafeBufferPointer { ends in
              gradient.accumulate(
                outputs: a, inputs: b, rows: rows, ends: ends, into: out, bias: bias.pointer,
                accumulating: start > 0)
            }
          }
        }
        return out.bits + bias.bits
      }
      let whole = try sum(chunk: total)
      for chunk in [1, 3, 36] { #expect(try sum(chunk: chunk) == whole, "chunks of \(chunk)") }
    }
  }

  /// An element is one chain of additions, so it can't depend on the tile that it falls into.
  @Test func anElementDoesNotDependOnItsPlace() throws {
    try withEachArithmetic { scratch, arithmetic in
      let (total, m, n) = (20, 100, 100)
      let a = try scratch.uniform(total, m)
      let b = try scratch.uniform(total, n)
      let gradient = try WeightGradient(rows: total, columns: n, arithmetic)
      let (list, ends) = ((0..<Int32(total)).map { $0 }, [Int32(5), 12, 20])
      func sum(_ outputs: Range<Int>, _ inputs: Range<Int>) throws -> MatrixView {
        let out = try scratch.zeros(outputs.count, inputs.count)
        list.withUnsafeBufferPointer { list in
          ends.withUnsafeBufferPointer { ends in
            gradient.accumulate(
              outputs: a.columns(outputs), inputs: b.columns(inputs), rows: list, ends: ends, into: out)
          }
        }
        return out
      }
      let whole = try sum(0..<m, 0..<n)
      for outputs in [0..<1, 3..<36, 63..<65, 99..<100, 1..<100] {
        for inputs in [0..<1, 7..<40, 47..<49, 99..<100, 1..<100] {
          #expect(try sum(outputs, inputs).bits == whole.rows(outputs).columns(inputs).bits)
        }
      }
    }
  }
}
