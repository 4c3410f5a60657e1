/// Where the positions of a batch of sequences stand: time step after time step, and in each step the sequences that reach
/// it.
///
/// Sequences of different lengths are in the order of falling length, so that those of a step are the first of the step
/// before: the layout of PyTorch's and cuDNN's packed sequences, which has no padding.
package struct TimeMajorRows: Sendable, Equatable {
  /// T, of the longest sequence.
  package let steps: Int
  /// B
  package let sequences: Int
  /// By sequence, falling; nil where all have T steps.
  package let lengths: [Int]?
  /// The first row of each step, and last the number of rows; nil where each step has B rows.
  private let starts: [Int]?

  /// A batch whose sequences all have `steps` time steps.
  package init(steps: Int, sequences: Int) {
    (self.steps, self.sequences) = (steps, sequences)
    (lengths, starts) = (nil, nil)
  }

  /// - Parameter lengths: by sequence, falling; none is 0.
  package init(lengths: [Int]) {
    precondition(zip(lengths, lengths.dropFirst()).allSatisfy { $0 >= $1 }, "sequences in the order of falling length")
    precondition(lengths.last ?? 1 > 0, "a sequence without positions")
    (steps, sequences, self.lengths) = (lengths.first ?? 0, lengths.count, lengths)
    var starts = [0]
    starts.reserveCapacity(steps + 1)
    var reaching = sequences
    for step in 0..<steps {
      while lengths[reaching - 1] <= step { reaching -= 1 }
      starts.append(starts[step] + reaching)
    }
    self.starts = starts
  }

  /// All rows: T·B, or fewer.
  package var count: Int { starts?[steps] ?? steps * sequences }

  package func length(of sequence: Int) -> Int { lengths?[sequence] ?? steps }

  /// The rows of a time step: one for each sequence that reaches it.
  package func rows(of step: Int) -> Range<Int> {
    guard let starts else { return (step * sequences)..<((step + 1) * sequences) }
    return starts[step]..<starts[step + 1]
  }

  package func row(step: Int, sequence: Int) -> Int { (starts?[step] ?? step * sequences) + sequence }

  /// The time step and sequence of a row.
  package func position(of row: Int) -> Position {
    guard let starts else { return Position(step: row / sequences, sequence: row % sequences) }
    var (low, high) = (0, steps)
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= row { low = middle } else { high = middle }
    }
    return Position(step: low, sequence: row - starts[low])
  }

  package struct Position: Sendable, Equatable {
    package let step: Int
    package let sequence: Int
  }
}

/// The sequences of a batch in the order of falling length, those of one length in the order in which they came.
package struct SequenceOrder: Sendable {
  /// By place in the layout: the sequence.
  package let sequences: [Int]
  /// By sequence: its place in the layout.
  package let columns: [Int]
  package let layout: TimeMajorRows

  /// - Parameter lengths: by sequence, in any order.
  package init(lengths: [Int]) {
    let sequences = lengths.indices.sorted { (lengths[$1], $0) < (lengths[$0], $1) }
    var columns = Array(repeating: 0, count: lengths.count)
    for (column, sequence) in sequences.enumerated() { columns[sequence] = column }
    (self.sequences, self.columns) = (sequences, columns)
    layout = TimeMajorRows(lengths: sequences.map { lengths[$0] })
  }
}
