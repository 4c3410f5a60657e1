import CHDF5
import Foundation

/// Arrays of texts as the C library wants them: NUL-terminated, UTF-8.
///
/// A variable-length string of HDF5 ends at its first NUL. U+0000 inside a text is therefore stored as the two bytes C0 80,
/// as in Java's modified UTF-8 (JVM specification §4.4.7); no valid UTF-8 contains them.
enum H5Strings {
  static func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) throws -> Result
  ) rethrows -> Result {
    var bytes: [UInt8] = []
    var starts: [Int] = []
    for string in strings {
      starts.append(bytes.count)
      for byte in string.utf8 {
        if byte == 0 { bytes += [0xC0, 0x80] } else { bytes.append(byte) }
      }
      bytes.append(0)
    }
    return try bytes.withUnsafeBytes { raw in
      // The pointers stay inside `bytes`, which outlives `body`. One more than needed, so that the array is never empty.
      let base = raw.bindMemory(to: CChar.self).baseAddress
      let pointers = starts.map { base?.advanced(by: $0) } + [nil]
      return try pointers.withUnsafeBufferPointer { try body($0.baseAddress!) }
    }
  }

  /// Reads `count` texts of variable or fixed length from a dataset or an attribute; `reader` gets the memory type and the
  /// destination.
  static func read(
    from object: hid_t, storedType: hid_t, count: Int, at place: H5Place,
    _ reader: (hid_t, UnsafeMutableRawPointer) -> (call: String, status: herr_t)
  ) throws -> [String] {
    guard H5Tget_class(storedType) == H5T_STRING else { throw H5Error("does not hold text", at: place) }
    guard count > 0 else { return [] }
    return H5Tis_variable_str(storedType) > 0
      ? try readVariable(from: object, count: count, at: place, reader)
      : try readFixed(storedType: storedType, count: count, at: place, reader)
  }

  private static func readVariable(
    from object: hid_t, count: Int, at place: H5Place,
    _ reader: (hid_t, UnsafeMutableRawPointer) -> (call: String, status: herr_t)
  ) throws -> [String] {
    var heap = try H5GlobalHeap(ofFileWith: object, at: place)
    let size = H5GlobalHeap.referenceSize
    var references = [UInt8](repeating: 0, count: count * size)
    let type = try H5Library.check(H5GlobalHeap.referenceType, "H5Tregister", at: place)
    let (call, status) = references.withUnsafeMutableBytes { reader(type, $0.baseAddress!) }
    try H5Library.check(status, call, at: place)
    return try (0..<count).map { row in
      try decode(heap.bytes(references[row * size..<(row + 1) * size]).prefix { $0 != 0 }, row: row, at: place)
    }
  }

  private static func readFixed(
    storedType: hid_t, count: Int, at place: H5Place,
    _ reader: (hid_t, UnsafeMutableRawPointer) -> (call: String, status: herr_t)
  ) throws -> [String] {
    let size = H5Tget_size(storedType)
    let isSpacePadded = H5Tget_strpad(storedType) == H5T_STR_SPACEPAD
    var bytes = [CChar](repeating: 0, count: count * size)
    let (call, status) = bytes.withUnsafeMutableBytes { reader(storedType, $0.baseAddress!) }
    try H5Library.check(status, call, at: place)
    return try bytes.withUnsafeBufferPointer { all in
      try (0..<count).map { row in
        var text = all[row * size..<(row + 1) * size].prefix { $0 != 0 }
        while isSpacePadded, text.last == CChar(UInt8(ascii: " ")) { text = text.dropLast() }
        return try decode(text.map { UInt8(bitPattern: $0) }, row: row, at: place)
      }
    }
  }

  private static func decode(_ characters: some Collection<UInt8>, row: Int, at place: H5Place) throws -> String {
    var bytes = Array(characters)
    if bytes.contains(0xC0) {
      var plain: [UInt8] = []
      var index = 0
      while index < bytes.count {
        let isNUL = bytes[index] == 0xC0 && index + 1 < bytes.count && bytes[index + 1] == 0x80
        plain.append(isNUL ? 0 : bytes[index])
        index += isNUL ? 2 : 1
      }
      bytes = plain
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw H5Error("text \(row) is not valid UTF-8", at: place)
    }
    return text
  }
}
