import Interfaces
import Kernels
import Parameters
import Sharding

/// Recurrent layers over one another, with dropout on the connections between them and to the output (Zaremba et al. 2014).
package final class RecurrentStack {
  package let layers: [any RecurrentLayer]
  fileprivate let inputs: [DenseInput]  // of the layers above the first
  fileprivate let outputDropout: StackDropout?
  fileprivate let weights: PackedParameters
  fileprivate let parameters: [[CellParameters]]
  fileprivate let workspace: Workspace
  fileprivate let sequences: Int

  /// - Parameters:
  ///   - parameters: by layer and direction.
  ///   - first: the input of the first layer.
  ///   - rows: positions of a batch, at most.
  ///   - sequences: B, at most.
  ///   - dropout: of each layer's output; nil: none.
  package init(
    _ parameters: [[CellParameters]], _ weights: PackedParameters, first: any LayerInput, rows: Int, sequences: Int,
    dropout: Dropout?, _ workspace: Workspace
  ) throws {
    (self.parameters, self.weights, self.workspace) = (parameters, weights, workspace)
    self.sequences = sequences
    inputs = parameters.dropFirst().map { DenseInput($0, weights, workspace) }
    let inputs = [first] + inputs
    layers = try zip(parameters, inputs).map { cells, input -> any RecurrentLayer in
      cells.count == 1
        ? try ForwardLayer(cells[0], weights, input: input, rows: rows, sequences: sequences, workspace)
        : try BidirectionalLayer(cells, weights, input: input, rows: rows, sequences: sequences, workspace)
    }
    outputDropout = try dropout.map {
      try StackDropout($0, rows: rows, columns: parameters.map(\.outputSize), weights.arithmetic)
    }
  }

  /// Returns the last layer's output, [rows, H], valid until the next forward.
  package func forward(_ pass: Pass) throws -> MatrixView {
    var x = MatrixView.empty
    for (index, layer) in layers.enumerated() {
      if index > 0 { inputs[index - 1].x = x }
      x = try layer.forward(pass)
      if let outputDropout { x = outputDropout.forward(x, layer: index, pass) }
    }
    return x
  }

  /// Sets the states that a batch starts from to zero: for sequences that are not carried over.
  package func resetStates(_ pass: Pass) {
    for cell in layers.lazy.flatMap(\.cells) {
      cell.hidden.initial(pass.sequences).fill(0)
      cell.cellState?.initial(pass.sequences).fill(0)
    }
  }

  /// Carries the final states over to the next batch.
  package func carry(_ pass: Pass) {
    for layer in layers { for cell in layer.cells { cell.carry(pass) } }
  }

  /// The states that are carried from batch to batch: `hidden_l0` … and, for an LSTM, `cell_l0` …
  package var carried: [CarriedState] {
    let cells = layers.map { $0.cells[0] }
    return cells.enumerated().map { CarriedState("hidden_l\($0)", $1.hidden.initial(sequences)) }
      + cells.enumerated().compactMap { index, cell in
        cell.cellState.map { CarriedState("cell_l\(index)", $0.initial(sequences)) }
      }
  }

  /// Floats that the tapes of a stack take, of `rows` positions.
  package static func floats(_ parameters: [[CellParameters]], rows: Int, sequences: Int, training: Bool) -> Int {
    let both = parameters.filter { $0.count == 2 }.reduce(0) { total, cells in
      // Outputs side by side, and the reverse direction's gates in the order of the text.
      let (h, gates) = (cells[0].hiddenSize, cells[1].gateColumns)
      return total + rows * (2 * h + gates) + (training ? rows * (h + gates) : 0)
    }
    return parameters.joined().reduce(both) { total, cell in
      let (h, gates) = (cell.hiddenSize, cell.gateColumns)
      let states = (rows + sequences) * h
      let tape =
        switch cell.cell {
        case .lstm: rows * gates + 2 * states + gates + (training ? 2 * sequences * h : 0)
        case .gru(.after): 2 * rows * gates + states + (training ? sequences * h : 0)
        case .gru(.before): rows * gates + rows * h + states + 2 * sequences * h + (training ? 2 * sequences * h : 0)
        case .elman: states + gates + (training ? rows * h + sequences * h : 0)
        }
      return total + tape
    }
  }
}

