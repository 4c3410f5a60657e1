import Configuration

/// The position of a run between two steps.
package struct TrainingPosition: Sendable, Equatable {
  /// Completed optimiser steps.
  package var step = 0
  /// Completed epochs.
  package var epoch = 0
  /// Completed windows of this epoch.
  package var window = 0
  /// Tokens trained on so far, over all epochs.
  package var tokens = 0

  package init(step: Int = 0, epoch: Int = 0, window: Int = 0, tokens: Int = 0) {
    (self.step, self.epoch, self.window, self.tokens) = (step, epoch, window, tokens)
  }

  /// Advances by one window, in an epoch of `windows` windows.
  package mutating func advance(tokens: Int, windows: Int) {
    step += 1
    self.tokens += tokens
    window += 1
    if window == windows {
      epoch += 1
      window = 0
    }
  }

  /// Whether the last window ended an epoch.
  package var isAtEpochEnd: Bool { window == 0 && step > 0 }
}

extension TrainingConfiguration.Length {
  /// The number of steps of the whole run, with `windows` windows per epoch, for a run at `position`.
  ///
  /// Counted from the position, since the epochs that an earlier version trained may have had other numbers of windows.
  package func totalSteps(windows: Int, from position: TrainingPosition = .init()) -> Int {
    switch self {
    case .epochs(let epochs): position.step + (epochs - position.epoch) * windows - position.window
    case .steps(let steps): steps
    }
  }
}
