/// The metrics of a run so far: a table of training steps and a table of validations.
package struct History: Equatable, Sendable {
  package var train: HistoryTable
  package var valid: HistoryTable

  package init(train: HistoryTable = .init(), valid: HistoryTable = .init()) {
    (self.train, self.valid) = (train, valid)
  }
}

/// Named columns of equal length.
package struct HistoryTable: Equatable, Sendable {
  package enum Values: Equatable, Sendable {
    case integers([Int64])
    case reals([Double])

    package var count: Int {
      switch self {
      case .integers(let values): values.count
      case .reals(let values): values.count
      }
    }

    /// The value in a row; integers are converted.
    package subscript(row: Int) -> Double {
      switch self {
      case .integers(let values): Double(values[row])
      case .reals(let values): values[row]
      }
    }
  }

  package struct Column: Equatable, Sendable {
    package var name: String
    package var values: Values

    package init(_ name: String, _ values: Values) {
      (self.name, self.values) = (name, values)
    }
  }

  package private(set) var columns: [Column]

  /// - Precondition: the columns have equal lengths and different names.
  package init(_ columns: [Column] = []) {
    precondition(Set(columns.map(\.values.count)).count <= 1, "the columns of a table have one length")
    precondition(Set(columns.map(\.name)).count == columns.count, "the columns of a table have different names")
    self.columns = columns
  }

  package var rowCount: Int { columns.first?.values.count ?? 0 }

  /// The values of the column `name`.
  package subscript(name: String) -> Values? { columns.first { $0.name == name }?.values }
}
