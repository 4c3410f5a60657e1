import ArgumentParser
import Foundation
import Kernels

/// Which instruction set computes.
struct KernelOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Kernels to compute with: avx512, avx2 or portable. (default: LOCKSTEP_KERNELS, or the fastest here)",
      valueName: "name"))
  var kernels: String?

  /// What was asked for. Throws ``Failure`` (usage) where this processor lacks it.
  func arithmetic() throws -> Arithmetic {
    try Arithmetic.requested(kernels, environment: ProcessInfo.processInfo.environment)
  }
}
