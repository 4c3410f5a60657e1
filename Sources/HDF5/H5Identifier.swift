import CHDF5

/// Owns one identifier of the C library (file, dataset, dataspace, property list …) and releases it exactly once.
struct H5Identifier: ~Copyable, Sendable {
  let raw: hid_t
  private let release: @convention(c) @Sendable (hid_t) -> herr_t

  /// Takes over `raw`, the result of `call`.
  /// - Throws: `H5Error` if `raw` says that the call failed.
  init(
    _ raw: hid_t, _ call: String, at place: H5Place, release: @convention(c) @Sendable (hid_t) -> herr_t
  ) throws {
    self.raw = try H5Library.check(raw, call, at: place)
    self.release = release
  }

  /// Releases the identifier; this is where an error of a delayed write shows.
  consuming func close(_ call: String, at place: H5Place) throws {
    let (raw, release) = (raw, release)
    discard self
    try H5Library.locked { _ = try H5Library.check(release(raw), call, at: place) }
  }

  /// Leaves the identifier to the end of the process.
  ///
  /// After a flush that the disk refused, closing what is left of a file reaches freed memory inside HDF5 1.10.
  consuming func abandon() { discard self }

  deinit {
    // An identifier that died with its file answers with an error; nothing is left to report it to.
    H5Library.locked { _ = release(raw) }
  }
}

extension H5Identifier {
  /// A new property list of the given class.
  static func properties(_ propertyClass: hid_t, at place: H5Place) throws -> H5Identifier {
    try H5Identifier(H5Pcreate(propertyClass), "H5Pcreate", at: place, release: H5Pclose)
  }

  /// A dataspace of the given shape; the empty shape is a scalar.
  static func space(_ shape: [Int], at place: H5Place) throws -> H5Identifier {
    guard !shape.isEmpty else {
      return try H5Identifier(H5Screate(H5S_SCALAR), "H5Screate", at: place, release: H5Sclose)
    }
    return try H5Identifier(
      H5Screate_simple(Int32(shape.count), shape.map { hsize_t($0) }, nil), "H5Screate_simple", at: place,
      release: H5Sclose)
  }

  /// The type of a variable-length UTF-8 string, which h5py and h5dump show as text.
  static func stringType(at place: H5Place) throws -> H5Identifier {
    let type = try H5Identifier(H5Tcopy(H5T_C_S1), "H5Tcopy", at: place, release: H5Tclose)
    try H5Library.check(H5Tset_size(type.raw, H5T_VARIABLE), "H5Tset_size", at: place)
    try H5Library.check(H5Tset_cset(type.raw, H5T_CSET_UTF8), "H5Tset_cset", at: place)
    return type
  }
}
