import Failures

/// A value from a file or an override, before it is checked.
struct GivenValue {
  enum Content: Equatable {
    case scalar(String, isQuoted: Bool)
    /// `key:` with nothing after it, `null` or `~`.
    case nothing
    case list
    case mapping
  }

  var content: Content
  /// `file:line:column`, or the override's `--set` argument.
  var place: String
  var isOverride: Bool
}

extension GivenValue {
  /// Converts the value to the form of `key`.
  ///
  /// - Throws: ``Failure`` if it has another type or is out of range.
  func value(for key: ConfigurationKey) throws(Failure) -> ConfigurationValue {
    let remedy = "give \(key.form.description)"
    let found: String
    switch content {
    case .nothing:
      let wayOut = isOverride ? "null to remove it" : "remove the key"
      throw Failure(.usage, "'\(key.path)' has no value", at: place, remedy: "\(remedy), or \(wayOut)")
    case .list: found = "a list"
    case .mapping: found = "a mapping"
    case .scalar(let text, let isQuoted):
      if let value = key.form.value(of: text, isQuoted: isQuoted) { return value }
      if isQuoted, key.form.value(of: text, isQuoted: false) != nil {
        throw Failure(
          .usage, "'\(key.path)' cannot be the quoted text '\(text)'", at: place, remedy: "remove the quotes")
      }
      found = "'\(text)'"
    }
    throw Failure(.usage, "'\(key.path)' cannot be \(found)", at: place, remedy: remedy)
  }
}
