/// Clipping by the norm of the whole gradient (Pascanu et al. 2013).
package enum GradientNorm {
  /// What the gradient is multiplied by so that its norm is at most `limit`; 1 without a limit. The 1e-6 is PyTorch's
  /// `clip_grad_norm_`, so that clipped runs compare.
  package static func clippingFactor(norm: Double, limit: Double) -> Double {
    limit > 0 ? min(1, limit / (norm + 1e-6)) : 1
  }
}
