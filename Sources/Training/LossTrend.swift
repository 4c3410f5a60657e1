/// The loss that a run began with and its current one: a run whose loss stays finite may still have gone wrong.
struct LossTrend: Sendable {
  /// Steps that either mean is taken over, at most.
  private static let steps = 10

  private var firstSum = 0.0
  private var firstCount = 0
  private var recent = [Double](repeating: 0, count: LossTrend.steps)
  private var count = 0

  /// Notes a step's loss, in nats per token.
  mutating func add(_ loss: Double) {
    if firstCount < Self.steps {
      firstSum += loss
      firstCount += 1
    }
    recent[count % Self.steps] = loss
    count += 1
  }

  /// Mean loss of the run's first steps; nil before the first.
  var began: Double? { firstCount > 0 ? firstSum / Double(firstCount) : nil }

  /// Mean loss of the last steps; nil before the first.
  var now: Double? {
    let filled = min(count, Self.steps)
    return filled > 0 ? recent[0..<filled].reduce(0, +) / Double(filled) : nil
  }

  /// Whether the last steps are worse than the first by more than what one batch differs from another.
  var isWorse: Bool {
    guard let began, let now else { return false }
    return now > 1.01 * began
  }

  /// What a checkpoint keeps.
  var state: [String: Double] { ["first_loss_sum": firstSum, "first_loss_steps": Double(firstCount)] }

  /// Absent from the files of earlier versions: such a run begins where it is resumed.
  mutating func restore(_ state: [String: Double]) {
    guard let sum = state["first_loss_sum"], let count = state.count("first_loss_steps"), count >= 0 else { return }
    (firstSum, firstCount) = (sum, min(count, Self.steps))
  }
}
