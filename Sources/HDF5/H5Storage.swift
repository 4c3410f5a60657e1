import CHDF5

/// How a dataset lies in the file.
package struct H5Storage: Sendable, Equatable {
  /// The shape of one chunk; nil stores the whole as one block without filters. Filters and growth need chunks.
  package var chunk: [Int]?
  /// Sort the bytes of the elements by significance before compression.
  package var shuffle: Bool
  /// zlib's level 0 … 9; nil does not compress.
  package var deflate: Int?
  /// A checksum on every chunk, verified at each read.
  package var fletcher32: Bool
  /// Whether the first dimension may grow.
  package var isExtendable: Bool

  package init(
    chunk: [Int]? = nil, shuffle: Bool = false, deflate: Int? = nil, fletcher32: Bool = false,
    isExtendable: Bool = false
  ) {
    precondition(
      chunk != nil || !(shuffle || deflate != nil || fletcher32 || isExtendable),
      "filters and growth need a chunk shape")
    precondition(deflate.map { (0...9).contains($0) } ?? true, "zlib's levels are 0 … 9")
    self.chunk = chunk
    self.shuffle = shuffle
    self.deflate = deflate
    self.fletcher32 = fletcher32
    self.isExtendable = isExtendable
  }

  /// One block, as simple as it gets.
  package static let contiguous = H5Storage()

  /// The creation properties for a dataset of this shape. A chunk is cut down to the shape where that is fixed; a scalar
  /// or an empty, fixed shape has nothing to chunk.
  func properties(shape: [Int], at place: H5Place) throws -> H5Identifier {
    let properties = try H5Identifier.properties(H5P_DATASET_CREATE, at: place)
    // Without time stamps the same content gives the same bytes.
    try H5Library.check(H5Pset_obj_track_times(properties.raw, false), "H5Pset_obj_track_times", at: place)
    guard let chunk, !shape.isEmpty, isExtendable || !shape.contains(0) else { return properties }
    precondition(chunk.count == shape.count, "a chunk has as many dimensions as its dataset")
    precondition(chunk.allSatisfy { $0 > 0 }, "a chunk has no empty dimension")
    let sides = shape.indices.map { axis in
      hsize_t(isExtendable && axis == 0 ? chunk[axis] : max(1, min(chunk[axis], shape[axis])))
    }
    try H5Library.check(H5Pset_chunk(properties.raw, Int32(sides.count), sides), "H5Pset_chunk", at: place)
    if shuffle { try H5Library.check(H5Pset_shuffle(properties.raw), "H5Pset_shuffle", at: place) }
    if let deflate {
      try H5Library.check(H5Pset_deflate(properties.raw, UInt32(deflate)), "H5Pset_deflate", at: place)
    }
    if fletcher32 { try H5Library.check(H5Pset_fletcher32(properties.raw), "H5Pset_fletcher32", at: place) }
    return properties
  }
}
