import Kernels
import Parameters
import Sharding

/// The shape of a neural model: its parameters, what it needs in memory, and how it is made.
package protocol Architecture<Input>: Sendable {
  associatedtype Input

  var layout: ParameterLayout { get }

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

  func makeScorer(_ weights: PackedParameters, _ plan: BatchPlan, rank: Int) throws -> any Scorer<Input>

  /// Bytes of a worker's gradients.
  func gradientBytes(_ plan: BatchPlan, rank: Int) -> Int

  /// Bytes that a worker's model allocates besides weights and gradients, and its scorer.
  func modelBytes(_ plan: BatchPlan, rank: Int, precision: Precision) -> Int
  func scorerBytes(_ plan: BatchPlan, rank: Int, precision: Precision) -> Int
}
