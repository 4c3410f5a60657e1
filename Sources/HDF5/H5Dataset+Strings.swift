import CHDF5

extension H5Group {
  /// Creates a one-dimensional dataset of texts (variable-length UTF-8).
  /// - Throws: `H5Error` (can't write).
  @discardableResult
  package func createDataset(_ name: String, _ texts: [String]) throws -> H5Dataset {
    try createTextDataset(name, texts, shape: [texts.count])
  }

  /// Creates a scalar dataset with one text.
  /// - Throws: `H5Error` (can't write).
  @discardableResult
  package func createDataset(_ name: String, _ text: String) throws -> H5Dataset {
    try createTextDataset(name, [text], shape: [])
  }

  private func createTextDataset(_ name: String, _ texts: [String], shape: [Int]) throws -> H5Dataset {
    try H5Library.locked {
      let place = self.place.appending(name)
      let type = try H5Identifier.stringType(at: place)
      let dataset = try createDataset(name, type: type.raw, shape: shape, storage: .contiguous)
      try dataset.withIdentifier { raw in
        guard !texts.isEmpty else { return }
        try H5Strings.withCStrings(texts) {
          _ = try H5Library.check(
            H5Dwrite(raw, type.raw, H5S_ALL, H5S_ALL, H5P_DEFAULT, $0), "H5Dwrite", at: place)
        }
      }
      return dataset
    }
  }
}

extension H5Dataset {
  /// All texts, of a scalar or an array, of variable or fixed length.
  /// - Throws: `H5Error`, also if the dataset holds numbers or the bytes are not UTF-8.
  package func readTexts() throws -> [String] {
    try withIdentifier { dataset in
      let type = try storedType(dataset)
      let space = try fileSpace(dataset)
      let count = try extents(space.raw).reduce(1, *)
      let (byteCount, overflows) = count.multipliedReportingOverflow(
        by: max(H5GlobalHeap.referenceSize, H5Tget_size(type.raw)))
      try checkPlausible(dataset, byteCount: overflows ? .max : byteCount)
      return try H5Strings.read(from: dataset, storedType: type.raw, count: count, at: place) {
        ("H5Dread", H5Dread(dataset, $0, H5S_ALL, H5S_ALL, H5P_DEFAULT, $1))
      }
    }
  }

  /// The one text of a scalar dataset.
  package func readText() throws -> String {
    let texts = try readTexts()
    guard texts.count == 1 else { throw H5Error("holds \(texts.count) texts where one is expected", at: place) }
    return texts[0]
  }
}
