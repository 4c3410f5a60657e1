import CKernels

/// The instruction sets that the vector kernels are built for; a raw value is how a user spells it.
package enum InstructionSet: String, CaseIterable, Sendable {
  case portable, avx2, avx512

  package var name: String {
    switch self {
    case .portable: "portable"
    case .avx2: "AVX2"
    case .avx512: "AVX-512"
    }
  }

  /// Its place among the tables of `ls_kernels_at`.
  var index: Int32 {
    switch self {
    case .portable: 0
    case .avx2: 1
    case .avx512: 2
    }
  }
}
