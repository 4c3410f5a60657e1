import Crypto
import Foundation
import Parameters

extension ParameterStore {
  /// SHA-256 over the parameters' floats in order, as hexadecimal: equal digests are equal weights, bit for bit.
  package var digest: String {
    var hash = SHA256()
    for parameter in layout.parameters {
      hash.update(bufferPointer: UnsafeRawBufferPointer(self[parameter]))
    }
    return hash.finalize().map { String(format: "%02x", $0) }.joined()
  }
}
