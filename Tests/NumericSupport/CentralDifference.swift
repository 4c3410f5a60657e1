/// The central difference quotient of `loss` by the value at `path`.
///
/// A step of 1e-5 leaves about ten good digits: the error of the quotient and rounding in `Double` meet there.
package func centralDifference<Point>(
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
