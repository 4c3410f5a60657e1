import Failures
import Files
import HDF5
import Synchronization

/// The tokens of one split, read from its shard files.
///
/// Shards are opened when they are first needed, and a limited number is open at a time.
final class ShardedTokens: TokenSource {
  let count: Int
  let shards: [ShardFile]
  private let vocabularySize: Int
  /// The first token of each shard, and at the end the number of tokens.
  private let starts: [Int]
  private let open = Mutex<[Int: H5Dataset]>([:])

  /// Well below the usual limit of 1024 descriptors per process, with many workers in it.
  private static let openLimit = 16

  init(shards: [ShardFile], vocabularySize: Int) {
    (self.shards, self.vocabularySize) = (shards, vocabularySize)
    starts = shards.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.entry.tokens) }
    count = starts[shards.count]
  }

  func read(_ range: Range<Int>, into ids: UnsafeMutableBufferPointer<Int32>) throws {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "\(range) is outside 0..<\(count)")
    precondition(ids.count == range.count, "the buffer has the length of the range")
    var position = range.lowerBound
    var shard = firstShard(reaching: position)
    while position < range.upperBound {
      let end = min(range.upperBound, starts[shard + 1])
      let rows = position - starts[shard]..<end - starts[shard]
      let first = position - range.lowerBound
      try read(rows, ofShard: shard, into: UnsafeMutableBufferPointer(rebasing: ids[first..<first + rows.count]))
      position = end
      shard += 1
    }
  }

  /// The shards that hold a range of tokens, which is not empty.
  func shards(holding tokens: Range<Int>) -> Range<Int> {
    firstShard(reaching: tokens.lowerBound)..<firstShard(reaching: tokens.upperBound - 1) + 1
  }

  /// The shard that holds `position`: the last one that starts at or before it.
  private func firstShard(reaching position: Int) -> Int {
    var low = 0
    var high = shards.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= position { low = middle } else { high = middle }
    }
    return low
  }

  private func read(_ rows: Range<Int>, ofShard index: Int, into ids: UnsafeMutableBufferPointer<Int32>) throws {
    let shard = shards[index]
    // A shard is looked at after each read: what was read of one that had changed before is not the corpus's.
    repeat {
      try readOnce(rows, ofShard: index, into: ids)
      if try shard.checkUnchanged() { return }
      open.withLock { $0[index] = nil }
    } while true
  }

  private func readOnce(_ rows: Range<Int>, ofShard index: Int, into ids: UnsafeMutableBufferPointer<Int32>) throws {
    let place = "\(shards[index].path):/tokens"
    let dataset = try self.dataset(ofShard: index)
    do {
      try dataset.read(rows, into: ids)
    } catch let error as H5Error {
      let trace = error.trace.joined().lowercased() + error.cause.lowercased()
      let isChecksum = trace.contains("fletcher32") || trace.contains("checksum")
      throw Failure(
        .badData, "\(isChecksum ? "checksum mismatch" : "can't read the tokens") in rows \(rows)", at: place,
        cause: isChecksum ? nil : error.cause, remedy: SealedFormat.corpusShard.remedy)
    }
    // An id beyond the vocabulary would be an index out of range in the embedding.
    let largest = ids.reduce(UInt32(0)) { max($0, UInt32(bitPattern: $1)) }
    guard largest < UInt32(vocabularySize) else {
      throw Failure(
        .badData, "a token id in rows \(rows) is not in the vocabulary of \(vocabularySize)", at: place,
        remedy: SealedFormat.corpusShard.remedy)
    }
  }

  private func dataset(ofShard index: Int) throws -> H5Dataset {
    try open.withLock { open in
      if let dataset = open[index] { return dataset }
      if open.count >= Self.openLimit, let victim = open.keys.first { open[victim] = nil }
      let dataset = try shards[index].open()
      open[index] = dataset
      return dataset
    }
  }
}
