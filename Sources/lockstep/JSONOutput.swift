import Files
import Foundation

/// Prints a value as one JSON object on standard output, keys in snake_case.
/// - Throws: as ``StandardOutput/write(_:)``.
func printJSON(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.keyEncodingStrategy = .convertToSnakeCase
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  encoder.nonConformingFloatEncodingStrategy = .convertToString(
    positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
  try StandardOutput.write([UInt8](encoder.encode(value)) + [UInt8(ascii: "\n")])
}
