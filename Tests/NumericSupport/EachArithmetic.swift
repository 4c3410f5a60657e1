import Kernels

/// Runs `body` for each instruction set that this processor has, each time with the same random matrices.
package func withEachArithmetic(seed: UInt64 = 1, _ body: (Scratch, Arithmetic) throws -> Void) rethrows {
  for arithmetic in Arithmetic.available { try withScratch(seed: seed) { try body($0, arithmetic) } }
}

/// An instruction set and a precision of products that it has.
package struct ProductKind: Sendable, CustomStringConvertible {
  package let arithmetic: Arithmetic
  package let precision: Precision

  package init(_ arithmetic: Arithmetic, _ precision: Precision) {
    self.arithmetic = arithmetic
    self.precision = precision
  }

  /// All that this processor has.
  package static let available: [ProductKind] = Arithmetic.available.flatMap { arithmetic in
    Precision.allCases.filter(arithmetic.computes(in:)).map { ProductKind(arithmetic, $0) }
  }

  package var description: String { "\(arithmetic.instructionSet.name), \(precision)" }
}
