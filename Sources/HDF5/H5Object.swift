import CHDF5

/// What files, groups and datasets have in common: an open identifier, a place for messages, and attributes.
///
/// Objects may be used from several threads; each operation is one atom under the library's lock.
package class H5Object: @unchecked Sendable {
  // `identifier` is the only mutable state, and it is only touched under the library's lock.
  private var identifier: H5Identifier?
  private let closing: String
  let place: H5Place
  /// Keeps the file open as long as something in it is; nil in the file itself.
  private let owner: H5File?

  init(_ identifier: consuming H5Identifier, closing: String, place: H5Place, owner: H5File?) {
    self.identifier = consume identifier
    self.closing = closing
    self.place = place
    self.owner = owner
  }

  /// The file's path as it was given.
  package var path: String { place.path }
  /// The name inside the file, from "/".
  package var name: String { place.object }

  /// The file that this object is in.
  var file: H5File {
    guard let file = owner ?? (self as? H5File) else { preconditionFailure("an object without a file") }
    return file
  }

  /// Whether neither this object nor its file was closed.
  package var isOpen: Bool {
    H5Library.locked { identifier != nil && owner?.isOpen != false }
  }

  /// Closes the object and reports what could not be written. A file closes everything that is open in it. Closing again
  /// does nothing; an object that is never closed is closed silently when it is released.
  /// - Throws: `H5Error`.
  package func close() throws {
    try H5Library.locked {
      guard isOpen, let identifier = identifier.take() else { return }
      try identifier.close(closing, at: place)
    }
  }

  /// Runs `body` with the identifier, alone in the library.
  func withIdentifier<Result>(_ body: (hid_t) throws -> Result) throws -> Result {
    try H5Library.locked {
      guard isOpen, let raw = identifier?.raw else { throw H5Error("used after it was closed", at: place) }
      return try body(raw)
    }
  }
}
