import Kernels

/// What the layers and the exchange of one worker share besides weights: what observes a pass while it runs,
/// and the products that workers make together.
package final class Workspace {
  /// A benchmark's.
  package var timer: PhaseTimer?
  /// A replay's: sees each tensor as soon as it is computed.
  package var probe: NonFiniteProbe?
  /// Nil where each worker multiplies alone. Otherwise training passes are collective.
  package let jointProducts: JointProducts?

  package init(jointProducts: JointProducts? = nil) { self.jointProducts = jointProducts }

  /// From now on time counts for `phase`.
  package func enter(_ phase: Phase) { timer?.enter(phase) }
}
