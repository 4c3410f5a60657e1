import CHDF5
import Glibc

/// Reads variable-length texts where a file keeps them, in the collections of its global heap.
///
/// HDF5 1.10 believes every length and index in there: a damaged one makes it crash or run for ever. So the library is only
/// asked for the references, and collections are read and checked here. Layout: "HDF5 File Format Specification Version
/// 3.0", section III.E.
struct H5GlobalHeap {
  /// Bytes of a stored reference: length (4), address of the collection (8), index of the object (4).
  static let referenceSize = 16

  /// The memory type that reads references as they are stored; negative if the library refused it.
  static let referenceType = H5Library.locked { lockstep_make_reference_type() }

  private let place: H5Place
  /// HDF5's own descriptor of the file.
  private let descriptor: Int32
  private let fileSize: Int
  /// What addresses count from: the length of the user block.
  private let base: Int
  private var collections: [Int: Collection] = [:]
  /// Bytes of text that may still be read: no text is stored twice, so all are no more than the file.
  private var budget: Int

  /// - Parameter object: a dataset or an attribute of the file. The caller holds the library's lock, and does not close the
  ///   file while this is in use.
  init(ofFileWith object: hid_t, at place: H5Place) throws {
    self.place = place
    let file = try H5Identifier(H5Iget_file_id(object), "H5Iget_file_id", at: place, release: H5Fclose)
    // What is still in the library's memory is not in the file.
    if place.isWriting { try H5Library.check(H5Fflush(file.raw, H5F_SCOPE_LOCAL), "H5Fflush", at: place) }
    let creation = try H5Identifier(
      H5Fget_create_plist(file.raw), "H5Fget_create_plist", at: place, release: H5Pclose)
    var (addressSize, lengthSize, userBlock) = (0, 0, hsize_t(0))
    try H5Library.check(H5Pget_sizes(creation.raw, &addressSize, &lengthSize), "H5Pget_sizes", at: place)
    try H5Library.check(H5Pget_userblock(creation.raw, &userBlock), "H5Pget_userblock", at: place)
    guard addressSize == 8, lengthSize == 8 else {
      throw H5Error("has addresses of \(addressSize) bytes, where 8 are supported", at: place)
    }
    // The default driver keeps a descriptor, and gives its address.
    var handle: UnsafeMutableRawPointer?
    try H5Library.check(H5Fget_vfd_handle(file.raw, H5P_DEFAULT, &handle), "H5Fget_vfd_handle", at: place)
    guard let handle else { throw H5Error("has no file descriptor", at: place) }
    descriptor = handle.load(as: Int32.self)
    var status = stat()
    guard fstat(descriptor, &status) == 0, let base = Int(exactly: userBlock) else {
      throw H5Error("can't be examined", at: place)
    }
    self.base = base
    fileSize = Int(status.st_size)
    budget = fileSize
  }

  /// The bytes that a stored reference leads to.
  mutating func bytes(_ reference: ArraySlice<UInt8>) throws -> ArraySlice<UInt8> {
    let start = reference.startIndex
    let length = Int(reference.number(at: start, bytes: 4))
    guard length > 0 else { return [] }
    let address = reference.number(at: start + 4, bytes: 8)
    guard let address = Int(exactly: address), address < fileSize - base else { throw damaged }
    let collection = try collections[address] ?? read(at: address)
    collections[address] = collection
    guard let object = collection.objects[Int(reference.number(at: start + 12, bytes: 4))], length <= object.count,
      length <= budget
    else { throw damaged }
    budget -= length
    return collection.bytes[object.prefix(length)]
  }

  private var damaged: H5Error { H5Error("a text's place in the global heap is damaged", at: place) }

  private struct Collection {
    var bytes: [UInt8]
    /// Where the objects' bytes are, by index.
    var objects: [Int: Range<Int>] = [:]
  }

  private func read(at address: Int) throws -> Collection {
    let headerSize = 16
    let header = try read(headerSize, at: address)[...]
    guard header.starts(with: Array("GCOL".utf8) + [1]), let size = Int(exactly: header.number(at: 8, bytes: 8)),
      size >= headerSize, size <= fileSize - base - address
    else { throw damaged }
    var collection = Collection(bytes: try read(size, at: address))
    var position = headerSize
    while position + headerSize <= size {
      let index = Int(collection.bytes[...].number(at: position, bytes: 2))
      // Object 0 is the free space at the end.
      if index == 0 { break }
      guard let count = Int(exactly: collection.bytes[...].number(at: position + 8, bytes: 8)),
        count <= size - position - headerSize, collection.objects[index] == nil
      else { throw damaged }
      collection.objects[index] = position + headerSize..<position + headerSize + count
      position += headerSize + (count + 7) / 8 * 8
    }
    return collection
  }

  private func read(_ count: Int, at address: Int) throws -> [UInt8] {
    let bytes = try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      while filled < count {
        let got = pread(descriptor, buffer.baseAddress! + filled, count - filled, off_t(base + address + filled))
        if got < 0, errno == EINTR { continue }
        guard got >= 0 else { throw H5Error("can't be read: \(String(cString: strerror(errno)))", at: place) }
        if got == 0 { break }
        filled += got
      }
    }
    guard bytes.count == count else { throw damaged }
    return bytes
  }
}

extension ArraySlice<UInt8> {
  /// The little-endian number in `count` bytes from `index`.
  fileprivate func number(at index: Int, bytes count: Int) -> UInt64 {
    (0..<count).reduce(0) { $0 | UInt64(self[index + $1]) << UInt64(8 * $1) }
  }
}
