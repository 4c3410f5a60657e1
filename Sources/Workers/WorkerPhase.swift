import Synchronization

/// What a worker is busy with, as the others learn it.
package enum WorkerPhase: UInt8, Sendable, CaseIterable {
  case starting, training, exchanging, recording, validating, writingCheckpoint, ending, ended

  /// As messages put it after "in".
  package var name: String {
    switch self {
    case .starting: "start-up"
    case .training: "the forward and backward pass"
    case .exchanging: "the exchange of gradients"
    case .recording: "writing metrics"
    case .validating: "a validation"
    case .writingCheckpoint: "writing a checkpoint"
    case .ending, .ended: "its end"
    }
  }

  /// Whether a worker may take as long as it likes: first reads, validations and checkpoints have no usual length.
  package var isUnlimited: Bool {
    switch self {
    case .starting, .validating, .writingCheckpoint, .ending, .ended: true
    case .training, .exchanging, .recording: false
    }
  }
}

/// Where a worker is, written by its own thread and read by the watchdogs of its machine.
///
/// Writing costs one relaxed store: no lock, no allocation, no system call.
///
/// `@unchecked Sendable`: the two words are atomic, and live as long as this object.
package final class Activity: @unchecked Sendable {
  /// The words' memory, where the system lets other processes see it.
  private let memory: SharedMemory?
  private let words: UnsafeMutablePointer<Atomic<UInt64>>

  private static let byteCount = 2 * MemoryLayout<Atomic<UInt64>>.stride

  init() {
    memory = try? SharedMemory(byteCount: Self.byteCount)
    words = memory.map { Self.words(of: $0) } ?? .allocate(capacity: 2)
    for index in 0..<2 { (words + index).initialize(to: Atomic(0)) }
  }

  /// Another process's, which it has not closed yet. Throws ``Failure``.
  init(mapping place: SharedMemory.Place) throws {
    let memory = try SharedMemory(mapping: place, byteCount: Self.byteCount)
    (self.memory, words) = (memory, Self.words(of: memory))
  }

  deinit { if memory == nil { words.deallocate() } }

  private static func words(of memory: SharedMemory) -> UnsafeMutablePointer<Atomic<UInt64>> {
    memory.address.bindMemory(to: Atomic<UInt64>.self, capacity: 2)
  }

  /// Where other processes of this machine find it; nil where they can't.
  var place: SharedMemory.Place? { SharedMemory.machine.isEmpty ? nil : memory?.place }

  /// Lets no further process in.
  func close() { memory?.close() }

  /// One moment of it, as it travels between processes.
  package struct Snapshot: Equatable, Sendable {
    /// The step in the upper 56 bits, the phase in the lower 8.
    package var state: UInt64
    /// Counts entries into collectives and returns from them: odd inside of one.
    package var calls: UInt64

    package init(_ phase: WorkerPhase = .starting, step: Int = 0, calls: UInt64 = 0) {
      self.init(state: UInt64(truncatingIfNeeded: step) << 8 | UInt64(phase.rawValue), calls: calls)
    }

    init(state: UInt64, calls: UInt64) { (self.state, self.calls) = (state, calls) }

    var phase: WorkerPhase { WorkerPhase(rawValue: UInt8(truncatingIfNeeded: state)) ?? .starting }
    var step: Int { Int(state >> 8) }
    var isWaiting: Bool { calls % 2 == 1 }
    var place: String { step > 0 ? "\(phase.name) of step \(step)" : phase.name }
  }

  func enter(_ phase: WorkerPhase, step: Int) {
    words[0].store(Snapshot(phase, step: step).state, ordering: .relaxed)
  }

  /// Runs a collective call.
  @inline(__always)
  func waiting<Result>(_ body: () throws -> Result) rethrows -> Result {
    // One writer only, so that no read-modify-write is needed.
    let count = words[1].load(ordering: .relaxed)
    words[1].store(count &+ 1, ordering: .relaxed)
    defer { words[1].store(count &+ 2, ordering: .relaxed) }
    return try body()
  }

  var snapshot: Snapshot {
    Snapshot(state: words[0].load(ordering: .relaxed), calls: words[1].load(ordering: .relaxed))
  }
}
