import Foundation
import Parameters
import Signals

/// The workers that train one model together, as one of them sees them.
///
/// Every call but ``abandon(_:)`` is collective: all workers make the same calls in the same order. Collectives throw
/// when another worker has failed (threads) or when the MPI library reports an error. Buffers of different workers must
/// not overlap, unless said otherwise.
package protocol WorkerGroup: Sendable {
  /// 0..<count
  var rank: Int { get }
  var count: Int { get }
  /// How messages name this worker.
  var name: WorkerName { get }

  /// Returns when every worker has called it.
  func barrier() throws

  /// Copies the bytes of worker `root` over those of all others. All pass the same size.
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws

  /// Personalised all-to-all: `sending[p]` goes to worker p, `receiving[p]` is filled from worker p.
  ///
  /// Sizes may differ per peer and may be 0, but both sides must agree on each. The own element is copied. Messages over
  /// 2 GiB work.
  func exchange(sending: [UnsafeRawBufferPointer], receiving: [UnsafeMutableRawBufferPointer]) throws

  /// In place: worker p contributes the bytes `segments[p]` of its own buffer; afterwards all hold all segments.
  ///
  /// All workers pass the same segments, which don't overlap. Workers that share memory may pass one and the same buffer.
  func allGather(_ bytes: UnsafeMutableRawBufferPointer, segments: [Range<Int>]) throws

  /// Replaces `values` by their sums over the workers, on every worker the same bits.
  ///
  /// The order of additions is the library's choice under MPI and that of the ranks between threads: with another number
  /// of workers the last bits differ.
  func allReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws
  func allReduceSum(_ values: UnsafeMutableBufferPointer<Double>) throws

  /// Tells all workers whether all are well. nil: this worker is.
  ///
  /// If any worker passes an error, every worker throws the same ``WorkerFailure``. It has all errors that differ, and
  /// names who met them unless all met the same.
  /// Costs one small reduction when all are well, so it may be called once a step.
  func agree(_ failure: (any Error)?) throws

  /// Whether ``share(_:)`` can show workers each other's memory: between threads, and between MPI ranks of one machine.
  var sharesMemory: Bool { get }

  /// Memory for ``share(_:)``, zeroed; ordinary memory where workers don't share any. Not collective.
  func floats(_ count: Int) throws -> FloatBuffer

  /// Gives every worker the buffers of all, by rank. Only where ``sharesMemory``, for buffers made by ``floats(_:)`` and
  /// once each. Workers may pass different numbers of them.
  ///
  /// Reading what another worker has written needs a ``barrier()`` (or another collective) after the writes.
  func share(_ buffers: [FloatBuffer]) throws -> [[FloatBuffer]]

  /// Publishes what this worker is busy with, for whoever waits for it. Costs one store. Not collective.
  func enter(_ phase: WorkerPhase, step: Int)

  /// Ends the job where a rank keeps the others waiting, outside of phases of free length, for more than `seconds`; nil:
  /// only warns. Not collective.
  ///
  /// - Parameters:
  ///   - name: the setting that the limit comes from.
  ///   - remedy: what to do when a rank is lost.
  func setStallLimit(_ seconds: Double?, named name: String, remedy: String)

  /// Ends the other workers, called by one that can't go on while they may be inside of a collective.
  ///
  /// Threads: the current or next collective of each throws. MPI: reports the error and ends the job at once, so the
  /// call does not return. Not collective.
  func abandon(_ error: any Error)
}

extension WorkerGroup {
  package var name: WorkerName { WorkerName(rank: rank, host: nil) }

  // Threads of one process end together and need no watchdog.
  package func enter(_ phase: WorkerPhase, step: Int) {}
  package func setStallLimit(_ seconds: Double?, named name: String, remedy: String) {}

  /// The values of all workers, by rank; collective. They travel as JSON: for what happens once, or never.
  package func gather<Value: Codable>(_ own: Value) throws -> [Value] {
    let bytes = Array(try JSONEncoder().encode(own))
    let width = MemoryLayout<Int64>.stride
    var sizes = [Int64](repeating: 0, count: count)
    sizes[rank] = Int64(bytes.count)
    try sizes.withUnsafeMutableBytes { sizes in
      try allGather(sizes, segments: (0..<count).map { ($0 * width)..<(($0 + 1) * width) })
    }
    var (segments, total) = ([Range<Int>](), 0)
    for size in sizes {
      segments.append(total..<(total + Int(size)))
      total += Int(size)
    }
    var all = [UInt8](repeating: 0, count: total)
    all.replaceSubrange(segments[rank], with: bytes)
    try all.withUnsafeMutableBytes { try allGather($0, segments: segments) }
    return try segments.map { try JSONDecoder().decode(Value.self, from: Data(all[$0])) }
  }

  /// The first worker's answer, on all; collective. `body` runs on the first worker only.
  /// - Throws: ``WorkerFailure``.
  package func fromFirst<Value: Codable & Sendable>(_ body: () throws -> Value) throws -> Value {
    let own = try agreeing { rank == 0 ? try body() : nil }
    if count == 1, let own { return own }
    guard let value = try gather(own)[0] else { preconditionFailure("the first worker has no answer") }
    return value
  }

  /// Runs `body` on the first worker; ranks agree on the outcome, collectively. Within one process its error is thrown as
  /// it is.
  package func onFirst(_ body: () throws -> Void) throws {
    guard self is MPIWorkers else {
      if rank == 0 { try body() }
      return
    }
    try agreeing { if rank == 0 { try body() } }
  }

  /// Runs `body` on every worker and agrees on the outcome: all return, or all throw the same ``WorkerFailure``.
  ///
  /// For steps that can fail on one worker only, such as reading a file. `body` must not call collectives: one that
  /// throws early would leave the others waiting in them.
  package func agreeing<Result>(_ body: () throws -> Result) throws -> Result {
    let outcome = Swift.Result { try body() }
    switch outcome {
    case .success(let value):
      try agree(nil)
      return value
    case .failure(let error):
      try agree(error)
      preconditionFailure("agree(error) returned")
    }
  }

  /// Runs what may fail on this worker alone between collectives. If it does, the others can't be told cleanly: they
  /// wait in the next collective, and are abandoned. Not collective.
  package func alone<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch {
      abandon(error)
      throw error
    }
  }

  /// Whether a stop signal has reached any worker. Collective; the answer is the same on all.
  ///
  /// Signals reach processes at different moments, and a worker that stops a step before the others would leave them
  /// waiting.
  package func stopRequested() throws -> Bool {
    var requests = StopSignal.received == nil ? 0.0 : 1.0
    try withUnsafeMutablePointer(to: &requests) { try allReduceSum(UnsafeMutableBufferPointer(start: $0, count: 1)) }
    return requests > 0
  }
}
