import CHDF5

extension H5Object {
  /// Whether there is an attribute of this name.
  package func hasAttribute(_ name: String) throws -> Bool {
    try withIdentifier { try H5Library.check(H5Aexists($0, name), "H5Aexists", at: place) > 0 }
  }

  /// The names of all attributes, in alphabetical order.
  package func attributeNames() throws -> [String] {
    try withIdentifier { object in
      var names: [String] = []
      // The pointer to `names` lives as long as the iteration, and the iteration is synchronous.
      try withUnsafeMutablePointer(to: &names) { pointer in
        var position: hsize_t = 0
        _ = try H5Library.check(
          H5Aiterate2(
            object, H5_INDEX_NAME, H5_ITER_INC, &position,
            { _, name, _, context in
              guard let name, let context else { return 0 }
              context.assumingMemoryBound(to: [String].self).pointee.append(String(cString: name))
              return 0
            }, pointer), "H5Aiterate2", at: place)
      }
      return names
    }
  }

  /// Writes a text attribute, in place of one of the same name.
  package func setAttribute(_ name: String, _ value: String) throws {
    try setStrings(name, [value], shape: [])
  }

  /// Writes a list of texts as an attribute, in place of one of the same name.
  package func setAttribute(_ name: String, _ values: [String]) throws {
    try setStrings(name, values, shape: [values.count])
  }

  /// Writes a number as an attribute, in place of one of the same name.
  package func setAttribute<Element: H5Element>(_ name: String, _ value: Element) throws {
    try setNumbers(name, [value], shape: [])
  }

  /// Writes a list of numbers as an attribute, in place of one of the same name. A list fits if it is below 64 KiB.
  package func setAttribute<Element: H5Element>(_ name: String, _ values: [Element]) throws {
    try setNumbers(name, values, shape: [values.count])
  }

  /// The text of an attribute.
  /// - Throws: `H5Error` if there is no such attribute, or it is not one text.
  package func attribute(_ name: String, as: String.Type = String.self) throws -> String {
    try single(strings(name), name)
  }

  /// The texts of an attribute.
  package func attribute(_ name: String, as: [String].Type) throws -> [String] { try strings(name) }

  /// The number in an attribute, converted to `Element`.
  /// - Throws: `H5Error` if there is no such attribute, or it is not one number.
  package func attribute<Element: H5Element>(_ name: String, as: Element.Type) throws -> Element {
    try single(numbers(name), name)
  }

  /// The numbers in an attribute, converted to `Element`.
  package func attribute<Element: H5Element>(_ name: String, as: [Element].Type) throws -> [Element] {
    try numbers(name)
  }
}

extension H5Object {
  private func placeOfAttribute(_ name: String) -> H5Place { place.appending("@" + name) }

  private func single<Value>(_ values: [Value], _ name: String) throws -> Value {
    guard values.count == 1 else {
      throw H5Error("holds \(values.count) values where one is expected", at: placeOfAttribute(name))
    }
    return values[0]
  }

  private func setStrings(_ name: String, _ values: [String], shape: [Int]) throws {
    try withIdentifier { object in
      let place = placeOfAttribute(name)
      let type = try H5Identifier.stringType(at: place)
      let attribute = try create(name, in: object, type: type.raw, shape: shape)
      try H5Strings.withCStrings(values) {
        _ = try H5Library.check(H5Awrite(attribute.raw, type.raw, $0), "H5Awrite", at: place)
      }
      try attribute.close("H5Aclose", at: place)
    }
  }

  private func setNumbers<Element: H5Element>(_ name: String, _ values: [Element], shape: [Int]) throws {
    try withIdentifier { object in
      let place = placeOfAttribute(name)
      let type = Element.h5Type.identifier
      let attribute = try create(name, in: object, type: type, shape: shape)
      if !values.isEmpty { try H5Library.check(H5Awrite(attribute.raw, type, values), "H5Awrite", at: place) }
      try attribute.close("H5Aclose", at: place)
    }
  }

  private func create(_ name: String, in object: hid_t, type: hid_t, shape: [Int]) throws -> H5Identifier {
    let place = placeOfAttribute(name)
    if try H5Library.check(H5Aexists(object, name), "H5Aexists", at: place) > 0 {
      try H5Library.check(H5Adelete(object, name), "H5Adelete", at: place)
    }
    let properties = try H5Identifier.properties(H5P_ATTRIBUTE_CREATE, at: place)
    try H5Library.check(H5Pset_char_encoding(properties.raw, H5T_CSET_UTF8), "H5Pset_char_encoding", at: place)
    let space = try H5Identifier.space(shape, at: place)
    return try H5Identifier(
      H5Acreate2(object, name, type, space.raw, properties.raw, H5P_DEFAULT), "H5Acreate2", at: place,
      release: H5Aclose)
  }

  private func strings(_ name: String) throws -> [String] {
    try readAttribute(name) { attribute, count, place in
      let type = try H5Identifier(H5Aget_type(attribute), "H5Aget_type", at: place, release: H5Tclose)
      return try H5Strings.read(from: attribute, storedType: type.raw, count: count, at: place) {
        ("H5Aread", H5Aread(attribute, $0, $1))
      }
    }
  }

  private func numbers<Element: H5Element>(_ name: String) throws -> [Element] {
    try readAttribute(name) { attribute, count, place in
      let type = try H5Identifier(H5Aget_type(attribute), "H5Aget_type", at: place, release: H5Tclose)
      try H5Dataset.checkNumeric(type.raw, at: place)
      var values = [Element](repeating: .zero, count: count)
      if count > 0 {
        try H5Library.check(H5Aread(attribute, Element.h5Type.identifier, &values), "H5Aread", at: place)
      }
      return values
    }
  }

  private func readAttribute<Value>(
    _ name: String, _ body: (_ attribute: hid_t, _ count: Int, _ place: H5Place) throws -> Value
  ) throws -> Value {
    try withIdentifier { object in
      let place = placeOfAttribute(name)
      guard try H5Library.check(H5Aexists(object, name), "H5Aexists", at: place) > 0 else {
        throw H5Error("there is no such attribute", at: place)
      }
      let attribute = try H5Identifier(
        H5Aopen(object, name, H5P_DEFAULT), "H5Aopen", at: place, release: H5Aclose)
      let space = try H5Identifier(H5Aget_space(attribute.raw), "H5Aget_space", at: place, release: H5Sclose)
      let count = try H5Library.check(
        H5Sget_simple_extent_npoints(space.raw), "H5Sget_simple_extent_npoints", at: place)
      let type = try H5Identifier(H5Aget_type(attribute.raw), "H5Aget_type", at: place, release: H5Tclose)
      let (byteCount, overflows) = Int(count).multipliedReportingOverflow(
        by: max(H5GlobalHeap.referenceSize, H5Tget_size(type.raw)))
      guard !overflows, byteCount <= 1 << 26 else { throw H5Error("claims \(count) values", at: place) }
      return try body(attribute.raw, Int(count), place)
    }
  }
}
