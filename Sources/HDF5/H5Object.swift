import CHDF5

/// Whether the file that objects belong to can still be trusted.
final class H5FileHealth: @unchecked Sendable {
  /// The first write that the system refused, or close that failed: from then on the file is given up, every use throws
  /// this, and nothing in it is closed. Only touched under the library's lock.
  var failure: H5Error?
}

/// What files, groups and datasets have in common: an open identifier, a place for messages, and attributes.
///
/// Objects may be used from several threads; each operation is one atom under the library's lock.
package class H5Object: @unchecked Sendable {
  // `identifier` and the file's health are the only mutable state, and they are only touched under the library's lock.
  private var identifier: H5Identifier?
  private let closing: String
  let place: H5Place
  /// Keeps the file open as long as something in it is; nil in the file itself.
  private let owner: H5File?
  private let health: H5FileHealth

  init(_ identifier: consuming H5Identifier, closing: String, place: H5Place, owner: H5File?) {
    self.identifier = consume identifier
    (self.closing, self.place, self.owner) = (closing, place, owner)
    health = owner?.health ?? H5FileHealth()
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
  /// - Throws: `H5Error`, also if writing to the file failed before.
  package func close() throws {
    try H5Library.locked {
      guard isOpen else { return }
      if let failure = health.failure { throw failure }
      guard let identifier = identifier.take() else { return }
      do { try identifier.close(closing, at: place) } catch let error as H5Error {
        health.failure = error
        throw error
      }
    }
  }

  /// Runs `body` with the identifier, alone in the library.
  func withIdentifier<Result>(_ body: (hid_t) throws -> Result) throws -> Result {
    try H5Library.locked {
      guard isOpen, let raw = identifier?.raw else { throw H5Error("used after it was closed", at: place) }
      if let failure = health.failure { throw failure }
      do { return try body(raw) } catch let error as H5Error {
        if error.isFailedWrite { health.failure = error }
        throw error
      }
    }
  }

  deinit {
    H5Library.locked {
      guard health.failure != nil else { return }
      identifier.take()?.abandon()
    }
  }
}
