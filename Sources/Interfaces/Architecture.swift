import Kernels
import Parameters
import Sharding

/// The shape of a neural model: its parameters, what it needs in memory, and how it is made.
package protocol Architecture<Input>: Sendable {
  associatedtype Input

  var layout: ParameterLayout { get }

  /// Whether every batch has as many rows on each worker, as token streams have, so that workers may multiply together.
  var hasEqualBatches: Bool { get }

  /// A second name under which files may hold a parameter; nil where there is none.
  var alias: ParameterAlias? { get }

  /// Gives all parameters their first values.
  func initialize(_ store: ParameterStore, _ initialization: Initialization, seed: UInt64)

  /// The model and its tapes, of one worker.
  ///
  /// - Parameters:
  ///   - weights: made with `needsBackward`.
  ///   - memory: allocates the gradients, which other workers may have to read.
  func makeModel(
    _ weights: PackedParameters, _ plan: BatchPlan, rank: Int, memory: FloatMemory, _ workspace: Workspace
  ) throws -> any TrainableModel<Input>

  /// Measures the exact loss, of one worker's share.
  func makeScorer(_ weights: PackedParameters, _ plan: BatchPlan, rank: Int) throws -> any Scorer<Input>

  /// Bytes of a worker's gradients.
  func gradientBytes(_ plan: BatchPlan, rank: Int) -> Int

  /// Bytes that a worker's model allocates besides weights and gradients, and its scorer.
  func modelBytes(_ plan: BatchPlan, rank: Int, precision: Precision) -> Int
  func scorerBytes(_ plan: BatchPlan, rank: Int, precision: Precision) -> Int
}

extension Architecture {
  package var alias: ParameterAlias? { nil }
}

/// A second name of a parameter in files: PyTorch's state of a model with tied weights has both.
package struct ParameterAlias: Sendable, Equatable {
  package let name: String
  package let parameter: Parameter

  package init(name: String, of parameter: Parameter) { (self.name, self.parameter) = (name, parameter) }
}
