import Crypto
import Failures
import Foundation

/// The SHA-256 of a file's bytes, in lower-case hexadecimal, read in blocks.
/// - Throws: ``Failure`` (bad data) where the file can't be read.
func sha256(ofFileAt path: String) throws -> String {
  func failure() -> Failure {
    Failure(.badData, "can't read the file", at: path, cause: String(cString: strerror(errno)))
  }
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw failure() }
  defer { close(descriptor) }
  var hasher = SHA256()
  var buffer = [UInt8](repeating: 0, count: 1 << 20)
  while true {
    let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    if count < 0 {
      guard errno == EINTR else { throw failure() }
      continue
    }
    if count == 0 { break }
    buffer.withUnsafeBytes { hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
  }
  let digits = Array("0123456789abcdef".utf8)
  let hex = hasher.finalize().flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
  return String(decoding: hex, as: UTF8.self)
}

/// The size of a file in bytes, or nil where there is no such file.
func fileSize(at path: String) -> Int? {
  var status = stat()
  return stat(path, &status) == 0 ? Int(status.st_size) : nil
}
