import Parameters
import Sharding

/// Which rows of a parameter a gradient product writes, known from shapes alone.
package enum RowSupport: Sendable, Equatable {
  /// All of them.
  case all
  /// Those that the batch lists: at most one for each position of a subtree.
  case listed
}

/// One gradient product, which is summed along a tree of its own.
///
/// A parameter that two products use, as a tied table, has two addends; they are added in their order after each has been
/// summed, because the sum of two trees is not, bit for bit, the tree of the sums. A parameter without an addend is frozen.
package struct Addend: Sendable, Equatable {
  package let parameter: Parameter
  package let rows: RowSupport

  package init(parameter: Parameter, rows: RowSupport) { (self.parameter, self.rows) = (parameter, rows) }
}

/// Collects the addends of a model in the order in which its backward pass completes them.
package struct AddendList {
  package private(set) var addends: [Addend] = []

  package init() {}

  /// Returns the addend's number, by which the pass announces it.
  package mutating func enroll(_ parameter: Parameter, _ rows: RowSupport = .all) -> Int {
    addends.append(Addend(parameter: parameter, rows: rows))
    return addends.count - 1
  }
}
