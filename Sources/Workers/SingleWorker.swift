import Parameters

/// One worker alone: no MPI, no threads, nothing to wait for.
package struct SingleWorker: WorkerGroup {
  package init() {}

  package var rank: Int { 0 }
  package var count: Int { 1 }

  package func barrier() {}

  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) {
    precondition(root == 0)
  }

  package func exchange(sending: [UnsafeRawBufferPointer], receiving: [UnsafeMutableRawBufferPointer]) {
    precondition(sending.count == 1 && receiving.count == 1)
    precondition(sending[0].count == receiving[0].count, "a worker disagrees with itself on a size")
    receiving[0].copyMemory(from: sending[0])
  }

  package func allGather(_ bytes: UnsafeMutableRawBufferPointer, segments: [Range<Int>]) {
    precondition(segments.count == 1)
  }

  package func allReduceSum(_ values: UnsafeMutableBufferPointer<Float>) {}
  package func allReduceSum(_ values: UnsafeMutableBufferPointer<Double>) {}

  package func agree(_ failure: (any Error)?) throws {
    if let failure { throw WorkerFailure(failure, of: name, failedEverywhere: true) }
  }

  package var sharesMemory: Bool { true }
  package func floats(_ count: Int) throws -> FloatBuffer { try FloatBuffer(count: count) }
  package func share(_ buffers: [FloatBuffer]) -> [[FloatBuffer]] { [buffers] }

  package func abandon(_ error: any Error) {}
}
