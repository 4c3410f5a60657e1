/// Compares a model's answers with the targets of batches. It keeps integers only, so that the counts of workers add up
/// exactly in any order.
package protocol Measure<Input>: Sendable {
  associatedtype Input

  /// As many on every worker.
  var counts: [Int64] { get set }

  /// - Parameter answers: a class for each unit, in the order of ``Batch/units``.
  mutating func add(_ answers: [Int32], of batch: Batch<Input>)

  /// What the counts amount to.
  var scores: Scores { get }
}

/// How good answers are; nil for what a task does not measure.
package struct Scores: Sendable, Equatable {
  /// The fraction of correct answers.
  package var accuracy: Double?
  /// The fraction of the found entities that are correct.
  package var precision: Double?
  /// The fraction of the entities in the data that were found.
  package var recall: Double?
  /// The harmonic mean of precision and recall.
  package var f1: Double?

  package init(accuracy: Double? = nil) { self.accuracy = accuracy }

  /// Precision, recall and F1 from the number of entities.
  package mutating func count(correct: Int64, found: Int64, expected: Int64) {
    func ratio(_ part: Int64, _ whole: Int64) -> Double { whole == 0 ? 0 : Double(part) / Double(whole) }
    (precision, recall) = (ratio(correct, found), ratio(correct, expected))
    // 2·P·R / (P + R), without rounding twice.
    f1 = ratio(2 * correct, found + expected)
  }
}
