/// Compares a run's first losses with its latest: a run whose loss stays finite may still have diverged.
struct LossTrend: Sendable {
  /// The maximum number of steps in each mean.
  private static let steps = 10

  private var firstSum = 0.0
  private var firstCount = 0
  private var recent = [Double](repeating: 0, count: LossTrend.steps)
  private var count = 0

  /// Records a step's loss in nats per token.
  mutating func add(_ loss: Double) {
    if firstCount < Self.steps {
      firstSum += loss
      firstCount += 1
    }
    recent[count % Self.steps] = loss
    count += 1
  }

  /// The mean loss of the run's first steps; nil before the first.
  var began: Double? { firstCount > 0 ? firstSum / Double(firstCount) : nil }

  /// The mean loss of the latest steps; nil before the first.
  var now: Double? {
    let filled = min(count, Self.steps)
    return filled > 0 ? recent[0..<filled].reduce(0, +) / Double(filled) : nil
  }

  /// Whether the latest loss exceeds the first by more than the variation between batches.
  var isWorse: Bool {
    guard let began, let now else { return false }
    return now > 1.01 * began
  }

  /// The state for a checkpoint.
  var state: [String: Double] { ["first_loss_sum": firstSum, "first_loss_steps": Double(firstCount)] }

  /// Without a state, in files of earlier versions, the trend begins where the run is resumed.
  mutating func restore(_ state: [String: Double]) {
    guard let sum = state["first_loss_sum"], let count = state.count("first_loss_steps"), count >= 0 else { return }
    (firstSum, firstCount) = (sum, min(count, Self.steps))
  }
}
