import CProgram
import Crypto
import Foundation
import MPI

/// What this process runs: the build of the program and the libraries under it.
package enum ProgramIdentity {
  /// The linker's build id, or where it left none the SHA-256 of the executable; in hexadecimal digits.
  package static let build: String = {
    var bytes = [UInt8](repeating: 0, count: 64)
    let length = bytes.withUnsafeMutableBufferPointer { lockstep_build_id($0.baseAddress, $0.count) }
    if length > 0 { return hexadecimal(bytes.prefix(length)) }
    guard let path = lockstep_executable_path().map({ String(cString: $0) }),
      let program = FileManager.default.contents(atPath: path)
    else { return "unknown" }
    return hexadecimal(SHA256.hash(data: program))
  }()

  package static var libc: String { String(cString: lockstep_libc_version()) }

  package static var mpi: String { MPIRuntime.libraryVersion }

  package static var architecture: String {
    #if arch(x86_64)
      "x86_64"
    #elseif arch(arm64)
      "aarch64"
    #else
      "another"
    #endif
  }

  private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
