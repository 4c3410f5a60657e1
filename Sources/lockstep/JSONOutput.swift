import Foundation

/// Prints a value as one JSON object on standard output, keys in snake_case.
func printJSON(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.keyEncodingStrategy = .convertToSnakeCase
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  encoder.nonConformingFloatEncodingStrategy = .convertToString(
    positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
  var data = try encoder.encode(value)
  data.append(UInt8(ascii: "\n"))
  FileHandle.standardOutput.write(data)
}
