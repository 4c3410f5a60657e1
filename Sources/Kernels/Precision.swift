import Arena
import CKernels
import COneDNN

/// The numbers that matrix products take. Sums, weights, gates and softmax are f32 in both.
package enum Precision: String, Sendable, CaseIterable {
  case f32
  /// Operands rounded to bfloat16 (8 bits of significand), products summed up in f32.
  case bf16

  /// Whether this processor computes with it at full speed.
  package var isAvailable: Bool { self == .f32 || bfloat16Kernels != nil }

  var dataType: dnnl_data_type_t { self == .f32 ? dnnl_f32 : dnnl_bf16 }

  /// Runs independent multiply-adds of this precision in registers and returns their number of floating-point
  /// operations: timed, it is the ceiling that a kernel can be measured against.
  package func burnMultiplyAdds(iterations: Int) -> Double {
    switch self {
    case .f32:
      withExtendedLifetime(kernels.fma_burn(Int64(iterations))) {}
      return Double(iterations) * Double(kernels.fma_per_iteration)
    case .bf16:
      guard let table = bfloat16Kernels else { preconditionFailure("no bf16 instructions on this processor") }
      withExtendedLifetime(table.burn(Int64(iterations))) {}
      return Double(iterations) * Double(table.burn_operations)
    }
  }
}

/// The bf16 kernels of this processor; nil where it has no such instructions.
let bfloat16Kernels: ls_bfloat16_kernels? = ls_bfloat16()?.pointee

/// Memory for bf16 copies of operands; one worker's products take turns with it.
package final class OperandScratch {
  private var buffer: FloatBuffer?

  package init() {}

  /// `source` rounded to bf16, dense; valid until the next call.
  func rounded(_ source: MatrixView) throws -> UnsafeMutablePointer<UInt16> {
    guard let table = bfloat16Kernels else { preconditionFailure("no bf16 instructions on this processor") }
    let count = source.rows * source.columns
    let target = try halves(count)
    table.convert(target, source.pointer, count)
    return target
  }

  /// As ``rounded(_:)``, but each row filled up with a zero to a whole number of pairs.
  func roundedPairs(_ source: MatrixView) throws -> UnsafeMutablePointer<UInt16> {
    guard source.columns % 2 != 0 else { return try rounded(source) }
    guard let table = bfloat16Kernels else { preconditionFailure("no bf16 instructions on this processor") }
    let stride = source.columns + 1
    let target = try halves(source.rows * stride)
    for row in 0..<source.rows {
      table.convert(target + row * stride, source.pointer + row * source.columns, source.columns)
      target[row * stride + source.columns] = 0
    }
    return target
  }

  private func halves(_ count: Int) throws -> UnsafeMutablePointer<UInt16> {
    if buffer.map({ $0.count * 2 < count }) ?? true { buffer = try FloatBuffer(count: (count + 1) / 2) }
    return UnsafeMutableRawPointer(buffer!.pointer).assumingMemoryBound(to: UInt16.self)
  }
}
