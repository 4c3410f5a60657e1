import CHDF5
import Foundation

/// The door to the C library: one lock, quiet error handling, and the check of every status.
package enum H5Library {
  /// The version of the library that is loaded, such as `1.10.8`.
  package static let version: String = {
    var (major, minor, release): (UInt32, UInt32, UInt32) = (0, 0, 0)
    let status = locked { H5get_libversion(&major, &minor, &release) }
    return status < 0 ? "unknown" : "\(major).\(minor).\(release)"
  }()

  /// Distributions build HDF5 without thread safety, and workers may be threads of one process; so every call, and the
  /// look at the error stack that belongs to it, happens under this one lock.
  private static let lock = NSRecursiveLock()

  /// At exit the library would flush what a full disk refused once more, and complain on standard error or spin; every
  /// file is closed by its owner, so nothing is lost without that.
  private static let withoutExitHandler: Void = { _ = H5dont_atexit() }()

  /// Runs `body` alone in the library.
  static func locked<Result: ~Copyable>(_ body: () throws -> Result) rethrows -> Result {
    lock.lock()
    defer { lock.unlock() }
    _ = withoutExitHandler
    // Errors are thrown, not printed. A thread-safe build keeps this setting per thread, hence here and not once.
    _ = H5Eset_auto2(H5E_DEFAULT, nil, nil)
    return try body()
  }

  /// Passes a status or identifier through, and throws the library's reason if it is negative.
  @discardableResult
  static func check<Status: SignedInteger>(_ status: Status, _ call: String, at place: H5Place) throws -> Status {
    guard status >= 0 else { throw H5Error(call: call, at: place) }
    return status
  }

  struct Frame {
    var function: String
    var description: String
  }

  /// The frames of the last failed call, outermost function first.
  static func errorStack() -> [Frame] {
    var frames: [Frame] = []
    // The pointer to `frames` lives as long as the walk, and the walk is synchronous.
    withUnsafeMutablePointer(to: &frames) { pointer in
      _ = H5Ewalk2(
        H5E_DEFAULT, H5E_WALK_DOWNWARD,
        { _, entry, context in
          guard let entry = entry?.pointee, let context else { return 0 }
          context.assumingMemoryBound(to: [Frame].self).pointee.append(
            Frame(
              function: entry.func_name.map { String(cString: $0) } ?? "",
              description: entry.desc.map { String(cString: $0) } ?? ""))
          return 0
        }, pointer)
    }
    return frames
  }
}
