import COneDNN
import Failures

/// A oneDNN call that did not succeed.
package struct OneDNNError: ReportableError {
  package let call: String
  package let status: UInt32
  package var exitStatus: ExitStatus { .softwareFault }
  package var description: String {
    let cause =
      switch dnnl_status_t(status) {
      case dnnl_out_of_memory: "out of memory"
      case dnnl_invalid_arguments: "invalid arguments"
      case dnnl_unimplemented: "not implemented for this processor"
      case dnnl_runtime_error: "runtime error"
      default: "status \(status)"
      }
    return "oneDNN: \(call): \(cause)"
  }
}

/// The one door for oneDNN's statuses.
func check(_ status: dnnl_status_t, _ call: @autoclosure () -> String) throws {
  guard status == dnnl_success else { throw OneDNNError(call: call(), status: UInt32(status.rawValue)) }
}

/// The library's CPU engine and an in-order stream for the calling thread.
///
/// The engine is shared by all threads and lives as long as the process; oneDNN allows concurrent use of an engine. A
/// stream belongs to one worker.
final class OneDNNStream {
  // nonisolated(unsafe): made once, never destroyed, and the library allows its use from any thread.
  nonisolated(unsafe) private static let sharedEngine: Result<dnnl_engine_t, any Error> = Result {
    var engine: dnnl_engine_t?
    try check(dnnl_engine_create(&engine, dnnl_cpu, 0), "dnnl_engine_create")
    return engine!
  }

  let engine: dnnl_engine_t
  let stream: dnnl_stream_t

  init() throws {
    engine = try Self.sharedEngine.get()
    var stream: dnnl_stream_t?
    try check(
      dnnl_stream_create(&stream, engine, UInt32(dnnl_stream_default_flags.rawValue)), "dnnl_stream_create")
    self.stream = stream!
  }

  deinit { dnnl_stream_destroy(stream) }
}

/// A oneDNN memory descriptor, owned.
struct MemoryDescription: ~Copyable {
  let raw: ls_memory_desc

  /// Values in rows and columns with the given strides.
  init(rows: Int, columns: Int, rowStride: Int, columnStride: Int, _ precision: Precision = .f32) throws {
    var raw: ls_memory_desc?
    try check(
      ls_desc_plain(
        &raw, Int64(rows), Int64(columns), Int64(rowStride), Int64(columnStride), precision.dataType),
      "memory descriptor [\(rows), \(columns)]")
    self.raw = raw!
  }

  /// A layout that the library chooses.
  init(anyLayoutOf rows: Int, _ columns: Int, _ precision: Precision) throws {
    var raw: ls_memory_desc?
    try check(
      ls_desc_any(&raw, Int64(rows), Int64(columns), precision.dataType), "memory descriptor [\(rows), \(columns)]")
    self.raw = raw!
  }

  /// The layout that a product chose for its weights.
  init(weightsOf primitive: dnnl_primitive_desc_t) throws {
    var raw: ls_memory_desc?
    try check(ls_desc_of_weights(&raw, primitive), "memory descriptor of packed weights")
    self.raw = raw!
  }

  var bytes: Int { ls_desc_size(raw) }

  deinit { ls_desc_destroy(raw) }
}

/// Sets how many threads oneDNN uses when the calling thread computes: one, since a worker is one core.
package func computeOnThisThreadAlone() { omp_set_num_threads(1) }
