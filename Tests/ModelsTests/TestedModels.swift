import Interfaces
import Kernels
import Layers
import Models
import Parameters
import Sharding

/// Every cell that a configuration can ask for.
let allCells: [Cell] = [
  .lstm, .gru(.after), .gru(.before), .elman(.tanh), .elman(.relu), .elman(.sigmoid),
]

/// Weights that are uniform in ±`range`, packed.
func randomWeights(
  _ architecture: LanguageArchitecture, range: Double = 0.5, seed: UInt64 = 1, arithmetic: Arithmetic = .best,
  precision: Precision = .f32
) throws -> PackedParameters {
  let weights = try PackedParameters(architecture.layout, arithmetic, precision: precision, needsBackward: true)
  architecture.initialize(weights.store, .uniform(range: range), seed: seed)
  weights.pack()
  return weights
}

/// A language model of one worker in training, and the loss sums of its shards in the last pass.
final class TrainedModel {
  let model: LanguageModel
  let workspace = Workspace()
  private(set) var shardLosses: [Double] = []
  private let plan: BatchPlan
  private let rank: Int

  init(
    _ architecture: LanguageArchitecture, _ weights: PackedParameters, _ plan: BatchPlan, rank: Int = 0,
    chunkFloats: Int? = nil
  ) throws {
    (self.plan, self.rank) = (plan, rank)
    model = try LanguageModel(architecture, weights, plan, rank: rank, chunkFloats: chunkFloats, workspace)
  }

  func pass(_ window: Window, step: Int, observer: any PassObserver = SettledWeights()) throws {
    let batch = batch(window, plan, rank: rank, step: step)
    var nats = [Double](repeating: 0, count: batch.unitCount)
    try model.trainingPass(batch, observer: observer, nats: &nats)
    shardLosses = batch.shardSums(nats)
  }

  func resetStates() { for state in model.carried { state.values.fill(0) } }

  /// The gradient of a parameter in one of the worker's subtrees: all of its addends together.
  func gradient(_ parameter: Parameter, subtree: Int = 0) -> [Float] {
    model.gradients[subtree].dense(parameter)
  }
}

extension SubtreeGradient {
  /// All addends of a parameter together; rows that are not listed are zero.
  func dense(_ parameter: Parameter) -> [Float] {
    var sum = [Float](repeating: 0, count: parameter.count)
    for (index, addend) in addends.enumerated() where addend.parameter == parameter {
      let values = matrix(index)
      for row in 0..<values.rows {
        let target = addend.rows == .all ? row : Int(touched[index][row])
        for column in 0..<values.columns { sum[target * values.columns + column] += values[row, column] }
      }
    }
    return sum
  }

  /// Each addend's rows where they belong in the parameter.
  var denseAddends: [[Float]] {
    addends.enumerated().map { index, addend in
      var sum = [Float](repeating: 0, count: addend.parameter.count)
      let values = matrix(index)
      for row in 0..<values.rows {
        let target = addend.rows == .all ? row : Int(touched[index][row])
        for column in 0..<values.columns { sum[target * values.columns + column] = values[row, column] }
      }
      return sum
    }
  }
}

/// A language model of one worker that only reads, and the loss sums of its shards in the last pass.
final class ScoredModel {
  let scorer: LanguageScorer
  private(set) var shardLosses: [Double] = []
  private let plan: BatchPlan

  init(_ architecture: LanguageArchitecture, _ weights: PackedParameters, _ plan: BatchPlan) throws {
    self.plan = plan
    scorer = try LanguageScorer(architecture, weights, plan, rank: 0)
  }

  func pass(_ window: Window) throws {
    let batch = batch(window, plan, rank: 0, step: 0)
    var nats = [Double](repeating: 0, count: batch.unitCount)
    try scorer.score(batch, nats: &nats)
    shardLosses = batch.shardSums(nats)
  }
}

private func batch(_ window: Window, _ plan: BatchPlan, rank: Int, step: Int) -> Batch<Window> {
  let batch = Batch(window, units: plan.rowLists(of: rank))
  batch.step = step
  batch.keys = plan.sequences(of: rank).map { SequenceKey(draw: UInt64(step), sequence: UInt32($0)) }
  plan.list(batch.units, of: rank, count: plan.sequences, window.layout)
  return batch
}

/// States by name, as bit patterns.
func bits(_ states: [CarriedState]) -> [String: [UInt32]] {
  Dictionary(
    uniqueKeysWithValues: states.map { state in
      let values = UnsafeBufferPointer(start: state.values.pointer, count: state.values.rows * state.values.columns)
      return (state.name, values.map(\.bitPattern))
    })
}
