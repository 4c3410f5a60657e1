import ArgumentParser
import Foundation
import Kernels

/// The option that selects the instruction set.
struct KernelOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Kernels to compute with: avx512, avx2 or portable. (default: LOCKSTEP_KERNELS, or the fastest here)",
      valueName: "name"))
  var kernels: String?

  /// The selected kernels. Throws ``Failure`` (usage) if this processor lacks the instruction set.
  func arithmetic() throws -> Arithmetic {
    try Arithmetic.requested(kernels, environment: ProcessInfo.processInfo.environment)
  }
}
