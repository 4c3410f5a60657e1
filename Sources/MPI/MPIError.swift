import CMPI
import Failures

/// An MPI call that returned something other than `MPI_SUCCESS`.
package struct MPIError: ReportableError, Equatable {
  /// The C function, for example `MPI_Bcast`.
  package let call: String
  /// The implementation's own code, as the call returned it.
  package let code: Int32
  /// What `MPI_Error_string` says about the code.
  package let text: String

  package var exitStatus: ExitStatus { .softwareFault }
  package var description: String { "\(call): \(text) (code \(code))" }

  init(call: String, code: Int32) {
    (self.call, self.code) = (call, code)
    let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(MPI_MAX_ERROR_STRING) + 1) { buffer in
      buffer.initialize(repeating: 0)
      var length: Int32 = 0
      guard MPI_Error_string(code, buffer.baseAddress, &length) == MPI_SUCCESS else { return "unknown MPI error" }
      return String(decoding: buffer[..<Int(length)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    self.text = text
  }
}

/// The one door that every MPI status goes through.
func check(_ code: Int32, _ call: StaticString) throws {
  guard code == MPI_SUCCESS else { throw MPIError(call: "\(call)", code: code) }
}