extension [CellParameters] {
  /// Columns of the output of a layer with these directions.
  package var outputSize: Int { reduce(0) { $0 + $1.hiddenSize } }
}

/// Dropout of the outputs of a stack's layers.
struct StackDropout {
  private let dropout: Dropout
  private let arithmetic: Arithmetic
  private let columns: [Int]
  private let dropped: [FloatBuffer]  // by layer: [rows, H]

  init(_ dropout: Dropout, rows: Int, columns: [Int], _ arithmetic: Arithmetic) throws {
    (self.dropout, self.columns, self.arithmetic) = (dropout, columns, arithmetic)
    dropped = try columns.map { try FloatBuffer(count: rows * $0) }
  }

  /// A layer's output after dropout; the layer keeps its own for the backward pass.
  func forward(_ output: MatrixView, layer: Int, _ pass: Pass) -> MatrixView {
    let target = dropped[layer].matrix(pass.rows, columns[layer])
    dropout.apply(output, into: target, pass.layout, keys: pass.keys, connection: layer + 1, arithmetic)
    return target
  }

  /// In place; the same mask again.
  func backward(_ dOutput: MatrixView, layer: Int, _ pass: Pass) {
    dropout.apply(dOutput, into: dOutput, pass.layout, keys: pass.keys, connection: layer + 1, arithmetic)
  }
}

/// Backpropagation through a ``RecurrentStack``.
package final class RecurrentStackBackward {
  private let stack: RecurrentStack
  private let layers: [any RecurrentLayerBackward]
  private let dValues: [FloatBuffer]  // two of [rows, columns of the widest input or output], alternating

  /// - Parameters:
  ///   - first: makes the backward pass of the first layer's input.
  ///   - rows: maximum rows of a batch.
  package init(
    _ stack: RecurrentStack, rows: Int, _ addends: inout AddendList,
    first: (inout AddendList) throws -> any LayerInputBackward
  ) throws {
    self.stack = stack
    var layers: [any RecurrentLayerBackward] = []
    // Enrolled from the last layer down, as the pass completes them.
    for index in stack.layers.indices.reversed() {
      let input =
        try index == 0 ? first(&addends) : DenseInputBackward(stack.inputs[index - 1], stack.weights, &addends)
      layers.insert(
        try stack.layers[index].makeBackward(
          input: input, stack.weights, rows: rows, sequences: stack.sequences, stack.workspace, &addends), at: 0)
    }
    self.layers = layers
    let widest = Self.widest(stack.parameters)
    dValues = try (0..<2).map { _ in try FloatBuffer(count: rows * widest) }
  }

  /// Columns of the widest input or output of a layer.
  package static func widest(_ parameters: [[CellParameters]]) -> Int {
    parameters.map { max($0[0].inputWeight.columns, $0.outputSize) }.max() ?? 0
  }

  /// Where the gradient of the stack's output goes before ``backward(_:)``, [rows, H].
  package func dOutput(_ pass: Pass) -> MatrixView {
    dValues[0].matrix(pass.rows, stack.parameters[stack.parameters.count - 1].outputSize)
  }

  /// Backpropagates through all layers, and writes and announces their gradients.
  package func backward(_ pass: BackwardPass) throws {
    var (d, free) = (dOutput(pass.forward), 1)
    for index in layers.indices.reversed() {
      stack.outputDropout?.backward(d, layer: index, pass.forward)
      d = try layers[index].backward(dOutput: d, dX: dValues[free], pass)
      free = 1 - free
    }
  }
}
