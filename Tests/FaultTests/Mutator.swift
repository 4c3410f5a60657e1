import Kernels
import Parameters

/// Random damage to the bytes of a file, as bad disks, bad copies and bad editors do it.
enum Mutation: String, CaseIterable {
  case bitFlips = "flipped bits"
  case byteRun = "a run of other bytes"
  case truncation
  case insertion
  case blockSwap = "swapped blocks"
  case zeroedRange = "zeroed range"
  case extremeInteger = "an extreme integer"
  case splice = "splice with another file"

  /// Bytes that differ from `bytes`.
  /// - Parameters:
  ///   - other: another file of the same kind, for splices.
  ///   - first: bytes before this offset stay as they are.
  static func apply(
    to bytes: [UInt8], other: [UInt8], from first: Int = 0, _ random: inout RandomStream
  ) -> (bytes: [UInt8], description: String) {
    while true {
      let mutation = random.pick(allCases)
      var damaged = Array(bytes[first...])
      let place = mutation.apply(to: &damaged, other: Array(other.dropFirst(first)), &random)
      let whole = bytes[..<first] + damaged
      if Array(whole) != bytes { return (Array(whole), "\(mutation.rawValue) at \(first + place)") }
    }
  }

  /// - Returns: the offset of the damage.
  private func apply(to bytes: inout [UInt8], other: [UInt8], _ random: inout RandomStream) -> Int {
    guard !bytes.isEmpty else {
      bytes = [UInt8(random.below(256))]
      return 0
    }
    let place = Self.place(in: bytes, &random)
    switch self {
    case .bitFlips:
      for _ in 0..<random.pick([1, 1, 1, 2, 8]) {
        let flipped = min(bytes.count - 1, place + random.below(16))
        bytes[flipped] ^= 1 << UInt8(random.below(8))
      }
    case .byteRun:
      let end = min(bytes.count, place + random.pick([1, 4, 8, 64, 512, 4096]))
      for index in place..<end { bytes[index] = UInt8(random.below(256)) }
    case .truncation:
      let length = random.happens(0.5) ? place : max(0, bytes.count - 1 - random.below(512))
      bytes.removeSubrange(length...)
    case .insertion:
      let value = random.happens(0.5) ? 0 : UInt8(random.below(256))
      bytes.insert(contentsOf: repeatElement(value, count: random.pick([1, 2, 8, 512, 4096])), at: place)
    case .blockSwap:
      let size = min(random.pick([1, 8, 64, 512]), max(1, bytes.count / 2))
      let (a, b) = (place / size * size, random.below(max(1, bytes.count / size)) * size)
      for index in 0..<size where max(a, b) + index < bytes.count { bytes.swapAt(a + index, b + index) }
    case .zeroedRange:
      for index in place..<min(bytes.count, place + random.pick([1, 8, 64, 512, 4096])) { bytes[index] = 0 }
    case .extremeInteger:
      let width = random.pick([1, 2, 4, 8])
      let start = place / width * width
      let value = random.pick(Self.extremes)
      for index in 0..<width where start + index < bytes.count {
        bytes[start + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
      }
    case .splice:
      let cut = min(place, other.count)
      let (front, back) = random.happens(0.5) ? (bytes, other) : (other, bytes)
      bytes = Array(front.prefix(cut)) + Array(back.dropFirst(cut))
    }
    return place
  }

  /// Powers of two and their neighbours: what lengths, offsets and counts overflow at.
  private static let extremes: [UInt64] = {
    var values: [UInt64] = [0, 1, 2, 0xFF, .max, .max - 1]
    for bit in [7, 8, 15, 16, 31, 32, 47, 62, 63] as [UInt64] {
      let power: UInt64 = 1 << bit
      values += [power - 1, power, power + 1]
    }
    return values
  }()

  /// An offset: anywhere, near the beginning, or in one of HDF5's own structures, which are few bytes and decide most.
  private static func place(in bytes: [UInt8], _ random: inout RandomStream) -> Int {
    switch random.below(10) {
    case 0..<4: return random.below(bytes.count)
    case 4..<6: return random.below(min(bytes.count, 2048))
    default:
      let signatures = structures(in: bytes)
      guard !signatures.isEmpty else { return random.below(bytes.count) }
      return min(bytes.count - 1, random.pick(signatures) + random.below(128))
    }
  }

  /// Where HDF5's structures begin: B-trees, heaps, symbol tables, object headers.
  private static func structures(in bytes: [UInt8]) -> [Int] {
    let names = ["TREE", "HEAP", "SNOD", "OHDR", "OCHK", "GCOL", "FRHP", "FHDB", "BTHD", "BTLF"].map { Array($0.utf8) }
    var found: [Int] = []
    bytes.withUnsafeBufferPointer { bytes in
      guard bytes.count >= 4 else { return }
      for offset in 0..<bytes.count - 3 where bytes[offset] >= UInt8(ascii: "B") && bytes[offset] <= UInt8(ascii: "T") {
        if names.contains(where: { name in name.indices.allSatisfy { bytes[offset + $0] == name[$0] } }) {
          found.append(offset)
        }
      }
    }
    return found
  }
}
