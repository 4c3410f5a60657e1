import CKernels
import Kernels
import Testing

/// The builds of the vector kernels that this processor can run: each is tested, not only the one in use.
///
/// `nonisolated(unsafe)` and `@unchecked Sendable`: tables of constant function pointers.
struct KernelBuild: @unchecked Sendable, CustomTestStringConvertible {
  let instructionSet: InstructionSet
  let table: ls_kernels

  static let all: [KernelBuild] = InstructionSet.allCases.compactMap { set in
    set.table.map { KernelBuild(instructionSet: set, table: $0) }
  }

  var testDescription: String { instructionSet.name }
}
