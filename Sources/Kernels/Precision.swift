import CKernels
import Parameters

/// The numbers that matrix products take. Sums, weights, gates and softmax are f32 in both.
package enum Precision: String, Sendable, CaseIterable {
  case f32
  /// Operands rounded to bfloat16 (8 bits of significand), products summed up in f32.
  case bf16
}

extension Arithmetic {
  /// Runs independent multiply-adds of a precision in registers and returns their number of floating-point
  /// operations: timed, it is the ceiling that a kernel can be measured against.
  package func burnMultiplyAdds(_ precision: Precision, iterations: Int) -> Double {
    switch precision {
    case .f32:
      withExtendedLifetime(kernels.pointee.fma_burn(Int64(iterations))) {}
      return Double(iterations) * Double(kernels.pointee.fma_per_iteration)
    case .bf16:
      let table = requireBFloat16()
      withExtendedLifetime(table.pointee.burn(Int64(iterations))) {}
      return Double(iterations) * Double(table.pointee.burn_operations)
    }
  }

  /// Columns of a panel of packed weights.
  func panelColumns(_ precision: Precision) -> Int {
    switch precision {
    case .f32: Int(kernels.pointee.panel_columns)
    case .bf16: Int(requireBFloat16().pointee.panel_columns)
    }
  }
}

/// Memory for bf16 copies of operands; one worker's products take turns with it.
package final class OperandScratch {
  private var buffer: FloatBuffer?

  package init() {}

  /// `source` rounded to bf16, each row filled up with a zero to a whole number of pairs; valid until the next call.
  func roundedPairs(_ source: MatrixView, _ arithmetic: Arithmetic) throws -> UnsafeMutablePointer<UInt16> {
    let convert = arithmetic.requireBFloat16().pointee.convert
    guard source.columns % 2 != 0 else {
      let target = try halves(source.rows * source.columns)
      convert(target, source.pointer, source.rows * source.columns)
      return target
    }
    let stride = source.columns + 1
    let target = try halves(source.rows * stride)
    for row in 0..<source.rows {
      convert(target + row * stride, source.pointer + row * source.columns, source.columns)
      target[row * stride + source.columns] = 0
    }
    return target
  }

  private func halves(_ count: Int) throws -> UnsafeMutablePointer<UInt16> {
    if buffer.map({ $0.count * 2 < count }) ?? true { buffer = try FloatBuffer(count: (count + 1) / 2) }
    return UnsafeMutableRawPointer(buffer!.pointer).assumingMemoryBound(to: UInt16.self)
  }
}
