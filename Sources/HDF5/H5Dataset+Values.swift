import CHDF5

extension H5Dataset {
  /// Reads all numbers, converted to `Element`.
  /// - Throws: `H5Error`, also if the buffer has another size than the dataset.
  package func read<Element: H5Element>(into values: UnsafeMutableBufferPointer<Element>) throws {
    try withIdentifier { dataset in
      let extents = try numericExtents(dataset)
      let count = extents.reduce(1, *)
      guard count == values.count else {
        throw H5Error("has shape \(extents), \(count) values, where \(values.count) are expected", at: place)
      }
      guard count > 0 else { return }
      try H5Library.check(
        H5Dread(dataset, Element.h5Type.identifier, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.baseAddress), "H5Dread",
        at: place)
    }
  }

  /// All numbers, converted to `Element`.
  package func read<Element: H5Element>(as: Element.Type = Element.self) throws -> [Element] {
    try withIdentifier { dataset in
      let count = try numericExtents(dataset).reduce(1, *)
      try checkPlausible(dataset, byteCount: count * MemoryLayout<Element>.size)
      return try [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
        // Elements are plain numbers, so the library may write over uninitialised memory.
        try read(into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
        initialized = count
      }
    }
  }

  /// Reads the block of `shape` that begins at `offset`, converted to `Element`.
  /// - Throws: `H5Error`, also if the block reaches beyond the dataset.
  /// - Precondition: `shape` has at least one dimension; a scalar has no blocks.
  package func read<Element: H5Element>(
    at offset: [Int], shape: [Int], into values: UnsafeMutableBufferPointer<Element>
  ) throws {
    precondition(values.count == shape.reduce(1, *), "the buffer has the size of the block")
    try withBlock(offset, shape) { dataset, memory, space in
      let type = try storedType(dataset)
      try H5Dataset.checkNumeric(type.raw, at: place)
      try H5Library.check(
        H5Dread(dataset, Element.h5Type.identifier, memory, space, H5P_DEFAULT, values.baseAddress), "H5Dread",
        at: place)
    }
  }

  /// Reads `range` of a dataset with one dimension, converted to `Element`.
  package func read<Element: H5Element>(
    _ range: Range<Int>, into values: UnsafeMutableBufferPointer<Element>
  ) throws {
    try read(at: [range.lowerBound], shape: [range.count], into: values)
  }

  /// Writes all numbers, converted to the stored type.
  package func write<Element: H5Element>(_ values: UnsafeBufferPointer<Element>) throws {
    try withIdentifier { dataset in
      let extents = try numericExtents(dataset)
      precondition(values.count == extents.reduce(1, *), "the buffer has the size of the dataset")
      guard !values.isEmpty else { return }
      try H5Library.check(
        H5Dwrite(dataset, Element.h5Type.identifier, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.baseAddress), "H5Dwrite",
        at: place)
    }
  }

  /// Writes all numbers, converted to the stored type.
  package func write<Element: H5Element>(_ values: [Element]) throws {
    try values.withUnsafeBufferPointer { try write($0) }
  }

  /// Writes the block of `shape` that begins at `offset`.
  package func write<Element: H5Element>(
    _ values: UnsafeBufferPointer<Element>, at offset: [Int], shape: [Int]
  ) throws {
    precondition(values.count == shape.reduce(1, *), "the buffer has the size of the block")
    try withBlock(offset, shape) { dataset, memory, space in
      _ = try H5Library.check(
        H5Dwrite(dataset, Element.h5Type.identifier, memory, space, H5P_DEFAULT, values.baseAddress), "H5Dwrite",
        at: place)
    }
  }
}

extension H5Dataset {
  private func numericExtents(_ dataset: hid_t) throws -> [Int] {
    let type = try storedType(dataset)
    try H5Dataset.checkNumeric(type.raw, at: place)
    let space = try fileSpace(dataset)
    return try extents(space.raw)
  }

  /// Selects a block in the file and gives `body` the dataset, a memory space of its shape and the selection.
  private func withBlock(
    _ offset: [Int], _ shape: [Int], _ body: (_ dataset: hid_t, _ memory: hid_t, _ file: hid_t) throws -> Void
  ) throws {
    precondition(
      offset.count == shape.count && !shape.isEmpty, "offset and shape have as many dimensions, at least one")
    precondition((offset + shape).allSatisfy { $0 >= 0 }, "a block has no negative offset or extent")
    try withIdentifier { dataset in
      let space = try fileSpace(dataset)
      let extents = try extents(space.raw)
      guard extents.count == shape.count, extents.indices.allSatisfy({ offset[$0] + shape[$0] <= extents[$0] }) else {
        throw H5Error("has shape \(extents); a block of \(shape) at \(offset) is not in it", at: place)
      }
      guard !shape.contains(0) else { return }
      let memory = try H5Identifier.space(shape, at: place)
      try H5Library.check(
        H5Sselect_hyperslab(
          space.raw, H5S_SELECT_SET, offset.map { hsize_t($0) }, nil, shape.map { hsize_t($0) }, nil),
        "H5Sselect_hyperslab", at: place)
      try body(dataset, memory.raw, space.raw)
    }
  }
}
