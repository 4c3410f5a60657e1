import CKernels
import Failures

/// The vector kernels of one instruction set, as methods.
///
/// Model weights are made for one, and everything that computes with them takes it from there; all workers of a run
/// have the same. Results of different instruction sets may differ in their last bits.
///
/// `@unchecked Sendable`: it points to tables of constant functions.
package struct Arithmetic: @unchecked Sendable, Equatable {
  package let instructionSet: InstructionSet
  let kernels: UnsafePointer<ls_kernels>
  /// Products of bf16 operands; nil where there are no instructions for them.
  let bfloat16: UnsafePointer<ls_bfloat16_kernels>?

  /// Nil where this processor, or this build of the program, lacks the instruction set.
  package init?(_ instructionSet: InstructionSet) {
    guard let kernels = ls_kernels_at(instructionSet.index) else { return nil }
    (self.instructionSet, self.kernels) = (instructionSet, kernels)
    bfloat16 = instructionSet == .avx512 ? ls_bfloat16() : nil
  }

  /// All that this processor has, the fastest last.
  package static let available: [Arithmetic] = InstructionSet.allCases.compactMap { Arithmetic($0) }

  /// The fastest that this processor has.
  package static var best: Arithmetic { available[available.count - 1] }

  package static func == (a: Arithmetic, b: Arithmetic) -> Bool { a.instructionSet == b.instructionSet }

  /// Whether products can have operands of this precision.
  package func computes(in precision: Precision) -> Bool { precision == .f32 || bfloat16 != nil }

  /// The kernels for bf16; the precision has been checked before.
  func requireBFloat16() -> UnsafePointer<ls_bfloat16_kernels> {
    guard let bfloat16 else { preconditionFailure("bf16 products with \(instructionSet.name) alone") }
    return bfloat16
  }

  /// Lets the calling thread take denormal numbers for zero. Moments of an optimiser decay into them where a gradient
  /// stays zero, and each operation on one costs a hundred others.
  package static func flushDenormals() { ls_flush_denormals() }
}

/// What a user may say about instruction sets.
extension Arithmetic {
  package static let environmentVariable = "LOCKSTEP_KERNELS"

  /// The arithmetic that was asked for, or the fastest.
  ///
  /// - Parameters:
  ///   - option: what was given as `--kernels`; it prevails over the environment.
  ///   - environment: by name.
  /// - Throws: ``Failure`` (usage) where this processor has no such instruction set.
  package static func requested(_ option: String?, environment: [String: String]) throws -> Arithmetic {
    let place = option == nil ? environmentVariable : "--kernels"
    guard let wanted = option ?? environment[environmentVariable].flatMap({ $0.isEmpty ? nil : $0 }) else {
      return best
    }
    let choice =
      "give one that this processor has: "
      + available.reversed().map(\.instructionSet.rawValue).joined(separator: ", ")
    guard let instructionSet = InstructionSet(rawValue: wanted) else {
      throw Failure(.usage, "unknown instruction set '\(wanted)'", at: place, remedy: choice)
    }
    guard let arithmetic = Arithmetic(instructionSet) else {
      throw Failure(.usage, "this processor can't run \(instructionSet.name) kernels", at: place, remedy: choice)
    }
    return arithmetic
  }

  /// Throws ``Failure`` (usage) where products can't have operands of this precision.
  ///
  /// - Parameter place: the option or configuration key that asks for it.
  package func check(_ precision: Precision, at place: String) throws {
    guard !computes(in: precision) else { return }
    let remedy = "use f32"
    guard Arithmetic.best.computes(in: precision) else {
      throw Failure(
        .usage, "this processor has no bf16 instructions (AVX512_BF16)", at: place, remedy: remedy)
    }
    throw Failure(
      .usage, "\(instructionSet.name) kernels have no bf16 products", at: place,
      remedy: "\(remedy), or the kernels for \(Arithmetic.best.instructionSet.name)")
  }
}
