import Kernels

/// The recurrent cells.
package enum Cell: Sendable, Equatable {
  /// Hochreiter & Schmidhuber 1997 with forget gate (Gers et al. 2000); gate order i f g o, as in PyTorch.
  case lstm
  /// Cho et al. 2014; gate order r z n, as in PyTorch.
  case gru(Reset)
  /// Elman 1990.
  case elman(Activation)

  /// The cells without their variants, as configurations spell them.
  package enum Family: String, Sendable, CaseIterable { case lstm, gru, elman }

  /// Where the GRU's reset gate acts.
  package enum Reset: String, Sendable, CaseIterable {
    /// n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn)): PyTorch, cuDNN.
    case after
    /// n = tanh(W_in x + b_in + W_hn (r ⊙ h) + b_hn): Cho et al. 2014, the form of the textbooks.
    case before
  }

  /// Gates: blocks of H rows in a layer's weights.
  package var gates: Int {
    switch self {
    case .lstm: 4
    case .gru: 3
    case .elman: 1
    }
  }

  /// The order of those blocks, as a checkpoint states it.
  package var gateOrder: String {
    switch self {
    case .lstm: "i f g o"
    case .gru: "r z n"
    case .elman: "h"
    }
  }
}
