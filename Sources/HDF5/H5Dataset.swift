import CHDF5

/// An array of numbers or texts in a file. Numbers are row-major, as in C.
package final class H5Dataset: H5Object, @unchecked Sendable {
  /// The extent of each dimension; empty for a scalar.
  package func shape() throws -> [Int] {
    try withIdentifier { dataset in
      let space = try fileSpace(dataset)
      return try extents(space.raw)
    }
  }

  /// The stored number type; nil if the dataset holds something else, such as texts.
  package func elementType() throws -> H5ElementType? {
    try withIdentifier { dataset in
      let type = try storedType(dataset)
      return H5ElementType(type.raw)
    }
  }

  /// Whether the dataset holds texts.
  package func holdsText() throws -> Bool {
    try withIdentifier { dataset in
      let type = try storedType(dataset)
      return H5Tget_class(type.raw) == H5T_STRING
    }
  }
}

extension H5Group {
  /// Creates a dataset of numbers.
  /// - Throws: `H5Error` (can't write).
  package func createDataset(
    _ name: String, _ type: H5ElementType, shape: [Int], storage: H5Storage = .contiguous
  ) throws -> H5Dataset {
    precondition(shape.allSatisfy { $0 >= 0 }, "a dataset has no negative extent")
    return try H5Library.locked {
      try createDataset(name, type: type.identifier, shape: shape, storage: storage)
    }
  }

  /// Creates a dataset of numbers and writes all of it.
  @discardableResult
  package func createDataset<Element: H5Element>(
    _ name: String, _ values: [Element], shape: [Int]? = nil, storage: H5Storage = .contiguous
  ) throws -> H5Dataset {
    let dataset = try createDataset(name, Element.h5Type, shape: shape ?? [values.count], storage: storage)
    try dataset.write(values)
    return dataset
  }

  /// Opens a dataset.
  /// - Parameter chunkCacheBytes: memory for decoded chunks. HDF5's default, 1 MiB, decodes a chunk again for each small
  ///   read that alternates between more chunks than fit.
  /// - Throws: `H5Error` if it is missing, not a dataset, or not stored in this file alone.
  package func openDataset(_ name: String, chunkCacheBytes: Int? = nil) throws -> H5Dataset {
    let place = self.place.appending(name)
    return try withIdentifier { group in
      try checkLinks(to: name, from: group)
      let access = try H5Identifier.properties(H5P_DATASET_ACCESS, at: place)
      if let chunkCacheBytes {
        // Slots: a prime well above the number of chunks that fit, as the manual advises; chunks read once go first.
        try H5Library.check(
          H5Pset_chunk_cache(access.raw, 12_421, chunkCacheBytes, 1), "H5Pset_chunk_cache", at: place)
      }
      let identifier = try H5Identifier(
        H5Dopen2(group, name, access.raw), "H5Dopen2", at: place, release: H5Dclose)
      let dataset = H5Dataset(identifier, closing: "H5Dclose", place: place, owner: file)
      try dataset.checkStorage()
      return dataset
    }
  }

  func createDataset(_ name: String, type: hid_t, shape: [Int], storage: H5Storage) throws -> H5Dataset {
    let place = self.place.appending(name)
    return try withIdentifier { group in
      let space = try H5Identifier.space(shape, at: place)
      let creation = try storage.properties(shape: shape, at: place)
      let link = try H5Group.linkProperties(at: place)
      let identifier = try H5Identifier(
        H5Dcreate2(group, name, type, space.raw, link.raw, creation.raw, H5P_DEFAULT), "H5Dcreate2", at: place,
        release: H5Dclose)
      return H5Dataset(identifier, closing: "H5Dclose", place: place, owner: file)
    }
  }
}

extension H5Dataset {
  func fileSpace(_ dataset: hid_t) throws -> H5Identifier {
    try H5Identifier(H5Dget_space(dataset), "H5Dget_space", at: place, release: H5Sclose)
  }

  func storedType(_ dataset: hid_t) throws -> H5Identifier {
    try H5Identifier(H5Dget_type(dataset), "H5Dget_type", at: place, release: H5Tclose)
  }

  func extents(_ space: hid_t) throws -> [Int] {
    let rank = try H5Library.check(H5Sget_simple_extent_ndims(space), "H5Sget_simple_extent_ndims", at: place)
    var current = [hsize_t](repeating: 0, count: Int(rank))
    try H5Library.check(H5Sget_simple_extent_dims(space, &current, nil), "H5Sget_simple_extent_dims", at: place)
    // A damaged file can claim more than there are addresses.
    var count: hsize_t = 1
    for extent in current {
      let (product, overflows) = count.multipliedReportingOverflow(by: max(1, extent))
      guard !overflows, product <= Int.max / 16 else { throw H5Error("has an impossible shape \(current)", at: place) }
      count = product
    }
    return current.map { Int($0) }
  }

  /// Refuses to make room for what a damaged file claims to hold: deflate shrinks a thousandfold at best, so the bytes that
  /// are really there bound those that can come out (zlib's technical details: 1032 to 1).
  func checkPlausible(_ dataset: hid_t, byteCount: Int) throws {
    let stored = H5Dget_storage_size(dataset)
    guard byteCount <= 1 << 26 || hsize_t(byteCount) / 1100 <= stored else {
      throw H5Error("claims \(byteCount) bytes, but only \(stored) are stored", at: place)
    }
  }

  static func checkNumeric(_ type: hid_t, at place: H5Place) throws {
    let typeClass = H5Tget_class(type)
    guard typeClass == H5T_INTEGER || typeClass == H5T_FLOAT else {
      throw H5Error("holds \(typeClass == H5T_STRING ? "text" : "something else"), not numbers", at: place)
    }
  }
}
