import Configuration

/// Where a run stands between two steps.
package struct TrainingPosition: Sendable, Equatable {
  /// Optimiser steps done.
  package var step = 0
  /// Epochs done.
  package var epoch = 0
  /// Windows of this epoch done.
  package var window = 0
  /// Tokens trained on so far, repeats included.
  package var tokens = 0

  package init(step: Int = 0, epoch: Int = 0, window: Int = 0, tokens: Int = 0) {
    (self.step, self.epoch, self.window, self.tokens) = (step, epoch, window, tokens)
  }

  /// Moves past one window of an epoch of `windows`.
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
  /// Steps of the whole run at `windows` an epoch, for a run that has come to `position`.
  ///
  /// Epochs are counted from the position: epochs that an earlier version trained may have had other numbers of windows.
  package func totalSteps(windows: Int, from position: TrainingPosition = .init()) -> Int {
    switch self {
    case .epochs(let epochs): position.step + (epochs - position.epoch) * windows - position.window
    case .steps(let steps): steps
    }
  }
}
