import Interfaces
import Kernels
import Layers
import Sharding

extension LanguageArchitecture {
  /// Every parameter has an addend of all rows, but for the table, whose rows are listed; a tied one has both.
  package func gradientBytes(_ plan: BatchPlan, rank: Int) -> Int {
    let addends =
      layout.parameters.filter { $0 != table || shape.tied }.map { Addend(parameter: $0, rows: .all) }
      + [Addend(parameter: table, rows: .listed)]
    return SubtreeGradient.bytes(addends, plan, rank: rank)
  }

  package func modelBytes(_ plan: BatchPlan, rank: Int, precision: Precision) -> Int {
    StackMemory(table: table, cells: cells, classes: shape.vocabularySize, hasDropout: dropout != nil)
      .modelBytes(plan, rank: rank, precision: precision)
  }

  package func scorerBytes(_ plan: BatchPlan, rank: Int, precision: Precision) -> Int {
    StackMemory(table: table, cells: cells, classes: shape.vocabularySize, hasDropout: false)
      .scorerBytes(plan, rank: rank, precision: precision)
  }
}
