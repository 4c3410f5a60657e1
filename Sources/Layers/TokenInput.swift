import Interfaces
import Kernels
import Parameters
import Sharding

/// Rows of a table, looked up by token: the embedding (its output may be dropped out).
///
/// The cell sees a row for each position. In the products there may be fewer: positions of one token share one product row
/// and, in backward, one gradient.
package final class TokenInput: LayerInput {
  /// The tokens of the batch, by row; set before each pass.
  package var tokens: Buffer<Int32>
  /// Rows of the last forward product.
  package private(set) var productRows = 0
  fileprivate let table: Parameter
  fileprivate let cells: [CellParameters]
  fileprivate let weights: PackedParameters
  fileprivate let workspace: Workspace
  fileprivate let dropout: Dropout?
  private let products: [Product]
  private let distinct: DistinctTokens
  private let rows: FloatBuffer  // [rows, E], or the rows of distinct tokens
  private var x = MatrixView.empty

  /// - Parameters:
  ///   - cells: the parameters of the layer, by direction.
  ///   - rows: maximum positions of a batch.
  ///   - dropout: of the embedding's output; nil: none.
  package init(
    _ table: Parameter, _ cells: [CellParameters], _ weights: PackedParameters, rows: Int, dropout: Dropout?,
    _ workspace: Workspace
  ) throws {
    (self.table, self.cells, self.weights) = (table, cells, weights)
    (self.dropout, self.workspace) = (dropout, workspace)
    products = cells.map { weights.forwardProduct($0.inputWeight) }
    distinct = DistinctTokens(
      vocabularySize: table.rows, rows: rows, capacity: min(table.rows, rows), weights.arithmetic)
    tokens = Buffer(repeating: 0, count: 0)
    self.rows = try FloatBuffer(count: rows * table.columns)
  }

  package func forward(into gates: MatrixView, direction: Int, _ pass: Pass) throws {
    if direction == 0 { try embed(pass) }
    workspace.enter(.inputProducts)
    try pass.observer.willRead(cells[direction].inputWeight)
    try products[direction].multiply(x, into: gates.rows(0..<x.rows))
    if x.rows < gates.rows { distinct.spread(gates) }
  }

  private func embed(_ pass: Pass) throws {
    workspace.enter(.embedding)
    try pass.observer.willRead(table)
    x = lookUpOnce(pass) ?? lookUp(tokens, count: pass.rows)
    productRows = x.rows
    if let probe = workspace.probe {
      x.rows == pass.rows
        ? probe.visit("embedding", x, pass.layout)
        : probe.visit("embedding", x, rowKind: "distinct token")
    }
    drop(x, pass)
  }

  /// A row for each distinct token, where no dropout tells positions apart and that saves work.
  private func lookUpOnce(_ pass: Pass) -> MatrixView? {
    guard dropout == nil else { return nil }
    distinct.removeAll()
    distinct.append(0..<Int32(pass.rows), of: tokens)
    return distinct.pays(insteadOf: pass.rows) ? lookUp(distinct.tokens, count: distinct.count) : nil
  }

  /// x[r, :] = table[tokens[r], :]
  fileprivate func lookUp(_ tokens: Buffer<Int32>, count: Int) -> MatrixView {
    let (x, table) = (rows.matrix(count, table.columns), weights.matrix(table))
    for row in 0..<count {
      (x.pointer + row * x.stride).update(
        from: table.pointer + Int(tokens[row]) * table.stride, count: x.columns)
    }
    return x
  }

  /// The input of all positions, as the weights' gradients take it.
  fileprivate func allRows(_ pass: Pass) -> MatrixView {
    x.rows == pass.rows ? x : lookUp(tokens, count: pass.rows)
  }

  /// Dropout, forward or backward: both multiply by the same mask.
  fileprivate func drop(_ values: MatrixView, _ pass: Pass) {
    dropout?.apply(values, into: values, pass.layout, keys: pass.keys, connection: 0, weights.arithmetic)
  }
}

/// The backward pass of ``TokenInput``: also the table's gradient.
package final class TokenInputBackward: LayerInputBackward {
  package let biases: [Int]
  /// Rows of the last products that lead back.
  package private(set) var productRows = 0
  private let input: TokenInput
  private let addends: [InputAddends]
  private let products: [Product]
  private let byToken: SumsByToken?
  private let gradient: TableGradient

  /// What it takes to sum the gates' gradients by token before they are multiplied.
  private struct SumsByToken {
    let tokens: ShardTokens
    /// By direction, [entries, gates·H].
    let sums: [FloatBuffer]
  }

  package init(
    _ input: TokenInput, _ weights: PackedParameters, _ plan: BatchPlan, rank: Int, _ addends: inout AddendList
  ) throws {
    self.input = input
    self.addends = input.cells.map { InputAddends($0, &addends) }
    biases = self.addends.map(\.bias)
    products = input.cells.map { weights.backwardProduct($0.inputWeight) }
    let size = input.table.rows
    byToken =
      input.dropout == nil && ShardTokens.pay(vocabularySize: size, plan)
      ? SumsByToken(
        tokens: ShardTokens(vocabularySize: size, plan, rank: rank, weights.arithmetic),
        sums: try input.cells.map {
          try FloatBuffer(
            count: $0.gateColumns * ShardTokens.capacity(of: plan.shards(of: rank), vocabularySize: size, plan))
        }) : nil
    gradient = try TableGradient(
      input.table, rows: plan.mostRows(of: rank), levels: plan.tree.root.level, weights.arithmetic, &addends)
  }

  /// Lists and announces the table's rows, before the forward pass.
  package func list(_ pass: BackwardPass) throws {
    try gradient.list(input.tokens, rows: pass.rows, pass.gradients, pass.forward.observer)
  }

  package func backward(_ dGates: [MatrixView], dX: FloatBuffer, _ pass: BackwardPass) throws -> MatrixView {
    guard let byToken else { return try backward(dGates, input.tokens, nil, rows: pass.rows, dX: dX, pass) }
    input.workspace.enter(.embedding)
    let tokens = byToken.tokens
    tokens.list(input.tokens, rows: pass.rows)
    let x = input.lookUp(tokens.tokens, count: tokens.count)
    input.workspace.enter(.inputProducts)
    let sums = zip(byToken.sums, dGates).map { sums, dGates in
      let sums = sums.matrix(tokens.count, dGates.columns)
      tokens.sum(dGates, rows: pass.rows, into: sums)
      return sums
    }
    return try backward(sums, tokens.tokens, x, rows: tokens.entries, dX: dX, pass)
  }

  /// The products over positions, or over the tokens of shards.
  ///
  /// - Parameter x: the looked-up rows; nil: of all positions.
  private func backward(
    _ dGates: [MatrixView], _ tokens: Buffer<Int32>, _ x: MatrixView?, rows: [ShardRows], dX: FloatBuffer,
    _ pass: BackwardPass
  ) throws -> MatrixView {
    let workspace = input.workspace
    workspace.enter(.embedding)
    let x = x ?? input.allRows(pass.forward)
    productRows = x.rows
    workspace.enter(.inputProducts)
    let dX = dX.matrix(x.rows, x.columns)
    for (direction, product) in products.enumerated() {
      try product.multiply(dGates[direction], into: dX, accumulating: direction > 0)
    }
    workspace.enter(.weightGradients)
    for (addends, dGates) in zip(addends, dGates) { try addends.write(dGates, x, rows: rows, pass, workspace) }
    input.drop(dX, pass.forward)
    workspace.enter(.embedding)
    try gradient.write(tokens, dX, rows: rows, pass, workspace)
    return dX
  }
}
