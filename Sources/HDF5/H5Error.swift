import Failures

/// Where in which file a call works, and what for.
struct H5Place: Sendable {
  /// The file's path as the caller gave it.
  var path: String
  /// The group, dataset or attribute inside the file; "/" is the file itself.
  var object: String = "/"
  /// Whether the file is being written: then a failure means that it can't be written, else that its data is bad.
  var isWriting: Bool

  /// The place of `name` below this one.
  func appending(_ name: String) -> H5Place {
    var place = self
    place.object = name.hasPrefix("/") ? name : object == "/" ? "/" + name : "\(object)/\(name)"
    return place
  }
}

/// A failed call of the HDF5 library, or a dataset that is not what the caller needs.
package struct H5Error: ReportableError, Equatable {
  /// The C function that failed; nil where this room found the fault itself.
  package var call: String?
  /// The file's path as the caller gave it.
  package var path: String
  /// The group, dataset or attribute inside the file; "/" is the file itself.
  package var object: String
  /// The innermost reason: the system's error text where there is one, else the library's description.
  package var cause: String
  /// Whether the operating system refused a write, so that what the file holds is no longer known.
  var isFailedWrite = false
  /// The library's error stack, outermost function first, for a bug report.
  package var trace: [String] = []
  package var exitStatus: ExitStatus

  package var description: String {
    let place = object == "/" ? path : "\(path):\(object)"
    guard let call else { return "\(place): \(cause)" }
    return "\(place): \(call) failed: \(cause)"
  }
}

extension H5Error {
  /// A fault that this room found before or after asking the library.
  init(_ cause: String, at place: H5Place) {
    self.init(
      call: nil, path: place.path, object: place.object, cause: cause,
      exitStatus: place.isWriting ? .cannotWrite : .badData)
  }

  /// The failure of `call`, explained by the library's error stack. The caller holds the library's lock.
  init(call: String, at place: H5Place) {
    let stack = H5Library.errorStack()
    // The innermost function speaks last; one that met the system's refusal quotes it between these marks.
    let innermost = stack.last { !$0.description.isEmpty }?.description
    let systemText = stack.lazy.compactMap { $0.description.quoted(after: "error message = '") }.first
    self.init(
      call: call, path: place.path, object: place.object,
      cause: systemText ?? innermost ?? "the library gave no reason",
      isFailedWrite: place.isWriting && systemText != nil,
      trace: stack.map { "\($0.function): \($0.description)" },
      exitStatus: place.isWriting ? .cannotWrite : .badData)
  }
}

extension String {
  /// The text between `mark` and the next apostrophe.
  fileprivate func quoted(after mark: String) -> String? {
    guard let start = firstRange(of: mark)?.upperBound else { return nil }
    return String(self[start...].prefix { $0 != "'" })
  }

  private func firstRange(of mark: String) -> Range<Index>? {
    indices.lazy.compactMap { start -> Range<Index>? in
      self[start...].hasPrefix(mark) ? start..<index(start, offsetBy: mark.count) : nil
    }.first
  }
}
