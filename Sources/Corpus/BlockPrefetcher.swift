import Foundation
import Parameters

/// Two buffers of tokens, one in use and one that a thread of its own fills meanwhile.
///
/// `load` fills a buffer with the block of a given index. One consumer asks for blocks with ``block(_:)``; asked for in
/// order they are there already, and any other is loaded while the consumer waits.
///
/// `@unchecked Sendable`: everything mutable is touched under `condition`, except the content of the buffers: a
/// buffer is either being filled by the thread or read by the consumer, never both, see `inUse`.
final class BlockPrefetcher: @unchecked Sendable {
  private enum Content {
    case nothing
    case loading(Int)
    case block(Int)
    case failed(Int, any Error)

    var index: Int? {
      switch self {
      case .nothing: nil
      case .loading(let index), .block(let index), .failed(let index, _): index
      }
    }
  }

  private let blockCount: Int
  private let load: @Sendable (_ block: Int, _ target: UnsafeMutableBufferPointer<Int32>) throws -> Void
  private let buffers: [Buffer<Int32>]
  private let condition = NSCondition()
  private var contents: [Content] = [.nothing, .nothing]
  private var inUse = 0  // the buffer that the consumer may be reading
  private var isStopped = false

  /// - Parameters:
  ///   - blockTokens: the length of a buffer.
  ///   - load: runs on the thread; fills the buffer with a block.
  init(
    blockCount: Int, blockTokens: Int,
    load: @escaping @Sendable (_ block: Int, _ target: UnsafeMutableBufferPointer<Int32>) throws -> Void
  ) {
    (self.blockCount, self.load) = (blockCount, load)
    // A single block stays where it is for good; there is nothing to fetch ahead.
    buffers = (0..<min(blockCount, 2)).map { _ in Buffer(repeating: 0, count: blockTokens) }
    let thread = Thread { [self] in run() }
    thread.name = "token prefetch"
    thread.start()
  }

  /// Ends the thread once it has finished the block that it may be loading.
  func stop() {
    condition.lock()
    isStopped = true
    condition.broadcast()
    condition.unlock()
  }

  /// The block of that index; valid until the next call. Begins to load the one after it, or after the last the first.
  /// - Throws: what loading the block threw. Asking again tries again.
  func block(_ index: Int) throws -> UnsafeBufferPointer<Int32> {
    condition.lock()
    defer { condition.unlock() }
    while true {
      guard let slot = contents.firstIndex(where: { $0.index == index }) else {
        // A buffer that is being filled can't be given another task; the consumer is in here, so the others are free.
        if let free = buffers.indices.last(where: { !isLoading($0) && ($0 != inUse || buffers.count == 1) }) {
          request(index, into: free)
        } else {
          condition.wait()
        }
        continue
      }
      switch contents[slot] {
      case .block:
        inUse = slot
        fetchAhead(of: index)
        return UnsafeBufferPointer(buffers[slot].values)
      case .failed(_, let error):
        contents[slot] = .nothing
        throw error
      case .loading, .nothing:
        condition.wait()
      }
    }
  }

  private func isLoading(_ slot: Int) -> Bool {
    if case .loading = contents[slot] { true } else { false }
  }

  private func fetchAhead(of index: Int) {
    guard buffers.count == 2 else { return }
    let next = (index + 1) % blockCount
    let other = 1 - inUse
    guard contents[other].index != next, !isLoading(other) else { return }
    request(next, into: other)
  }

  private func request(_ index: Int, into slot: Int) {
    contents[slot] = .loading(index)
    condition.broadcast()
  }

  private func run() {
    condition.lock()
    defer { condition.unlock() }
    while !isStopped {
      guard let slot = buffers.indices.first(where: isLoading), let index = contents[slot].index else {
        condition.wait()
        continue
      }
      condition.unlock()
      let outcome = Result { try load(index, buffers[slot].values) }
      condition.lock()
      switch outcome {
      case .success: contents[slot] = .block(index)
      case .failure(let error): contents[slot] = .failed(index, error)
      }
      condition.broadcast()
    }
  }
}
