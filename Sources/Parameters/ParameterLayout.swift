/// Where every parameter of a model stands in one contiguous arena.
///
/// Layers declare their parameters in the order in which a pass first reads them. A checkpoint is a walk over this list.
package struct ParameterLayout: Sendable, Equatable {
  package private(set) var parameters: [Parameter] = []
  /// Floats in the arena, padding included; a multiple of 16. Padding stays zero.
  package private(set) var count = 0

  package init() {}

  /// Adds a parameter after those that are there and returns its handle.
  ///
  /// - Parameter packedRows: see ``Parameter/packedRows``; nil: one part with all rows.
  /// - Precondition: no other parameter has this name.
  package mutating func declare(
    _ name: String, _ shape: [Int], _ uses: Parameter.Uses, packedRows: [Int]? = nil, gateOrder: String? = nil
  ) -> Parameter {
    precondition(self[name] == nil, "parameter \(name) is declared twice")
    let rows = uses.contains(.product) ? packedRows ?? [shape[0]] : []
    precondition(rows.isEmpty || rows.reduce(0, +) == shape[0], "parts that are not all rows of \(name)")
    let parameter = Parameter(
      index: parameters.count, name: name, shape: shape, offset: count, uses: uses, packedRows: rows,
      gateOrder: gateOrder)
    parameters.append(parameter)
    count += (parameter.count + 15) / 16 * 16
    return parameter
  }

  /// The parameter of a name, for those who read names in files.
  package subscript(name: String) -> Parameter? { parameters.first { $0.name == name } }
}
