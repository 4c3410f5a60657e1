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

  /// Blocks of rows that end at or before `place`.
  func blocks(endingBy place: Int) -> Int {
    place >= range.upperBound ? weight.blockCount : max(0, place - range.lowerBound) / blockFloats
  }

  /// The first block that begins at or behind `place`.
  func block(beginningFrom place: Int) -> Int {
    min(weight.blockCount, (max(0, place - range.lowerBound) + blockFloats - 1) / blockFloats)
  }

  private var blockFloats: Int { PackedWeight.blockRows * source.columns }
}

/// Packing as the optimiser goes along: a block that has just been updated is still in cache, and reading all weights
/// from memory once more would cost about as much as the update.
///
/// A worker packs the blocks of rows that lie wholly in the segment that it updates, and when all weights are there, the rest.
extension ModelWeights {
  /// Packs the blocks of `segment` that are complete now that it is up to date up to `end`, and were not at `previous`.
  package func packBlocks(of segment: Range<Int>, completedBy end: Int, since previous: Int) {
    for part in packedMatrices {
      let first = max(part.block(beginningFrom: segment.lowerBound), part.blocks(endingBy: previous))
      let last = part.blocks(endingBy: end)
      if first < last { part.weight.pack(part.source, blocks: first..<last) }
    }
  }

  /// Packs what no worker has packed as it went along. The workers share the weights, and each of `segments` is up to
  /// date. To be called by all of them between two barriers.
  package func packRest(between segments: [Range<Int>], rank: Int) {
    for part in packedMatrices {
      // A block over a boundary is packed by the worker in whose segment it begins.
      let segment = segments[rank]
      let first = max(part.block(beginningFrom: segment.lowerBound), part.blocks(endingBy: segment.upperBound))
      let last = part.block(beginningFrom: segment.upperBound)
      if first < last { part.weight.pack(part.source, blocks: first..<last) }
    }
    addBiases(rank: rank, of: segments.count)
  }

  /// Packs what does not lie wholly in `segment`: what this worker, alone with its copy of the weights, has not packed as
  /// it went along.
  package func packRest(outside segment: Range<Int>) {
    for part in packedMatrices {
      let first = part.block(beginningFrom: segment.lowerBound)
      let last = max(first, part.blocks(endingBy: segment.upperBound))
      if first > 0 { part.weight.pack(part.source, blocks: 0..<first) }
      if last < part.weight.blockCount { part.weight.pack(part.source, blocks: last..<part.weight.blockCount) }
    }
    addBiases(rank: 0, of: 1)
  }

  /// b_ih + b_hh of the layers of worker `rank`.
  func addBiases(rank: Int, of count: Int) {
    for (index, layer) in layers.enumerated() where index % count == rank {
      let (input, hidden) = (parameters.floats("rnn.bias_ih_l\(index)"), parameters.floats("rnn.bias_hh_l\(index)"))
      arithmetic.sum(input.baseAddress!, hidden.baseAddress!, into: layer.bias.pointer, count: layer.bias.count)
    }
  }
}
