import Parameters

/// A parameter, or some rows of one, and its packed forms.
///
/// `@unchecked Sendable`: it points into the arena of the ``PackedParameters`` that holds it, under the same rules.
struct PackedPart: @unchecked Sendable {
  let weight: PackedWeight
  let source: MatrixView
  /// Where it stands in the arena, in floats.
  let range: Range<Int>

  init(_ weight: PackedWeight, _ store: ParameterStore, _ parameter: Parameter, firstRow: Int) {
    self.weight = weight
    source = store.matrix(parameter).rows(firstRow..<(firstRow + weight.rows))
    let start = parameter.offset + firstRow * parameter.columns
    range = start..<(start + source.rows * source.columns)
  }

  /// Blocks of rows that end at or before `place`.
  func blocks(endingBy place: Int) -> Int {
    place >= range.upperBound ? weight.blockCount : max(0, place - range.lowerBound) / blockFloats
  }

  /// The first block that begins at or after `place`.
  func block(beginningFrom place: Int) -> Int {
    min(weight.blockCount, (max(0, place - range.lowerBound) + blockFloats - 1) / blockFloats)
  }

  private var blockFloats: Int { PackedWeight.blockRows * source.columns }
}

extension PackedParameters {
  /// Brings the packed forms up to date with the parameters: the share of worker `rank` of `count`. A barrier must
  /// separate it from the last use and from the next.
  package func pack(rank: Int = 0, of count: Int = 1) {
    for part in parts { part.weight.pack(part.source, rank: rank, of: count) }
  }
}

/// Packing while the optimiser updates: a block that has just been updated is still in cache, and reading all weights from
/// memory once more would cost about as much as the update.
///
/// A worker packs the blocks of rows that lie wholly in the segment that it updates and, when all weights are there, the
/// rest.
extension PackedParameters {
  /// Packs the blocks of `segment` that are complete now that it is up to date up to `end`, and were not at `previous`.
  package func packBlocks(of segment: Range<Int>, completedBy end: Int, since previous: Int) {
    for part in parts {
      let first = max(part.block(beginningFrom: segment.lowerBound), part.blocks(endingBy: previous))
      let last = part.blocks(endingBy: end)
      if first < last { part.weight.pack(part.source, blocks: first..<last) }
    }
  }

  /// Packs what no worker has packed while it updated. The workers share the weights, and each of `segments` is up to
  /// date. All of them call it between two barriers.
  package func packRest(between segments: [Range<Int>], rank: Int) {
    for part in parts {
      // A block over a boundary is packed by the worker in whose segment it begins.
      let segment = segments[rank]
      let first = max(part.block(beginningFrom: segment.lowerBound), part.blocks(endingBy: segment.upperBound))
      let last = part.block(beginningFrom: segment.upperBound)
      if first < last { part.weight.pack(part.source, blocks: first..<last) }
    }
  }

  /// Packs what does not lie wholly in `segment`: what a worker with a copy of its own has not packed while it updated.
  package func packRest(outside segment: Range<Int>) {
    for part in parts {
      let first = part.block(beginningFrom: segment.lowerBound)
      let last = max(first, part.blocks(endingBy: segment.upperBound))
      if first > 0 { part.weight.pack(part.source, blocks: 0..<first) }
      if last < part.weight.blockCount { part.weight.pack(part.source, blocks: last..<part.weight.blockCount) }
    }
  }
}
