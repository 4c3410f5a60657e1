/// One tensor of the model: a name, a shape and a place in the arena.
package struct Parameter: Sendable, Equatable {
  /// PyTorch's name, for example `rnn.weight_ih_l0`.
  package let name: String
  /// Row-major; one or two dimensions.
  package let shape: [Int]
  /// Where it starts in the arena, in floats; a multiple of 16, so that rows start on cache lines.
  package let offset: Int

  package var count: Int { shape.reduce(1, *) }
  package var range: Range<Int> { offset..<(offset + count) }
}

/// Where every parameter of a model stands in one contiguous arena.
///
/// Weights, gradients and optimiser slots are arenas of the same layout, so the exchange is one buffer, the optimiser
/// one loop, and a checkpoint a walk over this list.
package struct ParameterLayout: Sendable, Equatable {
  package private(set) var parameters: [Parameter] = []
  /// Floats in the arena, padding included; a multiple of 16. Padding stays zero.
  package private(set) var count = 0

  package init() {}

  /// Adds a parameter behind the ones that are there.
  package mutating func append(_ name: String, _ shape: [Int]) {
    precondition(self[name] == nil, "parameter \(name) is there already")
    let parameter = Parameter(name: name, shape: shape, offset: count)
    parameters.append(parameter)
    count += (parameter.count + 15) / 16 * 16
  }

  package subscript(name: String) -> Parameter? { parameters.first { $0.name == name } }
}
