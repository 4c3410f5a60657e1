import Failures

/// A value as given in a file or an override, before it is checked against its key.
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
  /// The value as one that `key` takes.
  ///
  /// - Throws: a ``Failure`` if it has another type or lies outside the key's range.
  func value(for key: ConfigurationKey) throws(Failure) -> ConfigurationValue {
    let remedy = "give \(key.form.description)"
    let found: String
    switch content {
    case .nothing:
      let wayOut = isOverride ? "null to take it out" : "remove the key"
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
