import Arena
import Kernels

/// A matrix of the arena, or some rows of one, and its packed forms.
///
/// `@unchecked Sendable`: it points into the arena of the ``ModelWeights`` that holds it, under the same rules.
struct PackedPart: @unchecked Sendable {
  let weight: PackedWeight
  let source: MatrixView
  /// Where it stands in the arena, in floats.
  let range: Range<Int>

  init(_ weight: PackedWeight, _ parameters: ParameterStore, _ name: String, firstRow: Int = 0) {
    self.weight = weight
    source = parameters.matrix(name).rows(firstRow..<(firstRow + weight.rows))
    let start = source.pointer - parameters.values.pointer
    range = start..<(start + source.rows * source.columns)
  }

  /// Panels that end at or before `place`.
  func panels(endingBy place: Int) -> Int {
    place >= range.upperBound ? weight.panelCount : max(0, place - range.lowerBound) / panelFloats
  }

  /// The first panel that begins at or behind `place`.
  func panel(beginningFrom place: Int) -> Int {
    min(weight.panelCount, (max(0, place - range.lowerBound) + panelFloats - 1) / panelFloats)
  }

  private var panelFloats: Int { PackedWeight.panelRows * source.columns }
}

/// Packing as the optimiser goes along: a panel that has just been updated is still in cache, and reading all weights
/// from memory once more would cost about as much as the update.
///
/// A worker packs the panels that lie wholly in the segment that it updates, and when all weights are there, the rest.
extension ModelWeights {
  /// Packs the panels of `segment` that are complete now that it is up to date up to `end`, and were not at `previous`.
  package func packPanels(of segment: Range<Int>, completedBy end: Int, since previous: Int) {
    for part in packedMatrices where part.weight.packsByPanels {
      let first = max(part.panel(beginningFrom: segment.lowerBound), part.panels(endingBy: previous))
      let last = part.panels(endingBy: end)
      if first < last { part.weight.pack(part.source, panels: first..<last) }
    }
  }

  /// Packs what no worker has packed as it went along. The workers share the weights, and each of `segments` is up to
  /// date. To be called by all of them between two barriers.
  package func packRest(between segments: [Range<Int>], rank: Int) throws {
    for part in packedMatrices {
      guard part.weight.packsByPanels else {
        try part.weight.pack(part.source, rank: rank, of: segments.count)
        continue
      }
      // A panel over a boundary is packed by the worker in whose segment it begins.
      let segment = segments[rank]
      let first = max(part.panel(beginningFrom: segment.lowerBound), part.panels(endingBy: segment.upperBound))
      let last = part.panel(beginningFrom: segment.upperBound)
      if first < last { part.weight.pack(part.source, panels: first..<last) }
    }
    addBiases(rank: rank, of: segments.count)
  }

  /// Packs what does not lie wholly in `segment`: what this worker, alone with its copy of the weights, has not packed as
  /// it went along.
  package func packRest(outside segment: Range<Int>) throws {
    for part in packedMatrices {
      guard part.weight.packsByPanels else {
        try part.weight.pack(part.source)
        continue
      }
      let first = part.panel(beginningFrom: segment.lowerBound)
      let last = max(first, part.panels(endingBy: segment.upperBound))
      if first > 0 { part.weight.pack(part.source, panels: 0..<first) }
      if last < part.weight.panelCount { part.weight.pack(part.source, panels: last..<part.weight.panelCount) }
    }
    addBiases(rank: 0, of: 1)
  }

  /// b_ih + b_hh of the layers of worker `rank`.
  func addBiases(rank: Int, of count: Int) {
    for (index, layer) in layers.enumerated() where index % count == rank {
      let (input, hidden) = (parameters.floats("rnn.bias_ih_l\(index)"), parameters.floats("rnn.bias_hh_l\(index)"))
      VectorMath.sum(input.baseAddress!, hidden.baseAddress!, into: layer.bias.pointer, count: layer.bias.count)
    }
  }
}
