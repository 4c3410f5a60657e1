import CKernels

/// The vector kernels of this processor, chosen once when the process first computes.
///
/// `nonisolated(unsafe)`: a table of constant function pointers, never written after it is made.
nonisolated(unsafe) let kernels: ls_kernels = ls_best_kernels().pointee

/// The builds of the vector kernels.
package enum InstructionSet: Int32, CaseIterable, Sendable {
  case portable = 0
  case avx2 = 1
  case avx512 = 2

  /// Whether this processor, and this build of the program, has it.
  package var isAvailable: Bool { ls_kernels_at(rawValue) != nil }

  /// The one in use.
  package static var current: InstructionSet {
    allCases.last { $0.isAvailable } ?? .portable
  }

  /// The kernels of this build; nil where they can't run. For tests that hold the builds against each other.
  package var table: ls_kernels? { ls_kernels_at(rawValue)?.pointee }

  package var name: String { table.map { String(cString: $0.name) } ?? "\(self)" }
}
