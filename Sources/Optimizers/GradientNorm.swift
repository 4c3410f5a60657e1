import Kernels

/// The norm of the whole gradient, and the factor that clips it (Pascanu et al. 2013).
package enum GradientNorm {
  /// Floats whose squares are summed as one block. Segments of workers start on block boundaries, so the block sums
  /// are the same whoever computes them, and added up in order they give every worker the same bits.
  package static let block = 1 << 14

  /// Blocks of `count` floats; the last one may be short.
  package static func blocks(of count: Int) -> Int { (count + block - 1) / block }

  /// Sums of squares of some blocks of `gradients`, written to `sums[blocks]`.
  ///
  /// - Parameter skipping: where given, the first `zeros` floats are zero but for the ascending ranges `except`, which
  ///   count from `from`: blocks of nothing but zeros are not read. Their sum is zero all the same.
  package static func blockSums(
    _ gradients: UnsafePointer<Float>, count: Int, blocks: Range<Int>, into sums: UnsafeMutablePointer<Double>,
    _ arithmetic: Arithmetic, skipping sparse: (zeros: Int, except: [Range<Int>], from: Int)? = nil
  ) {
    var next = 0
    for index in blocks {
      let start = index * block
      let end = min(start + block, count)
      if let sparse, end <= sparse.zeros {
        while next < sparse.except.count, sparse.except[next].upperBound - sparse.from <= start { next += 1 }
        guard next < sparse.except.count, sparse.except[next].lowerBound - sparse.from < end else {
          sums[index] = 0
          continue
        }
      }
      sums[index] = arithmetic.squaredNorm(gradients + start, count: end - start)
    }
  }

  /// What the gradient is multiplied by so that its norm is at most `limit`; 1 without a limit. The 1e-6 is PyTorch's
  /// `clip_grad_norm_`, so that clipped runs compare.
  package static func clippingFactor(norm: Double, limit: Double) -> Double {
    limit > 0 ? min(1, limit / (norm + 1e-6)) : 1
  }
}
