import Interfaces

/// The accuracy of labels and, where they mark entities, precision, recall and F1 of the entities.
package struct TaggingMeasure: Measure {
  private let labels: EntityLabels?
  /// Labels, correct ones; entities that are correct, found, expected.
  package var counts: [Int64] = [0, 0, 0, 0, 0]

  /// - Parameter labels: by id.
  package init(labels: [String]) { self.labels = EntityLabels(labels) }

  package mutating func add(_ answers: [Int32], of batch: Batch<Sentences>) {
    let (layout, targets) = (batch.input.layout, batch.input.targets)
    var byRow = [Int32](repeating: 0, count: layout.count)
    for (row, answer) in zip(batch.units.lazy.flatMap(\.rows), answers) {
      byRow[Int(row)] = answer
      counts[0] += 1
      if targets[Int(row)] == answer { counts[1] += 1 }
    }
    guard let labels else { return }
    for sequence in 0..<layout.sequences {
      let rows = (0..<layout.length(of: sequence)).map { layout.row(step: $0, sequence: sequence) }
      let expected = labels.entities(rows.lazy.map { targets[$0] })
      let found = labels.entities(rows.lazy.map { byRow[$0] })
      counts[2] += Int64(Set(expected).intersection(found).count)
      counts[3] += Int64(found.count)
      counts[4] += Int64(expected.count)
    }
  }

  package var scores: Scores {
    var scores = Scores(accuracy: Double(counts[1]) / Double(max(counts[0], 1)))
    if labels != nil { scores.count(correct: counts[2], found: counts[3], expected: counts[4]) }
    return scores
  }
}
