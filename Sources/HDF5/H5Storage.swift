import CHDF5

/// How a dataset lies in the file.
package struct H5Storage: Sendable, Equatable {
  /// The shape of one chunk; nil stores the whole as one block without filters. Filters need chunks.
  package var chunk: [Int]?
  /// Sort the bytes of the elements by significance before compression.
  package var shuffle: Bool
  /// zlib's level 0 … 9; nil does not compress.
  package var deflate: Int?
  /// A checksum on every chunk, verified at each read.
  package var fletcher32: Bool

  package init(
    chunk: [Int]? = nil, shuffle: Bool = false, deflate: Int? = nil, fletcher32: Bool = false
  ) {
    precondition(chunk != nil || !(shuffle || deflate != nil || fletcher32), "filters need a chunk shape")
    precondition(deflate.map { (0...9).contains($0) } ?? true, "zlib's levels are 0 … 9")
    (self.chunk, self.shuffle, self.deflate, self.fletcher32) = (chunk, shuffle, deflate, fletcher32)
  }

  /// One block, as simple as it gets.
  package static let contiguous = H5Storage()

  /// The creation properties for a dataset of this shape. A chunk is cut down to the shape; a scalar or an empty shape
  /// has nothing to chunk.
  func properties(shape: [Int], at place: H5Place) throws -> H5Identifier {
    let properties = try H5Identifier.properties(H5P_DATASET_CREATE, at: place)
    // Without time stamps the same content gives the same bytes.
    try H5Library.check(H5Pset_obj_track_times(properties.raw, false), "H5Pset_obj_track_times", at: place)
    guard let chunk, !shape.isEmpty, !shape.contains(0) else { return properties }
    precondition(chunk.count == shape.count, "a chunk has as many dimensions as its dataset")
    precondition(chunk.allSatisfy { $0 > 0 }, "a chunk has no empty dimension")
    let sides = zip(chunk, shape).map { hsize_t(min($0, $1)) }
    try H5Library.check(H5Pset_chunk(properties.raw, Int32(sides.count), sides), "H5Pset_chunk", at: place)
    if shuffle { try H5Library.check(H5Pset_shuffle(properties.raw), "H5Pset_shuffle", at: place) }
    if let deflate {
      try H5Library.check(H5Pset_deflate(properties.raw, UInt32(deflate)), "H5Pset_deflate", at: place)
    }
    if fletcher32 { try H5Library.check(H5Pset_fletcher32(properties.raw), "H5Pset_fletcher32", at: place) }
    return properties
  }
}
