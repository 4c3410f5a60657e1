import Crypto
import Foundation
import Parameters

extension ParameterStore {
  /// The SHA-256 of all parameters in order, in hexadecimal; equal digests mean bitwise identical weights.
  package var digest: String {
    var hash = SHA256()
    for parameter in layout.parameters {
      hash.update(bufferPointer: UnsafeRawBufferPointer(self[parameter]))
    }
    return hash.finalize().map { String(format: "%02x", $0) }.joined()
  }
}
