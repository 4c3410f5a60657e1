import Arena
import Crypto

extension ParameterStore {
  /// SHA-256 over the parameters' floats in order, as hexadecimal: equal digests are equal weights, bit for bit.
  package var digest: String {
    var hash = SHA256()
    for parameter in layout.parameters {
      hash.update(bufferPointer: UnsafeRawBufferPointer(values[parameter.range]))
    }
    return hash.finalize().map {
      String($0, radix: 16).count == 1 ? "0" + String($0, radix: 16) : String($0, radix: 16)
    }
    .joined()
  }
}
