import Glibc

/// The parts of a training step that a benchmark tells apart.
package enum Phase: String, Sendable, CaseIterable {
  /// Lookup, and the gradient of the rows that occur.
  case embedding
  /// x·W_ihᵀ over all time steps, and its backward pass; in the first layer also what copies rows to positions of one token,
  /// and adds them up.
  case inputProducts = "input_products"
  /// h·W_hhᵀ of each time step, and its backward pass.
  case recurrentProducts = "recurrent_products"
  /// Elementwise arithmetic of the cells.
  case gates
  /// Logits, softmax with loss and gradient, dL/dh.
  case softmax
  /// Products over rows that give dL/dW, decoder and layers.
  case weightGradients = "weight_gradients"
  /// Reduction over workers, and all-gather of the new weights.
  case exchange
  /// Norm, clipping and the optimiser's update.
  case update = "clip_and_optimizer"
  /// Weights into the layout that products read.
  case packing
  /// Everything else.
  case other
}

/// Adds up the time that one worker spends in each phase. Only a benchmark has one: reading the clock takes about twenty
/// nanoseconds, and a step would read it hundreds of times.
package final class PhaseTimer {
  private var nanoseconds = [UInt64](repeating: 0, count: Phase.allCases.count)
  private var current = Phase.other
  private var since = PhaseTimer.now()

  package init() {}

  /// From now on time counts for `phase`.
  package func enter(_ phase: Phase) {
    let now = Self.now()
    nanoseconds[Self.index(current)] += now - since
    current = phase
    since = now
  }

  /// Seconds since the last call, by phase; starts again from zero.
  package func take() -> [Phase: Double] {
    enter(.other)
    defer { for index in nanoseconds.indices { nanoseconds[index] = 0 } }
    return Dictionary(uniqueKeysWithValues: Phase.allCases.map { ($0, Double(nanoseconds[Self.index($0)]) * 1e-9) })
  }

  private static func index(_ phase: Phase) -> Int {
    switch phase {
    case .embedding: 0
    case .inputProducts: 1
    case .recurrentProducts: 2
    case .gates: 3
    case .softmax: 4
    case .weightGradients: 5
    case .exchange: 6
    case .update: 7
    case .packing: 8
    case .other: 9
    }
  }

  private static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
