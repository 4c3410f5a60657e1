import Failures
import Foundation

/// Far above the size of any configuration; catches a corpus given by mistake.
private let sizeLimit = 1 << 20

/// Reads the text of a configuration file.
///
/// - Throws: ``Failure`` if the file cannot be read, is larger than 1 MiB or is not UTF-8.
func readText(_ path: String) throws(Failure) -> String {
  guard let file = fopen(path, "r") else { throw unreadable(path) }
  defer { fclose(file) }
  var bytes = [UInt8](repeating: 0, count: sizeLimit + 1)
  let count = fread(&bytes, 1, bytes.count, file)
  guard ferror(file) == 0 else { throw unreadable(path) }
  guard count <= sizeLimit else {
    throw Failure(
      .usage, "larger than 1 MiB, so not a configuration", at: path, remedy: "give the YAML file of a run")
  }
  guard let text = String(validating: bytes[..<count], as: UTF8.self) else {
    let valid = validPrefix(bytes[..<count])
    let line = valid.utf8.count(where: { $0 == UInt8(ascii: "\n") }) + 1
    let lastLine = valid.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).last
    throw Failure(
      .usage, "not UTF-8 text", at: "\(path):\(line):\((lastLine?.count ?? 0) + 1)", remedy: "save the file as UTF-8")
  }
  return text
}

private func unreadable(_ path: String) -> Failure {
  Failure(
    .usage, "cannot read the configuration", at: path, cause: String(cString: strerror(errno)),
    remedy: "check the path; recipes are in configs/")
}

/// The text before the first byte that is not UTF-8.
private func validPrefix(_ bytes: ArraySlice<UInt8>) -> String {
  var valid = ""
  var decoder = UTF8()
  var iterator = bytes.makeIterator()
  while case .scalarValue(let scalar) = decoder.decode(&iterator) { valid.unicodeScalars.append(scalar) }
  return valid
}
