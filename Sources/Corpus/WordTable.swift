import Failures

/// Words and their counts or ids, found by their bytes: a hash table with open addressing over one pool of bytes.
///
/// A dictionary keyed by `String` would hash and compare by canonical equivalence, allocate for each word of the text,
/// and be an order of magnitude slower.
struct WordTable {
  private struct Entry {
    var hash: UInt64
    var start: Int
    var length: Int32
    var value: Int
  }

  private var pool: [UInt8] = []
  private var entries: [Entry] = []
  /// Index into `entries` plus 1; 0 is free. The size is a power of two, at most half of it in use.
  private var slots: [Int32]
  private var shift: Int

  init() {
    slots = Array(repeating: 0, count: 1 << 12)
    shift = 64 - 12
  }

  var count: Int { entries.count }

  /// What the table takes, in bytes.
  var bytes: Int { pool.capacity + entries.capacity * MemoryLayout<Entry>.stride + slots.count * 4 }

  /// The value that was stored with the entry, in the order of insertion.
  func value(at index: Int) -> Int { entries[index].value }

  @inline(__always)
  mutating func increment(at index: Int) { entries[index].value += 1 }

  func bytes(at index: Int) -> ArraySlice<UInt8> {
    let entry = entries[index]
    return pool[entry.start..<entry.start + Int(entry.length)]
  }

  /// The index of the entry of `word`, or nil.
  @inline(__always)
  func find(_ word: Bytes, hash: UInt64) -> Int? {
    var slot = firstSlot(hash)
    while true {
      let index = Int(slots[slot]) - 1
      if index < 0 { return nil }
      if entries[index].hash == hash, holds(word, at: index) { return index }
      slot = (slot + 1) & (slots.count - 1)
    }
  }

  /// Adds `word`, which must not be in the table, and returns its index.
  mutating func insert(_ word: Bytes, hash: UInt64, value: Int) -> Int {
    if (entries.count + 1) * 2 > slots.count { grow() }
    let index = entries.count
    entries.append(Entry(hash: hash, start: pool.count, length: Int32(word.count), value: value))
    pool.append(contentsOf: word)
    place(index)
    return index
  }

  /// Returns false, and changes nothing, where `word` is in the table already.
  mutating func insertIfAbsent(_ word: String, value: Int) -> Bool {
    var word = word
    return word.withUTF8 { bytes in
      let hash = WordHash.of(bytes)
      guard find(bytes, hash: hash) == nil else { return false }
      _ = insert(bytes, hash: hash, value: value)
      return true
    }
  }

  // FNV-1a's low bits are its good ones; the multiplication brings them to the top, where the slot is taken from.
  @inline(__always)
  private func firstSlot(_ hash: UInt64) -> Int {
    Int(truncatingIfNeeded: (hash &* 0x9E37_79B9_7F4A_7C15) >> UInt64(shift))
  }

  @inline(__always)
  private func holds(_ word: Bytes, at index: Int) -> Bool {
    let entry = entries[index]
    guard Int(entry.length) == word.count else { return false }
    return pool.withUnsafeBufferPointer { pool in
      for offset in 0..<word.count where pool[entry.start + offset] != word[offset] { return false }
      return true
    }
  }

  private mutating func place(_ index: Int) {
    var slot = firstSlot(entries[index].hash)
    while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
    slots[slot] = Int32(index + 1)
  }

  private mutating func grow() {
    slots = Array(repeating: 0, count: slots.count * 2)
    shift -= 1
    for index in entries.indices { place(index) }
  }
}
