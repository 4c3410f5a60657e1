import Arena
import Kernels
import Recurrent

/// Every cell that a configuration can ask for.
let allCells: [Cell] = [
  .lstm, .gru(.after), .gru(.before), .elman(.tanh), .elman(.relu), .elman(.sigmoid),
]

/// Weights that are uniform in ±`range`, packed.
func randomWeights(
  _ shape: ModelShape, range: Double = 0.5, seed: UInt64 = 1, arithmetic: Arithmetic = .best,
  precision: Precision = .f32
) throws -> ModelWeights {
  let weights = try ModelWeights(shape, arithmetic, precision: precision, training: true)
  Initialization.uniform(range: range).fill(weights.parameters, shape: shape, seed: seed)
  weights.pack()
  return weights
}

/// The central difference quotient of `loss` by the value at `path`.
///
/// A step of 1e-5 leaves about ten good digits: the error of the quotient and rounding in `Double` meet there.
func centralDifference<Point>(
  _ point: inout Point, _ path: WritableKeyPath<Point, Double>, of loss: (Point) -> Double
) -> Double {
  let (value, step) = (point[keyPath: path], 1e-5)
  point[keyPath: path] = value + step
  let above = loss(point)
  point[keyPath: path] = value - step
  let below = loss(point)
  point[keyPath: path] = value
  return (above - below) / (2 * step)
}
